//! Runs the program, from its arguments to its exit code. The guard is a parameter.

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
use crate::cli::trouble::trouble;
use crate::cli::value::show;
use crate::error::{LabError, UsageError};
use crate::live::Guards;
use crate::live::Listener;
use crate::live::demo;
use crate::live::report::{Report, chart, page, reading, table};

/// The exit code for invalid input, as in other programs.
const USAGE_ERROR: u8 = 2;
/// 128 plus the number of the signal, as shells report it.
const INTERRUPTED: i32 = 130;

/// Runs the command in `args`, which begin with the program's name, and returns the exit code.
///
/// The exit code is 0 on success, 1 if the run failed or a guard failed in a trouble, and 2 for
/// invalid input. Ctrl-C ends the process with 130.
pub fn run<A>(args: impl IntoIterator<Item = A>, guards: &Guards<'_>) -> ExitCode
where
    A: Into<OsString> + Clone,
{
    let command = match Cli::try_parse_from(args) {
        Ok(Cli { command }) => command,
        Err(answer) if args::is_help(&answer) => {
            print(&answer.to_string());
            return ExitCode::SUCCESS;
        }
        Err(error) => return usage_error(&args::one_line(&error)),
    };
    let done = match command {
        Command::Demo(args) => Settings::read(&args)
            .and_then(|settings| Ok((open(&settings)?, settings)))
            .map_err(LabError::from)
            .and_then(|(listener, settings)| run_demo(&settings, &listener, guards)),
        Command::Run(args) => {
            end_on_ctrl_c().map_err(LabError::io("listen for Ctrl-C")).and_then(|()| simulate(&args))
        }
        Command::Trouble(args) => {
            let done = end_on_ctrl_c().map_err(LabError::io("listen for Ctrl-C"));
            match done.and_then(|()| trouble(&args)) {
                Ok(false) => return ExitCode::FAILURE,
                Ok(true) => Ok(()),
                Err(error) => Err(error),
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(LabError::Usage(error)) => usage_error(&error.to_string()),
        Err(LabError::Scenario(error)) => usage_error(&error.to_string()),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks everything that a run needs from outside, before anything is measured.
fn open(settings: &Settings) -> Result<Listener, UsageError> {
    files::check(settings)?;
    for (flag, path) in [("--json", &settings.json), ("--out", &settings.out)] {
        path.as_deref().map_or(Ok(()), |path| save::check(flag, path))?;
    }
    Listener::bind(settings.listen).map_err(|error| {
        let allowed = format!("{error}; allowed is a free address of this machine, or port 0");
        UsageError::new("--listen", settings.listen.to_string(), allowed)
    })
}

fn run_demo(settings: &Settings, listener: &Listener, guards: &Guards<'_>) -> Result<(), LabError> {
    end_on_ctrl_c().map_err(LabError::io("listen for Ctrl-C"))?;
    let mut progress = Progress::on_stderr();
    print_notes(settings, &mut progress);
    let report = demo(settings, listener, guards, &mut progress)?;
    if let Some(path) = &settings.json {
        save::write(path, &json(&report)?).map_err(LabError::io("write the --json file"))?;
    }
    if let Some(path) = &settings.out {
        save::write(path, &page(&report)).map_err(LabError::io("write the --out file"))?;
    }
    print(&result(&report));
    Ok(())
}

/// Prints what the user should know before the run and might not expect.
fn print_notes(settings: &Settings, progress: &mut Progress) {
    let (plan, requested) = (&settings.plan, settings.requested_capacity);
    if (plan.capacity() - requested).abs() > 1e-6 * requested {
        progress.line(&format!(
            "note: {requested} requests/s is not a whole number of slots of {}; \
             running with {} slots, which is {:.1} requests/s",
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
         A rejection costs {:.1} µs of processor time, {:.4} % of the {service_ms} ms that a request holds its slot.\n\
         \n{}{}\n{}\n",
        report.slots,
        report.capacity,
        report.deadline_ms,
        report.rejection_cost * service_ms * 1_000.0,
        report.rejection_cost * 100.0,
        table(report),
        chart(report),
        reading(report).join("\n"),
    )
}

/// Makes Ctrl-C end the process, but never in the middle of writing a file.
fn end_on_ctrl_c() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("ctrl-c".into()).spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _held = save::hold();
            let _ = writeln!(io::stderr(), "\nstopped");
            std::process::exit(INTERRUPTED);
        }
    })?;
    Ok(())
}

fn usage_error(line: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {line}");
    ExitCode::from(USAGE_ERROR)
}
