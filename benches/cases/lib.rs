//! The cases: the same work done by Plimsoll and by other crates. `versus` times them, `cost`
//! counts their instructions.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_debug_implementations,
    reason = "a bench that goes wrong should stop at once"
)]

mod breakers;
mod buffers;
mod cpu;
mod dispatches;
mod drops;
mod layers;
mod limits;
mod permit;
mod self_check;
mod side;
mod versions;

use Measure::{Memory, Time};
pub use cpu::describe as cpu;
pub use side::{Bytes, Case, Loop, Peer, Ran, Side, Target, counted};
pub use versions::version;

/// Cases that are measured under one name.
pub struct Group {
    /// What the command line calls it.
    pub name: &'static str,
    /// One line for `--list`.
    pub about: &'static str,
    /// What is measured.
    pub measure: Measure,
}

/// What a group measures.
pub enum Measure {
    /// Times.
    Time(fn() -> Vec<Case>),
    /// Bytes.
    Memory(fn() -> Vec<Bytes>),
}

/// Every group, in the order in which they are run.
pub const GROUPS: &[Group] = &[
    Group {
        name: "permit",
        about: "a valve's permit acquired and released; a rejection",
        measure: Time(permit::permit),
    },
    Group {
        name: "metrics",
        about: "the same permit, with its decisions counted",
        measure: Time(permit::metrics),
    },
    Group { name: "layer-admit", about: "a call through a concurrency layer", measure: Time(layers::admit) },
    Group { name: "layer-reject", about: "a call rejected by a layer", measure: Time(layers::reject) },
    Group {
        name: "layer-wait",
        about: "a call through a layer that may queue, and need not",
        measure: Time(layers::wait),
    },
    Group {
        name: "breaker-closed",
        about: "a permit of a closed circuit breaker, and a success recorded",
        measure: Time(breakers::closed),
    },
    Group {
        name: "breaker-open",
        about: "a rejection by an open circuit breaker",
        measure: Time(breakers::open),
    },
    Group {
        name: "breaker-record",
        about: "a failure recorded, with 10² to 10⁶ in the window",
        measure: Time(breakers::record),
    },
    Group {
        name: "layer-breaker",
        about: "a call through a circuit breaker's layer",
        measure: Time(breakers::layer),
    },
    Group {
        name: "limit-global",
        about: "a unit taken from one global limit",
        measure: Time(limits::global),
    },
    Group { name: "limit-reject", about: "a rejection by one global limit", measure: Time(limits::reject) },
    Group {
        name: "limit-keyed-1",
        about: "a unit taken from a limit per account, one account",
        measure: Time(limits::keyed_1),
    },
    Group { name: "limit-keyed-10k", about: "the same, 10⁴ accounts", measure: Time(limits::keyed_10k) },
    Group { name: "limit-keyed-1m", about: "the same, 10⁶ accounts", measure: Time(limits::keyed_1m) },
    Group {
        name: "limit-tiers",
        about: "a unit taken from three tiers at once",
        measure: Time(limits::tiers),
    },
    Group {
        name: "limit-fair",
        about: "a unit taken from one limit that is shared fairly",
        measure: Time(limits::fair),
    },
    Group {
        name: "limit-memory",
        about: "bytes allocated for each of 10⁶ accounts",
        measure: Memory(limits::memory),
    },
    Group {
        name: "layer-limit",
        about: "a call through a rate limiter's layer",
        measure: Time(layers::limit),
    },
    Group { name: "drop-keep", about: "random drop, 95 % kept", measure: Time(drops::keep) },
    Group { name: "drop-shed", about: "random drop, 5 % kept", measure: Time(drops::shed) },
    Group {
        name: "dispatch-checkout",
        about: "a slot checked out with its resource, and put back",
        measure: Time(dispatches::checkout),
    },
    Group {
        name: "dispatch-busy",
        about: "a rejection while every slot is checked out",
        measure: Time(dispatches::busy),
    },
    Group {
        name: "buffer-full",
        about: "an offer to a full mailbox, the oldest evicted",
        measure: Time(buffers::full),
    },
    Group {
        name: "buffer-full-weighted",
        about: "the same, with bounds by count, weight and age",
        measure: Time(buffers::full_weighted),
    },
    Group { name: "buffer-cycle", about: "an item offered and taken", measure: Time(buffers::cycle) },
    Group { name: "stack-cycle", about: "the same, the newest first", measure: Time(buffers::stack_cycle) },
    Group {
        name: "buffer-drain",
        about: "an item taken in a batch, into a recycled vector",
        measure: Time(buffers::drain),
    },
    Group {
        name: "buffer-reject",
        about: "an offer rejected by a full mailbox",
        measure: Time(buffers::reject),
    },
    Group {
        name: "self-check",
        about: "the harness itself: the same work, and twice the work",
        measure: Time(self_check::cases),
    },
];

/// Panics in a build with the test clock, whose readings cost a different time.
pub fn assert_production() {
    assert!(
        !plimsoll::Clock::system().is_test(),
        "built with `test-util`, whose clock has a different cost; run it alone: \
         cargo bench -p plimsoll-bench"
    );
}
