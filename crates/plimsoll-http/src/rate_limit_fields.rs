//! The `RateLimit` and `RateLimit-Policy` fields of draft-ietf-httpapi-ratelimit-headers-10.
//!
//! Both are lists of structured fields (RFC 9651): items with parameters, separated by commas.

use crate::{HttpOptions, retry_after_seconds};
use http::{HeaderMap, HeaderName, HeaderValue};
use plimsoll_core::{Allowance, Reason, Rejected};
use std::fmt::Write;
use std::time::Duration;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The largest integer that a structured field can hold.
const MAX_INTEGER: u64 = 999_999_999_999_999;

/// One quota: an item of `RateLimit-Policy` and, if it is known what remains, of `RateLimit`.
#[derive(Clone, Copy)]
struct PolicyItem {
    name: &'static str,
    quota: u64,
    /// In seconds.
    window: Option<u64>,
    /// `None` for a rejection that does not depend on what remains.
    remaining: Option<Remaining>,
}

#[derive(Clone, Copy)]
struct Remaining {
    units: u64,
    /// The time until another unit is replenished, in seconds.
    next: Option<u64>,
    /// The time until all units are replenished, in seconds.
    reset: Option<u64>,
}

impl PolicyItem {
    /// Creates an item. The window is rounded up to whole seconds. A window below a second becomes
    /// one second, with the number of units that are replenished in it.
    fn new(name: &'static str, limit: u64, window: Option<Duration>, remaining: Option<Remaining>) -> Self {
        const SECOND: u128 = 1_000_000_000;
        // Intervals are whole nanoseconds, rounded up: 300 units a second take 1.0000002 s. Without
        // this correction they would be reported as 300 units in 2 s.
        let nominal = window.map(|window| {
            let nanos = window.as_nanos();
            nanos - u128::from(limit).min(nanos / 10_000)
        });
        let quota = match nominal {
            Some(short) if 0 < short && short < SECOND => {
                let per_second = u64::try_from(u128::from(limit) * SECOND / short).unwrap_or(MAX_INTEGER);
                per_second.max(limit)
            }
            _ => limit,
        };
        let window = nominal
            .map(|nanos| u64::try_from(nanos.div_ceil(SECOND)).unwrap_or(MAX_INTEGER).clamp(1, MAX_INTEGER));
        PolicyItem { name, quota: quota.min(MAX_INTEGER), window, remaining }
    }

    /// Creates an item for an admitted request.
    fn admitted(allowance: Allowance) -> Self {
        let Allowance { name, limit, window, remaining, reset, .. } = allowance;
        let next = Some(allowance.next_unit()).filter(|next| !next.is_zero()).map(retry_after_seconds);
        let remaining = Remaining { units: remaining, next, reset: Some(whole_seconds(reset)) };
        PolicyItem::new(name, limit, Some(window), Some(remaining))
    }

    /// Creates an item for a rejection by a quota, or returns `None` for any other.
    ///
    /// A rate that several callers share is not reported: this caller may be innocent of its use.
    /// A request that is too large reports the limit only with `shared`, because the limit may be
    /// that of all callers.
    fn rejected(rejected: &Rejected, shared: bool) -> Option<Self> {
        let limit = rejected.limit()?;
        let remaining = match rejected.reason() {
            Reason::Limited => {
                let units = limit.saturating_sub(rejected.observed().unwrap_or(limit));
                let reset = rejected.retry_after();
                let window = rejected.window().unwrap_or_default();
                let allowance = |reset| Allowance::new(rejected.by(), limit, window).remaining(units, reset);
                let next = reset.map(|reset| retry_after_seconds(allowance(reset).next_unit()));
                Some(Remaining { units, next, reset: reset.map(retry_after_seconds) })
            }
            Reason::TooLarge if shared => None,
            _ => return None,
        };
        Some(PolicyItem::new(rejected.by(), limit, rejected.window(), remaining))
    }

    fn write_legacy(&self, headers: &mut HeaderMap) {
        let Some(Remaining { units, reset, .. }) = self.remaining else { return };
        // An inner layer has written them. Its quota is the closer one.
        if headers.contains_key(LEGACY_LIMIT) {
            return;
        }
        headers.insert(LEGACY_LIMIT, self.quota.into());
        headers.insert(LEGACY_REMAINING, units.into());
        if let Some(reset) = reset {
            headers.insert(LEGACY_RESET, reset.into());
        }
    }
}

/// Returns whole seconds, rounded up. Zero stays 0.
fn whole_seconds(time: Duration) -> u64 {
    if time.is_zero() { 0 } else { retry_after_seconds(time) }
}

/// Writes the quotas that `allowances` reports for an admitted request: those of its own account,
/// and with [`HttpOptions::shared_quotas`] all of them.
///
/// A guard that reports none pays nothing: no allocation, no write.
pub(crate) fn write_admitted(
    headers: &mut HeaderMap,
    options: &HttpOptions,
    allowances: impl FnOnce(&mut dyn FnMut(Allowance)),
) {
    let mut lines = FieldLines::default();
    let mut least: Option<Allowance> = None;
    allowances(&mut |allowance| {
        if allowance.shared && !options.shared_quotas {
            return;
        }
        if options.rate_limit_fields {
            lines.add(headers, &PolicyItem::admitted(allowance));
        }
        if least.is_none_or(|least| allowance.remaining < least.remaining) {
            least = Some(allowance);
        }
    });
    lines.append_to(headers);
    if let (true, Some(allowance)) = (options.legacy_fields, least) {
        PolicyItem::admitted(allowance).write_legacy(headers);
    }
}

/// Writes the quota that rejected a request, if it is the caller's own.
pub(crate) fn write_rejected(headers: &mut HeaderMap, options: &HttpOptions, rejected: &Rejected) {
    let Some(item) = PolicyItem::rejected(rejected, options.shared_quotas) else { return };
    if options.rate_limit_fields {
        let mut lines = FieldLines::default();
        lines.add(headers, &item);
        lines.append_to(headers);
    }
    if options.legacy_fields {
        item.write_legacy(headers);
    }
}

/// One line of each field.
///
/// A list may be spread over several lines, so lines that an inner layer has written stay as they
/// are.
#[derive(Default)]
struct FieldLines {
    policy: String,
    limit: String,
}

impl FieldLines {
    /// Adds an item, unless this or an inner layer has written one of the same name.
    fn add(&mut self, headers: &HeaderMap, item: &PolicyItem) {
        let name = quoted(item.name);
        let written = headers.get_all(POLICY).iter().map(HeaderValue::as_bytes);
        if written.chain([self.policy.as_bytes()]).any(|line| has_item(line, name.as_bytes())) {
            return;
        }
        // Writing to a `String` cannot fail.
        let _ = write!(self.policy, "{}{name};q={}", comma(&self.policy), item.quota);
        if let Some(window) = item.window {
            let _ = write!(self.policy, ";w={window}");
        }
        let Some(Remaining { units, next, .. }) = item.remaining else { return };
        let _ = write!(self.limit, "{}{name};r={}", comma(&self.limit), units.min(MAX_INTEGER));
        if let Some(next) = next {
            let _ = write!(self.limit, ";t={}", next.min(MAX_INTEGER));
        }
    }

    fn append_to(self, headers: &mut HeaderMap) {
        for (name, line) in [(POLICY, self.policy), (LIMIT, self.limit)] {
            // `quoted` keeps printable ASCII only, so the value is always valid.
            if let (false, Ok(value)) = (line.is_empty(), HeaderValue::try_from(line)) {
                headers.append(name, value);
            }
        }
    }
}

fn comma(line: &str) -> &'static str {
    if line.is_empty() { "" } else { ", " }
}

/// Returns a name as a string of a structured field. All but printable ASCII becomes `?`.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for char in name.chars() {
        match char {
            '"' | '\\' => text.extend(['\\', char]),
            ' '..='~' => text.push(char),
            _ => text.push('?'),
        }
    }
    text.push('"');
    text
}

/// Returns whether `line` has an item with this quoted name.
fn has_item(line: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut at_start) = (line, true);
    while let Some((&byte, next)) = rest.split_first() {
        match byte {
            b' ' | b'\t' => rest = next,
            b',' => (rest, at_start) = (next, true),
            b'"' => {
                let end = end_of_string(rest);
                let (string, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                if at_start && string == name {
                    return true;
                }
                (rest, at_start) = (after, false);
            }
            _ => (rest, at_start) = (next, false),
        }
    }
    false
}

/// Returns the index behind the closing quote of the string that `line` begins with.
fn end_of_string(line: &[u8]) -> usize {
    let mut escaped = false;
    let close = line.iter().skip(1).position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    close.map_or(line.len(), |at| at + 2)
}
