//! Open files: a connection is one on each side, and both sides live in this process.

use crate::cli::settings::Settings;
use crate::error::UsageError;

/// Files open besides the connections: runtimes, terminal, the report.
const OTHER_FILES: f64 = 64.0;

/// Open files the run may need at once: a connection lives at most as long as a request waits,
/// so there are `rate × deadline` of them, a fifth more for chance and for closing.
fn needed(rate: f64, deadline_s: f64) -> f64 {
    2.0 * (1.2 * rate * deadline_s + 50.0) + OTHER_FILES
}

/// Checks that the system gives that many, after asking for as many as it would give.
///
/// # Errors
///
/// A flaw in `--loads`: a run that cannot open its connections would measure the limit and not
/// the server.
pub(crate) fn check(settings: &Settings) -> Result<(), UsageError> {
    let Some(limit) = raised_limit() else {
        return Ok(());
    };
    let deadline = settings.plan.deadline.as_secs_f64();
    let needed = needed(settings.highest_rate(), deadline);
    if needed <= limit as f64 {
        return Ok(());
    }
    let per_load = settings.plan.capacity() * deadline * 2.4;
    let max = ((limit as f64 - OTHER_FILES - 100.0) / per_load).max(0.0);
    let allowed = format!(
        "needs about {needed:.0} open files and the system gives {limit} (ulimit -n); \
         allowed are loads up to {:.1} at this capacity and deadline",
        (max * 10.0).floor() / 10.0
    );
    let given = settings.highest_load().to_string();
    Err(UsageError::new("--loads", given, allowed))
}

/// The limit on open files, raised as far as this process may. `None` if there is none.
#[cfg(unix)]
fn raised_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Some systems refuse the very value they state; the old one still holds.
        Err(_) => limit.current,
    }
}

#[cfg(not(unix))]
fn raised_limit() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Plan;
    use std::time::Duration;

    #[test]
    fn the_default_run_fits_into_four_thousand_files() {
        assert!(needed(6_400.0, 0.2) < 4_096.0);
    }

    #[cfg(unix)]
    #[test]
    fn a_run_that_cannot_open_its_connections_is_a_flaw() {
        let second = Duration::from_secs(1);
        let plan = Plan::near(100_000.0, second / 2, 60 * second).unwrap();
        let mut settings = Settings::new(plan, vec![1.0, 100.0], second);
        if raised_limit().is_some_and(|limit| limit < 1_000_000_000) {
            let error = check(&settings).unwrap_err();
            assert_eq!((error.flag, error.given.as_str()), ("--loads", "100"));
        }
        settings.loads = vec![0.000_001];
        assert_eq!(check(&settings), Ok(()));
    }
}
