//! A simulated plant: a guard, a queue and its servers, event by event in virtual time.

use plimsoll_core::{Dice, Instant, ManualTime, Outcome, Permit, Priority};
use plimsoll_drop::{Control, LoadShedder, RandomDrop, Signal, SignalReading};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Loads as a multiple of the capacity.
pub(crate) const LOADS: [f64; 4] = [1.1, 2.0, 5.0, 20.0];
/// Plants for which the controller was not tuned: the service time in seconds, and the number of
/// servers.
pub(crate) const HELD_OUT: [(f64, usize); 3] = [(3e-4, 7), (3e-3, 4), (3e-2, 32)];

/// The distribution of the time that one request takes, in units of the plant's `service`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum WorkTime {
    Fixed,
    Exponential,
    /// 95 % of the requests take half the unit, 5 % take ten units.
    Bimodal,
}

impl WorkTime {
    fn mean(self) -> f64 {
        if self == WorkTime::Bimodal { 0.95 * 0.5 + 0.05 * 10.0 } else { 1.0 }
    }
    fn draw(self, dice: &Dice) -> f64 {
        match self {
            WorkTime::Fixed => 1.0,
            WorkTime::Exponential => exponential(dice),
            WorkTime::Bimodal => {
                if dice.chance(0.95) {
                    0.5
                } else {
                    10.0
                }
            }
        }
    }
}

/// The spacing of arrivals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Arrivals {
    Paced,
    Poisson,
    /// Five times the mean for the first 50 ms of each 500 ms.
    Bursts,
}

/// The guard in front of the queue.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    Shedder(Control),
    /// A shedder whose signal knows the delay alone.
    DelayOnly,
    /// A shedder without a signal, which counts its permits in flight.
    InFlight,
    /// A fixed share.
    Fixed(f64),
}

/// The priorities and the accounts of the requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Traffic {
    /// All requests have normal priority and no account.
    Normal,
    /// Important requests that amount to this share of the capacity. The others have normal
    /// priority.
    Important(f64),
    /// Requests of 16 accounts, the first of which sends this share of them.
    Dominant(f64),
}

/// A phase of a run: a load for some seconds, with a service that takes `slow` times as long. The
/// target is that of the plant, or another one from this phase on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) seconds: f64,
    pub(crate) load: f64,
    pub(crate) slow: f64,
    pub(crate) target: Option<f64>,
}

pub(crate) fn phase(seconds: f64, load: f64) -> Phase {
    Phase { seconds, load, slow: 1.0, target: None }
}

#[derive(Clone, Debug)]
pub(crate) struct Plant {
    pub(crate) service: f64,
    pub(crate) servers: usize,
    pub(crate) target: f64,
    pub(crate) work_time: WorkTime,
    pub(crate) arrivals: Arrivals,
    pub(crate) guard: Guard,
    pub(crate) traffic: Traffic,
    pub(crate) noise: bool,
    /// The resolution of the clock, in nanoseconds.
    pub(crate) grid: u64,
    /// Whether the shedder is built with the capacity as its hint.
    pub(crate) hint: bool,
    /// The number of departures that the signal counted before the run.
    pub(crate) served: u64,
    pub(crate) seed: u64,
    /// The seconds at the start of each phase that are not measured.
    pub(crate) settle: f64,
}

/// The measurements of one phase. Delays are multiples of the target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) delay: f64,
    /// The lowest and the highest mean of a block of ten targets or two seconds, for tables.
    #[allow(dead_code)]
    pub(crate) best: f64,
    #[allow(dead_code)]
    pub(crate) worst: f64,
    pub(crate) peak: f64,
    /// The share of the servers' time that was used, once settled and in the whole phase.
    pub(crate) used: f64,
    pub(crate) used_in_all: f64,
    pub(crate) dropped: f64,
    /// The share of the phase's important requests that was kept.
    pub(crate) important: f64,
}

struct Queue {
    /// The instant of each arrival, and the permit if the guard returned one.
    waiting: VecDeque<(u64, Option<Permit<LoadShedder>>)>,
    idle: Vec<usize>,
    waited: f64,
    started: u64,
    departed: u64,
    was_empty: bool,
    now: u64,
    dice: Dice,
}

fn uniform(dice: &Dice) -> f64 {
    1.0 - dice.uniform()
}

fn exponential(dice: &Dice) -> f64 {
    -uniform(dice).ln()
}

impl Queue {
    /// Returns the mean wait of the requests started since the last reading, or the age of the
    /// oldest waiting request if none was started.
    fn read(&mut self, noise: bool, delay_only: bool) -> SignalReading {
        let age = self.waiting.front().map_or(0.0, |(at, _)| self.now.saturating_sub(*at) as f64);
        let mut delay = if self.started > 0 { self.waited / self.started as f64 } else { age };
        (self.waited, self.started) = (0.0, 0);
        if noise {
            let normal = (-2.0 * uniform(&self.dice).ln()).sqrt()
                * (std::f64::consts::TAU * self.dice.uniform()).cos();
            delay *= (0.5 * normal - 0.125).exp();
        }
        let busy = !std::mem::take(&mut self.was_empty) && self.idle.is_empty();
        let reading = SignalReading::new().delay(Duration::from_nanos(delay as u64));
        if delay_only {
            return reading;
        }
        reading.depth(self.waiting.len() as u64).departed(self.departed).busy(busy)
    }
}

/// Returns the first server that is free at the instant `at`, and when it became free.
fn due(free_at: &mut BinaryHeap<Reverse<(u64, usize)>>, at: u64) -> Option<(u64, usize)> {
    if free_at.peek()?.0.0 > at { None } else { free_at.pop().map(|Reverse(first)| first) }
}

enum Front {
    Shedder(Box<LoadShedder<Signal>>),
    InFlight(Box<LoadShedder>),
    Fixed(RandomDrop),
}

impl Plant {
    pub(crate) fn new(service: f64, servers: usize) -> Self {
        Plant {
            service,
            servers,
            target: (5.0 * service).max(5e-3),
            work_time: WorkTime::Fixed,
            arrivals: Arrivals::Paced,
            guard: Guard::Shedder(Control::Rate),
            traffic: Traffic::Normal,
            noise: false,
            grid: 1,
            hint: false,
            served: 0,
            seed: 1,
            settle: 10.0,
        }
    }

    /// Returns the capacity in requests a second.
    pub(crate) fn capacity(&self) -> f64 {
        self.servers as f64 / (self.service * self.work_time.mean())
    }

    fn guard(&self, time: &ManualTime, queue: &Arc<Mutex<Queue>>) -> Front {
        let dice = Dice::seeded(self.seed);
        let control = match &self.guard {
            Guard::Fixed(keep) => {
                return Front::Fixed(RandomDrop::builder().keep_rate(*keep).dice(dice).build().unwrap());
            }
            Guard::Shedder(control) => *control,
            Guard::DelayOnly | Guard::InFlight => Control::Rate,
        };
        let (queue, noise) = (queue.clone(), self.noise);
        let delay_only = matches!(self.guard, Guard::DelayOnly);
        let builder = LoadShedder::builder()
            .target(Duration::from_secs_f64(self.target))
            .control(control)
            .clock(time.clock())
            .dice(dice);
        let builder = if self.hint { builder.capacity_hint(self.capacity()) } else { builder };
        if matches!(self.guard, Guard::InFlight) {
            return Front::InFlight(Box::new(builder.workers(self.servers as u32).build().unwrap()));
        }
        let builder = builder.signal(move || queue.lock().unwrap().read(noise, delay_only));
        Front::Shedder(Box::new(builder.build().unwrap()))
    }

    /// Runs the phases in order, and returns the measurements of each.
    pub(crate) fn run(&self, phases: &[Phase]) -> Vec<Measured> {
        let time = ManualTime::new();
        let dice = Dice::seeded(self.seed + 1_000);
        let queue = Arc::new(Mutex::new(Queue {
            waiting: VecDeque::new(),
            idle: (0..self.servers).collect(),
            waited: 0.0,
            started: 0,
            departed: self.served,
            was_empty: true,
            now: 0,
            dice: Dice::seeded(self.seed + 2_000),
        }));
        let guard = self.guard(&time, &queue);
        let mut free_at: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        let mut in_service: Vec<Option<Permit<LoadShedder>>> = (0..self.servers).map(|_| None).collect();
        let mut measured = Vec::new();
        let (mut now, mut phase_start) = (0.0_f64, 0.0_f64);
        let mut target = self.target;
        for phase in phases {
            if let Some(new) = phase.target {
                target = new;
                let target = Duration::from_secs_f64(target);
                match &guard {
                    Front::Shedder(shedder) => shedder.set_target(target).unwrap(),
                    Front::InFlight(shedder) => shedder.set_target(target).unwrap(),
                    Front::Fixed(_) => {}
                }
            }
            let end = phase_start + phase.seconds;
            let rate = self.capacity() * phase.load;
            let mean_service = self.service * phase.slow * 1e9;
            let block = (10.0 * target).max(2.0);
            let blocks = (((phase.seconds - self.settle) / block).floor() as usize).max(1);
            let mut sums = vec![(0.0, 0.0); blocks];
            let (mut arrived, mut dropped, mut important, mut important_kept) = (0.0, 0.0, 0.0, 0.0);
            let (mut work_settled, mut work_in_all, mut peak) = (0.0, 0.0, 0.0_f64);
            let settled = (phase_start + self.settle) * 1e9;
            loop {
                let gap = match self.arrivals {
                    Arrivals::Paced => 1.0 / rate,
                    Arrivals::Poisson => exponential(&dice) / rate,
                    // Half of all requests arrive in the bursts.
                    Arrivals::Bursts => 1.0 / (rate * if now % 0.5 < 0.05 { 5.0 } else { 0.5 / 0.9 }),
                };
                now = if rate > 0.0 { now + gap } else { end };
                if now >= end {
                    now = end;
                }
                let at = (now * 1e9) as u64;
                let mut q = queue.lock().unwrap();
                let mut start = |q: &mut Queue, server: usize, starts: u64, waited: u64| {
                    let work_nanos = mean_service * self.work_time.draw(&dice);
                    let waited = waited as f64;
                    q.departed += 1;
                    q.waited += waited;
                    q.started += 1;
                    work_in_all += work_nanos;
                    peak = peak.max(waited);
                    if starts as f64 >= settled {
                        work_settled += work_nanos;
                        let block = ((starts as f64 - settled) / (block * 1e9)) as usize;
                        let sum = &mut sums[block.min(blocks - 1)];
                        *sum = (sum.0 + waited, sum.1 + 1.0);
                    }
                    Reverse((starts + work_nanos as u64, server))
                };
                // Servers that have become free since then take the oldest waiting request.
                while let Some((free, server)) = due(&mut free_at, at) {
                    if let Some(permit) = in_service[server].take() {
                        permit.done(Outcome::Success);
                    }
                    match q.waiting.pop_front() {
                        Some((since, permit)) => {
                            in_service[server] = permit;
                            free_at.push(start(&mut q, server, free, free - since));
                        }
                        None => {
                            q.was_empty = true;
                            q.idle.push(server);
                        }
                    }
                }
                q.now = at;
                drop(q);
                time.advance_to(Instant::from_nanos(at / self.grid * self.grid));
                if now >= end {
                    break;
                }
                arrived += 1.0;
                let (priority, account) = match self.traffic {
                    Traffic::Normal => (Priority::NORMAL, None),
                    Traffic::Important(load) if dice.chance(load / phase.load) => (Priority(200), None),
                    Traffic::Important(_) => (Priority::NORMAL, None),
                    Traffic::Dominant(share) if dice.chance(share) => (Priority::NORMAL, Some(0)),
                    Traffic::Dominant(_) => (Priority::NORMAL, Some(1 + dice.below(15))),
                };
                let (keep, permit) = match (&guard, account) {
                    (Front::Fixed(fixed), _) => (fixed.keep(), None),
                    (Front::InFlight(shedder), _) => {
                        let permit = shedder.try_acquire_owned(priority).ok();
                        (permit.is_some(), permit)
                    }
                    (Front::Shedder(shedder), None) => (shedder.keep(priority), None),
                    (Front::Shedder(shedder), Some(account)) => (shedder.keep_for(priority, &account), None),
                };
                if priority > Priority::NORMAL {
                    important += 1.0;
                    important_kept += f64::from(u8::from(keep));
                }
                if keep {
                    let mut q = queue.lock().unwrap();
                    match q.idle.pop() {
                        Some(server) => {
                            in_service[server] = permit;
                            free_at.push(start(&mut q, server, at, 0));
                        }
                        None => q.waiting.push_back((at, permit)),
                    }
                } else {
                    dropped += 1.0;
                }
            }
            let unit = target * 1e9;
            let (sum, n) = sums.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            let each = || sums.iter().map(|(sum, n): &(f64, f64)| sum / n.max(1.0) / unit);
            let whole = self.servers as f64 * 1e9;
            measured.push(Measured {
                delay: sum / f64::max(n, 1.0) / unit,
                best: each().fold(f64::INFINITY, f64::min),
                worst: each().fold(0.0, f64::max),
                peak: peak / unit,
                used: work_settled / (whole * (phase.seconds - self.settle)),
                used_in_all: work_in_all / (whole * phase.seconds),
                dropped: dropped / f64::max(arrived, 1.0),
                important: if important > 0.0 { important_kept / important } else { 1.0 },
            });
            phase_start = end;
        }
        measured
    }
}

/// Makes requests of 70 % of the capacity important.
pub(crate) fn important(plant: &mut Plant) {
    plant.traffic = Traffic::Important(0.7);
}

/// Runs each plant with each seed through these phases. Returns the plants and their measurements.
pub(crate) fn runs(
    plants: &[(f64, usize)],
    seeds: u64,
    phases: &[Phase],
    with: impl Fn(&mut Plant),
) -> Vec<(Plant, Vec<Measured>)> {
    let mut all = Vec::new();
    for &(service, servers) in plants {
        for seed in 1..=seeds {
            let mut plant = Plant { seed, ..Plant::new(service, servers) };
            with(&mut plant);
            all.push(plant);
        }
    }
    // Two threads share the runs. Each run is deterministic.
    let (next, measured) = (AtomicUsize::new(0), Mutex::new(vec![Vec::new(); all.len()]));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(plant) = all.get(at) else { break };
            let run = plant.run(phases);
            measured.lock().unwrap()[at] = run;
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    all.into_iter().zip(measured.into_inner().unwrap()).collect()
}
