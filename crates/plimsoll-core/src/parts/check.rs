//! Checks of settings. The range in a message is the range that was checked.

use crate::{ConfigError, ControlError};
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Checks that the name of a guard is not empty: rejections and metrics carry it.
///
/// # Errors
/// Returns an error for `name` if it is empty.
pub fn name(name: &str) -> Result<(), ConfigError> {
    match name.is_empty() {
        true => Err(ConfigError::new("name", "\"\"", "at least one character")),
        false => Ok(()),
    }
}

/// Checks that `value`, a number or a duration, is in `range`.
///
/// # Errors
/// Returns an error that names `field`, the value and the range.
pub fn within<T: PartialOrd + Debug>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let allowed = format!("{:?} to {:?}", range.start(), range.end());
    Err(ConfigError::new(field, format_args!("{value:?}"), allowed))
}

/// Checks that `value` is a share, 0.0 to 1.0.
///
/// # Errors
/// Returns an error that names `field`, the value and the range.
pub fn share(field: &'static str, value: f64) -> Result<(), ConfigError> {
    within(field, value, 0.0..=1.0)
}

/// Checks that `value` is longer than zero.
///
/// # Errors
/// Returns an error that names `field`.
pub fn above_zero(field: &'static str, value: Duration) -> Result<(), ConfigError> {
    match value.is_zero() {
        true => Err(ConfigError::new(field, "0ns", "above 0")),
        false => Ok(()),
    }
}

/// Checks the limits of a queue: its length and the longest wait in it.
///
/// # Errors
/// Returns an error if `queue` is above 2³¹ − 1, or if `max_wait` is zero while requests may wait.
pub fn queue(queue: u32, max_wait: Duration) -> Result<(), ConfigError> {
    within("queue", queue, 0..=i32::MAX as u32)?;
    if queue > 0 && max_wait.is_zero() {
        return Err(ConfigError::new("max_wait", "0ns", "above 0 where requests may wait (queue > 0)"));
    }
    Ok(())
}

/// Converts the value of a setting into a whole number.
///
/// # Errors
/// Returns an error if it is not whole, or not in the range of `T`.
pub fn whole<T: TryFrom<u64>>(setting: &'static str, value: f64) -> Result<T, ControlError> {
    let largest = u64::MAX >> (64 - 8 * size_of::<T>().min(8));
    let whole = value.fract() == 0.0 && (0.0..=largest as f64).contains(&value);
    // The cast saturates: 2⁶⁴ becomes 2⁶⁴ − 1.
    let number = if whole { T::try_from(value as u64).ok() } else { None };
    let allowed = || format!("a whole number from 0 to {largest}");
    number.ok_or_else(|| ControlError::new(setting, value, allowed()))
}

/// Converts the value of a setting, in seconds, into a duration.
///
/// # Errors
/// Returns an error if it is negative, not a number, or 2⁶⁴ s and more.
pub fn seconds(setting: &'static str, value: f64) -> Result<Duration, ControlError> {
    let allowed = "a number of seconds, at least 0 and below 2⁶⁴";
    Duration::try_from_secs_f64(value).map_err(|_| ControlError::new(setting, value, allowed))
}

/// Converts the value of a setting into a flag.
///
/// # Errors
/// Returns an error if it is neither 0 nor 1.
pub fn flag(setting: &'static str, value: f64) -> Result<bool, ControlError> {
    match value {
        0.0 => Ok(false),
        1.0 => Ok(true),
        _ => Err(ControlError::new(setting, value, "0 or 1")),
    }
}
