//! Axes: the position of values on the paper, and of the marks.

/// How values are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Linear,
    Log,
}

/// One axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) label: String,
    kind: Kind,
    low: f64,
    high: f64,
    /// The marks, with their labels.
    pub(crate) marks: Vec<(f64, String)>,
}

impl Axis {
    /// Creates an axis from 0 to at least `high`, in even steps of a round number.
    pub(crate) fn even(label: &str, high: f64, steps: f64) -> Self {
        let raw = high.max(f64::MIN_POSITIVE) / steps;
        let power = 10_f64.powf(raw.log10().floor());
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= raw * 0.999);
        let step = step.unwrap_or(raw);
        let count = (high / step - 1e-9).ceil().max(1.0);
        let marks = (0..=count as u32).map(|n| f64::from(n) * step).map(|at| (at, plain(at))).collect();
        Axis { label: label.into(), kind: Kind::Linear, low: 0.0, high: count * step, marks }
    }

    /// Creates an axis of whole decades around `low` and `high`, both above 0.
    pub(crate) fn decades(label: &str, low: f64, high: f64) -> Self {
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let last = last.max(first + 1);
        let marks = (first..=last).map(|n| 10_f64.powi(n)).map(|at| (at, plain(at))).collect();
        Axis { label: label.into(), kind: Kind::Log, low: 10_f64.powi(first), high: 10_f64.powi(last), marks }
    }

    /// Creates an axis from `low` to `high`, with marks at 1, 2 and 5 in each decade.
    pub(crate) fn thirds(label: &str, low: f64, high: f64) -> Self {
        let mut axis = Self::decades(label, low, high);
        // With a wider range the labels would touch.
        if high / low > 400.0 {
            return axis;
        }
        let each = axis.marks.iter().flat_map(|(at, _)| [*at, 2.0 * at, 5.0 * at]).collect::<Vec<f64>>();
        axis.low = each.iter().copied().filter(|at| *at <= low * 1.0001).fold(axis.low, f64::max);
        axis.high = each.iter().copied().filter(|at| *at >= high * 0.9999).fold(axis.high, f64::min);
        let shown = each.into_iter().filter(|at| (axis.low * 0.999..=axis.high * 1.001).contains(at));
        axis.marks = shown.map(|at| (at, plain(at))).collect();
        axis
    }

    /// Creates an axis of exactly these values. A value has a mark if there is space for its label.
    pub(crate) fn values(label: &str, kind: Kind, values: &[f64], name: impl Fn(f64) -> String) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut axis = Axis { label: label.into(), kind, low, high, marks: Vec::new() };
        let mut last = f64::NEG_INFINITY;
        for value in values {
            let at = axis.place(*value);
            // A label is about a tenth of the axis wide.
            if at - last >= 0.095 {
                axis.marks.push((*value, name(*value)));
                last = at;
            }
        }
        axis
    }

    /// Returns the position of `value`: 0 at the beginning, 1 at the end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let of = |value: f64| match self.kind {
            Kind::Linear => value,
            Kind::Log => value.max(f64::MIN_POSITIVE).ln(),
        };
        let (low, high) = (of(self.low), of(self.high));
        if high > low { (of(value) - low) / (high - low) } else { 0.5 }
    }
}

/// Formats the number of a mark without superfluous digits.
fn plain(value: f64) -> String {
    let round = (value * 1e6).round() / 1e6;
    if round.abs() >= 10_000.0 { format!("{}k", (round / 100.0).round() / 10.0) } else { format!("{round}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn marks_are_round_numbers_covering_the_values() {
        assert_eq!(labels(&Axis::even("", 1_609.0, 4.0)), ["0", "500", "1000", "1500", "2000"]);
        assert_eq!(labels(&Axis::even("", 20.0, 5.0)), ["0", "5", "10", "15", "20"]);
        assert_eq!(labels(&Axis::decades("", 0.02, 3.0)), ["0.01", "0.1", "1", "10"]);
        assert_eq!(labels(&Axis::thirds("", 6.0, 190.0)), ["5", "10", "20", "50", "100", "200"]);
        let loads = Axis::values("", Kind::Log, &[1.0, 1.1, 10.0], |x| format!("{x}×"));
        assert_eq!(labels(&loads), ["1×", "10×"]);
        assert!((loads.place(10.0) - 1.0).abs() < 1e-12 && loads.place(1.0) == 0.0);
        let one = Axis::values("", Kind::Log, &[4.0], |x| format!("{x}"));
        assert_eq!(one.place(4.0), 0.5);
    }
}
