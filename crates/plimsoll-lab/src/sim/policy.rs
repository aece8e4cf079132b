//! The policies: which layers stand around the server.

use std::time::Duration;

use plimsoll::breaker::CircuitBreakerConfig;
use plimsoll::drop::{Control, Curve};
use plimsoll::{
    AdaptiveThrottle, Buffer, CircuitBreaker, ConfigError, Discipline, Dispatch, LoadShedder, ManualTime,
    Outcome, RandomDrop, Valve, layer,
};
use tower_layer::Layer;

use crate::sim::book::Record;
use crate::sim::case::Case;
use crate::sim::dagor::Dagor;
use crate::sim::drive::{dice, drive};
use crate::sim::server::{NotGood, Server, THROTTLE};

/// How a shedder is steered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steer {
    /// By the admitted rate.
    Rate,
    /// PIE.
    Pie,
    /// RED: all is kept up to `from` that wait, on average, and nothing from `to` on.
    Red {
        /// The lower end of its line.
        from: u32,
        /// The upper one.
        to: u32,
    },
}

impl Steer {
    /// Its name in a scenario.
    pub fn as_str(self) -> &'static str {
        match self {
            Steer::Rate => "rate",
            Steer::Pie => "pie",
            Steer::Red { .. } => "red",
        }
    }
}

impl From<Steer> for Control {
    fn from(steer: Steer) -> Self {
        match steer {
            Steer::Rate => Control::Rate,
            Steer::Pie => Control::Pie,
            Steer::Red { from, to } => Control::Red(Curve::linear(from.into(), to.into())),
        }
    }
}

/// What stands between the clients and the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// Nothing: the server's own unbounded FIFO.
    Bare,
    /// A valve that answers now or never.
    Valve {
        /// How many may be inside.
        inside: u32,
    },
    /// A valve with a room to wait in.
    Waiting {
        /// How many may be inside.
        inside: u32,
        /// How many may wait.
        room: u32,
        /// How long each may wait.
        longest_wait: Duration,
    },
    /// A buffer: so many are served at once, and the others wait as a discipline has it.
    Buffer {
        /// How many are served at once.
        concurrency: u32,
        /// How many may wait.
        count: u32,
        /// How long each may wait, whatever the discipline.
        age: Duration,
        /// Who of those who wait is next, and who has to go.
        discipline: Discipline,
    },
    /// Random drop at a fixed rate.
    Drop {
        /// The share that is kept.
        keep: f64,
    },
    /// Random drop and a valve as one tuple: all or nothing, now or never.
    DropValve {
        /// The share that is kept.
        keep: f64,
        /// How many may be inside.
        inside: u32,
    },
    /// Random drop that steers itself, by how many are in flight through it.
    Shedder {
        /// Of those, so many are served at once and the others wait.
        workers: u32,
        /// The delay that is wanted.
        target: Duration,
        /// How it is steered.
        steer: Steer,
        /// The capacity that it is told, in requests per second.
        capacity_hint: Option<f64>,
    },
    /// A baseline: the admitted share takes a step down after each window in which the mean delay was above
    /// 20 ms, and a small one up after each other.
    Dagor,
    /// A dispatch pool: a seat at once, or busy.
    Dispatch {
        /// How many seats.
        seats: u32,
        /// How many of them are tried.
        probes: u32,
    },
    /// A valve at the server, and a throttle at the clients: what the valve refuses teaches it. What the throttle
    /// refuses costs the server nothing.
    ThrottleValve {
        /// So many are sent for each that is accepted.
        k: f64,
        /// Over what time that is counted.
        within: Duration,
        /// So many a second are sent in any case.
        floor: f64,
        /// How many may be inside.
        inside: u32,
    },
    /// A circuit breaker.
    Breaker(CircuitBreakerConfig),
    /// A circuit breaker and a valve as one tuple: what the valve refuses, the breaker gets back.
    BreakerValve {
        /// The breaker's settings.
        breaker: CircuitBreakerConfig,
        /// How many may be inside.
        inside: u32,
    },
    /// Three layers stacked: random drop, a valve that answers now or never for all who are
    /// inside or wait, and a valve with a room.
    Three {
        /// The share that is kept.
        keep: f64,
        /// How many may be inside the innermost.
        inside: u32,
        /// How many may wait for it.
        room: u32,
        /// How long each may wait.
        longest_wait: Duration,
    },
}

/// Runs `case` behind `policy`. The same arguments give the same record.
///
/// # Errors
/// If a guard cannot be built from the policy's numbers.
pub fn simulate(case: &Case, policy: &Policy, seed: u64) -> Result<Record, ConfigError> {
    let time = ManualTime::new();
    let server = Server::new(&case.server, dice(seed, 3));
    let inner = server.clone();
    let drop = |keep| RandomDrop::builder().keep_rate(keep).dice(dice(seed, 4)).build();
    let valve = |inside| Valve::builder().concurrency(inside).clock(time.clock());
    let breaker = |config: &CircuitBreakerConfig| {
        let breaker = CircuitBreaker::builder().config(config.clone());
        breaker.clock(time.clock()).dice(dice(seed, 5)).build()
    };
    Ok(match *policy {
        Policy::Bare => drive(inner, server, &time, case, seed),
        Policy::Valve { inside } => {
            let service = valve(inside).build()?.layer().layer(inner);
            drive(service, server, &time, case, seed)
        }
        Policy::Waiting { inside, room, longest_wait } => {
            let valve = valve(inside).queue(room).max_wait(longest_wait).build()?;
            drive(valve.wait_layer().layer(inner), server, &time, case, seed)
        }
        Policy::Buffer { concurrency, count, age, discipline } => {
            let buffer = Buffer::builder().concurrency(concurrency).queue(count).max_wait(age);
            let buffer = buffer.discipline(discipline).clock(time.clock()).build()?;
            drive(buffer.layer().layer(inner), server, &time, case, seed)
        }
        Policy::Drop { keep } => drive(drop(keep)?.layer().layer(inner), server, &time, case, seed),
        Policy::DropValve { keep, inside } => {
            let service = layer((drop(keep)?, valve(inside).build()?)).layer(inner);
            drive(service, server, &time, case, seed)
        }
        Policy::Shedder { workers, target, steer, capacity_hint } => {
            let shedder = LoadShedder::builder().target(target).control(steer.into());
            let shedder = shedder.workers(workers).clock(time.clock()).dice(dice(seed, 6));
            let shedder = match capacity_hint {
                Some(a_second) => shedder.capacity_hint(a_second),
                None => shedder,
            };
            drive(shedder.build()?.layer().layer(inner), server, &time, case, seed)
        }
        Policy::Dagor => {
            let dagor = Dagor::new(server.clone(), time.clock(), dice(seed, 7));
            drive(layer(dagor).layer(inner), server, &time, case, seed)
        }
        Policy::Dispatch { seats, probes } => {
            let pool = Dispatch::<()>::builder().slots(seats).probes(probes);
            let pool = pool.clock(time.clock()).dice(dice(seed, 8)).build()?;
            drive(pool.layer().layer(inner), server, &time, case, seed)
        }
        Policy::ThrottleValve { k, within, floor, inside } => {
            let throttle = AdaptiveThrottle::builder().name(THROTTLE).multiplier(k).window(within).min_rate(floor);
            let throttle = throttle.clock(time.clock()).dice(dice(seed, 9)).build()?;
            let outside = throttle.layer().classify(|answer: Result<&(), &NotGood>| match answer {
                Ok(()) => Outcome::Success,
                Err(NotGood::Failed) => Outcome::Failure,
                Err(NotGood::Refused | NotGood::Unsent) => Outcome::Overloaded,
            });
            let service = outside.layer(valve(inside).build()?.layer().layer(inner));
            drive(service, server, &time, case, seed)
        }
        Policy::Breaker(ref config) => {
            drive(breaker(config)?.layer().layer(inner), server, &time, case, seed)
        }
        Policy::BreakerValve { breaker: ref config, inside } => {
            let service = layer((breaker(config)?, valve(inside).build()?)).layer(inner);
            drive(service, server, &time, case, seed)
        }
        Policy::Three { keep, inside, room, longest_wait } => {
            let waiting = valve(inside).queue(room).max_wait(longest_wait).build()?;
            let all = valve(inside.saturating_add(room)).build()?;
            let service = drop(keep)?.layer().layer(all.layer().layer(waiting.wait_layer().layer(inner)));
            drive(service, server, &time, case, seed)
        }
    })
}
