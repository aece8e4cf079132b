//! The command `run`: from its arguments to its files and its table.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::catalog::{self, Found};
use crate::cli::args::RunArgs;
use crate::cli::output::{json, print};
use crate::cli::progress::Progress;
use crate::cli::save;
use crate::cli::value;
use crate::error::{LabError, UsageError};
use crate::fair;
use crate::run::{self, Effort, Outcome};
use crate::scenario;

/// More seeds hardly narrow the intervals, and a row keeps the records of all seeds in memory.
const MAX_SEEDS: u64 = 200;

/// Runs the command.
pub(crate) fn simulate(args: &RunArgs) -> Result<(), LabError> {
    if args.list {
        print(&list()?);
        return Ok(());
    }
    let seed = value::whole("--seed", &args.seed)?;
    let seeds = value::whole("--seeds", &args.seeds)?;
    let seeds = u32::try_from(seeds).ok().filter(|n| (1..=MAX_SEEDS).contains(&u64::from(*n)));
    let seeds = seeds.ok_or_else(|| {
        UsageError::new("--seeds", &args.seeds, format!("allowed is a whole number from 1 to {MAX_SEEDS}"))
    })?;
    let name = args.scenario.as_deref().unwrap_or_default();
    let found = catalog::find(name)?;
    let is_fairness = fair::is_fairness(&found.text);
    if let Some(path) = args.out.as_ref().filter(|_| is_fairness) {
        let allowed = "a scenario with [fairness] has no page; allowed are --json and --csv";
        return Err(UsageError::new("--out", path, allowed).into());
    }
    let files = [("--json", &args.json), ("--csv", &args.csv), ("--out", &args.out)];
    for (flag, path) in files.iter().filter_map(|(flag, path)| Some((*flag, path.as_deref()?))) {
        save::check(flag, Path::new(path))?;
    }
    let mut progress = Progress::on_stderr();
    if is_fairness {
        return simulate_fairness(args, &found, seed, seeds, &mut progress);
    }
    let scenario = scenario::read(&found.name, &found.file, &found.text, found.directory.as_deref())?;
    let (outcome, effort) = run::run(&scenario, seed, seeds, &mut progress)?;
    write(&args.json, "write the --json file", &|| json(&outcome))?;
    write(&args.csv, "write the --csv file", &|| Ok(run::csv(&outcome)))?;
    write(&args.out, "write the --out file", &|| Ok(run::report(&outcome)))?;
    report_effort(&mut progress, effort);
    print(&text(&outcome));
    Ok(())
}

/// Simulates a scenario in which accounts share one rate.
fn simulate_fairness(
    args: &RunArgs,
    found: &Found,
    seed: u64,
    seeds: u32,
    progress: &mut Progress,
) -> Result<(), LabError> {
    let scenario = fair::read(&found.name, &found.file, &found.text)?;
    let (outcome, effort) = fair::run(&scenario, seed, seeds, progress)?;
    write(&args.json, "write the --json file", &|| json(&outcome))?;
    write(&args.csv, "write the --csv file", &|| Ok(fair::csv(&outcome)))?;
    report_effort(progress, effort);
    print(&format!(
        "{}: {}\n\
         x is what an account was admitted over its max-min fair share, in windows of\n\
         2 s. The first window begins 2 s after the start and after each change. Shares\n\
         of ten requests and more are judged. Worst of {} seeds from {}.\n\n{}",
        outcome.scenario,
        outcome.about,
        outcome.seeds,
        outcome.seed,
        fair::table(&outcome),
    ));
    Ok(())
}

/// Writes the file of a flag, if it is given.
pub(super) fn write(
    path: &Option<String>,
    doing: &'static str,
    text: &dyn Fn() -> Result<String, LabError>,
) -> Result<(), LabError> {
    match path {
        Some(path) => save::write(&PathBuf::from(path), &text()?).map_err(LabError::io(doing)),
        None => Ok(()),
    }
}

fn report_effort(progress: &mut Progress, effort: Effort) {
    let (requests, seconds) = (effort.requests, effort.took.as_secs_f64());
    progress.line(&format!("simulated {requests} requests in {seconds:.1} s"));
}

fn list() -> Result<String, LabError> {
    let mut out = String::new();
    for one in catalog::scenarios() {
        let _ = writeln!(out, "{:<16} {}", one.name, scenario::find(one.name)?.about);
    }
    for one in catalog::fairness_scenarios() {
        let _ = writeln!(out, "{:<16} {}", one.name, fair::find(one.name)?.about);
    }
    Ok(out)
}

fn text(outcome: &Outcome) -> String {
    let deadline = outcome.deadline_ms.map_or("for ever".into(), |ms| format!("{ms} ms"));
    format!(
        "{}: {}\n\
         The server: {} slots of {} ms on average, {:.1} requests/s. A client waits {deadline}.\n\
         A rejection costs {} % of a request. The trigger lasts from {} s to {} s of {} s.\n\
         {} seeds from {}.\n\n{}",
        outcome.scenario,
        outcome.about,
        outcome.slots,
        outcome.service_ms,
        outcome.capacity,
        outcome.rejection_cost * 100.0,
        outcome.trigger_s.0,
        outcome.trigger_s.1,
        outcome.seconds,
        outcome.seeds,
        outcome.seed,
        run::table(outcome),
    )
}
