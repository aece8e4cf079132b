//! The course of a day, and the rows that are read from it.

use std::ops::Range;
use std::time::Duration;

use crate::sim::{Interval, STEP};
use crate::trouble::phases::Phases;
use crate::trouble::probe::Counts;
use crate::trouble::row::{Phase, Row, harmless};

/// Recovered means at least this part of the earlier goodput.
const RECOVERED: f64 = 0.95;
/// A goodput below this part of the usual one is an outage.
const NEARLY_NOTHING: f64 = 0.01;
/// The recovery is not judged if less than this part of the requests was served before.
const SERVED: f64 = 0.1;
/// The recovery is looked for in windows of one second …
const FIRST: usize = 10;
/// … and must then hold in every window of ten seconds.
const HOLDS: usize = 100;

/// What happened on a day.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    phases: Phases,
    /// Fresh requests in each step.
    fresh: Vec<u32>,
    steps: Vec<Counts>,
    /// What the guard still held when all calls had ended.
    held: Option<u64>,
    has_gauge: bool,
}

/// The limits of a system cell, beside "no harm".
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// The longest time until the goodput is back, in seconds. Judged only if it is set.
    pub(crate) back: Option<f64>,
    /// The least goodput during the trouble, in calls per second.
    pub(crate) useful: Option<f64>,
    /// The highest reading of the gauge. Judged only if there is one.
    pub(crate) queue: Option<u64>,
    /// What the guard spends on purpose, as a share of the goodput without it, and why.
    pub(crate) spends: Option<(f64, &'static str)>,
    /// The same, in addition, during the trouble only.
    pub(crate) spends_during: Option<(f64, &'static str)>,
}

impl Limits {
    /// Creates limits of which only the time to be back is set.
    pub(crate) fn back(within: Duration) -> Self {
        Limits { back: Some(within.as_secs_f64()), ..Limits::default() }
    }

    /// Sets the least goodput during the trouble, in calls per second.
    pub(crate) fn useful(mut self, goodput: f64) -> Self {
        self.useful = Some(goodput);
        self
    }

    /// Sets the highest reading of the gauge.
    pub(crate) fn queue(mut self, most: u64) -> Self {
        self.queue = Some(most);
        self
    }

    /// States what the guard spends on purpose.
    pub(crate) fn spends(mut self, share: f64, why: &'static str) -> Self {
        self.spends = Some((share, why));
        self
    }
}

fn index(at: Duration) -> usize {
    (at.as_nanos() / STEP.as_nanos()) as usize
}

impl Course {
    pub(crate) fn new(phases: Phases, timeline: Vec<Interval>, mut steps: Vec<Counts>) -> Self {
        let mut fresh: Vec<u32> = timeline.iter().map(|interval| interval.fresh).collect();
        let end = index(phases.end());
        fresh.resize(fresh.len().max(end), 0);
        steps.resize(steps.len().max(end), Counts::default());
        Course { phases, fresh, steps, held: None, has_gauge: false }
    }

    /// Sets whether there was a gauge, and what the guard still held when all calls had ended.
    pub(crate) fn watched(mut self, has_gauge: bool, held: Option<u64>) -> Self {
        (self.has_gauge, self.held) = (has_gauge, held);
        self
    }

    /// Returns the number of useful answers in `range`.
    fn good(&self, range: &Range<Duration>) -> f64 {
        let steps = self.steps.get(index(range.start)..index(range.end)).unwrap_or_default();
        steps.iter().map(|step| f64::from(step.good)).sum()
    }

    /// Returns useful answers per second.
    pub(crate) fn goodput(&self, range: &Range<Duration>) -> f64 {
        self.good(range) / (range.end - range.start).as_secs_f64()
    }

    /// Returns the highest reading of the gauge.
    pub(crate) fn peak(&self) -> u64 {
        self.steps.iter().map(|step| step.gauge).max().unwrap_or(0)
    }

    /// Returns the seconds from the end of the trouble until 95 % of the earlier goodput is back
    /// for good. Infinite if it never is, not a number if there was no goodput to speak of.
    ///
    /// A window counts if its goodput is high enough, or its goodput per arrival: chance moves
    /// both, but seldom in the same direction.
    pub(crate) fn back(&self) -> f64 {
        let before = self.phases.before();
        let goodput = self.goodput(&before);
        let fresh: u32 = self.fresh.iter().take(index(before.end)).skip(index(before.start)).sum();
        let served = self.good(&before) / f64::from(fresh);
        if served.is_nan() || served < SERVED {
            return f64::NAN;
        }
        let is_good = |at: usize, length: usize| {
            let good: u32 = self.steps.iter().skip(at).take(length).map(|step| step.good).sum();
            let fresh: u32 = self.fresh.iter().skip(at).take(length).sum();
            let per_second = f64::from(good) / (STEP * length as u32).as_secs_f64();
            per_second >= RECOVERED * goodput || f64::from(good) >= RECOVERED * served * f64::from(fresh)
        };
        let after = self.phases.after();
        let (from, end) = (index(after.start), index(after.end));
        // The last window of ten seconds that is not good decides from when on all of them are.
        let held = (from..=end.saturating_sub(HOLDS)).rev().find(|at| !is_good(*at, HOLDS));
        let first = held.map_or(from, |at| at + 1);
        let mut candidates = (first..=end.saturating_sub(FIRST)).filter(|at| is_good(*at, FIRST));
        match candidates.next() {
            Some(at) if at + FIRST <= end => (at - from) as f64 * STEP.as_secs_f64(),
            _ => f64::INFINITY,
        }
    }

    /// Returns the time after the trouble in which the goodput is judged.
    ///
    /// The time that the guard may take to be back has a limit of its own, so it is left out. A
    /// bare system may at that time still answer calls that waited during the trouble, which the
    /// guard answered earlier. So the whole time counts if the guard did better in all of it.
    fn after_to_judge(&self, bare: &Course, back: f64) -> Range<Duration> {
        let whole = self.phases.after();
        let length = (whole.end - whole.start).saturating_sub(STEP).as_secs_f64();
        let late = whole.start + Duration::from_secs_f64(back.min(length))..whole.end;
        let share = |range: &Range<Duration>| self.goodput(range) / bare.goodput(range);
        if whole.is_empty() || share(&whole) > share(&late) { whole } else { late }
    }

    /// Returns the rows of a system cell: no harm in any phase, and the limits.
    pub(crate) fn rows(&self, case: &str, bare: &Course, limits: Limits) -> Vec<Row> {
        let phases = [
            (Phase::Before, self.phases.before()),
            (Phase::During, self.phases.during()),
            (Phase::After, self.after_to_judge(bare, limits.back.unwrap_or_default())),
        ];
        let most = phases.iter().map(|(_, range)| bare.goodput(range)).fold(0.0, f64::max);
        let mut rows = Vec::new();
        for (phase, range) in phases {
            if range.is_empty() {
                continue;
            }
            let during = limits.spends_during.filter(|_| phase == Phase::During);
            let share = limits.spends.map_or(0.0, |spent| spent.0) + during.map_or(0.0, |spent| spent.0);
            let (value, without) = (self.goodput(&range), bare.goodput(&range));
            let useful = limits.useful.filter(|_| phase == Phase::During).unwrap_or(0.0);
            // In an outage, a few answers more or less are chance.
            let is_outage = without < NEARLY_NOTHING * most;
            let least = if is_outage { 0.0 } else { harmless(without, share) };
            let row = Row::at_least(format!("{case}: goodput"), value, least.max(useful), "/s").phase(phase);
            let row = match during.or(limits.spends) {
                Some((_, why)) => row.spends(share, why),
                None => row,
            };
            rows.push(if is_outage { row.beside(without) } else { row.without(without) });
        }
        if let Some(back) = limits.back
            && !self.back().is_nan()
        {
            let row = Row::at_most(format!("{case}: time to be back"), self.back(), back, "s");
            rows.push(row.phase(Phase::After).without(bare.back()));
        }
        if let Some(most) = limits.queue.filter(|_| self.has_gauge) {
            rows.push(Row::at_most(format!("{case}: queue"), self.peak() as f64, most as f64, "callers"));
        }
        if let Some(held) = self.held {
            rows.push(Row::at_most(format!("{case}: permits held at the end"), held as f64, 0.0, ""));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(good: impl Fn(usize) -> u32) -> Course {
        let s = Duration::from_secs(1);
        let steps = (0..600).map(|at| Counts { good: good(at), ..Counts::default() }).collect();
        let fresh = vec![Interval { fresh: 10, ..Interval::default() }; 600];
        Course::new(Phases::new(10 * s, 10 * s, 40 * s), fresh, steps)
    }

    #[test]
    fn back_is_the_time_after_which_the_goodput_holds() {
        assert_eq!(course(|at| if (100..230).contains(&at) { 0 } else { 10 }).back(), 3.0);
        assert_eq!(course(|_| 10).back(), 0.0);
        assert_eq!(course(|at| if at < 100 { 10 } else { 9 }).back(), f64::INFINITY);
        // A later hole of two seconds undoes the recovery.
        assert_eq!(course(|at| if (400..420).contains(&at) { 0 } else { 10 }).back(), 22.0);
    }

    #[test]
    fn goodput_below_the_bare_one_is_harm() {
        let bare = course(|_| 10);
        let rows = course(|at| if at < 200 { 10 } else { 9 }).rows("guard", &bare, Limits::default());
        let harm: Vec<bool> = rows.iter().map(|row| row.harm).collect();
        assert_eq!(harm, [false, false, true]);
    }
}
