//! The work itself, shared out to all processors and put together in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::error::LabError;
use crate::progress::Progress;
use crate::run::outcome::Row;
use crate::scenario::{Scenario, Step};
use crate::sim::{Policy, Record, simulate};

/// One row to be made: a policy and a load.
struct Part<'a> {
    name: &'a str,
    policy: &'a Policy,
    step: &'a Step,
}

/// Every row, and how many attempts were simulated in all.
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
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (next, parts, sender) = (&next, &parts, sender.clone());
            scope.spawn(move || {
                loop {
                    // Relaxed: only that nobody else gets the same number.
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(part) = parts.get(at) else { return };
                    if sender.send((at, row(scenario, part, seed, seeds))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut rows: Vec<Option<(Row, u64)>> = parts.iter().map(|_| None).collect();
        let mut done = 0;
        while done < parts.len() {
            match results.recv_timeout(Duration::from_millis(200)) {
                Ok((at, row)) => {
                    done += 1;
                    if let Some(place) = rows.get_mut(at) {
                        *place = Some(row?);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(LabError::Broken("a thread of the simulator panicked".into()));
                }
            }
            progress.simulated(done, parts.len());
        }
        let requests = rows.iter().flatten().map(|(_, requests)| requests).sum();
        Ok((rows.into_iter().flatten().map(|(row, _)| row).collect(), requests))
    })
}

fn row(scenario: &Scenario, part: &Part<'_>, seed: u64, seeds: u32) -> Result<(Row, u64), LabError> {
    let records: Vec<Record> = (0..u64::from(seeds))
        .map(|n| simulate(&part.step.case, part.policy, seed.wrapping_add(n)))
        .collect::<Result<_, _>>()
        .map_err(|error| LabError::Broken(error.to_string()))?;
    let requests = records.iter().map(|record| record.attempts).sum();
    Ok((Row::new(scenario, part.name, part.step, &records), requests))
}
