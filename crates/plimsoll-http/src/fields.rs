//! The `RateLimit` fields: draft-ietf-httpapi-ratelimit-headers-10, lists of structured fields (RFC 9651).

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

/// The largest integer of a structured field.
const MOST: u64 = 999_999_999_999_999;

/// What is said of one quota.
#[derive(Clone, Copy)]
struct Said {
    name: &'static str,
    quota: u64,
    /// Seconds.
    window: Option<u64>,
    /// Of a refusal that has nothing to do with what is left: not known.
    left: Option<Left>,
}

#[derive(Clone, Copy)]
struct Left {
    remaining: u64,
    /// Seconds.
    reset: Option<u64>,
}

impl Said {
    /// Windows are told in whole seconds, rounded up. One that is shorter is told as a second, with what one brings.
    fn new(name: &'static str, limit: u64, window: Option<Duration>, left: Option<Left>) -> Self {
        const SECOND: u128 = 1_000_000_000;
        // Units come back after whole nanoseconds, rounded up: 300 a second take 1.0000002 s, and are not 300 in two.
        let meant = window.map(|window| {
            let nanos = window.as_nanos();
            nanos - u128::from(limit).min(nanos / 10_000)
        });
        let quota = match meant {
            Some(short) if 0 < short && short < SECOND => {
                let brings = u64::try_from(u128::from(limit) * SECOND / short).unwrap_or(MOST);
                brings.max(limit)
            }
            _ => limit,
        };
        let window = meant.map(|nanos| u64::try_from(nanos.div_ceil(SECOND)).unwrap_or(MOST).clamp(1, MOST));
        Said { name, quota: quota.min(MOST), window, left }
    }

    fn admitted(allowance: Allowance) -> Self {
        let Allowance { name, limit, window, remaining, reset } = allowance;
        let left = Left { remaining, reset: Some(up(reset)) };
        Said::new(name, limit, Some(window), Some(left))
    }

    /// `None` if the refusal is not by a quota.
    fn rejected(no: &Rejected) -> Option<Self> {
        let limit = no.limit()?;
        let left = match no.reason() {
            Reason::Limited => {
                let remaining = limit.saturating_sub(no.observed().unwrap_or(limit));
                Some(Left { remaining, reset: no.retry_after().map(retry_after_seconds) })
            }
            Reason::TooLarge => None,
            _ => return None,
        };
        Some(Said::new(no.by(), limit, no.window(), left))
    }

    fn legacy(&self, headers: &mut HeaderMap) {
        let Some(Left { remaining, reset }) = self.left else { return };
        // An inner layer is closer to what it speaks of.
        if headers.contains_key(LEGACY_LIMIT) {
            return;
        }
        headers.insert(LEGACY_LIMIT, self.quota.into());
        headers.insert(LEGACY_REMAINING, remaining.into());
        if let Some(reset) = reset {
            headers.insert(LEGACY_RESET, reset.into());
        }
    }
}

/// Whole seconds, rounded up; 0 is 0.
fn up(time: Duration) -> u64 {
    if time.is_zero() { 0 } else { retry_after_seconds(time) }
}

/// Says of an admitted call what `tell` tells. Nothing told costs nothing.
pub(crate) fn admitted(
    headers: &mut HeaderMap,
    answers: &HttpOptions,
    tell: impl FnOnce(&mut dyn FnMut(Allowance)),
) {
    let (mut lines, mut least): (_, Option<Allowance>) = (Lines::default(), None);
    tell(&mut |allowance| {
        if answers.fields {
            lines.add(headers, &Said::admitted(allowance));
        }
        if least.is_none_or(|least| allowance.remaining < least.remaining) {
            least = Some(allowance);
        }
    });
    lines.append_to(headers);
    if let (true, Some(allowance)) = (answers.legacy, least) {
        Said::admitted(allowance).legacy(headers);
    }
}

/// Says what a refusal says of the quota behind it.
pub(crate) fn rejected(headers: &mut HeaderMap, answers: &HttpOptions, no: &Rejected) {
    let Some(said) = Said::rejected(no) else { return };
    if answers.fields {
        let mut lines = Lines::default();
        lines.add(headers, &said);
        lines.append_to(headers);
    }
    if answers.legacy {
        said.legacy(headers);
    }
}

/// One line of each field. A list may be spread over lines: what an inner layer wrote stays as it is.
#[derive(Default)]
struct Lines {
    policy: String,
    limit: String,
}

impl Lines {
    /// Each policy once: also if the same guard stands further in.
    fn add(&mut self, headers: &HeaderMap, said: &Said) {
        let name = quoted(said.name);
        let before = headers.get_all(POLICY).iter().map(HeaderValue::as_bytes);
        if before.chain([self.policy.as_bytes()]).any(|line| names(line, name.as_bytes())) {
            return;
        }
        // Writing to a string does not fail.
        let _ = write!(self.policy, "{}{name};q={}", comma(&self.policy), said.quota);
        if let Some(window) = said.window {
            let _ = write!(self.policy, ";w={window}");
        }
        let Some(Left { remaining, reset }) = said.left else { return };
        let _ = write!(self.limit, "{}{name};r={}", comma(&self.limit), remaining.min(MOST));
        if let Some(reset) = reset {
            let _ = write!(self.limit, ";t={}", reset.min(MOST));
        }
    }

    fn append_to(self, headers: &mut HeaderMap) {
        for (name, line) in [(POLICY, self.policy), (LIMIT, self.limit)] {
            // Of what `quoted` lets through every value is one.
            if let (false, Ok(value)) = (line.is_empty(), HeaderValue::try_from(line)) {
                headers.append(name, value);
            }
        }
    }
}

fn comma(line: &str) -> &'static str {
    if line.is_empty() { "" } else { ", " }
}

/// A name as a string of a structured field: printable ASCII, anything else as `?`.
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

/// Whether a line has a member that begins with this quoted name.
fn names(line: &[u8], name: &[u8]) -> bool {
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

/// Behind the closing quote of the string that `line` begins with.
fn end_of_string(line: &[u8]) -> usize {
    let mut escaped = false;
    let close = line.iter().skip(1).position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    close.map_or(line.len(), |at| at + 2)
}
