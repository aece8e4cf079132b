//! The command `trouble`: from its arguments to its files and its table.

use std::fmt::Write;
use std::path::Path;
use std::thread;

use crate::cli::args::TroubleArgs;
use crate::cli::output::{json, print};
use crate::cli::progress::Progress;
use crate::cli::save;
use crate::cli::simulate::write;
use crate::cli::value;
use crate::error::{LabError, UsageError};
use crate::trouble::{Crossing, Guard, Size, Trouble, cells, crossings, markdown, measure, page, table};

/// More threads than any machine has processors.
const MAX_THREADS: usize = 1_024;

/// Runs the command. Returns whether every limit was kept without harm.
pub(crate) fn trouble(args: &TroubleArgs) -> Result<bool, LabError> {
    let guard = args.guard.as_deref().map(guard).transpose()?;
    let kind = args.trouble.as_deref().map(kind).transpose()?;
    if args.list {
        print(&list(guard, kind));
        return Ok(true);
    }
    let seed = value::whole("--seed", &args.seed)?;
    let threads = args.threads.as_deref().map_or_else(
        || Ok(thread::available_parallelism().map_or(1, usize::from)),
        |given| {
            let threads = value::whole("--threads", given)?;
            let threads = usize::try_from(threads).ok().filter(|n| (1..=MAX_THREADS).contains(n));
            let allowed = format!("allowed is a whole number from 1 to {MAX_THREADS}");
            threads.ok_or_else(|| UsageError::new("--threads", given, allowed))
        },
    )?;
    let files = [("--json", &args.json), ("--out", &args.out), ("--markdown", &args.markdown)];
    for (flag, path) in files.iter().filter_map(|(flag, path)| Some((*flag, path.as_deref()?))) {
        save::check(flag, Path::new(path))?;
    }
    let cells = cells(guard, kind);
    if cells.is_empty() {
        return Err(nothing_to_measure(guard, kind, args).into());
    }
    let size = if args.full { Size::Full } else { Size::Small };
    let mut progress = Progress::on_stderr();
    let matrix = measure(&cells, size, seed, threads, &mut progress)?;
    progress.finish();
    write(&args.json, "write the --json file", &|| json(&matrix))?;
    write(&args.out, "write the --out file", &|| Ok(page(&matrix)))?;
    write(&args.markdown, "write the --markdown file", &|| Ok(markdown(&matrix)))?;
    print(&table(&matrix));
    Ok(matrix.is_fine())
}

fn guard(given: &str) -> Result<Guard, UsageError> {
    let names: Vec<&str> = Guard::ALL.iter().map(|guard| guard.as_str()).collect();
    let allowed = || format!("allowed are {}", names.join(", "));
    Guard::find(given).ok_or_else(|| UsageError::new("--guard", given, allowed()))
}

fn kind(given: &str) -> Result<Trouble, UsageError> {
    let names: Vec<String> =
        Trouble::ALL.iter().map(|trouble| format!("{trouble} ({})", trouble.name())).collect();
    let allowed = || format!("allowed are {}", names.join(", "));
    Trouble::find(given).ok_or_else(|| UsageError::new("--trouble", given, allowed()))
}

/// Explains why no cell was chosen: the crossing has no meaning or is not measured yet.
fn nothing_to_measure(guard: Option<Guard>, kind: Option<Trouble>, args: &TroubleArgs) -> UsageError {
    let crossing = crossings().into_iter().find(|(one, trouble, _)| {
        guard.is_some_and(|guard| guard == *one) && kind.is_some_and(|kind| kind == *trouble)
    });
    let why = match crossing {
        Some((guard, _, Crossing::NoMeaning(why))) => format!("no meaning for {guard}: {why}"),
        _ => "not measured yet".into(),
    };
    match (&args.trouble, &args.guard) {
        (Some(given), _) => {
            UsageError::new("--trouble", given, format!("{why}; --list shows what is measured"))
        }
        (None, given) => {
            let given = given.as_deref().unwrap_or_default();
            UsageError::new("--guard", given, format!("{why}; --list shows what is measured"))
        }
    }
}

fn list(guard: Option<Guard>, kind: Option<Trouble>) -> String {
    let mut out = String::new();
    for trouble in Trouble::ALL.into_iter().filter(|trouble| kind.is_none_or(|kind| kind == *trouble)) {
        let _ = writeln!(out, "{:<4}{:<32}{}", trouble.id(), trouble.name(), trouble.about());
    }
    let chosen = crossings().into_iter().filter(|(one, trouble, _)| {
        guard.is_none_or(|guard| guard == *one) && kind.is_none_or(|kind| kind == *trouble)
    });
    for (guard, trouble, crossing) in chosen {
        let text = match crossing {
            Crossing::Cell(_) => "measured",
            Crossing::NoMeaning(why) => why,
            Crossing::NotYet => "not measured yet",
        };
        let _ = write!(out, "\n{:<24}{:<5}{text}", guard.as_str(), trouble.id());
    }
    out.push('\n');
    out
}
