//! SignalReading single values; each refusal says what would have been accepted.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;

use crate::cli::value::{parse_duration, show};
use crate::scenario::raw::{Number, Text, Whole};
use crate::scenario::read::{Read, Reader};
use crate::scenario::source::Misread;

impl Reader<'_> {
    /// Refuses keys that the table's kind has no use for.
    pub(crate) fn only(
        &self,
        used: &[&str],
        table: &str,
        kind: &Text,
        given: &[(&str, Option<Range<usize>>)],
    ) -> Read<()> {
        for (key, at) in given {
            if let Some(at) = at.as_ref().filter(|_| !used.contains(key)) {
                let used = if used.is_empty() { "none".into() } else { used.join(", ") };
                let what = format!("{table}.{key} is not allowed with {}: allowed are {used}", kind.as_ref());
                return Err(self.from.misread(at, what));
            }
        }
        Ok(())
    }

    pub(crate) fn missing<T>(&self, table: &Spanned<T>, key: &str) -> Misread {
        self.from.misread(&table.span(), format!("{key} is missing"))
    }

    pub(crate) fn number(&self, key: &str, given: &Number, range: RangeInclusive<f64>) -> Read<f64> {
        let value = *given.as_ref();
        // NaN is in no range.
        if range.contains(&value) {
            return Ok(value);
        }
        Err(self.from.refuse(key, given, format!("a number from {} to {}", range.start(), range.end())))
    }

    pub(crate) fn needed_number<T>(
        &self,
        table: &Spanned<T>,
        key: &str,
        given: &Option<Number>,
        range: RangeInclusive<f64>,
    ) -> Read<f64> {
        given.as_ref().map_or_else(|| Err(self.missing(table, key)), |given| self.number(key, given, range))
    }

    pub(crate) fn whole(&self, key: &str, given: &Whole, range: RangeInclusive<u32>) -> Read<u32> {
        let value = u32::try_from(*given.as_ref()).ok().filter(|value| range.contains(value));
        let must = || format!("a whole number from {} to {}", range.start(), range.end());
        value.ok_or_else(|| self.from.refuse(key, given, must()))
    }

    pub(crate) fn whole_or(
        &self,
        key: &str,
        given: &Option<Whole>,
        range: RangeInclusive<u32>,
    ) -> Read<Option<u32>> {
        given.as_ref().map(|given| self.whole(key, given, range)).transpose()
    }

    pub(crate) fn time(&self, key: &str, given: &Text, range: RangeInclusive<Duration>) -> Read<Duration> {
        parse_duration(given.as_ref()).filter(|time| range.contains(time)).ok_or_else(|| {
            let (low, high) = (show(*range.start()), show(*range.end()));
            let must = format!("a time from {low} to {high} with its unit (us, ms or s), such as \"20ms\"");
            self.from.refuse(key, given, must)
        })
    }

    /// Zero where it is not given.
    pub(crate) fn time_or(
        &self,
        key: &str,
        given: &Option<Text>,
        range: RangeInclusive<Duration>,
    ) -> Read<Duration> {
        given.as_ref().map_or(Ok(Duration::ZERO), |given| self.time(key, given, range))
    }

    pub(crate) fn needed_time<T>(
        &self,
        table: &Spanned<T>,
        key: &str,
        given: &Option<Text>,
        range: RangeInclusive<Duration>,
    ) -> Read<Duration> {
        given.as_ref().map_or_else(|| Err(self.missing(table, key)), |given| self.time(key, given, range))
    }
}

/// Where a value stands, if it is given.
pub(crate) fn span<T>(given: &Option<Spanned<T>>) -> Option<Range<usize>> {
    given.as_ref().map(Spanned::span)
}
