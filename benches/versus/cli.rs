//! The command line.

use crate::measure::MIN_ROUNDS;
use clap::Parser;
use plimsoll_bench::{GROUPS, Group};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  cargo bench -p plimsoll-bench --bench versus
  cargo bench -p plimsoll-bench --bench versus -- permit layer-admit --threads 1,2
  cargo bench -p plimsoll-bench --bench versus -- drop-keep --json drop.json
  cargo bench -p plimsoll-bench --bench versus -- --list";

/// Measures Plimsoll against its peers, on the same work in one run.
#[derive(Parser)]
#[command(name = "versus", after_help = EXAMPLES)]
struct CommandLine {
    /// The groups to run. Default: all
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    /// Threads that work on the same object; one run per number
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "N,…", value_parser = threads)]
    threads: Vec<usize>,
    /// Rounds to keep, at least 21
    #[arg(long, default_value_t = 41, value_name = "N")]
    rounds: usize,
    /// Also writes every row to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Lists the groups
    #[arg(long)]
    list: bool,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// The parsed command line.
pub(crate) struct Args {
    pub(crate) groups: Vec<&'static Group>,
    pub(crate) threads: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) json: Option<PathBuf>,
}

/// Parses the command line. Ends the program after `--help` and `--list`, or with 2 if it is
/// invalid.
pub(crate) fn read() -> Args {
    let line = CommandLine::parse();
    if line.list {
        for group in GROUPS {
            println!("{:<22}{}", group.name, group.about);
        }
        std::process::exit(0);
    }
    let named = line.groups.iter().map(|name| {
        GROUPS.iter().find(|group| group.name == name).unwrap_or_else(|| {
            eprintln!("no group {name:?}; --list shows them");
            std::process::exit(2)
        })
    });
    let named: Vec<_> = named.collect();
    Args {
        groups: if named.is_empty() { GROUPS.iter().collect() } else { named },
        threads: line.threads,
        rounds: line.rounds.max(MIN_ROUNDS),
        json: line.json,
    }
}

fn threads(text: &str) -> Result<usize, String> {
    let max = std::thread::available_parallelism().map_or(1, usize::from);
    match text.parse() {
        Ok(n) if (1..=max).contains(&n) => Ok(n),
        _ => Err(format!("1 to {max} here: more threads than processors measure the scheduler")),
    }
}
