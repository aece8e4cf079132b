//! Whether and when the service recovers by itself after the trigger.
//!
//! The measure is the share of fresh requests that get a good answer, relative to the same share
//! before the trigger. A policy must return to its own level, not to that of another.

use std::ops::Range;
use std::time::Duration;

use crate::scenario::Scenario;
use crate::sim::{Interval, STEP};

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
    /// There was no time before the trigger, or too little after it.
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

/// Judges the timeline of one simulation.
pub(super) fn judge(scenario: &Scenario, line: &[Interval], span: Duration) -> Recovery {
    after(line, scenario.from, scenario.until, span)
}

/// Judges the time from `until` to `end` by the time before `from`.
pub(super) fn after(line: &[Interval], from: Duration, until: Duration, end: Duration) -> Recovery {
    let (from, until, end) = (index(from), index(until), index(end));
    if from < WINDOW || end < until + 2 * TAIL {
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
        let span = Duration::from_secs(20);
        let judged = |of: &dyn Fn(usize) -> u32| judge(&storm, &line(of), span);
        assert_eq!(judged(&|at| if (20..52).contains(&at) { 0 } else { 50 }), Recovery::After(12 * STEP));
        assert_eq!(judged(&|at| if at >= 20 { 0 } else { 100 }), Recovery::Never);
        // A recovery that does not last is none.
        assert_eq!(judged(&|at| if at >= 100 { 0 } else { 100 }), Recovery::Never);
        let mut shrinking = line(|at| if at >= 20 { 0 } else { 100 });
        for (at, interval) in shrinking.iter_mut().enumerate() {
            (interval.backlog, interval.attempts) = (10_000 - 10 * at as u32, 100);
        }
        assert_eq!(judge(&storm, &shrinking, span), Recovery::Draining);
        assert_eq!(judge(&storm, &line(|_| 1), Duration::from_secs(5)), Recovery::Unknown);
    }
}
