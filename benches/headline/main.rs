//! Overloads a mailbox in each of its disciplines, with real threads and in real time.
//! `benches/README.md` describes what is measured, and the targets.

#![allow(clippy::expect_used, reason = "a bench that goes wrong should stop at once")]

mod cli;
mod flood;
mod paced;
mod table;
mod tally;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use std::fmt::Display;
use std::time::Duration;
use table::Row;

/// The capacity of the mailbox in both workloads.
pub(crate) const BOUND: usize = 1_000;

/// How often a row is run if the machine is too busy for it.
const TRIES: u32 = 3;

fn main() {
    let args = cli::read();
    let mut workloads = Vec::new();
    if args.flood {
        let span = args.span.unwrap_or(flood::SPAN);
        // Twice the time, because the consumer is also measured alone, before and after.
        let rows = each("flood", flood::PLANS, args.seed, span * 2, |plan| plan.run(span));
        table::print(flood::TITLE, &rows);
        workloads.push(("flood", rows));
    }
    if args.paced {
        let span = args.span.unwrap_or(paced::SPAN);
        let rows = each("paced", paced::PLANS, args.seed, span, |plan| plan.run(span));
        table::print(paced::TITLE, &rows);
        workloads.push(("paced", rows));
    }
    if let Some(path) = &args.json
        && let Err(error) = table::write(path, args.seed, &workloads)
    {
        eprintln!("cannot write {}: {error}", path.display());
        std::process::exit(1);
    }
}

/// Runs every plan, in an order that the seed decides, so that a disturbance does not always hit
/// the same one. Returns the rows in the order of the plans.
fn each<P: Display>(
    workload: &str,
    plans: &[P],
    seed: u64,
    span: Duration,
    run: impl Fn(&P) -> Row,
) -> Vec<Row> {
    let all = plans.len();
    let mut order: Vec<_> = plans.iter().enumerate().collect();
    order.shuffle(&mut SmallRng::seed_from_u64(seed));
    let mut rows = Vec::new();
    for (number, plan) in order {
        if span * all as u32 > Duration::from_secs(2) {
            eprintln!("{workload} {} of {all}: {plan}", rows.len() + 1);
        }
        let mut row = run(plan);
        for _ in 1..TRIES {
            if !table::is_void(&row) {
                break;
            }
            row = run(plan);
        }
        rows.push((number, row));
    }
    rows.sort_by_key(|(number, _)| *number);
    rows.into_iter().map(|(_, row)| row).collect()
}
