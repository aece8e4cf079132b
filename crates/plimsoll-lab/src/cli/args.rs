//! The command line: its flags and its help. The values are read in [`crate::cli::settings`].
//!
//! They arrive here as text on purpose: clap explains a wrong value in several lines, and this
//! program promises one.

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

/// The program's arguments.
#[derive(Debug, Parser)]
#[command(
    name = "plimsoll-lab",
    version,
    about = "What overload does to a server, with and without a guard",
    arg_required_else_help = false
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What it can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Drive a real server past its capacity, bare and guarded, and compare
    #[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
    Demo(DemoArgs),
    /// Simulate a scenario in virtual time: every policy, every load, many seeds
    #[command(long_about = RUN_ABOUT, after_help = RUN_EXAMPLES)]
    Run(RunArgs),
}

const LONG_ABOUT: &str = "\
Drive a real server past its capacity, bare and guarded, and compare.

Starts an HTTP server on loopback whose handler needs a slot of a bottleneck of known capacity,
and sends it requests over real sockets at multiples of that capacity: open loop, Poisson
arrivals, latency counted from the moment a request was due. A request not answered by its
deadline is given up and counts as late. First bare, then behind a guard.";

const EXAMPLES: &str = "\
Examples:
  plimsoll-lab demo
  plimsoll-lab demo --loads 1,4 --seconds 2
  plimsoll-lab demo --capacity 200 --service-time 50ms --deadline 1s
  plimsoll-lab demo --seed 7 --json result.json

Exit code: 0 when done, 1 when the run broke off, 2 for a value that cannot be used,
130 after Ctrl-C. A row whose load generator fell behind is run again, twice at most, and
then stays, marked void.";

const RUN_ABOUT: &str = "\
Simulate a scenario in virtual time: every policy, every load, many seeds.

Plimsoll's own layers are driven by simulated clients and stand before a simulated server. The
same scenario and seed give the same result, on any machine of a kind. A scenario is one that comes with the
program (--list names them) or a TOML file. One with a table [fairness] has accounts that share
a rate in place of a server, and tells what each had of its fair share.";

const RUN_EXAMPLES: &str = "\
Examples:
  plimsoll-lab run --list
  plimsoll-lab run overload
  plimsoll-lab run retry-storm --seeds 20 --json result.json --csv result.csv
  plimsoll-lab run elephant --csv shares.csv
  plimsoll-lab run my.toml --seed 7 --out report.html

'back after' counts from the end of the trigger until 95 % of the goodput share from before it
is reached. The verdict, by most of the seeds: 'stable' if that happened within the run; if not,
'draining' if the server's backlog was shrinking and 'metastable' if it was not. Exit code: 0 when done, 1 when the run broke off, 2 for a value or a scenario that cannot
be used, 130 after Ctrl-C.";

/// The flags of `run`, as given.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A scenario's name or its TOML file
    #[arg(value_name = "SCENARIO", required_unless_present = "list")]
    pub(crate) scenario: Option<String>,
    /// List the scenarios that come with the program
    #[arg(long, conflicts_with = "scenario")]
    pub(crate) list: bool,
    /// The first seed
    #[arg(long, value_name = "NUMBER", default_value = "1", allow_hyphen_values = true)]
    pub(crate) seed: String,
    /// How many seeds; the intervals are over these
    #[arg(long, value_name = "NUMBER", default_value = "10", allow_hyphen_values = true)]
    pub(crate) seeds: String,
    /// Also write the result to this file, whole or not at all
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) json: Option<String>,
    /// Also write the rows to this file as comma-separated values
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) csv: Option<String>,
    /// Also write a report to this file, one self-contained HTML page
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) out: Option<String>,
}

/// The flags of `demo`, as given.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// What the bottleneck can do, in requests per second (made to a whole number of slots)
    #[arg(long, value_name = "PER_SECOND", default_value = "800", allow_hyphen_values = true)]
    pub(crate) capacity: String,
    /// How long a request holds its slot, with its unit
    #[arg(long, value_name = "TIME", default_value = "20ms", allow_hyphen_values = true)]
    pub(crate) service_time: String,
    /// How long the client waits for an answer, with its unit
    #[arg(long, value_name = "TIME", default_value = "200ms", allow_hyphen_values = true)]
    pub(crate) deadline: String,
    /// Loads to drive, in multiples of the capacity
    #[arg(long, value_name = "X,X,…", default_value = "0.5,1,2,4,8", allow_hyphen_values = true)]
    pub(crate) loads: String,
    /// Seconds measured in each row, after one second of lead-in
    #[arg(long, value_name = "SECONDS", default_value = "4", allow_hyphen_values = true)]
    pub(crate) seconds: String,
    /// What the arrivals are drawn from; the same seed gives the same arrivals
    #[arg(long, value_name = "NUMBER", default_value = "1", allow_hyphen_values = true)]
    pub(crate) seed: String,
    /// Where the server listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", allow_hyphen_values = true)]
    pub(crate) listen: String,
    /// Also write the result to this file, whole or not at all
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) json: Option<String>,
    /// Also write a report to this file, one self-contained HTML page
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) out: Option<String>,
}

/// Whether clap's "error" is an answer to `--help` or `--version`.
pub(crate) fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// Clap's own complaint (an unknown flag, a missing value) in one line.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let whole = error.to_string();
    let first = whole.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().collect();
    let line: String = words.join(" ").replace(char::is_control, "?");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    format!("{line}; allowed is what 'plimsoll-lab help' and the --help of each command list")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_clap_itself_refuses_is_one_line_too() {
        for args in [
            &["lab"][..],
            &["lab", "demos"],
            &["lab", "demo", "--sed", "1"],
            &["lab", "demo", "--seed"],
            &["lab", "demo", "--seed", "1", "--seed", "2"],
            &["lab", "demo", "a\nb"],
        ] {
            let error = Cli::try_parse_from(args).unwrap_err();
            assert!(!is_help(&error), "{args:?}");
            let line = one_line(&error);
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(line.len() > 50, "{line}");
        }
        assert!(is_help(&Cli::try_parse_from(["lab", "demo", "--help"]).unwrap_err()));
    }
}
