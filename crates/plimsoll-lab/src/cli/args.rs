//! The flags and the help texts. [`crate::cli::settings`] parses the values.
//!
//! The values arrive here as text on purpose. clap explains an invalid value in several lines, and
//! this program promises one line.

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(
    name = "plimsoll-lab",
    version,
    about = "Measures what overload does to a server, with and without a guard",
    arg_required_else_help = false
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Drive a real server past its capacity, bare and guarded, and compare
    #[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
    Demo(DemoArgs),
    /// Simulate a scenario in virtual time: every policy, every load, many seeds
    #[command(long_about = RUN_ABOUT, after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Put every guard through every trouble, in virtual time
    #[command(long_about = TROUBLE_ABOUT, after_help = TROUBLE_EXAMPLES)]
    Trouble(TroubleArgs),
}

const LONG_ABOUT: &str = "\
Drive a real server past its capacity, bare and guarded, and compare.

Starts an HTTP server on loopback. Its handler needs a slot of a bottleneck of known capacity.
A client sends it requests over real sockets at multiples of that capacity, first bare, then
behind a valve. The valve's concurrency is the number of slots. Its max_wait is a quarter of the
time that the deadline leaves after the work. Its queue holds half of what the bottleneck serves
in that time.

Arrivals are Poisson and never wait for an answer. Latency counts from the moment a request was
due. A request not answered by its deadline is given up and counts as late. Goodput is the rate of
answers within the deadline. The bound is the smaller of the offered load and the capacity.";

const EXAMPLES: &str = "\
Examples:
  plimsoll-lab demo
  plimsoll-lab demo --loads 1,4 --seconds 2
  plimsoll-lab demo --capacity 200 --service-time 50ms --deadline 1s
  plimsoll-lab demo --seed 7 --json result.json

A row whose load generator fell behind says nothing about the server. It is run again, twice
at most, and then stays in the result, marked void.

Exit codes: 0 for success, 1 if the run failed, 2 for invalid input, 130 after Ctrl-C.";

const RUN_ABOUT: &str = "\
Simulate a scenario in virtual time: every policy, every load, many seeds.

Simulated clients drive Plimsoll's own layers in front of a simulated server. The same scenario
and seed return the same result. A scenario is one that comes with the program (--list shows
them) or a TOML file. In a scenario with a table [fairness], accounts share one rate, and the
result says how much of its fair share each account was admitted.";

const RUN_EXAMPLES: &str = "\
Examples:
  plimsoll-lab run --list
  plimsoll-lab run overload
  plimsoll-lab run retry-storm --seeds 20 --json result.json --csv result.csv
  plimsoll-lab run elephant --csv shares.csv
  plimsoll-lab run my.toml --seed 7 --out report.html

The recovery time counts from the end of the trigger until the share of good answers is back at 95 %
of that before the trigger. The verdict is that of most seeds: 'stable' if goodput recovered within the
simulation, 'draining' if it did not but the server's backlog was shrinking, and 'metastable'
otherwise. It needs a steady load before and after the trigger. It is a dash for random bursts, or
if there is too little time before or after the trigger.

Exit codes: 0 for success, 1 if the run failed, 2 for invalid input, 130 after Ctrl-C.";

const TROUBLE_ABOUT: &str = "\
Put every guard through every trouble, in virtual time.

The guards are those of production, with default settings and the one setting that each needs. A
trouble is something that goes wrong: a stall, a hang, a flood of keys, a fleet of retrying
clients. Each crossing of the two is a list of figures with limits. A goodput more than 2 % below
that of the same system without the guard is harm, unless the guard spends it on purpose.";

const TROUBLE_EXAMPLES: &str = "\
Examples:
  plimsoll-lab trouble
  plimsoll-lab trouble --list
  plimsoll-lab trouble --guard circuit-breaker --trouble T4 --full
  plimsoll-lab trouble --json trouble.json --out trouble.html
  plimsoll-lab trouble --full --markdown docs/trouble.md

Exit codes: 0 if every limit is kept without harm, 1 if one is not or the run failed, 2 for invalid
input, 130 after Ctrl-C. A known miss is shown, but does not count.";

/// The flags of `trouble`, as text.
#[derive(Debug, Args)]
pub(crate) struct TroubleArgs {
    /// List the guards, the troubles and what is measured
    #[arg(long, conflicts_with_all = ["full", "json", "out", "markdown"])]
    pub(crate) list: bool,
    /// Measure this guard only
    #[arg(long, value_name = "GUARD", allow_hyphen_values = true)]
    pub(crate) guard: Option<String>,
    /// Measure this trouble only: T1 to T22
    #[arg(long, value_name = "TROUBLE", allow_hyphen_values = true)]
    pub(crate) trouble: Option<String>,
    /// Simulate the full size: minutes instead of seconds of computing
    #[arg(long)]
    pub(crate) full: bool,
    /// The seed
    #[arg(long, value_name = "NUMBER", default_value = "1", allow_hyphen_values = true)]
    pub(crate) seed: String,
    /// The number of threads, 1 to 1024 [default: one for each processor]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) threads: Option<String>,
    /// Also write the result to this file as JSON
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) json: Option<String>,
    /// Also write the result to this file, as one self-contained HTML page
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) out: Option<String>,
    /// Also write a summary to this file as Markdown: a line for each guard and trouble
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) markdown: Option<String>,
}

/// The flags of `run`, as text.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A shipped scenario's name, or a TOML file
    #[arg(value_name = "SCENARIO", required_unless_present = "list")]
    pub(crate) scenario: Option<String>,
    /// List the scenarios that come with the program
    #[arg(long, conflicts_with = "scenario")]
    pub(crate) list: bool,
    /// The first seed
    #[arg(long, value_name = "NUMBER", default_value = "1", allow_hyphen_values = true)]
    pub(crate) seed: String,
    /// The number of seeds, 1 to 200; the intervals are over these
    #[arg(long, value_name = "NUMBER", default_value = "10", allow_hyphen_values = true)]
    pub(crate) seeds: String,
    /// Also write the result to this file as JSON
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) json: Option<String>,
    /// Also write the rows to this file as comma-separated values
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) csv: Option<String>,
    /// Also write a report to this file, as one self-contained HTML page
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) out: Option<String>,
}

/// The flags of `demo`, as text.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Capacity of the bottleneck in requests per second, rounded to whole slots
    #[arg(long, value_name = "PER_SECOND", default_value = "800", allow_hyphen_values = true)]
    pub(crate) capacity: String,
    /// Time that a request holds its slot, with a unit (us, ms or s)
    #[arg(long, value_name = "TIME", default_value = "20ms", allow_hyphen_values = true)]
    pub(crate) service_time: String,
    /// Time that the client waits for an answer, with a unit (us, ms or s)
    #[arg(long, value_name = "TIME", default_value = "200ms", allow_hyphen_values = true)]
    pub(crate) deadline: String,
    /// Loads to drive, in multiples of the capacity
    #[arg(long, value_name = "X,X,…", default_value = "0.5,1,2,4,8", allow_hyphen_values = true)]
    pub(crate) loads: String,
    /// Measured seconds of each row, after one second of warm-up
    #[arg(long, value_name = "SECONDS", default_value = "4", allow_hyphen_values = true)]
    pub(crate) seconds: String,
    /// Seed of the arrivals: the same seed gives the same arrivals
    #[arg(long, value_name = "NUMBER", default_value = "1", allow_hyphen_values = true)]
    pub(crate) seed: String,
    /// Address the server listens on; port 0 picks a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", allow_hyphen_values = true)]
    pub(crate) listen: String,
    /// Also write the result to this file as JSON
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) json: Option<String>,
    /// Also write a report to this file, as one self-contained HTML page
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) out: Option<String>,
}

/// Returns whether clap's "error" is the answer to `--help` or `--version`.
pub(crate) fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// Returns clap's own error, such as an unknown flag, as one line.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let whole = error.to_string();
    let first = whole.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().collect();
    let line: String = words.join(" ").replace(char::is_control, "?");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    format!("{line}; run 'plimsoll-lab help' or add --help to a command to list what is allowed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn claps_own_errors_are_one_line() {
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
