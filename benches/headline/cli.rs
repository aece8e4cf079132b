//! The command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  cargo bench -p plimsoll-bench --bench headline
  cargo bench -p plimsoll-bench --bench headline -- flood
  cargo bench -p plimsoll-bench --bench headline -- paced --seconds 10 --json paced.json";

/// Overloads a mailbox in each of its disciplines, and reports what was delivered, lost and waited
/// for.
#[derive(Parser)]
#[command(name = "headline", after_help = EXAMPLES)]
struct CommandLine {
    /// The workloads to run. Default: both
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// Seconds per row, 0.1 to 3600. Default: 1 for `flood`, 2 for `paced`
    #[arg(long, value_name = "N", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Decides the order in which the rows are run
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Also writes every row to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// A producer that never stops, and a consumer that takes everything there is
    Flood,
    /// 200,000 items per second for a consumer that can handle 100,000
    Paced,
}

/// The parsed command line.
pub(crate) struct Args {
    pub(crate) flood: bool,
    pub(crate) paced: bool,
    pub(crate) span: Option<Duration>,
    pub(crate) seed: u64,
    pub(crate) json: Option<PathBuf>,
}

/// Parses the command line. Ends the program after `--help`, or with 2 if it is invalid.
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
