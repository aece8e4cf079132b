//! What a request says: accounts, addresses, costs, priorities – also when it lies.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use http::{HeaderValue, Method, Request};
use plimsoll_core::{Gate, KeyedExt, Priority, RequestInfo};
use plimsoll_http::{ClientAddr, Header, PeerAddr, RequestAttributes, method, path, paths_except};
use plimsoll_limit::{KeyedRateLimiter, Quota};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

fn with(name: &'static str, lines: &[&[u8]]) -> Request<()> {
    let mut request = Request::new(());
    for line in lines {
        request.headers_mut().append(name, HeaderValue::from_bytes(line).unwrap());
    }
    request
}

fn xff(proxies: usize, lines: &[&str]) -> Option<IpAddr> {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    ClientAddr::behind(proxies).get(&with("x-forwarded-for", &lines))
}

fn forwarded(proxies: usize, lines: &[&str]) -> Option<IpAddr> {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    ClientAddr::behind(proxies).by_forwarded().get(&with("forwarded", &lines))
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn the_client_is_counted_from_the_right_over_all_lines() {
    let lines = ["6.6.6.6, 1.1.1.1", "2.2.2.2", "3.3.3.3 ,\t4.4.4.4"];
    for (n, address) in ["4.4.4.4", "3.3.3.3", "2.2.2.2", "1.1.1.1", "6.6.6.6"].into_iter().enumerate() {
        assert_eq!(xff(n + 1, &lines), ip(address));
    }
    assert_eq!(xff(6, &lines), None, "so many have not written");
    assert_eq!(xff(1, &[]), None);
    assert_eq!(xff(usize::MAX, &lines), None);
}

#[test]
fn an_empty_place_is_missing_and_does_not_bring_the_next_one_forward() {
    assert_eq!(xff(1, &["6.6.6.6, "]), None);
    assert_eq!(xff(1, &["6.6.6.6", ""]), None);
    assert_eq!(xff(2, &["6.6.6.6,,1.1.1.1"]), None);
    assert_eq!(xff(1, &["6.6.6.6, garbage"]), None);
}

#[test]
fn behind_no_proxy_the_peer_counts_and_headers_do_not() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let mut request = with("x-forwarded-for", &[b"6.6.6.6"]);
    assert_eq!(ClientAddr::peer().get(&request), None);
    request.extensions_mut().insert(at("10.0.0.7:4000"));
    assert_eq!(ClientAddr::peer().get(&request), ip("10.0.0.7"));
    assert_eq!(ClientAddr::behind(1).get(&request), ip("6.6.6.6"));
    request.extensions_mut().insert(PeerAddr(at("[::ffff:10.0.0.8]:4000")));
    assert_eq!(ClientAddr::behind(0).get(&request), ip("10.0.0.8"), "what was set for us comes first");
}

#[cfg(feature = "axum")]
#[test]
fn axum_knows_the_peer() {
    let mut request = Request::new(());
    let peer: SocketAddr = "10.0.0.9:4000".parse().unwrap();
    request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
    assert_eq!(ClientAddr::peer().get(&request), ip("10.0.0.9"));
}

#[test]
fn ports_brackets_and_clothes_come_off() {
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
    let request = with("x-forwarded-for", &[b"2001:db8:1:2:3:4:5:6"]);
    let cut = |bits| ClientAddr::behind(1).ipv6_prefix(bits).get(&request);
    assert_eq!(cut(128), ip("2001:db8:1:2:3:4:5:6"));
    assert_eq!(cut(255), ip("2001:db8:1:2:3:4:5:6"));
    assert_eq!(cut(48), ip("2001:db8:1::"));
    assert_eq!(cut(0), ip("::"));
}

#[test]
fn forwarded_is_read_by_its_own_grammar() {
    assert_eq!(forwarded(1, &["for=192.0.2.60;proto=http;by=203.0.113.43"]), ip("192.0.2.60"));
    assert_eq!(forwarded(1, &[r#"For="[2001:db8:cafe::17]:4711""#]), ip("2001:db8:cafe::"));
    assert_eq!(forwarded(1, &[r#"proto=http; FOR="192.0.2.60:_port" "#]), ip("192.0.2.60"));
    assert_eq!(forwarded(1, &[r#"for="192\.0.2.60""#]), ip("192.0.2.60"));
    assert_eq!(forwarded(2, &["for=192.0.2.43, for=198.51.100.17"]), ip("192.0.2.43"));
    assert_eq!(forwarded(2, &["for=192.0.2.43", "for=198.51.100.17"]), ip("192.0.2.43"));
    // Commas and semicolons in quotes divide nothing.
    assert_eq!(forwarded(1, &[r#"for=192.0.2.1;ext="a, for=6.6.6.6; for=6.6.6.7 \" ,""#]), ip("192.0.2.1"));
    for none in [
        "",
        "for=",
        "for=unknown",
        "for=_x",
        "by=192.0.2.1",
        "for",
        "for=\"192.0.2.1",
        "for=192.0.2.1;for=6.6.6.6",
    ] {
        assert_eq!(forwarded(1, &["for=6.6.6.6", none]), None, "{none}");
    }
}

/// Read from the left, an open quote would swallow what the proxies wrote; then nothing is found, and the client is
/// exempt.
#[test]
fn an_open_quote_further_left_swallows_nothing() {
    for lie in
        ["for=\"", "for=\"6.6.6.6, ", "\\", "for=\"\\", "\"\\\"", ",,,", ";;;=\"", "for=6.6.6.6;ext=\"a"]
    {
        for honest in ["for=192.0.2.60", r#"for="192.0.2.60:80";proto=https"#] {
            assert_eq!(forwarded(1, &[&format!("{lie}, {honest}")]), ip("192.0.2.60"), "{lie}");
            assert_eq!(forwarded(1, &[lie, honest]), ip("192.0.2.60"), "{lie}");
        }
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    // All that a header value may hold, and more of what means something.
    let byte = prop_oneof![
        3 => prop::sample::select(br#",;="\[]:. for1269af%_-"#.to_vec()),
        1 => (32u8..=255).prop_filter("no header value", |byte| *byte != 127),
    ];
    prop::collection::vec(byte, 0..40)
}

proptest! {
    #[test]
    fn nothing_in_a_header_panics(lines in prop::collection::vec(line(), 0..4), n in 0usize..6, bits: u8) {
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        for name in ["x-forwarded-for", "forwarded", "x-priority", "content-length"] {
            let request = with(name, &lines);
            let client = ClientAddr::behind(n).ipv6_prefix(bits);
            let _ = (client.get(&request), client.by_forwarded().get(&request));
            let claims = RequestAttributes::new().cost_by_content_length(0, 3).priority_by_header("x-priority", Priority::LOW).unwrap();
            let facts = claims.info(&request);
            prop_assert!(facts.cost >= 1 && facts.priority <= Priority::NORMAL);
        }
    }

    /// Whatever a client writes itself, in as many lines as it likes, whom the proxies name stays the same.
    #[test]
    fn what_the_client_writes_changes_nothing(
        lies in prop::collection::vec(line(), 0..4),
        address: [u8; 4],
        second: [u8; 4],
        own_line: bool,
    ) {
        let (client, proxy) = (IpAddr::from(address), IpAddr::from(second));
        for forwarded in [false, true] {
            let name = if forwarded { "forwarded" } else { "x-forwarded-for" };
            let wrote = if forwarded {
                format!("for={client};proto=http, for=\"{proxy}:80\"")
            } else {
                format!("{client}, {proxy}:80")
            };
            let mut lines = lies.clone();
            match lines.last_mut() {
                Some(last) if !own_line => last.extend([b", ", wrote.as_bytes()].concat()),
                _ => lines.push(wrote.into_bytes()),
            }
            let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
            let request = with(name, &lines);
            let by = |n| if forwarded { ClientAddr::behind(n).by_forwarded() } else { ClientAddr::behind(n) };
            prop_assert_eq!(by(1).get(&request), Some(proxy));
            prop_assert_eq!(by(2).get(&request), Some(client));
        }
    }
}

#[test]
fn without_an_address_requests_are_exempt_or_share_one_account() {
    let limits = KeyedRateLimiter::<IpAddr>::new(Quota::per_hour(1)).unwrap();
    let exempt = limits.by_option(ClientAddr::behind(1).or_exempt());
    let nobody = Request::new(());
    assert!((0..10).all(|_| exempt.admit(&nobody).is_ok()));

    let shared = limits.by(ClientAddr::behind(1).or_shared());
    assert!(shared.admit(&nobody).is_ok());
    assert!(shared.admit(&with("x-forwarded-for", &[b"garbage"])).is_err(), "the same account");
    assert!(shared.admit(&with("x-forwarded-for", &[b"203.0.113.9"])).is_ok(), "not this one");
}

#[test]
fn without_a_header_requests_are_exempt_or_share_one_account() {
    let limits = KeyedRateLimiter::<str>::new(Quota::per_hour(1)).unwrap();
    let key = Header::new("X-Api-Key").unwrap();
    let exempt = limits.by_option_ref(key.clone().or_exempt());
    let shared = limits.by_ref(key.or_shared());
    let (nobody, binary) = (Request::new(()), with("x-api-key", &[b"\xff"]));
    assert!((0..10).all(|_| exempt.admit(&nobody).is_ok() && exempt.admit(&binary).is_ok()));
    assert!(shared.admit(&nobody).is_ok());
    assert!(shared.admit(&binary).is_err(), "the same account");
    let ann = with("x-api-key", &[b"ann"]);
    assert!(exempt.admit(&ann).is_ok());
    assert!(shared.admit(&ann).is_err(), "one limiter behind both");
    // A name that no header has would let everybody pass, and say nothing.
    let error = Header::new("x api key").unwrap_err().to_string();
    assert!(error.contains("x api key"), "{error}");
}

#[test]
fn an_account_by_path_or_method_or_any_function() {
    let limits = KeyedRateLimiter::<str>::new(Quota::per_hour(1)).unwrap();
    let ask = |method: &str, uri: &str| Request::builder().method(method).uri(uri).body(()).unwrap();
    let by_path = limits.by_ref(path);
    assert!(by_path.admit(&ask("GET", "/a?x=1")).is_ok());
    assert!(by_path.admit(&ask("POST", "/a?x=2")).is_err());
    assert!(by_path.admit(&ask("GET", "/b")).is_ok());
    let by_method = limits.by_ref(method);
    assert!(by_method.admit(&ask("GET", "/a")).is_ok());
    assert!(by_method.admit(&ask("GET", "/b")).is_err());
    let own = limits.by_option_ref(|r: &Request<()>| r.uri().query());
    assert!(own.admit(&ask("GET", "/?q")).is_ok());
    assert!(own.admit(&ask("GET", "/x?q")).is_err());
    let but = paths_except(["/health", "/metrics"]);
    assert!(!but(&ask("GET", "/health")) && !but(&ask("GET", "/metrics?x")));
    assert!(but(&ask("GET", "/health/")) && but(&ask("GET", "/")));
}

#[test]
fn a_cost_is_read_off_the_length() {
    let claims = RequestAttributes::new().cost_by_content_length(1_000, 7);
    let cost = |length: &str| claims.info(&with("content-length", &[length.as_bytes()])).cost;
    for (length, units) in [("0", 1), ("1", 1), ("1000", 1), ("1001", 2), ("18446744073709551615", u32::MAX)]
    {
        assert_eq!(cost(length), units, "{length}");
    }
    for lie in ["", "-1", "+1", "1e3", "18446744073709551616", "12, 12", "0x10"] {
        assert_eq!(cost(lie), 7, "{lie}");
    }
    let mut post = Request::new(());
    assert_eq!(claims.info(&post).cost, 1, "a GET has no body");
    *post.method_mut() = Method::POST;
    assert_eq!(claims.info(&post).cost, 7, "how much comes, it does not say");
    let mut get = with("transfer-encoding", &[b"chunked"]);
    *get.method_mut() = Method::GET;
    assert_eq!(claims.info(&get).cost, 7);
    assert_eq!(RequestAttributes::new().info(&post), RequestInfo::new());
}

#[test]
fn a_priority_is_believed_up_to_the_highest() {
    let claims = RequestAttributes::new().priority_by_header("x-priority", Priority::HIGH).unwrap();
    let said = |text: &str| claims.info(&with("x-priority", &[text.as_bytes()])).priority;
    assert_eq!(said("background"), Priority::BACKGROUND);
    assert_eq!(said(" Low "), Priority::LOW);
    assert_eq!(said("0"), Priority(0));
    assert_eq!(said("critical"), Priority::HIGH);
    assert_eq!(said("255"), Priority::HIGH);
    for nothing in ["", "256", "-1", "urgent", "1.5", "low, high"] {
        assert_eq!(said(nothing), Priority::NORMAL, "{nothing}");
    }
    assert!(RequestAttributes::new().priority_by_header("", Priority::HIGH).is_err());
}
