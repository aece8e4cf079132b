//! The limit on open files. Each connection counts twice, because both ends live in this process.

use crate::cli::settings::Settings;
use crate::error::UsageError;

/// Files that are open besides the connections: runtimes, terminal, report.
const OTHER_FILES: f64 = 64.0;

/// Returns the number of files that may be open at once.
///
/// A connection lives at most as long as a request waits, so there are `rate × deadline` of them. A
/// fifth is added for chance and for connections that are closing.
fn needed(rate: f64, deadline_s: f64) -> f64 {
    2.0 * (1.2 * rate * deadline_s + 50.0) + OTHER_FILES
}

/// Raises the limit on open files as far as possible and checks that it is high enough.
///
/// # Errors
/// Returns an error for `--loads` if the limit is too low. Such a run would measure the limit
/// instead of the server.
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
        "the run needs about {needed:.0} open files and the limit is {limit} (ulimit -n); \
         allowed are loads up to {:.1} at this capacity and deadline",
        (max * 10.0).floor() / 10.0
    );
    let given = settings.highest_load().to_string();
    Err(UsageError::new("--loads", given, allowed))
}

/// Raises the limit on open files as far as allowed and returns it. `None` if there is none.
#[cfg(unix)]
fn raised_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Some systems reject the very maximum they report. The old limit still holds.
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
    fn default_run_needs_fewer_than_4096_files() {
        assert!(needed(6_400.0, 0.2) < 4_096.0);
    }

    #[cfg(unix)]
    #[test]
    fn run_beyond_the_file_limit_is_a_usage_error() {
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
