//! The command line.

use clap::Parser;
use plimsoll_bench::{GROUPS, Group};

const EXAMPLES: &str = "\
Examples:
  cargo bench -p plimsoll-bench --bench cost                      # all groups, against the table
  cargo bench -p plimsoll-bench --bench cost -- permit buffer-full
  cargo bench -p plimsoll-bench --bench cost -- --bless           # writes benches/cost/table.tsv";

/// A million accounts take valgrind minutes, and the counts are those of `limit-keyed-10k`.
const LEFT_OUT: &[&str] = &["limit-keyed-1m"];

/// Counts instructions, locked read-modify-writes and readings of the clock per call, by callgrind.
#[derive(Parser)]
#[command(name = "cost", after_help = EXAMPLES)]
struct CommandLine {
    /// The groups to count. Default: all
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    /// Writes the counts to the table instead of comparing them with it
    #[arg(long)]
    bless: bool,
    /// Lists the groups
    #[arg(long)]
    list: bool,
    /// Runs the sides of a group once, for callgrind
    #[arg(long, hide = true, value_name = "GROUP")]
    child: Option<String>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// The parsed command line.
pub(crate) struct Args {
    pub(crate) groups: Vec<&'static Group>,
    pub(crate) child: Option<&'static Group>,
    pub(crate) bless: bool,
}

/// Parses the command line. Ends the program after `--help` and `--list`, or with 2 if it is
/// invalid.
pub(crate) fn read() -> Args {
    let line = CommandLine::parse();
    let all = || GROUPS.iter().filter(|group| !LEFT_OUT.contains(&group.name));
    if line.list {
        all().for_each(|group| println!("{:<22}{}", group.name, group.about));
        std::process::exit(0);
    }
    let find = |name: &String| {
        GROUPS.iter().find(|group| group.name == name).unwrap_or_else(|| {
            eprintln!("no group {name:?}; --list shows them");
            std::process::exit(2)
        })
    };
    let named: Vec<_> = line.groups.iter().map(find).collect();
    Args {
        groups: if named.is_empty() { all().collect() } else { named },
        child: line.child.as_ref().map(find),
        bless: line.bless,
    }
}
