//! The demo run: the cost of a rejection, then every load bare, then every load guarded.

use crate::cli::Progress;
use crate::cli::Settings;
use crate::error::LabError;
use crate::live::cost::rejection_cost;
use crate::live::guards::Guards;
use crate::live::report::Report;
use crate::live::row::RowRunner;
use crate::live::server::Listener;

/// Runs the demo and returns its report.
///
/// It takes about `2 × loads × (1 s + measured + deadline)` of real time, and longer if rows are
/// void and run again.
///
/// # Errors
/// [`LabError::Io`] if the system provides no thread or runtime. [`LabError::Failed`] if the
/// rejecting guard admits a request. Errors of single requests do not end the run. They are counted
/// in the row.
pub fn demo(
    settings: &Settings,
    listener: &Listener,
    guards: &Guards<'_>,
    progress: &mut Progress,
) -> Result<Report, LabError> {
    let cost = rejection_cost(guards, settings.plan.service_time)?;
    let runner =
        RowRunner { plan: &settings.plan, listener, measured: settings.measured, seed: settings.seed };
    progress.run_begins(2 * settings.loads.len(), runner.row_time());
    let mut rows = Vec::with_capacity(2 * settings.loads.len());
    for guard in [None, Some(guards)] {
        for load in &settings.loads {
            rows.push(runner.run(*load, guard, progress)?);
        }
    }
    progress.finish();
    Ok(Report::new(settings, cost, rows))
}
