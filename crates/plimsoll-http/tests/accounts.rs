//! Accounts, addresses, costs and priorities read off requests, including forged ones.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use http::{HeaderValue, Method, Request};
use plimsoll_core::{Gate, KeyedExt, Priority, RequestInfo};
use plimsoll_http::{ClientAddr, Header, PeerAddr, RequestAttributes, method, path, paths_except};
use plimsoll_limit::{KeyedRateLimiter, Quota};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

fn request_with(name: &'static str, lines: &[&[u8]]) -> Request<()> {
    let mut request = Request::new(());
    for line in lines {
        request.headers_mut().append(name, HeaderValue::from_bytes(line).unwrap());
    }
    request
}

fn xff(proxies: usize, lines: &[&str]) -> Option<IpAddr> {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    ClientAddr::behind(proxies).get(&request_with("x-forwarded-for", &lines))
}

fn forwarded(proxies: usize, lines: &[&str]) -> Option<IpAddr> {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    ClientAddr::behind(proxies).by_forwarded().get(&request_with("forwarded", &lines))
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn client_is_counted_from_the_right_over_all_lines() {
    let lines = ["6.6.6.6, 1.1.1.1", "2.2.2.2", "3.3.3.3 ,\t4.4.4.4"];
    for (n, address) in ["4.4.4.4", "3.3.3.3", "2.2.2.2", "1.1.1.1", "6.6.6.6"].into_iter().enumerate() {
        assert_eq!(xff(n + 1, &lines), ip(address));
    }
    assert_eq!(xff(6, &lines), None, "there are only five");
    assert_eq!(xff(1, &[]), None);
    assert_eq!(xff(usize::MAX, &lines), None);
}

#[test]
fn empty_member_is_missing_and_is_not_skipped() {
    assert_eq!(xff(1, &["6.6.6.6, "]), None);
    assert_eq!(xff(1, &["6.6.6.6", ""]), None);
    assert_eq!(xff(2, &["6.6.6.6,,1.1.1.1"]), None);
    assert_eq!(xff(1, &["6.6.6.6, garbage"]), None);
}

#[test]
fn no_proxy_uses_the_peer_and_ignores_headers() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let mut request = request_with("x-forwarded-for", &[b"6.6.6.6"]);
    assert_eq!(ClientAddr::peer().get(&request), None);
    request.extensions_mut().insert(at("10.0.0.7:4000"));
    assert_eq!(ClientAddr::peer().get(&request), ip("10.0.0.7"));
    assert_eq!(ClientAddr::behind(1).get(&request), ip("6.6.6.6"));
    request.extensions_mut().insert(PeerAddr(at("[::ffff:10.0.0.8]:4000")));
    assert_eq!(ClientAddr::behind(0).get(&request), ip("10.0.0.8"), "PeerAddr comes first");
}

#[cfg(feature = "axum")]
#[test]
fn connect_info_is_the_peer() {
    let mut request = Request::new(());
    let peer: SocketAddr = "10.0.0.9:4000".parse().unwrap();
    request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
    assert_eq!(ClientAddr::peer().get(&request), ip("10.0.0.9"));
}

#[test]
fn ports_brackets_and_ipv4_mapping_are_removed() {
    for (text, address) in [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:80", "203.0.113.9"),
        ("203.0.113.9:_hidden", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::"),
        ("[2001:db8:1:2:3:4:5:6]:65535", "2001:db8:1:2::"),
    ] {
        assert_eq!(xff(1, &[text]), ip(address), "{text}");
    }
    for text in [
        "",
        " ",
        "unknown",
        "_hidden",
        "localhost",
        "203.0.113",
        "203.0.113.9:",
        "203.0.113.9:x",
        "203.0.113.9:99999",
        "203.0.113.9:+1",
        "203.0.113.9 6.6.6.6",
        "[203.0.113.9]",
        "[::1",
        "[::1]x",
        "[::1]:",
        "::1]",
        "fe80::1%eth0",
        "\"203.0.113.9\"",
        "0x7f.1",
        "2130706433",
        ":::",
        "é",
    ] {
        assert_eq!(xff(1, &["6.6.6.6", text]), None, "{text}");
    }
    let request = request_with("x-forwarded-for", &[b"2001:db8:1:2:3:4:5:6"]);
    let cut = |bits| ClientAddr::behind(1).ipv6_prefix(bits).get(&request);
    assert_eq!(cut(128), ip("2001:db8:1:2:3:4:5:6"));
    assert_eq!(cut(255), ip("2001:db8:1:2:3:4:5:6"));
    assert_eq!(cut(48), ip("2001:db8:1::"));
    assert_eq!(cut(0), ip("::"));
}

/// Behind a translator from IPv4 to IPv6, all clients with IPv4 were one account: their /64 is the
/// same.
#[test]
fn translated_ipv4_addresses_are_separate_accounts() {
    assert_eq!(xff(1, &["64:ff9b::203.0.113.9"]), ip("203.0.113.9"));
    assert_eq!(xff(1, &["[64:ff9b::cb00:710a]:80"]), ip("203.0.113.10"));
    assert_eq!(xff(1, &["64:ff9b:1::203.0.113.9"]), ip("64:ff9b:1::"), "a prefix of one network");
    assert_eq!(xff(1, &["64:ff9b::1:203.0.113.9"]), ip("64:ff9b::"), "not within the /96");
}

/// `X-Api-Key:` without a value was the account `""`, and passed where a key is required.
#[test]
fn empty_header_states_no_account() {
    let limits = KeyedRateLimiter::<str>::new(Quota::per_hour(9)).unwrap();
    let gate = limits.by_required_ref(Header::new("x-api-key").unwrap().or_rejected());
    let rejected = gate.admit(&request_with("x-api-key", &[b""])).unwrap_err();
    assert_eq!(rejected.reason(), plimsoll_core::Reason::Unidentified);
    assert!(gate.admit(&request_with("x-api-key", &[b"ann"])).is_ok());
}

#[test]
fn forwarded_is_parsed_by_rfc_7239() {
    assert_eq!(forwarded(1, &["for=192.0.2.60;proto=http;by=203.0.113.43"]), ip("192.0.2.60"));
    assert_eq!(forwarded(1, &[r#"For="[2001:db8:cafe::17]:4711""#]), ip("2001:db8:cafe::"));
    assert_eq!(forwarded(1, &[r#"proto=http; FOR="192.0.2.60:_port" "#]), ip("192.0.2.60"));
    assert_eq!(forwarded(1, &[r#"for="192\.0.2.60""#]), ip("192.0.2.60"));
    assert_eq!(forwarded(2, &["for=192.0.2.43, for=198.51.100.17"]), ip("192.0.2.43"));
    assert_eq!(forwarded(2, &["for=192.0.2.43", "for=198.51.100.17"]), ip("192.0.2.43"));
    // Commas and semicolons in quotes are not separators.
    assert_eq!(forwarded(1, &[r#"for=192.0.2.1;ext="a, for=6.6.6.6; for=6.6.6.7 \" ,""#]), ip("192.0.2.1"));
    for invalid in [
        "",
        "for=",
        "for=unknown",
        "for=_x",
        "by=192.0.2.1",
        "for",
        "for=\"192.0.2.1",
        "for=192.0.2.1;for=6.6.6.6",
    ] {
        assert_eq!(forwarded(1, &["for=6.6.6.6", invalid]), None, "{invalid}");
    }
}

/// Parsed from the left, an unclosed quote would hide what the proxies wrote. The client would have
/// no address, and be exempt.
#[test]
fn unclosed_quote_further_left_hides_nothing() {
    for forged in
        ["for=\"", "for=\"6.6.6.6, ", "\\", "for=\"\\", "\"\\\"", ",,,", ";;;=\"", "for=6.6.6.6;ext=\"a"]
    {
        for honest in ["for=192.0.2.60", r#"for="192.0.2.60:80";proto=https"#] {
            assert_eq!(forwarded(1, &[&format!("{forged}, {honest}")]), ip("192.0.2.60"), "{forged}");
            assert_eq!(forwarded(1, &[forged, honest]), ip("192.0.2.60"), "{forged}");
        }
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    // Any byte of a header value, and more of those that have a meaning.
    let byte = prop_oneof![
        3 => prop::sample::select(br#",;="\[]:. for1269af%_-"#.to_vec()),
        1 => (32u8..=255).prop_filter("not valid in a header value", |byte| *byte != 127),
    ];
    prop::collection::vec(byte, 0..40)
}

proptest! {
    #[test]
    fn no_header_value_panics(lines in prop::collection::vec(line(), 0..4), n in 0usize..6, bits: u8) {
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        for name in ["x-forwarded-for", "forwarded", "x-priority", "content-length"] {
            let request = request_with(name, &lines);
            let client = ClientAddr::behind(n).ipv6_prefix(bits);
            let _ = (client.get(&request), client.by_forwarded().get(&request));
            let attributes = RequestAttributes::new().cost_by_content_length(0, 0).priority_by_header("x-priority", Priority::LOW).unwrap();
            let info = attributes.info(&request);
            prop_assert!(info.cost >= 1 && info.priority <= Priority::LOW);
        }
    }

    /// What a client writes, in any number of lines, does not change the address that the proxies
    /// state.
    #[test]
    fn forged_entries_do_not_change_the_client(
        forged in prop::collection::vec(line(), 0..4),
        address: [u8; 4],
        second: [u8; 4],
        own_line: bool,
    ) {
        let (client, proxy) = (IpAddr::from(address), IpAddr::from(second));
        for forwarded in [false, true] {
            let name = if forwarded { "forwarded" } else { "x-forwarded-for" };
            let written = if forwarded {
                format!("for={client};proto=http, for=\"{proxy}:80\"")
            } else {
                format!("{client}, {proxy}:80")
            };
            let mut lines = forged.clone();
            match lines.last_mut() {
                Some(last) if !own_line => last.extend([b", ", written.as_bytes()].concat()),
                _ => lines.push(written.into_bytes()),
            }
            let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
            let request = request_with(name, &lines);
            let by = |n| if forwarded { ClientAddr::behind(n).by_forwarded() } else { ClientAddr::behind(n) };
            prop_assert_eq!(by(1).get(&request), Some(proxy));
            prop_assert_eq!(by(2).get(&request), Some(client));
        }
    }
}

#[test]
fn missing_address_is_exempt_or_shares_one_account() {
    let limits = KeyedRateLimiter::<IpAddr>::new(Quota::per_hour(1)).unwrap();
    let exempt = limits.by_option(ClientAddr::behind(1).or_exempt());
    let unknown = Request::new(());
    assert!((0..10).all(|_| exempt.admit(&unknown).is_ok()));

    let shared = limits.by(ClientAddr::behind(1).or_shared());
    assert!(shared.admit(&unknown).is_ok());
    assert!(shared.admit(&request_with("x-forwarded-for", &[b"garbage"])).is_err(), "the same account");
    assert!(shared.admit(&request_with("x-forwarded-for", &[b"203.0.113.9"])).is_ok(), "another account");
}

#[test]
fn missing_header_is_exempt_or_shares_one_account() {
    let limits = KeyedRateLimiter::<str>::new(Quota::per_hour(1)).unwrap();
    let key = Header::new("X-Api-Key").unwrap();
    let exempt = limits.by_option_ref(key.clone().or_exempt());
    let shared = limits.by_ref(key.or_shared());
    let (unknown, binary) = (Request::new(()), request_with("x-api-key", &[b"\xff"]));
    assert!((0..10).all(|_| exempt.admit(&unknown).is_ok() && exempt.admit(&binary).is_ok()));
    assert!(shared.admit(&unknown).is_ok());
    assert!(shared.admit(&binary).is_err(), "the same account");
    let ann = request_with("x-api-key", &[b"ann"]);
    assert!(exempt.admit(&ann).is_ok());
    assert!(shared.admit(&ann).is_err(), "both use one limiter");
    // An invalid name would exempt every request without notice.
    let error = Header::new("x api key").unwrap_err().to_string();
    assert!(error.contains("x api key"), "{error}");
}

#[test]
fn account_by_path_method_or_closure() {
    let limits = KeyedRateLimiter::<str>::new(Quota::per_hour(1)).unwrap();
    let request = |method: &str, uri: &str| Request::builder().method(method).uri(uri).body(()).unwrap();
    let by_path = limits.by_ref(path);
    assert!(by_path.admit(&request("GET", "/a?x=1")).is_ok());
    assert!(by_path.admit(&request("POST", "/a?x=2")).is_err());
    assert!(by_path.admit(&request("GET", "/b")).is_ok());
    let by_method = limits.by_ref(method);
    assert!(by_method.admit(&request("GET", "/a")).is_ok());
    assert!(by_method.admit(&request("GET", "/b")).is_err());
    let by_query = limits.by_option_ref(|r: &Request<()>| r.uri().query());
    assert!(by_query.admit(&request("GET", "/?q")).is_ok());
    assert!(by_query.admit(&request("GET", "/x?q")).is_err());
    let selected = paths_except(["/health", "/metrics"]);
    assert!(!selected(&request("GET", "/health")) && !selected(&request("GET", "/metrics?x")));
    assert!(selected(&request("GET", "/health/")) && selected(&request("GET", "/")));
}

#[test]
fn cost_is_read_off_content_length() {
    let attributes = RequestAttributes::new().cost_by_content_length(1_000, 7);
    let cost = |length: &str| attributes.info(&request_with("content-length", &[length.as_bytes()])).cost;
    for (length, units) in [("0", 1), ("1", 1), ("1000", 1), ("1001", 2), ("18446744073709551615", u32::MAX)]
    {
        assert_eq!(cost(length), units, "{length}");
    }
    for invalid in ["", "-1", "+1", "1e3", "18446744073709551616", "12, 12", "0x10"] {
        assert_eq!(cost(invalid), 7, "{invalid}");
    }
    let mut post = Request::new(());
    assert_eq!(attributes.info(&post).cost, 1, "a GET has no body");
    *post.method_mut() = Method::POST;
    assert_eq!(attributes.info(&post).cost, 7, "the length is unknown");
    let mut get = request_with("transfer-encoding", &[b"chunked"]);
    *get.method_mut() = Method::GET;
    assert_eq!(attributes.info(&get).cost, 7);
    assert_eq!(RequestAttributes::new().info(&post), RequestInfo::new());
}

#[test]
fn priority_is_limited_to_the_maximum() {
    let attributes = RequestAttributes::new().priority_by_header("x-priority", Priority::HIGH).unwrap();
    let priority = |text: &str| attributes.info(&request_with("x-priority", &[text.as_bytes()])).priority;
    assert_eq!(priority("background"), Priority::BACKGROUND);
    assert_eq!(priority(" Low "), Priority::LOW);
    assert_eq!(priority("0"), Priority(0));
    assert_eq!(priority("critical"), Priority::HIGH);
    assert_eq!(priority("255"), Priority::HIGH);
    for invalid in ["", "256", "-1", "urgent", "1.5", "low, high"] {
        assert_eq!(priority(invalid), Priority::NORMAL, "{invalid}");
    }
    assert!(RequestAttributes::new().priority_by_header("", Priority::HIGH).is_err());
}
