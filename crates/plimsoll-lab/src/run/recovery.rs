//! What is left when the trigger has ended: does the service come back by itself, and when?
//!
//! Measured is the share of fresh requests that are answered well, against the same share before
//! the trigger: a policy is asked to return to what it did, not to what another does.

use std::ops::Range;
use std::time::Duration;

use crate::scenario::Scenario;
use crate::sim::{Interval, STEP};

/// Over this the share is taken; shorter ones are mostly chance.
const WINDOW: usize = 5;
/// The last stretch of a run, which decides about the verdict.
const TAIL: usize = 10;
/// Back means this share of what was before …
const RECOVERED_SHARE: f64 = 0.95;
/// … and at the end not below this one again.
const HELD_SHARE: f64 = 0.9;

/// What became of one simulation after its trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Recovery {
    /// There was no time before the trigger, or too little after it.
    Unknown,
    /// It was back this long after the trigger's end, and stayed.
    After(Duration),
    /// It was not back when the run ended, but the server's backlog was shrinking.
    Draining,
    /// It was not back when the run ended, and nothing pointed that way.
    Never,
}

fn index(at: Duration) -> usize {
    (at.as_nanos() / STEP.as_nanos()) as usize
}

/// The share of fresh requests in `range` that were answered well.
fn share(line: &[Interval], range: Range<usize>) -> Option<f64> {
    let intervals = line.get(range)?;
    let sum =
        |of: fn(&Interval) -> u32| intervals.iter().map(|interval| f64::from(of(interval))).sum::<f64>();
    let fresh = sum(|interval| interval.fresh);
    (fresh > 0.0).then(|| sum(|interval| interval.good - interval.herd) / fresh)
}

/// Judges the time line of one simulation.
pub(super) fn judge(scenario: &Scenario, line: &[Interval], span: Duration) -> Recovery {
    after(line, scenario.from, scenario.until, span)
}

/// What was to be seen from `until` to `end`, against what was before `from`.
pub(super) fn after(line: &[Interval], from: Duration, until: Duration, end: Duration) -> Recovery {
    let (from, until, end) = (index(from), index(until), index(end));
    if from < WINDOW || end < until + 2 * TAIL {
        return Recovery::Unknown;
    }
    // A line ends with its last event; nothing happened since.
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

/// A backlog that shrinks will be gone one day; one that is fed by the retries it causes will not.
fn not_recovered(line: &[Interval], range: Range<usize>) -> Recovery {
    let backlog = |at: usize| line.get(at).map_or(0.0, |interval| f64::from(interval.backlog));
    let (first, last) = (backlog(range.start + TAIL), backlog(range.end - 1));
    let sent = line.get(range.start + TAIL..range.end).unwrap_or_default();
    let sent: f64 = sent.iter().map(|interval| f64::from(interval.attempts)).sum();
    // Chance moves it by the root of what was sent; a twentieth of that is far beyond chance.
    if first - last > 0.05 * sent { Recovery::Draining } else { Recovery::Never }
}

/// How long after its moment 99 % of the herd were back. `None` if they never were.
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
    fn back_is_measured_against_what_was_before() {
        let storm = find("retry-storm").unwrap();
        let span = Duration::from_secs(20);
        let judged = |of: &dyn Fn(usize) -> u32| judge(&storm, &line(of), span);
        assert_eq!(judged(&|at| if (20..52).contains(&at) { 0 } else { 50 }), Recovery::After(12 * STEP));
        assert_eq!(judged(&|at| if at >= 20 { 0 } else { 100 }), Recovery::Never);
        // Back for a while is not back.
        assert_eq!(judged(&|at| if at >= 100 { 0 } else { 100 }), Recovery::Never);
        let mut shrinking = line(|at| if at >= 20 { 0 } else { 100 });
        for (at, interval) in shrinking.iter_mut().enumerate() {
            (interval.backlog, interval.attempts) = (10_000 - 10 * at as u32, 100);
        }
        assert_eq!(judge(&storm, &shrinking, span), Recovery::Draining);
        assert_eq!(judge(&storm, &line(|_| 1), Duration::from_secs(5)), Recovery::Unknown);
    }
}
