//! The command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  cargo bench -p plimsoll-bench --bench headline
  cargo bench -p plimsoll-bench --bench headline -- flood
  cargo bench -p plimsoll-bench --bench headline -- paced --seconds 10 --json paced.json";

/// Overloads a mailbox in each of its disciplines, and says what was delivered, lost and waited.
#[derive(Parser)]
#[command(name = "headline", after_help = EXAMPLES)]
struct CommandLine {
    /// The workloads to run; both if none is named
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// How long each row is run, 0.1 to 3600; 1 for `flood` and 2 for `paced` unless set
    #[arg(long, value_name = "N", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Decides in which order the rows are run
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Also writes every row to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo adds by itself
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// One producer that never stops, one consumer that takes all there is
    Flood,
    /// 200,000 a second for a consumer that can do 100,000
    Paced,
}

/// What to do.
pub(crate) struct Args {
    pub(crate) flood: bool,
    pub(crate) paced: bool,
    pub(crate) span: Option<Duration>,
    pub(crate) seed: u64,
    pub(crate) json: Option<PathBuf>,
}

/// Reads the command line, or ends the program: after `--help`, or with 2.
pub(crate) fn read() -> Args {
    let line = CommandLine::parse();
    let runs = |workload| line.workloads.is_empty() || line.workloads.contains(&workload);
    Args {
        flood: runs(Workload::Flood),
        paced: runs(Workload::Paced),
        span: line.seconds,
        seed: line.seed,
        json: line.json,
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(n) if (0.1..=3_600.0).contains(&n) => Ok(Duration::from_secs_f64(n)),
        _ => Err("0.1 to 3600".into()),
    }
}
