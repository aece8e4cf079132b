//! Ours and theirs, on the same work in one run. How it is measured, and what a ratio means, is
//! told in `benches/README.md`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench that goes wrong should stop at once"
)]

mod breakers;
mod buffers;
mod cli;
mod dispatches;
mod drops;
mod layers;
mod limits;
mod measure;
mod permit;
mod report;
mod self_check;
mod side;
mod versions;

use What::{Memory, Time};
use measure::Measured;
use report::Bytes;
use side::Case;

/// How often the objects are made anew: what two threads pay for a line of memory depends on its
/// address, by a third on some machines.
const SETS: usize = 7;

/// What is measured together under one name.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    what: What,
}

/// What is measured.
enum What {
    Time(fn() -> Vec<Case>),
    Memory(fn() -> Vec<Bytes>),
}

/// Every group, in the order in which they are run.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: "permit",
        about: "a valve's permit taken and given back; a refusal",
        what: Time(permit::permit),
    },
    Group {
        name: "metrics",
        about: "the same permit, with its decisions counted",
        what: Time(permit::metrics),
    },
    Group { name: "layer-admit", about: "a call through a concurrency layer", what: Time(layers::admit) },
    Group { name: "layer-refuse", about: "a call rejected by a layer", what: Time(layers::refuse) },
    Group {
        name: "layer-wait",
        about: "a call through a layer that may wait, and need not",
        what: Time(layers::wait),
    },
    Group {
        name: "breaker-closed",
        about: "a closed breaker asked, and a success recorded",
        what: Time(breakers::closed),
    },
    Group { name: "breaker-open", about: "a refusal by an open breaker", what: Time(breakers::open) },
    Group {
        name: "breaker-record",
        about: "a failure recorded, with 10² to 10⁶ in the window",
        what: Time(breakers::record),
    },
    Group { name: "layer-breaker", about: "a call through a breaker's layer", what: Time(breakers::layer) },
    Group { name: "limit-global", about: "one limit for all, a unit taken", what: Time(limits::global) },
    Group { name: "limit-deny", about: "one limit for all, a refusal", what: Time(limits::deny) },
    Group {
        name: "limit-keyed-1",
        about: "a limit for each account, one account",
        what: Time(limits::keyed_1),
    },
    Group { name: "limit-keyed-10k", about: "the same, 10⁴ accounts", what: Time(limits::keyed_10k) },
    Group { name: "limit-keyed-1m", about: "the same, 10⁶ accounts", what: Time(limits::keyed_1m) },
    Group { name: "limit-tiers", about: "limits within limits, asked as one", what: Time(limits::tiers) },
    Group { name: "limit-fair", about: "one limit, shared fairly", what: Time(limits::fair) },
    Group { name: "limit-memory", about: "what each of 10⁶ accounts takes", what: Memory(limits::memory) },
    Group { name: "layer-limit", about: "a call through a limit's layer", what: Time(layers::limit) },
    Group { name: "drop-keep", about: "random drop, 95 % kept", what: Time(drops::keep) },
    Group { name: "drop-shed", about: "random drop, 5 % kept", what: Time(drops::shed) },
    Group {
        name: "dispatch-checkout",
        about: "a slot checked out with its resource, and put back",
        what: Time(dispatches::checkout),
    },
    Group { name: "dispatch-busy", about: "the answer when every slot is out", what: Time(dispatches::busy) },
    Group {
        name: "buffer-full",
        about: "an offer to a full mailbox, the oldest evicted",
        what: Time(buffers::full),
    },
    Group {
        name: "buffer-full-weighted",
        about: "the same, bound by count, weight and age",
        what: Time(buffers::full_weighted),
    },
    Group { name: "buffer-cycle", about: "an offer and a taking", what: Time(buffers::cycle) },
    Group { name: "stack-cycle", about: "the same, the newest first", what: Time(buffers::stack_cycle) },
    Group {
        name: "buffer-drain",
        about: "a message taken with many others, into a recycled vector",
        what: Time(buffers::drain),
    },
    Group {
        name: "buffer-refuse",
        about: "an offer rejected by a full mailbox",
        what: Time(buffers::refuse),
    },
    Group {
        name: "self-check",
        about: "the harness itself: the same work, and twice the work",
        what: Time(self_check::cases),
    },
];

/// Refuses to measure a build whose clock is a test's: such a clock costs something else.
fn assert_production() {
    assert!(
        !plimsoll::Clock::system().is_test(),
        "built with `test-util`, whose clock costs something else; run it alone: \
         cargo bench -p plimsoll-bench --bench versus"
    );
}

fn main() {
    assert_production();
    let args = cli::read();
    let (mut rows, mut bytes) = (Vec::new(), Vec::new());
    for group in &args.groups {
        let cases = match group.what {
            Time(cases) => cases,
            Memory(measured) => {
                bytes.extend(measured());
                continue;
            }
        };
        for &threads in &args.threads {
            // All alive to the end, so that each set lies somewhere else in memory.
            let sets: Vec<_> = (0..SETS).map(|_| cases()).collect();
            for (number, case) in sets[0].iter().enumerate().filter(|(_, case)| case.is_for(threads)) {
                let mut measured = Measured::default();
                for set in &sets {
                    measured.add(measure::run(
                        &set[number].sides(threads),
                        threads,
                        args.rounds.div_ceil(SETS),
                    ));
                }
                rows.extend(report::rows(group.name, case, threads, &measured));
            }
        }
    }
    report::print(&rows, &bytes);
    if let Some(path) = &args.json
        && let Err(error) = report::write(path, &rows, &bytes)
    {
        eprintln!("cannot write {}: {error}", path.display());
        std::process::exit(1);
    }
}
