//! The policies: which layers stand around the server.

use std::time::Duration;

use plimsoll::breaker::Config;
use plimsoll::{Breaker, Buffer, ConfigError, Discipline, ManualTime, RandomDrop, Valve, layer};
use tower_layer::Layer;

use crate::sim::book::Record;
use crate::sim::case::Case;
use crate::sim::drive::{dice, drive};
use crate::sim::server::Server;

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
    /// A circuit breaker.
    Breaker(Config),
    /// A circuit breaker and a valve as one tuple: what the valve refuses, the breaker gets back.
    BreakerValve {
        /// The breaker's settings.
        breaker: Config,
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
    let drop = |keep| RandomDrop::builder().keep(keep).dice(dice(seed, 4)).build();
    let valve = |inside| Valve::builder().inside(inside).clock(time.clock());
    let breaker = |config: &Config| {
        let breaker = Breaker::builder().config(config.clone());
        breaker.clock(time.clock()).dice(dice(seed, 5)).build()
    };
    Ok(match *policy {
        Policy::Bare => drive(inner, server, &time, case, seed),
        Policy::Valve { inside } => {
            let service = valve(inside).build()?.layer().layer(inner);
            drive(service, server, &time, case, seed)
        }
        Policy::Waiting { inside, room, longest_wait } => {
            let valve = valve(inside).room(room).longest_wait(longest_wait).build()?;
            drive(valve.wait_layer().layer(inner), server, &time, case, seed)
        }
        Policy::Buffer { concurrency, count, age, discipline } => {
            let buffer = Buffer::builder().concurrency(concurrency).count(count).age(age);
            let buffer = buffer.discipline(discipline).clock(time.clock()).build()?;
            drive(buffer.layer().layer(inner), server, &time, case, seed)
        }
        Policy::Drop { keep } => drive(drop(keep)?.layer().layer(inner), server, &time, case, seed),
        Policy::DropValve { keep, inside } => {
            let service = layer((drop(keep)?, valve(inside).build()?)).layer(inner);
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
            let waiting = valve(inside).room(room).longest_wait(longest_wait).build()?;
            let all = valve(inside.saturating_add(room)).build()?;
            let service = drop(keep)?.layer().layer(all.layer().layer(waiting.wait_layer().layer(inner)));
            drive(service, server, &time, case, seed)
        }
    })
}
