//! One figure of the matrix with its limit.

use serde::Serialize;

use crate::html::figures;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;

/// More than this below the figure without the guard is harm.
const HARM: f64 = 0.02;

/// The time to which a figure belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The calm before the trouble.
    Before,
    /// The trouble itself.
    During,
    /// The time after it.
    After,
    /// The whole simulation.
    Whole,
}

impl Phase {
    /// Returns the phase as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Before => "before",
            Phase::During => "during",
            Phase::After => "after",
            Phase::Whole => "whole",
        }
    }
}

/// On which side of the limit the figure must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Direction {
    /// At or above it.
    #[serde(rename = ">=")]
    AtLeast,
    /// At or below it.
    #[serde(rename = "<=")]
    AtMost,
}

impl Direction {
    /// Returns the sign.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::AtLeast => "≥",
            Direction::AtMost => "≤",
        }
    }
}

/// One figure with its limit.
///
/// In JSON a figure that is not finite, such as the recovery time of a guard that never recovers,
/// is `null`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// The guard. Set by the cell that returns the row.
    pub guard: Guard,
    /// The trouble. Set by the cell that returns the row.
    pub trouble: Trouble,
    /// What is measured, and with which settings and load.
    pub case: String,
    /// The time to which the figure belongs.
    pub phase: Phase,
    /// The unit of the figure, its limit and the figure without the guard.
    pub unit: &'static str,
    /// The figure.
    pub value: f64,
    /// On which side of the limit it must be.
    pub direction: Direction,
    /// The limit.
    pub limit: f64,
    /// Whether the limit is kept.
    pub met: bool,
    /// The same figure without the guard, where that is known.
    pub without: Option<f64>,
    /// Whether the figure is more than 2 % below the one without the guard.
    pub harm: bool,
    /// What the guard spends on purpose, as a share of the figure without it, and why.
    pub spends: Option<(f64, &'static str)>,
    /// Why the limit is known to be missed, if it is.
    pub known_miss: Option<&'static str>,
}

impl Row {
    /// Creates a row for a figure that must be at least `limit`.
    pub fn at_least(case: impl Into<String>, value: f64, limit: f64, unit: &'static str) -> Self {
        Self::new(case.into(), value, limit, unit, Direction::AtLeast)
    }

    /// Creates a row for a figure that must be at most `limit`.
    pub fn at_most(case: impl Into<String>, value: f64, limit: f64, unit: &'static str) -> Self {
        Self::new(case.into(), value, limit, unit, Direction::AtMost)
    }

    fn new(case: String, value: f64, limit: f64, unit: &'static str, direction: Direction) -> Self {
        // A figure that is not a number meets no limit.
        let met = match direction {
            Direction::AtLeast => value >= limit,
            Direction::AtMost => value <= limit,
        };
        Row {
            guard: Guard::Valve,
            trouble: Trouble::T1,
            case,
            phase: Phase::Whole,
            unit,
            value,
            direction,
            limit,
            met,
            without: None,
            harm: false,
            spends: None,
            known_miss: None,
        }
    }

    /// Sets the phase. Default: [`Phase::Whole`].
    #[must_use]
    pub fn phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    /// Sets the figure without the guard. A figure more than 2 % below it is harm.
    ///
    /// Harm is judged only for figures with a lower limit.
    #[must_use]
    pub fn without(mut self, bare: f64) -> Self {
        self.without = Some(bare);
        self.judge_harm()
    }

    /// Shows the figure without the guard, without a verdict on harm.
    #[must_use]
    pub fn beside(mut self, bare: f64) -> Self {
        self.without = Some(bare);
        self.harm = false;
        self
    }

    /// States what the guard spends on purpose, as a share of the figure without it.
    ///
    /// It counts as harm only beyond that share and 2 %.
    #[must_use]
    pub fn spends(mut self, share: f64, why: &'static str) -> Self {
        self.spends = Some((share, why));
        self.judge_harm()
    }

    /// Marks a limit that is known to be missed, and states why.
    #[must_use]
    pub fn known_miss(mut self, why: &'static str) -> Self {
        self.known_miss = Some(why);
        self
    }

    fn judge_harm(mut self) -> Self {
        let spent = self.spends.map_or(0.0, |(share, _)| share);
        let least = self.without.map_or(f64::NEG_INFINITY, |bare| (1.0 - HARM - spent) * bare);
        self.harm = self.direction == Direction::AtLeast && (self.value < least || self.value.is_nan());
        self
    }

    /// Returns whether the row needs no attention: the limit is kept without harm, or is known to
    /// be missed and still is.
    pub fn is_fine(&self) -> bool {
        match self.known_miss {
            Some(_) => !self.met || self.harm,
            None => self.met && !self.harm,
        }
    }

    /// Returns how far the figure is on the right side of its limit, as a share of the limit.
    ///
    /// A figure that equals its limit is a bound that is used in full, and is as far as can be.
    pub(crate) fn margin(&self) -> f64 {
        let beyond = match self.direction {
            Direction::AtLeast => self.value - self.limit,
            Direction::AtMost => self.limit - self.value,
        };
        if self.value == self.limit {
            f64::INFINITY
        } else if beyond.is_nan() {
            f64::NEG_INFINITY
        } else {
            beyond / self.limit.abs()
        }
    }

    /// Returns the verdict in one or two words.
    pub fn verdict(&self) -> &'static str {
        match (self.known_miss, self.met, self.harm) {
            (None, _, true) => "HARM",
            (None, true, false) => "met",
            (None, false, false) => "MISSED",
            (Some(_), true, false) => "MET, remove known_miss",
            (Some(_), ..) => "known miss",
        }
    }

    /// Returns why the limit is missed, or why the figure is below the one without the guard.
    pub fn reason(&self) -> Option<&'static str> {
        let is_spent = self.without.is_some_and(|bare| self.value < harmless(bare, 0.0));
        self.known_miss.or(self.spends.filter(|_| is_spent).map(|(_, why)| why))
    }

    /// Formats the figure and its limit.
    pub fn figure(&self) -> String {
        let (value, limit) = (amount(self.value), amount(self.limit));
        format!("{value} {} {limit} {}", self.direction.as_str(), self.unit).trim_end().to_owned()
    }

    /// Formats the figure without the guard.
    pub fn bare(&self) -> String {
        self.without.map_or_else(|| "–".into(), amount)
    }
}

/// Marks the rows of `known` as known to be missed. Each is a phase and the end of a case.
pub(crate) fn known_misses(rows: &mut [Row], known: &[(Phase, &str)], why: &'static str) {
    for row in rows {
        if known.iter().any(|(phase, case)| row.phase == *phase && row.case.ends_with(case)) {
            row.known_miss = Some(why);
        }
    }
}

/// Returns the least figure that is not harm, if the bare system reaches `bare`.
pub(crate) fn harmless(bare: f64, spends: f64) -> f64 {
    (1.0 - HARM - spends) * bare
}

/// Formats a figure.
fn amount(value: f64) -> String {
    match value {
        value if value.is_nan() => "unknown".into(),
        f64::INFINITY => "never".into(),
        value if value.fract() == 0.0 && value.abs() < 1e12 => format!("{value:.0}"),
        value => figures(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_more_than_two_per_cent_below_the_bare_one_is_harm() {
        let row = Row::at_least("goodput", 97.0, 50.0, "/s").without(100.0);
        assert!(row.met && row.harm && !row.is_fine());
        assert!(!row.clone().spends(0.05, "on purpose").harm);
        assert!(!Row::at_least("goodput", 99.0, 50.0, "/s").without(100.0).harm);
        // A time has an upper limit, and is never harm.
        assert!(!Row::at_most("back", 3.0, 2.0, "s").without(0.0).harm);
    }

    #[test]
    fn a_known_miss_is_fine_only_while_it_is_missed() {
        let missed = Row::at_most("back", f64::INFINITY, 2.0, "s");
        assert_eq!((missed.verdict(), missed.figure().as_str()), ("MISSED", "never ≤ 2 s"));
        assert!(!missed.is_fine() && missed.known_miss("planned").is_fine());
        let met = Row::at_most("back", 1.0, 2.0, "s").known_miss("planned");
        assert!(!met.is_fine());
        assert!(!Row::at_least("share", f64::NAN, 0.0, "").met);
    }
}
