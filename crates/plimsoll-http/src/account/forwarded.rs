//! The client's address in `X-Forwarded-For` and `Forwarded`, parsed from the right.
//!
//! Each proxy appends the address it was called from. So the entry of the last trusted proxy stands
//! at the right end. The entries left of the trusted ones may be inventions of the client. They are
//! never parsed: not even an unclosed quote in them changes the result.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the `n`-th member from the right of a list that is spread over header lines.
///
/// `lines` start with the last line. An empty member counts: a trusted proxy has written it, and
/// skipping it would trust the member that the client wrote next to it.
pub(crate) fn nth_from_right<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    mut n: usize,
    quoted: bool,
) -> Option<&'a [u8]> {
    for mut line in lines {
        loop {
            let comma = rfind_unquoted(line, b',', quoted);
            let member = comma.map_or(line, |at| line.get(at + 1..).unwrap_or_default());
            n = n.checked_sub(1)?;
            if n == 0 {
                return Some(member);
            }
            match comma.and_then(|at| line.get(..at)) {
                Some(rest) => line = rest,
                None => break,
            }
        }
    }
    None
}

/// Returns the index of the last `byte` in `line`. If `quoted`, bytes in quoted strings do not
/// count.
fn rfind_unquoted(line: &[u8], byte: u8, quoted: bool) -> Option<usize> {
    let (mut inside, mut end) = (false, line.len());
    while let Some((&last, rest)) = line.get(..end).and_then(<[u8]>::split_last) {
        end -= 1;
        match last {
            b'"' if quoted && !(inside && is_escaped(rest)) => inside = !inside,
            last if last == byte && !inside => return Some(end),
            _ => {}
        }
    }
    None
}

/// Returns whether `before` ends with an odd number of backslashes, which escapes the next byte.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Parses a member of `X-Forwarded-For`: an address alone, with a port, or in brackets.
pub(crate) fn parse_x_forwarded_for(member: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(member).ok()?.trim_matches([' ', '\t']);
    if let Some(bracketed) = text.strip_prefix('[') {
        let (inner, rest) = bracketed.split_once(']')?;
        let whole = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return if whole { inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6) } else { None };
    }
    match text.split_once(':') {
        // A single colon separates a port. Several are part of an IPv6 address.
        Some((host, port)) if !port.contains(':') => {
            if is_port(port) {
                host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
            } else {
                None
            }
        }
        _ => text.parse().ok(),
    }
}

/// Returns whether `text` is a port: a number, or an obfuscated name (RFC 7239, section 6.3).
fn is_port(text: &str) -> bool {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match text.strip_prefix('_') {
        Some(hidden) => !hidden.is_empty() && hidden.bytes().all(is_name),
        None => text.parse::<u16>().is_ok() && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Parses the `for=` parameter of a member of `Forwarded` (RFC 7239).
///
/// Returns `None` for `unknown`, for obfuscated names, and if the parameter occurs twice.
pub(crate) fn parse_forwarded(member: &[u8]) -> Option<IpAddr> {
    let (mut rest, mut found) = (member, None);
    loop {
        let at = rfind_unquoted(rest, b';', true);
        let pair = at.map_or(rest, |at| rest.get(at + 1..).unwrap_or_default());
        if let Some(value) = parameter(pair, b"for") {
            if found.is_some() {
                return None;
            }
            found = Some(value);
        }
        match at.and_then(|at| rest.get(..at)) {
            Some(left) => rest = left,
            None => break,
        }
    }
    let value = found?;
    let Some(quoted) = value.strip_prefix(b"\"") else { return parse_x_forwarded_for(value) };
    let quoted = quoted.strip_suffix(b"\"")?;
    if !quoted.contains(&b'\\') {
        return parse_x_forwarded_for(quoted);
    }
    // An address needs no escapes, but RFC 7239 allows them.
    let (mut plain, mut bytes) = (Vec::with_capacity(quoted.len()), quoted.iter());
    while let Some(&byte) = bytes.next() {
        plain.push(if byte == b'\\' { *bytes.next()? } else { byte });
    }
    parse_x_forwarded_for(&plain)
}

/// Returns the value in `pair` if its key is `name`.
fn parameter<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let pair = pair.trim_ascii();
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (key, value) = pair.split_at_checked(equals)?;
    key.eq_ignore_ascii_case(name).then(|| value.strip_prefix(b"=")).flatten()
}
