//! Shares the simulations among all processors and collects their results in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::cli::Progress;
use crate::error::LabError;
use crate::run::outcome::Row;
use crate::scenario::{Scenario, Step};
use crate::sim::{Policy, Record, simulate};

/// One row to simulate: a policy and a load.
struct Part<'a> {
    name: &'a str,
    policy: &'a Policy,
    step: &'a Step,
}

/// Simulates every row. Returns the rows and the number of simulated attempts.
pub(super) fn all(
    scenario: &Scenario,
    seed: u64,
    seeds: u32,
    progress: &mut Progress,
) -> Result<(Vec<Row>, u64), LabError> {
    let parts: Vec<Part<'_>> = scenario
        .policies
        .iter()
        .flat_map(|(name, policy)| scenario.steps.iter().map(move |step| Part { name, policy, step }))
        .collect();
    let one = |part: &Part<'_>| row(scenario, part, seed, seeds);
    let rows = share_work(&parts, one, |done| progress.simulated(done, parts.len(), "rows"))?;
    let requests = rows.iter().map(|(_, requests)| requests).sum();
    Ok((rows.into_iter().map(|(row, _)| row).collect(), requests))
}

/// Does all `parts` on all processors and returns the results in the order of the parts.
///
/// Calls `report_done` now and then with the number of finished parts.
pub(crate) fn share_work<P: Sync, T: Send>(
    parts: &[P],
    work: impl Fn(&P) -> Result<T, LabError> + Sync,
    report_done: impl FnMut(usize),
) -> Result<Vec<T>, LabError> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    share_work_among(workers, parts, work, report_done)
}

/// Does all `parts` on `workers` threads, as [`share_work`] does.
pub(crate) fn share_work_among<P: Sync, T: Send>(
    workers: usize,
    parts: &[P],
    work: impl Fn(&P) -> Result<T, LabError> + Sync,
    mut report_done: impl FnMut(usize),
) -> Result<Vec<T>, LabError> {
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (next, work, sender) = (&next, &work, sender.clone());
            scope.spawn(move || {
                loop {
                    // Relaxed: the counter only hands out each number once.
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(part) = parts.get(at) else { return };
                    if sender.send((at, work(part))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // Dropped first if a result is an error, so that no further part is begun.
        let results = results;
        let mut all: Vec<Option<T>> = parts.iter().map(|_| None).collect();
        let mut done = 0;
        while done < parts.len() {
            match results.recv_timeout(Duration::from_millis(200)) {
                Ok((at, result)) => {
                    done += 1;
                    if let Some(place) = all.get_mut(at) {
                        *place = Some(result?);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(LabError::Failed("a thread of the simulator panicked".into()));
                }
            }
            report_done(done);
        }
        Ok(all.into_iter().flatten().collect())
    })
}

fn row(scenario: &Scenario, part: &Part<'_>, seed: u64, seeds: u32) -> Result<(Row, u64), LabError> {
    let records: Vec<Record> = (0..u64::from(seeds))
        .map(|n| simulate(&part.step.case, part.policy, seed.wrapping_add(n)))
        .collect::<Result<_, _>>()
        .map_err(|error| LabError::Failed(error.to_string()))?;
    let requests = records.iter().map(|record| record.attempts).sum();
    Ok((Row::new(scenario, part.name, part.step, &records), requests))
}
