//! A server that stalls, behind a load shedder, step by step in virtual time.

use plimsoll_core::{Dice, Event, Instant, ManualTime, Observe, Outcome, Permit, Priority};
use plimsoll_drop::{Control, LoadShedder, SignalReading};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One step of the simulation, in nanoseconds.
const STEP: u64 = 500_000;
const SECOND: u64 = 1_000_000_000;

/// What the shedder knows of the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Known {
    /// Its own permits in flight.
    Permits,
    /// The depth of the queue.
    Depth,
    /// Depth, departures, delay and whether all slots are busy.
    All,
    /// The delay alone.
    Delay,
}

/// A day of the server: 16 slots, 10 ms a request.
#[derive(Clone, Debug)]
pub(crate) struct Day {
    pub(crate) known: Known,
    pub(crate) control: Control,
    pub(crate) target: Duration,
    pub(crate) hint: Option<f64>,
    /// The load in multiples of the capacity, from each second on.
    pub(crate) loads: Vec<(u64, f64)>,
    /// The speed of the server, from each second on. It is 0 while it stalls.
    pub(crate) speeds: Vec<(f64, f64)>,
    /// Whether a server that stalls loses its requests when the stall ends.
    pub(crate) forgets: bool,
    /// The time after which a caller leaves. Its request stays with the server.
    pub(crate) deadline: Option<Duration>,
    /// The share of the callers that leave 5 ms after they were admitted.
    pub(crate) leaving: f64,
    /// The number of permits that are held throughout and need no slot.
    pub(crate) held: usize,
    /// Replaces readings of the signal.
    pub(crate) broken: fn(u64, SignalReading) -> SignalReading,
    pub(crate) seconds: u64,
}

/// What happened within one second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Second {
    pub(crate) arrived: f64,
    pub(crate) admitted: f64,
    /// Answers within the deadline, by the second in which the request arrived.
    pub(crate) good: f64,
    pub(crate) queue: usize,
    pub(crate) keep_rate: f64,
}

/// Records the events that are no decisions.
#[derive(Debug, Default)]
pub(crate) struct States(Mutex<Vec<Event>>);

impl Observe for States {
    fn event(&self, event: Event) {
        if matches!(event, Event::StateChanged { .. } | Event::Misconfigured { .. }) {
            self.0.lock().unwrap().push(event);
        }
    }
}

struct Server {
    queue: VecDeque<u64>,
    waited: u64,
    started: u64,
    departed: u64,
    was_idle: bool,
    busy: usize,
    now: u64,
    arrived: BTreeMap<u64, u64>,
}

pub(crate) struct Report {
    pub(crate) seconds: Vec<Second>,
    pub(crate) events: Vec<Event>,
    pub(crate) capacity: Option<f64>,
}

impl Default for Day {
    fn default() -> Self {
        Day {
            known: Known::Permits,
            control: Control::Rate,
            target: Duration::from_millis(20),
            hint: None,
            loads: vec![(0, 0.7)],
            speeds: vec![(0.0, 1.0)],
            forgets: false,
            deadline: None,
            leaving: 0.0,
            held: 0,
            broken: |_, reading| reading,
            seconds: 60,
        }
    }
}

const SLOTS: usize = 16;
const CAPACITY: f64 = 1_600.0;

impl Day {
    /// Adds a stall.
    pub(crate) fn stall(mut self, from: f64, until: f64) -> Self {
        self.speeds.extend([(from, 0.0), (until, 1.0)]);
        self
    }

    pub(crate) fn load(mut self, load: f64) -> Self {
        self.loads = vec![(0, load)];
        self
    }

    /// Runs the day.
    pub(crate) fn run(&self) -> Report {
        let time = ManualTime::new();
        let (dice, states) = (Dice::seeded(11), Arc::new(States::default()));
        let server = Arc::new(Mutex::new(Server {
            queue: VecDeque::new(),
            waited: 0,
            started: 0,
            departed: 0,
            was_idle: true,
            busy: 0,
            now: 0,
            arrived: BTreeMap::new(),
        }));
        let builder = LoadShedder::builder()
            .target(self.target)
            .control(self.control)
            .clock(time.clock())
            .observe(states.clone())
            .dice(Dice::seeded(1));
        let builder = match self.hint {
            Some(hint) => builder.capacity_hint(hint),
            None => builder,
        };
        enum Ticket {
            Item,
            Permit(Permit<LoadShedder>),
        }
        type Admit = Box<dyn Fn() -> Option<Ticket>>;
        type Read = Box<dyn Fn() -> (f64, Option<f64>)>;
        let (admit, read): (Admit, Read) = if self.known == Known::Permits {
            let shedder = builder.workers(SLOTS as u32).build().unwrap();
            let reads = shedder.clone();
            (
                Box::new(move || shedder.try_acquire_owned(Priority::NORMAL).ok().map(Ticket::Permit)),
                Box::new(move || (reads.keep_rate(), reads.capacity())),
            )
        } else {
            let (signal, known, broken) = (server.clone(), self.known, self.broken);
            let shedder = builder
                .signal(move || {
                    let mut server = signal.lock().unwrap();
                    let (now, reading) = (server.now, server.read(known));
                    drop(server);
                    broken(now, reading)
                })
                .build()
                .unwrap();
            let reads = shedder.clone();
            (
                Box::new(move || shedder.keep(Priority::NORMAL).then_some(Ticket::Item)),
                Box::new(move || (reads.keep_rate(), reads.capacity())),
            )
        };
        let held: Vec<_> = (0..self.held).filter_map(|_| admit()).collect();
        let tickets: RefCell<BTreeMap<u64, Ticket>> = RefCell::default();
        let end = |job: u64, outcome: Option<Outcome>| match (tickets.borrow_mut().remove(&job), outcome) {
            (Some(Ticket::Permit(permit)), Some(outcome)) => permit.done(outcome),
            // A permit that is dropped is cancelled.
            (ticket, _) => drop(ticket),
        };
        let mut seconds = vec![Second::default(); self.seconds as usize];
        let (mut running, mut deadlines) = (Vec::<(f64, u64)>::new(), VecDeque::new());
        let mut leavers = VecDeque::new();
        let (mut work, mut due, mut jobs, mut was_stalled) = (0.0, 0.0, 0_u64, false);
        for now in (0..self.seconds * SECOND).step_by(STEP as usize) {
            let at = now as f64 / 1e9;
            let speed =
                self.speeds.iter().rev().find(|(from, _)| *from <= at).map_or(1.0, |(_, speed)| *speed);
            let load = self.loads.iter().rev().find(|(from, _)| *from <= now / SECOND).map_or(0.0, |of| of.1);
            time.advance_to(Instant::from_nanos(now));
            let mut s = server.lock().unwrap();
            s.now = now;
            work += speed * STEP as f64;
            let mut good = Vec::new();
            if speed > 0.0 && was_stalled && self.forgets {
                running.clear();
                s.queue.clear();
            }
            was_stalled = speed == 0.0;
            running.retain(|(until, job)| {
                if *until <= work {
                    good.push(*job);
                }
                *until > work
            });
            while running.len() < SLOTS {
                let Some(job) = s.queue.pop_front() else { break };
                running.push((work + exponential(&dice) * 1e7, job));
                s.start(job);
            }
            s.busy = running.len();
            s.was_idle |= running.len() < SLOTS;
            drop(s);
            for job in good {
                let arrived = server.lock().unwrap().arrived.remove(&job);
                if tickets.borrow().contains_key(&job)
                    && let Some(at) = arrived
                {
                    seconds[(at / SECOND) as usize].good += 1.0;
                }
                end(job, Some(Outcome::Success));
            }
            for gone in [&mut deadlines, &mut leavers] {
                while gone.front().is_some_and(|(until, _)| *until <= now) {
                    if let Some((_, job)) = gone.pop_front() {
                        end(job, None);
                    }
                }
            }
            let second = &mut seconds[(now / SECOND) as usize];
            due += load * CAPACITY * STEP as f64 / 1e9;
            while due >= 1.0 {
                // Arrivals are a Poisson process.
                due -= exponential(&dice);
                second.arrived += 1.0;
                let Some(ticket) = admit() else { continue };
                second.admitted += 1.0;
                jobs += 1;
                tickets.borrow_mut().insert(jobs, ticket);
                if let Some(deadline) = self.deadline {
                    deadlines.push_back((now + deadline.as_nanos() as u64, jobs));
                }
                if dice.chance(self.leaving) {
                    leavers.push_back((now + 5_000_000, jobs));
                }
                let mut s = server.lock().unwrap();
                s.arrived.insert(jobs, now);
                if running.len() < SLOTS {
                    running.push((work + exponential(&dice) * 1e7, jobs));
                    s.start(jobs);
                } else {
                    s.queue.push_back(jobs);
                }
                s.busy = running.len();
            }
            second.queue = second.queue.max(server.lock().unwrap().queue.len());
            second.keep_rate = read().0;
        }
        drop(held);
        let events = std::mem::take(&mut *states.0.lock().unwrap());
        Report { seconds, events, capacity: read().1 }
    }
}

impl Server {
    fn start(&mut self, job: u64) {
        self.departed += 1;
        self.started += 1;
        self.waited += self.now - self.arrived.get(&job).copied().unwrap_or(self.now);
    }

    fn read(&mut self, known: Known) -> SignalReading {
        let head = self.queue.front().and_then(|job| self.arrived.get(job));
        let age = head.map(|at| self.now - at);
        let mean = self.waited.checked_div(self.started);
        (self.waited, self.started) = (0, 0);
        let is_busy = !std::mem::take(&mut self.was_idle) && self.busy == SLOTS;
        let depth = SignalReading::new().depth(self.queue.len() as u64);
        let delay = Duration::from_nanos(mean.or(age).unwrap_or(0));
        match known {
            Known::Permits | Known::Depth => depth,
            Known::All => depth.delay(delay).departed(self.departed).busy(is_busy),
            // No request was started, so nothing is known.
            Known::Delay => mean.map_or(SignalReading::new(), |_| SignalReading::new().delay(delay)),
        }
    }
}

impl Report {
    /// Returns the longest queue from a second on.
    pub(crate) fn queue_from(&self, second: usize) -> usize {
        self.seconds[second..].iter().map(|second| second.queue).max().unwrap_or(0)
    }

    /// Returns the good answers between two seconds as a share of what the server could give.
    pub(crate) fn goodput(&self, from: usize, until: usize) -> f64 {
        let seconds = &self.seconds[from..until];
        let possible: f64 = seconds.iter().map(|second| second.arrived.min(CAPACITY)).sum();
        seconds.iter().map(|second| second.good).sum::<f64>() / possible
    }

    /// Prints a line a second.
    #[allow(dead_code)]
    pub(crate) fn print(&self, name: &str) {
        println!("{name}: capacity {:?}, events {:?}", self.capacity, self.events);
        for (n, s) in self.seconds.iter().enumerate() {
            let (admitted, good) = (s.admitted / s.arrived, s.good / s.arrived.min(CAPACITY));
            println!("{n:4} kept {admitted:.3} good {good:.3} queue {:6} rate {:.4}", s.queue, s.keep_rate);
        }
    }
}

fn exponential(dice: &Dice) -> f64 {
    -(1.0 - dice.uniform()).ln()
}
