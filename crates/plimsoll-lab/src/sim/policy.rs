//! The policies: which layers stand around the server.

use std::time::Duration;

use plimsoll::breaker::CircuitBreakerConfig;
use plimsoll::drop::{Control, Curve};
use plimsoll::{
    AdaptiveThrottle, Buffer, CircuitBreaker, ConfigError, Discipline, Dispatch, LoadShedder, ManualTime,
    Outcome, RandomDrop, Valve, layer,
};
use tower_layer::Layer;

use crate::sim::case::Case;
use crate::sim::dagor::Dagor;
use crate::sim::drive::{dice, drive};
use crate::sim::record::Record;
use crate::sim::server::{CallError, Server, THROTTLE};

/// How a load shedder is controlled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ShedderControl {
    /// By the admitted rate.
    Rate,
    /// PIE.
    Pie,
    /// RED: the share that is kept falls from 1 at an average depth of `from` to 0 at `to`.
    Red {
        /// The depth at which dropping begins.
        from: u32,
        /// The depth at which everything is dropped.
        to: u32,
    },
}

impl ShedderControl {
    /// Returns its name in a scenario.
    pub fn as_str(self) -> &'static str {
        match self {
            ShedderControl::Rate => "rate",
            ShedderControl::Pie => "pie",
            ShedderControl::Red { .. } => "red",
        }
    }
}

impl From<ShedderControl> for Control {
    fn from(control: ShedderControl) -> Self {
        match control {
            ShedderControl::Rate => Control::Rate,
            ShedderControl::Pie => Control::Pie,
            ShedderControl::Red { from, to } => Control::Red(Curve::linear(from.into(), to.into())),
        }
    }
}

/// What stands between the clients and the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// No guard: the server's own unbounded FIFO.
    Bare,
    /// A valve that never lets a request wait.
    Valve {
        /// The maximum number of requests in flight.
        concurrency: u32,
    },
    /// A valve with a queue.
    QueueingValve {
        /// The maximum number of requests in flight.
        concurrency: u32,
        /// The maximum number of waiting requests.
        queue: u32,
        /// The longest wait.
        max_wait: Duration,
    },
    /// A request buffer: a limited number of requests is served, and the others wait by a
    /// discipline.
    Buffer {
        /// The maximum number of requests in flight.
        concurrency: u32,
        /// The maximum number of waiting requests.
        queue: u32,
        /// The longest wait, whatever the discipline.
        max_wait: Duration,
        /// The queue discipline: which waiting request is served next, and which is evicted.
        discipline: Discipline,
    },
    /// Random drop at a fixed rate.
    RandomDrop {
        /// The share that is kept.
        keep_rate: f64,
    },
    /// Random drop and a valve as one tuple: all or nothing, without waiting.
    RandomDropValve {
        /// The share that is kept.
        keep_rate: f64,
        /// The maximum number of requests in flight.
        concurrency: u32,
    },
    /// A load shedder that measures the requests in flight through it.
    LoadShedder {
        /// The number of requests in flight that are being served. Any others wait.
        workers: u32,
        /// The target delay.
        target: Duration,
        /// How it is controlled.
        control: ShedderControl,
        /// The capacity hint, in requests per second.
        capacity_hint: Option<f64>,
    },
    /// A baseline: the admitted share falls after each window with a mean delay above 20 ms, and
    /// rises a little after any other.
    Dagor,
    /// A dispatch pool: a slot at once, or a rejection.
    Dispatch {
        /// The number of slots.
        slots: u32,
    },
    /// A valve at the server, and an adaptive throttle at the clients that learns from its
    /// rejections. Requests that the throttle rejects cost the server nothing.
    AdaptiveThrottleValve {
        /// Requests sent per accepted request.
        multiplier: f64,
        /// The time over which requests are counted.
        window: Duration,
        /// Requests per second that are always sent.
        min_rate: f64,
        /// The maximum number of requests in flight.
        concurrency: u32,
    },
    /// A circuit breaker.
    CircuitBreaker(CircuitBreakerConfig),
    /// A circuit breaker and a valve as one tuple: the breaker is refunded when the valve rejects.
    CircuitBreakerValve {
        /// The settings of the breaker.
        breaker: CircuitBreakerConfig,
        /// The maximum number of requests in flight.
        concurrency: u32,
    },
    /// Three layers, from the outside: random drop, a valve without a queue that admits
    /// `concurrency + queue` requests, and a valve with a queue.
    ThreeLayers {
        /// The share that is kept.
        keep_rate: f64,
        /// The maximum number of requests in flight through the innermost valve.
        concurrency: u32,
        /// The maximum number of requests waiting for it.
        queue: u32,
        /// The longest wait.
        max_wait: Duration,
    },
}

/// Simulates `case` behind `policy`. The same arguments return the same record.
///
/// # Errors
/// Returns an error if a guard cannot be built from the policy's numbers.
pub fn simulate(case: &Case, policy: &Policy, seed: u64) -> Result<Record, ConfigError> {
    let time = ManualTime::new();
    let server = Server::new(&case.server, dice(seed, 3));
    let inner = server.clone();
    let drop = |keep_rate| RandomDrop::builder().keep_rate(keep_rate).dice(dice(seed, 4)).build();
    let valve = |concurrency| Valve::builder().concurrency(concurrency).clock(time.clock());
    let breaker = |config: &CircuitBreakerConfig| {
        let breaker = CircuitBreaker::builder().config(config.clone());
        breaker.clock(time.clock()).dice(dice(seed, 5)).build()
    };
    Ok(match *policy {
        Policy::Bare => drive(inner, server, &time, case, seed),
        Policy::Valve { concurrency } => {
            let service = valve(concurrency).build()?.layer().layer(inner);
            drive(service, server, &time, case, seed)
        }
        Policy::QueueingValve { concurrency, queue, max_wait } => {
            let valve = valve(concurrency).queue(queue).max_wait(max_wait).build()?;
            drive(valve.wait_layer().layer(inner), server, &time, case, seed)
        }
        Policy::Buffer { concurrency, queue, max_wait, discipline } => {
            let buffer = Buffer::builder().concurrency(concurrency).queue(queue).max_wait(max_wait);
            let buffer = buffer.discipline(discipline).clock(time.clock()).build()?;
            drive(buffer.layer().layer(inner), server, &time, case, seed)
        }
        Policy::RandomDrop { keep_rate } => {
            drive(drop(keep_rate)?.layer().layer(inner), server, &time, case, seed)
        }
        Policy::RandomDropValve { keep_rate, concurrency } => {
            let service = layer((drop(keep_rate)?, valve(concurrency).build()?)).layer(inner);
            drive(service, server, &time, case, seed)
        }
        Policy::LoadShedder { workers, target, control, capacity_hint } => {
            let shedder = LoadShedder::builder().target(target).control(control.into());
            let shedder = shedder.workers(workers).clock(time.clock()).dice(dice(seed, 6));
            let shedder = match capacity_hint {
                Some(rate) => shedder.capacity_hint(rate),
                None => shedder,
            };
            drive(shedder.build()?.layer().layer(inner), server, &time, case, seed)
        }
        Policy::Dagor => {
            let dagor = Dagor::new(server.clone(), time.clock(), dice(seed, 7));
            drive(layer(dagor).layer(inner), server, &time, case, seed)
        }
        Policy::Dispatch { slots } => {
            let pool = Dispatch::<()>::builder().slots(slots);
            let pool = pool.clock(time.clock()).dice(dice(seed, 8)).build()?;
            drive(pool.layer().layer(inner), server, &time, case, seed)
        }
        Policy::AdaptiveThrottleValve { multiplier, window, min_rate, concurrency } => {
            let throttle = AdaptiveThrottle::builder()
                .name(THROTTLE)
                .multiplier(multiplier)
                .window(window)
                .min_rate(min_rate);
            let throttle = throttle.clock(time.clock()).dice(dice(seed, 9)).build()?;
            let outside = throttle.layer().classify(|answer: Result<&(), &CallError>| match answer {
                Ok(()) => Outcome::Success,
                Err(CallError::Failed | CallError::Status(_)) => Outcome::Failure,
                Err(CallError::Rejected | CallError::Throttled) => Outcome::Overloaded,
                Err(CallError::Left) => Outcome::Cancelled,
            });
            let service = outside.layer(valve(concurrency).build()?.layer().layer(inner));
            drive(service, server, &time, case, seed)
        }
        Policy::CircuitBreaker(ref config) => {
            drive(breaker(config)?.layer().layer(inner), server, &time, case, seed)
        }
        Policy::CircuitBreakerValve { breaker: ref config, concurrency } => {
            let service = layer((breaker(config)?, valve(concurrency).build()?)).layer(inner);
            drive(service, server, &time, case, seed)
        }
        Policy::ThreeLayers { keep_rate, concurrency, queue, max_wait } => {
            let waiting = valve(concurrency).queue(queue).max_wait(max_wait).build()?;
            let all = valve(concurrency.saturating_add(queue)).build()?;
            let service =
                drop(keep_rate)?.layer().layer(all.layer().layer(waiting.wait_layer().layer(inner)));
            drive(service, server, &time, case, seed)
        }
    })
}
