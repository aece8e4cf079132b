//! Plimsoll and its peers, on the same work in one run. `benches/README.md` describes the method
//! and what a ratio means.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench that goes wrong should stop at once"
)]

mod cli;
mod measure;
mod report;

use measure::Measured;
use plimsoll_bench::{Measure, assert_production};

/// How often the objects are created anew. The cost of a cache line shared by two threads depends
/// on its address, by a third on some machines.
const SETS: usize = 7;

fn main() {
    assert_production();
    let args = cli::read();
    let (mut rows, mut bytes) = (Vec::new(), Vec::new());
    for group in &args.groups {
        let cases = match group.measure {
            Measure::Time(cases) => cases,
            Measure::Memory(measured) => {
                bytes.extend(measured().iter().map(|bytes| report::bytes_row(group.name, bytes)));
                continue;
            }
        };
        for &threads in &args.threads {
            // All stay alive, so that each set lies elsewhere in memory.
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
