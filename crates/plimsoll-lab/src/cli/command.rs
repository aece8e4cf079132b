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
use crate::error::{LabError, UsageError};
use crate::live::Guards;
use crate::live::Listener;
use crate::live::demo;
use crate::live::report::{Report, chart, page, reading, table};

/// A value that cannot be used, as other programs say it too.
const USAGE_ERROR: u8 = 2;
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

/// Tries, before anything is measured, all that a run needs from outside.
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

/// What the user should know beforehand, and would not expect.
fn print_notes(settings: &Settings, progress: &mut Progress) {
    let (plan, requested) = (&settings.plan, settings.requested_capacity);
    if (plan.capacity() - requested).abs() > 1e-6 * requested {
        progress.line(&format!(
            "note: {requested} requests/s is no whole number of slots of {}; running with {} and \
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
        report.rejection_cost * service_ms * 1_000.0,
        report.rejection_cost * 100.0,
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
