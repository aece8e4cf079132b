//! Reads single values. Each error says what is allowed.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;

use crate::cli::value::{parse_duration, show};
use crate::scenario::read::{ReadResult, Reader};
use crate::scenario::source::ScenarioError;
use crate::scenario::types::{Number, Text, Whole};

impl Reader<'_> {
    /// Rejects keys that a table of this kind does not use.
    pub(crate) fn reject_unused(
        &self,
        used: &[&str],
        table: &str,
        kind: &Text,
        given: &[(&str, Option<Range<usize>>)],
    ) -> ReadResult<()> {
        for (key, at) in given {
            if let Some(at) = at.as_ref().filter(|_| !used.contains(key)) {
                let kind = kind.as_ref().as_str();
                let keys = match used {
                    [] => "which has no keys of its own".into(),
                    used => format!("whose keys are {}", used.join(", ")),
                };
                let what = format!("{table}.{key} is not allowed with {kind}, {keys}");
                return Err(self.source.error_at(at, what));
            }
        }
        Ok(())
    }

    pub(crate) fn missing<T>(&self, table: &Spanned<T>, key: &str) -> ScenarioError {
        self.source.error_at(&table.span(), format!("{key} is missing"))
    }

    pub(crate) fn number(&self, key: &str, given: &Number, range: RangeInclusive<f64>) -> ReadResult<f64> {
        let value = given.as_ref().0;
        // NaN is in no range.
        if range.contains(&value) {
            return Ok(value);
        }
        Err(self.source.invalid(key, given, format!("a number from {} to {}", range.start(), range.end())))
    }

    pub(crate) fn required_number<T>(
        &self,
        table: &Spanned<T>,
        key: &str,
        given: &Option<Number>,
        range: RangeInclusive<f64>,
    ) -> ReadResult<f64> {
        given.as_ref().map_or_else(|| Err(self.missing(table, key)), |given| self.number(key, given, range))
    }

    pub(crate) fn whole(&self, key: &str, given: &Whole, range: RangeInclusive<u32>) -> ReadResult<u32> {
        let value = u32::try_from(given.as_ref().0).ok().filter(|value| range.contains(value));
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        value.ok_or_else(|| self.source.invalid(key, given, expected()))
    }

    pub(crate) fn optional_whole(
        &self,
        key: &str,
        given: &Option<Whole>,
        range: RangeInclusive<u32>,
    ) -> ReadResult<Option<u32>> {
        given.as_ref().map(|given| self.whole(key, given, range)).transpose()
    }

    pub(crate) fn time(
        &self,
        key: &str,
        given: &Text,
        range: RangeInclusive<Duration>,
    ) -> ReadResult<Duration> {
        parse_duration(given.as_ref().as_str()).filter(|time| range.contains(time)).ok_or_else(|| {
            let (low, high) = (show(*range.start()), show(*range.end()));
            let expected = format!("a time from {low} to {high} with a unit (us, ms or s), such as \"20ms\"");
            self.source.invalid(key, given, expected)
        })
    }

    /// Reads a time, which is zero if the key is missing.
    pub(crate) fn time_or_zero(
        &self,
        key: &str,
        given: &Option<Text>,
        range: RangeInclusive<Duration>,
    ) -> ReadResult<Duration> {
        given.as_ref().map_or(Ok(Duration::ZERO), |given| self.time(key, given, range))
    }

    pub(crate) fn required_time<T>(
        &self,
        table: &Spanned<T>,
        key: &str,
        given: &Option<Text>,
        range: RangeInclusive<Duration>,
    ) -> ReadResult<Duration> {
        given.as_ref().map_or_else(|| Err(self.missing(table, key)), |given| self.time(key, given, range))
    }
}

/// Returns the place of a value, if the key is present.
pub(crate) fn span<T>(given: &Option<Spanned<T>>) -> Option<Range<usize>> {
    given.as_ref().map(Spanned::span)
}
