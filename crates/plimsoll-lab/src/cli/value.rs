//! Parses the values of flags. Each error says what is allowed.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::UsageError;

/// Parses a finite number within `range`.
pub(crate) fn number(
    flag: &'static str,
    given: &str,
    range: RangeInclusive<f64>,
    unit: &str,
) -> Result<f64, UsageError> {
    let value = given.trim().parse::<f64>().ok();
    // NaN is in no range.
    value.filter(|v| range.contains(v)).ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        let allowed = format!("allowed is a number of {unit} from {low} to {high}");
        UsageError::new(flag, given, allowed)
    })
}

/// Parses a whole number.
pub(crate) fn whole(flag: &'static str, given: &str) -> Result<u64, UsageError> {
    given.trim().parse().map_err(|_| {
        let allowed = format!("allowed is a whole number from 0 to {}", u64::MAX);
        UsageError::new(flag, given, allowed)
    })
}

/// Parses a time with a unit, within `range`: `500us`, `20ms`, `1.5s`.
pub(crate) fn duration(
    flag: &'static str,
    given: &str,
    range: RangeInclusive<Duration>,
) -> Result<Duration, UsageError> {
    parse_duration(given).filter(|time| range.contains(time)).ok_or_else(|| {
        let (low, high) = (show(*range.start()), show(*range.end()));
        let allowed =
            format!("allowed is a time from {low} to {high} with a unit (us, ms or s), such as 20ms");
        UsageError::new(flag, given, allowed)
    })
}

/// Parses a time with a unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
    let micros = match unit.trim_start() {
        "us" | "µs" => number,
        "ms" => number * 1e3,
        "s" => number * 1e6,
        _ => return None,
    };
    // Rounded to whole nanoseconds, so that 20ms is exactly twenty milliseconds.
    let nanos = (micros * 1e3).round();
    (nanos < 1e18).then(|| Duration::from_nanos(nanos as u64))
}

/// Parses loads separated by commas, each above 0 and at most 100.
pub(crate) fn loads(flag: &'static str, given: &str) -> Result<Vec<f64>, UsageError> {
    let each = given.split(',').map(|part| {
        let value = part.trim().parse::<f64>().ok();
        value.filter(|load| *load > 0.0 && *load <= 100.0)
    });
    let loads: Option<Vec<f64>> = each.collect();
    loads.filter(|loads| loads.len() <= MAX_LOADS).ok_or_else(|| {
        let allowed = format!(
            "allowed are 1 to {MAX_LOADS} numbers above 0 and at most 100, \
                 separated by commas, such as 0.5,1,4"
        );
        UsageError::new(flag, given, allowed)
    })
}

/// More loads would take minutes and fill pages.
const MAX_LOADS: usize = 32;

/// Formats a time the way a user would type it.
pub(crate) fn show(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros >= 1e6 {
        format!("{}s", round(micros / 1e6))
    } else if micros >= 1e3 {
        format!("{}ms", round(micros / 1e3))
    } else {
        format!("{}us", round(micros))
    }
}

/// Rounds to three digits after the decimal point.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit() {
        let read = |text| parse_duration(text).map(|time| time.as_nanos());
        assert_eq!(read("20ms"), Some(20_000_000));
        assert_eq!(read("1.5s"), Some(1_500_000_000));
        assert_eq!(read("500us"), Some(500_000));
        assert_eq!(read("500µs"), Some(500_000));
        assert_eq!(read(" 20 ms "), Some(20_000_000));
        for wrong in ["20", "", "ms", "-1ms", "1.2.3s", "2m", "nans", "1e3ms", "infs"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let high = "9".repeat(400) + "s";
        assert_eq!(read(&high), None);
    }

    #[test]
    fn numbers_must_be_finite_and_in_range() {
        let read = |text| number("--capacity", text, 1.0..=10.0, "requests").ok();
        assert_eq!(read("2.5"), Some(2.5));
        for wrong in ["0", "nan", "inf", "-1", "11", "", "x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn loads_are_a_list_without_gaps() {
        let read = |text| loads("--loads", text).ok();
        assert_eq!(read("0.5, 1,100"), Some(vec![0.5, 1.0, 100.0]));
        for wrong in ["", "abc", "1,,2", "0", "-1", "101", "nan", "1;2", "1,"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(read(&vec!["1"; 33].join(",")).is_none());
    }

    #[test]
    fn times_are_formatted_as_they_are_typed() {
        assert_eq!(show(Duration::from_micros(1_500)), "1.5ms");
        assert_eq!(show(Duration::from_secs(60)), "60s");
        assert_eq!(show(Duration::from_micros(100)), "100us");
    }
}
