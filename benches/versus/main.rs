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
mod measure;
mod permit;
mod report;
mod self_check;
mod side;
mod versions;

use measure::Measured;
use side::Case;

/// How often the objects are made anew: what two threads pay for a line of memory depends on its
/// address, by a third on some machines.
const SETS: usize = 7;

/// What is measured together under one name.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) cases: fn() -> Vec<Case>,
}

/// Every group, in the order in which they are run.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: "permit",
        about: "a valve's permit taken and given back; a refusal",
        cases: permit::permit,
    },
    Group { name: "metrics", about: "the same permit, with its decisions counted", cases: permit::metrics },
    Group { name: "layer-admit", about: "a call through a concurrency layer", cases: layers::admit },
    Group { name: "layer-refuse", about: "a call refused by a layer", cases: layers::refuse },
    Group {
        name: "layer-wait",
        about: "a call through a layer that may wait, and need not",
        cases: layers::wait,
    },
    Group {
        name: "breaker-closed",
        about: "a closed breaker asked, and a success recorded",
        cases: breakers::closed,
    },
    Group { name: "breaker-open", about: "a refusal by an open breaker", cases: breakers::open },
    Group {
        name: "breaker-record",
        about: "a failure recorded, with 10² to 10⁶ in the window",
        cases: breakers::record,
    },
    Group { name: "layer-breaker", about: "a call through a breaker's layer", cases: breakers::layer },
    Group { name: "drop-keep", about: "random drop, 95 % kept", cases: drops::keep },
    Group { name: "drop-shed", about: "random drop, 5 % kept", cases: drops::shed },
    Group {
        name: "dispatch-checkout",
        about: "a slot checked out with its resource, and put back",
        cases: dispatches::checkout,
    },
    Group { name: "dispatch-busy", about: "the answer when every slot is out", cases: dispatches::busy },
    Group {
        name: "buffer-full",
        about: "an offer to a full mailbox, the oldest evicted",
        cases: buffers::full,
    },
    Group {
        name: "buffer-full-weighted",
        about: "the same, bound by count, weight and age",
        cases: buffers::full_weighted,
    },
    Group { name: "buffer-cycle", about: "an offer and a taking", cases: buffers::cycle },
    Group { name: "stack-cycle", about: "the same, the newest first", cases: buffers::stack_cycle },
    Group {
        name: "buffer-drain",
        about: "a message taken with many others, into a recycled vector",
        cases: buffers::drain,
    },
    Group { name: "buffer-refuse", about: "an offer refused by a full mailbox", cases: buffers::refuse },
    Group {
        name: "self-check",
        about: "the harness itself: the same work, and twice the work",
        cases: self_check::cases,
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
    let mut rows = Vec::new();
    for group in &args.groups {
        for &threads in &args.threads {
            // All alive to the end, so that each set lies somewhere else in memory.
            let sets: Vec<_> = (0..SETS).map(|_| (group.cases)()).collect();
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
    report::print(&rows);
    if let Some(path) = &args.json
        && let Err(error) = report::write(path, &rows)
    {
        eprintln!("cannot write {}: {error}", path.display());
        std::process::exit(1);
    }
}
