//! What a call costs on any processor: its instructions, locked read-modify-writes and readings of
//! the clock, counted by callgrind. `benches/README.md` describes the method.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a bench that goes wrong should stop at once")]

mod callgrind;
mod cli;
mod table;

use plimsoll_bench::{Group, Measure};
use std::process::ExitCode;
use std::sync::Mutex;
use table::Row;

fn main() -> ExitCode {
    plimsoll_bench::assert_production();
    let args = cli::read();
    if let Some(group) = args.child {
        callgrind::run_sides(group);
        return ExitCode::SUCCESS;
    }
    let rows = count_all(&args.groups);
    table::print(&rows);
    if args.bless {
        table::bless(rows);
        return ExitCode::SUCCESS;
    }
    let groups: Vec<_> = args.groups.iter().map(|group| group.name).collect();
    let findings = table::judge(&groups, &rows);
    findings.iter().for_each(|finding| eprintln!("{finding}"));
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Counts the groups, as many at once as there are processors: counts do not depend on the load.
fn count_all(groups: &[&'static Group]) -> Vec<Row> {
    let timed = groups.iter().filter(|group| matches!(group.measure, Measure::Time(_)));
    let next = Mutex::new(timed.copied().enumerate());
    let all = Mutex::new(Vec::new());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                loop {
                    let Some((number, group)) = next.lock().unwrap().next() else { break };
                    eprintln!("counting {}", group.name);
                    let rows = callgrind::count(group);
                    all.lock().unwrap().push((number, rows));
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap();
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().flat_map(|(_, rows)| rows).collect()
}
