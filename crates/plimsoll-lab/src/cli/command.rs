//! The program, from its arguments to its exit code, with the guard as a parameter.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

use clap::Parser;

use crate::cli::args::{self, Cli, Command};
use crate::cli::files;
use crate::cli::output::{json, print};
use crate::cli::progress::Progress;
use crate::cli::save;
use crate::cli::settings::Settings;
use crate::cli::simulate::simulate;
use crate::cli::value::show;
use crate::error::{Flaw, LabError};
use crate::live::Door;
use crate::live::Guards;
use crate::live::demo;
use crate::live::report::{Report, chart, page, reading, table};

/// A value that cannot be used, as other programs say it too.
const WRONG_INPUT: u8 = 2;
/// 128 and the number of the signal, as a shell reports it.
const INTERRUPTED: i32 = 130;

/// Does what `args` (with the program's name first) ask for, and returns the exit code: 0 when
/// done, 1 when the run broke off, 2 for wrong input. Ctrl-C ends the process with 130.
pub fn run<A>(args: impl IntoIterator<Item = A>, guards: &Guards<'_>) -> ExitCode
where
    A: Into<OsString> + Clone,
{
    let command = match Cli::try_parse_from(args) {
        Ok(Cli { command }) => command,
        Err(answer) if args::is_answer(&answer) => {
            print(&answer.to_string());
            return ExitCode::SUCCESS;
        }
        Err(error) => return wrong(&args::one_line(&error)),
    };
    let done = match command {
        Command::Demo(args) => Settings::read(&args)
            .and_then(|settings| Ok((open(&settings)?, settings)))
            .map_err(LabError::from)
            .and_then(|(door, settings)| run_demo(&settings, &door, guards)),
        Command::Run(args) => {
            end_on_ctrl_c().map_err(LabError::io("listen for Ctrl-C")).and_then(|()| simulate(&args))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(LabError::Flaw(flaw)) => wrong(&flaw.to_string()),
        Err(LabError::Misread(misread)) => wrong(&misread.to_string()),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tries, before anything is measured, all that a run needs from outside.
fn open(settings: &Settings) -> Result<Door, Flaw> {
    files::check(settings)?;
    for (flag, path) in [("--json", &settings.json), ("--out", &settings.out)] {
        path.as_deref().map_or(Ok(()), |path| save::check(flag, path))?;
    }
    Door::open(settings.listen).map_err(|error| {
        let allowed = format!("{error}; allowed is a free address of this machine, or port 0");
        Flaw::new("--listen", settings.listen.to_string(), allowed)
    })
}

fn run_demo(settings: &Settings, door: &Door, guards: &Guards<'_>) -> Result<(), LabError> {
    end_on_ctrl_c().map_err(LabError::io("listen for Ctrl-C"))?;
    let mut progress = Progress::on_stderr();
    introduce(settings, &mut progress);
    let report = demo(settings, door, guards, &mut progress)?;
    if let Some(path) = &settings.json {
        save::write(path, &json(&report)?).map_err(LabError::io("write the --json file"))?;
    }
    if let Some(path) = &settings.out {
        save::write(path, &page(&report)).map_err(LabError::io("write the --out file"))?;
    }
    print(&result(&report));
    Ok(())
}

/// What the user should know beforehand, and would not expect.
fn introduce(settings: &Settings, progress: &mut Progress) {
    let (plan, asked) = (&settings.plan, settings.asked_capacity);
    if (plan.capacity() - asked).abs() > 1e-6 * asked {
        progress.line(&format!(
            "note: {asked} requests/s is no whole number of slots of {}; running with {} and \
             so {:.1} requests/s",
            show(plan.service_time),
            plan.slots,
            plan.capacity()
        ));
    }
    if !settings.listen.ip().is_loopback() {
        progress.line(&format!(
            "note: {} is not a loopback address: other machines may reach the server while it runs",
            settings.listen
        ));
    }
}

fn result(report: &Report) -> String {
    let service_ms = report.service_time_ms;
    format!(
        "The bottleneck: {} slots of {service_ms} ms, {:.1} requests/s. The client waits {} ms.\n\
         A refusal costs {:.1} µs of CPU, {:.4} % of a request's {service_ms} ms in the bottleneck.\n\
         \n{}{}\n{}\n",
        report.slots,
        report.capacity,
        report.deadline_ms,
        report.refusal_cost * service_ms * 1_000.0,
        report.refusal_cost * 100.0,
        table(report),
        chart(report),
        reading(report).join("\n"),
    )
}

/// From now on Ctrl-C ends the process, but never in the middle of writing a file.
fn end_on_ctrl_c() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("ctrl-c".into()).spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _quiet = save::quiet();
            let _ = writeln!(io::stderr(), "\nstopped");
            std::process::exit(INTERRUPTED);
        }
    })?;
    Ok(())
}

fn wrong(line: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {line}");
    ExitCode::from(WRONG_INPUT)
}
