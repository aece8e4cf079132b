//! Whether and when the service recovers by itself after the trigger.
//!
//! The measure is the share of fresh requests that get a good answer, relative to the same share
//! before the trigger. A policy must return to its own level, not to that of another.

use std::ops::Range;
use std::time::Duration;

use crate::scenario::{Scenario, Step};
use crate::sim::{Arrivals, Interval, STEP};

/// Steps over which the share is taken. Shorter windows are mostly chance.
const WINDOW: usize = 5;
/// Steps at the end of a simulation that decide about the verdict.
const TAIL: usize = 10;
/// Recovered means at least this part of the share before the trigger …
const RECOVERED_SHARE: f64 = 0.95;
/// … and at the end still at least this part.
const HELD_SHARE: f64 = 0.9;

/// What happened to one simulation after its trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Recovery {
    /// There was no time before the trigger, or too little after it, or bursts outside it.
    Unknown,
    /// It recovered this long after the end of the trigger.
    After(Duration),
    /// It had not recovered at the end, but the backlog of the server was shrinking.
    Draining,
    /// It had not recovered at the end, and the backlog was not shrinking.
    Never,
}

fn index(at: Duration) -> usize {
    (at.as_nanos() / STEP.as_nanos()) as usize
}

/// Returns the share of fresh requests in `range` that got a good answer.
fn share(line: &[Interval], range: Range<usize>) -> Option<f64> {
    let intervals = line.get(range)?;
    let sum =
        |of: fn(&Interval) -> u32| intervals.iter().map(|interval| f64::from(of(interval))).sum::<f64>();
    let fresh = sum(|interval| interval.fresh);
    (fresh > 0.0).then(|| sum(|interval| interval.good - interval.herd) / fresh)
}

impl Recovery {
    /// Returns the seconds of those that recovered.
    pub(super) fn times(all: &[Recovery]) -> Vec<f64> {
        let each = all.iter().filter_map(|one| match one {
            Recovery::After(time) => Some(time.as_secs_f64()),
            Recovery::Unknown | Recovery::Draining | Recovery::Never => None,
        });
        each.collect()
    }

    /// Returns how many could be judged.
    pub(super) fn judged(all: &[Recovery]) -> u32 {
        all.iter().filter(|one| **one != Recovery::Unknown).count() as u32
    }
}

/// Judges the timeline of one simulation.
pub(super) fn judge(scenario: &Scenario, step: &Step, line: &[Interval]) -> Recovery {
    after(step, line, scenario.from, scenario.until, step.case.span)
}

/// Judges the time from `until` to `end` by the time before `from`.
///
/// Random bursts are not judged. A window with a burst has a smaller share than one without,
/// whatever the policy does.
pub(super) fn after(
    step: &Step,
    line: &[Interval],
    from: Duration,
    until: Duration,
    end: Duration,
) -> Recovery {
    let (from, until, end) = (index(from), index(until), index(end));
    let is_bursty = matches!(step.case.arrivals, Arrivals::Bursts { .. });
    if is_bursty || from < WINDOW || end < until + 2 * TAIL {
        return Recovery::Unknown;
    }
    // A timeline ends with its last event. Nothing happened after it.
    let mut line = line.to_vec();
    line.resize(line.len().max(end), Interval::default());
    let Some(before) = share(&line, from - from.min(2 * TAIL)..from) else { return Recovery::Unknown };
    let good = |range, part: f64| share(&line, range).is_some_and(|share| share >= part * before);
    if !good(end - TAIL..end, HELD_SHARE) {
        return not_recovered(&line, until..end);
    }
    match (until..=end - WINDOW).find(|at| good(*at..at + WINDOW, RECOVERED_SHARE)) {
        Some(at) => Recovery::After(STEP.saturating_mul((at - until) as u32)),
        None => not_recovered(&line, until..end),
    }
}

/// Distinguishes a backlog that shrinks from one that is fed by the retries it causes.
fn not_recovered(line: &[Interval], range: Range<usize>) -> Recovery {
    let backlog = |at: usize| line.get(at).map_or(0.0, |interval| f64::from(interval.backlog));
    let (first, last) = (backlog(range.start + TAIL), backlog(range.end - 1));
    let sent = line.get(range.start + TAIL..range.end).unwrap_or_default();
    let sent: f64 = sent.iter().map(|interval| f64::from(interval.attempts)).sum();
    // Chance moves the backlog by the square root of what was sent. A twentieth of that is far
    // more.
    if first - last > 0.05 * sent { Recovery::Draining } else { Recovery::Never }
}

/// Returns how long after `at` 99 % of the herd was served. `None` if it never was.
pub(super) fn herd_recovery(line: &[Interval], at: Duration, count: u32) -> Option<Duration> {
    let enough = (f64::from(count) * 0.99).ceil();
    let mut recovered = 0.0;
    let done = line.iter().position(|interval| {
        recovered += f64::from(interval.herd);
        recovered >= enough
    })?;
    Some(STEP.saturating_mul(done as u32 + 1).saturating_sub(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::find;

    fn line(of: impl Fn(usize) -> u32) -> Vec<Interval> {
        (0..200).map(|at| Interval { fresh: 100, good: of(at), ..Interval::default() }).collect()
    }

    #[test]
    fn recovery_is_measured_against_the_time_before() {
        let storm = find("retry-storm").unwrap();
        let mut step = storm.steps[0].clone();
        let judged = |of: &dyn Fn(usize) -> u32| judge(&storm, &step, &line(of));
        assert_eq!(judged(&|at| if (20..52).contains(&at) { 0 } else { 50 }), Recovery::After(12 * STEP));
        assert_eq!(judged(&|at| if at >= 20 { 0 } else { 100 }), Recovery::Never);
        // A recovery that does not last is none.
        assert_eq!(judged(&|at| if at >= 100 { 0 } else { 100 }), Recovery::Never);
        let mut shrinking = line(|at| if at >= 20 { 0 } else { 100 });
        for (at, interval) in shrinking.iter_mut().enumerate() {
            (interval.backlog, interval.attempts) = (10_000 - 10 * at as u32, 100);
        }
        assert_eq!(judge(&storm, &step, &shrinking), Recovery::Draining);
        step.case.span = Duration::from_secs(5);
        assert_eq!(judge(&storm, &step, &line(|_| 1)), Recovery::Unknown);
    }

    #[test]
    fn random_bursts_are_not_judged() {
        let storm = find("retry-storm").unwrap();
        let mut step = storm.steps[0].clone();
        let sags = line(|at| if at >= 100 { 90 } else { 100 });
        assert_eq!(judge(&storm, &step, &sags), Recovery::After(Duration::ZERO));
        let second = Duration::from_secs(1);
        step.case.arrivals = Arrivals::Bursts { high: 3.0, low: 1.0, on: second, off: second };
        assert_eq!(judge(&storm, &step, &sags), Recovery::Unknown);
    }
}
