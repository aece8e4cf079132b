//! A queue with some servers, whatever is put before it, and what comes: event by event, in virtual time.

use plimsoll_core::{Dice, Instant, ManualTime, Permit, Priority};
use plimsoll_drop::{Control, LoadShedder, RandomDrop, SignalReading};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Loads as a multiple of the capacity.
pub(crate) const LOADS: [f64; 4] = [1.1, 2.0, 5.0, 20.0];
/// Plants that the controller was not tuned for: the service time in seconds, and the number of servers.
pub(crate) const HELD_OUT: [(f64, usize); 3] = [(3e-4, 7), (3e-3, 4), (3e-2, 32)];

/// How long a piece of work takes, in units of the plant's `service`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Law {
    Fixed,
    Exponential,
    /// 95 % take half of it, 5 % ten times as long.
    Bimodal,
}

impl Law {
    fn mean(self) -> f64 {
        if self == Law::Bimodal { 0.95 * 0.5 + 0.05 * 10.0 } else { 1.0 }
    }
    fn draw(self, dice: &Dice) -> f64 {
        match self {
            Law::Fixed => 1.0,
            Law::Exponential => exponential(dice),
            Law::Bimodal => {
                if dice.chance(0.95) {
                    0.5
                } else {
                    10.0
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flow {
    Paced,
    Poisson,
    /// Five times the mean for the first 50 ms of each 500 ms.
    Bursts,
}

/// What stands before the queue.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    Shedder(Control),
    /// A shedder whose signal knows the delay alone.
    DelayOnly,
    /// A shedder that goes by its own books of what is in flight.
    InFlight,
    /// A fixed share.
    Fixed(f64),
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Who {
    Anyone,
    /// Important requests of so much of the capacity; the others are of normal priority.
    Important(f64),
    /// Of 16 accounts, the first of which asks for this share of everything.
    Elephant(f64),
}

/// So many seconds of so much load, while the service takes so many times as long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spell {
    pub(crate) seconds: f64,
    pub(crate) load: f64,
    pub(crate) slow: f64,
}

pub(crate) fn spell(seconds: f64, load: f64) -> Spell {
    Spell { seconds, load, slow: 1.0 }
}

#[derive(Clone, Debug)]
pub(crate) struct Plant {
    pub(crate) service: f64,
    pub(crate) servers: usize,
    pub(crate) target: f64,
    pub(crate) law: Law,
    pub(crate) flow: Flow,
    pub(crate) guard: Guard,
    pub(crate) who: Who,
    pub(crate) noise: bool,
    /// The clock shows multiples of this alone, in ns.
    pub(crate) grid: u64,
    pub(crate) hint: bool,
    pub(crate) served: u64,
    pub(crate) seed: u64,
    /// From when on a spell is judged.
    pub(crate) settle: f64,
}

/// What became of a spell. Delays over the target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) delay: f64,
    /// The best and the worst block of ten targets or two seconds, for tables.
    #[allow(dead_code)]
    pub(crate) best: f64,
    #[allow(dead_code)]
    pub(crate) worst: f64,
    pub(crate) peak: f64,
    /// The share of the servers' time, once settled and in all.
    pub(crate) used: f64,
    pub(crate) used_in_all: f64,
    pub(crate) dropped: f64,
    /// The share of the important that was kept, of those that came since the spell began.
    pub(crate) important: f64,
}

struct Queue {
    /// Since when, and the permit of a guard that gives one.
    waiting: VecDeque<(u64, Option<Permit<LoadShedder>>)>,
    idle: Vec<usize>,
    waited: f64,
    begun: u64,
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
    /// The mean wait of those begun since the last reading, or else the age of the first in line.
    fn read(&mut self, noise: bool, delay_only: bool) -> SignalReading {
        let age = self.waiting.front().map_or(0.0, |(at, _)| self.now.saturating_sub(*at) as f64);
        let mut delay = if self.begun > 0 { self.waited / self.begun as f64 } else { age };
        (self.waited, self.begun) = (0.0, 0);
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

/// The first server that has become free by then.
fn due(free_at: &mut BinaryHeap<Reverse<(u64, usize)>>, at: u64) -> Option<(u64, usize)> {
    if free_at.peek()?.0.0 > at { None } else { free_at.pop().map(|Reverse(first)| first) }
}

enum Before {
    Shedder(Box<LoadShedder>),
    Asked(Box<LoadShedder>),
    Fixed(RandomDrop),
}

impl Plant {
    pub(crate) fn new(service: f64, servers: usize) -> Self {
        Plant {
            service,
            servers,
            target: (5.0 * service).max(5e-3),
            law: Law::Fixed,
            flow: Flow::Paced,
            guard: Guard::Shedder(Control::Rate),
            who: Who::Anyone,
            noise: false,
            grid: 1,
            hint: false,
            served: 0,
            seed: 1,
            settle: 10.0,
        }
    }

    /// Requests a second.
    pub(crate) fn capacity(&self) -> f64 {
        self.servers as f64 / (self.service * self.law.mean())
    }

    fn guard(&self, time: &ManualTime, queue: &Arc<Mutex<Queue>>) -> Before {
        let dice = Dice::seeded(self.seed);
        let control = match &self.guard {
            Guard::Fixed(keep) => {
                return Before::Fixed(RandomDrop::builder().keep_rate(*keep).dice(dice).build().unwrap());
            }
            Guard::Shedder(control) => control.clone(),
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
            return Before::Asked(Box::new(builder.workers(self.servers as u32).build().unwrap()));
        }
        let builder = builder.signal(move || queue.lock().unwrap().read(noise, delay_only));
        Before::Shedder(Box::new(builder.build().unwrap()))
    }

    /// What became of each spell, one after the other.
    pub(crate) fn run(&self, spells: &[Spell]) -> Vec<Seen> {
        let time = ManualTime::new();
        let dice = Dice::seeded(self.seed + 1_000);
        let queue = Arc::new(Mutex::new(Queue {
            waiting: VecDeque::new(),
            idle: (0..self.servers).collect(),
            waited: 0.0,
            begun: 0,
            departed: self.served,
            was_empty: true,
            now: 0,
            dice: Dice::seeded(self.seed + 2_000),
        }));
        let guard = self.guard(&time, &queue);
        let mut free_at: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        let mut serves: Vec<Option<Permit<LoadShedder>>> = (0..self.servers).map(|_| None).collect();
        let mut seen = Vec::new();
        let (mut now, mut began) = (0.0_f64, 0.0_f64);
        for spell in spells {
            let end = began + spell.seconds;
            let rate = self.capacity() * spell.load;
            let mean_service = self.service * spell.slow * 1e9;
            let block = (10.0 * self.target).max(2.0);
            let blocks = (((spell.seconds - self.settle) / block).floor() as usize).max(1);
            let mut sums = vec![(0.0, 0.0); blocks];
            let (mut came, mut dropped, mut important, mut important_kept) = (0.0, 0.0, 0.0, 0.0);
            let (mut work, mut work_in_all, mut peak) = (0.0, 0.0, 0.0_f64);
            let settled = (began + self.settle) * 1e9;
            loop {
                let gap = match self.flow {
                    Flow::Paced => 1.0 / rate,
                    Flow::Poisson => exponential(&dice) / rate,
                    // Half of everything comes in the bursts.
                    Flow::Bursts => 1.0 / (rate * if now % 0.5 < 0.05 { 5.0 } else { 0.5 / 0.9 }),
                };
                now = if rate > 0.0 { now + gap } else { end };
                if now >= end {
                    now = end;
                }
                let at = (now * 1e9) as u64;
                let mut q = queue.lock().unwrap();
                let mut begin = |q: &mut Queue, server: usize, begins: u64, waited: u64| {
                    let takes = mean_service * self.law.draw(&dice);
                    let waited = waited as f64;
                    q.departed += 1;
                    q.waited += waited;
                    q.begun += 1;
                    work_in_all += takes;
                    peak = peak.max(waited);
                    if begins as f64 >= settled {
                        work += takes;
                        let block = ((begins as f64 - settled) / (block * 1e9)) as usize;
                        let sum = &mut sums[block.min(blocks - 1)];
                        *sum = (sum.0 + waited, sum.1 + 1.0);
                    }
                    Reverse((begins + takes as u64, server))
                };
                // Servers that have become free since take the first in line.
                while let Some((free, server)) = due(&mut free_at, at) {
                    serves[server] = None;
                    match q.waiting.pop_front() {
                        Some((since, permit)) => {
                            serves[server] = permit;
                            free_at.push(begin(&mut q, server, free, free - since));
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
                came += 1.0;
                let (priority, account) = match self.who {
                    Who::Anyone => (Priority::NORMAL, None),
                    Who::Important(load) if dice.chance(load / spell.load) => (Priority(200), None),
                    Who::Important(_) => (Priority::NORMAL, None),
                    Who::Elephant(share) if dice.chance(share) => (Priority::NORMAL, Some(0)),
                    Who::Elephant(_) => (Priority::NORMAL, Some(1 + dice.below(15))),
                };
                let (keep, permit) = match (&guard, account) {
                    (Before::Fixed(fixed), _) => (fixed.keep(), None),
                    (Before::Asked(shedder), _) => {
                        let asked = shedder.try_acquire_owned(priority).ok();
                        (asked.is_some(), asked)
                    }
                    (Before::Shedder(shedder), None) => (shedder.keep(priority), None),
                    (Before::Shedder(shedder), Some(account)) => (shedder.keep_for(priority, &account), None),
                };
                if priority > Priority::NORMAL {
                    important += 1.0;
                    important_kept += f64::from(u8::from(keep));
                }
                if keep {
                    let mut q = queue.lock().unwrap();
                    match q.idle.pop() {
                        Some(server) => {
                            serves[server] = permit;
                            free_at.push(begin(&mut q, server, at, 0));
                        }
                        None => q.waiting.push_back((at, permit)),
                    }
                } else {
                    dropped += 1.0;
                }
            }
            let unit = self.target * 1e9;
            let (sum, n) = sums.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            let each = || sums.iter().map(|(sum, n): &(f64, f64)| sum / n.max(1.0) / unit);
            let whole = self.servers as f64 * 1e9;
            seen.push(Seen {
                delay: sum / f64::max(n, 1.0) / unit,
                best: each().fold(f64::INFINITY, f64::min),
                worst: each().fold(0.0, f64::max),
                peak: peak / unit,
                used: work / (whole * (spell.seconds - self.settle)),
                used_in_all: work_in_all / (whole * spell.seconds),
                dropped: dropped / f64::max(came, 1.0),
                important: if important > 0.0 { important_kept / important } else { 1.0 },
            });
            began = end;
        }
        seen
    }
}

/// Makes requests of 70 % of the capacity important.
pub(crate) fn important(plant: &mut Plant) {
    plant.who = Who::Important(0.7);
}

/// Runs each plant with each seed through these spells. Returns the plants, and what was seen of each
/// spell.
pub(crate) fn runs(
    plants: &[(f64, usize)],
    seeds: u64,
    spells: &[Spell],
    with: impl Fn(&mut Plant),
) -> Vec<(Plant, Vec<Seen>)> {
    let mut all = Vec::new();
    for &(service, servers) in plants {
        for seed in 1..=seeds {
            let mut plant = Plant { seed, ..Plant::new(service, servers) };
            with(&mut plant);
            all.push(plant);
        }
    }
    // On two threads: each run is deterministic by itself.
    let (next, seen) = (AtomicUsize::new(0), Mutex::new(vec![Vec::new(); all.len()]));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(plant) = all.get(at) else { break };
            let run = plant.run(spells);
            seen.lock().unwrap()[at] = run;
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    all.into_iter().zip(seen.into_inner().unwrap()).collect()
}
