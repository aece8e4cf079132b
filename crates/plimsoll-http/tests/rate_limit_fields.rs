//! The `RateLimit` fields, read by an independent parser of structured fields.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use axum::{Router, routing::get};
use http_body_util::BodyExt;
use plimsoll_core::{
    Allowance, Dice, Gate, KeyedExt, ManualTime, Outcome, Permit, Reason, Rejected, Reply, Settle, layer,
};
use plimsoll_http::{Header, Http, HttpExt, HttpOptions};
use plimsoll_limit::{
    Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, Share, TieredRateLimiter,
};
use plimsoll_valve::Valve;
use proptest::prelude::*;
use sfv::{List, ListEntry, Parser};
use std::time::Duration;
use tower::ServiceExt;

/// A member: its name and its parameters, all whole numbers.
type Member = (String, Vec<(String, i64)>);

fn member(name: &str, parameters: &[(&str, i64)]) -> Member {
    (name.into(), parameters.iter().map(|(key, n)| ((*key).into(), *n)).collect())
}

/// Parses all lines of a field. Panics if it is invalid.
fn list(headers: &HeaderMap, name: &str) -> Vec<Member> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| line.to_str().unwrap()).collect();
    let list: List = Parser::new(&lines.join(", ")).parse().unwrap();
    let parse = |entry: ListEntry| {
        let ListEntry::Item(item) = entry else { panic!("an inner list") };
        let name = item.bare_item.as_string().expect("a string").as_str().to_owned();
        let whole = |n: &sfv::BareItem| i64::from(n.as_integer().expect("a whole number"));
        (name, item.params.iter().map(|(key, n)| (key.as_str().to_owned(), whole(n))).collect())
    };
    list.into_iter().map(parse).collect()
}

fn policies(headers: &HeaderMap) -> Vec<Member> {
    list(headers, "ratelimit-policy")
}

fn limits(headers: &HeaderMap) -> Vec<Member> {
    list(headers, "ratelimit")
}

/// Reports the given allowances, or rejects with the given rejection.
#[derive(Clone, Debug)]
struct Fixed(Result<Vec<Allowance>, Rejected>);
impl Settle for Fixed {
    type Token = ();
    fn settle(&self, (): (), _: Outcome) {}
    fn refund(&self, (): ()) {}
    fn allowances(&self, (): &(), each: &mut dyn FnMut(Allowance)) {
        self.0.iter().flatten().for_each(|allowance| each(*allowance));
    }
}
impl<R: ?Sized> Gate<R> for Fixed {
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        self.0.as_ref().map(|_| ()).map_err(|rejected| *rejected)
    }
}

fn allow(name: &'static str, limit: u64, window: f64, remaining: u64, reset: f64) -> Allowance {
    let seconds = Duration::from_secs_f64;
    Allowance::new(name, limit, seconds(window)).remaining(remaining, seconds(reset))
}

async fn call(router: Router) -> Response<Body> {
    router.oneshot(Request::new(Body::empty())).await.unwrap()
}

fn app() -> Router {
    Router::new().route("/", get(async || "hello"))
}

async fn admitted(allowances: &[Allowance], options: HttpOptions) -> HeaderMap {
    let gate = Fixed(Ok(allowances.to_vec()));
    call(app().layer(layer(gate).http_with(options))).await.headers().clone()
}

async fn rejected(rejection: Rejected, options: HttpOptions) -> HeaderMap {
    call(app().layer(layer(Fixed(Err(rejection))).http_with(options))).await.headers().clone()
}

#[tokio::test]
async fn admitted_response_reports_each_quota() {
    let all = [allow("burst", 100, 60.0, 50, 29.5), allow("daily", 1_000, 86_400.0, 999, 86.4)];
    let headers = admitted(&all, HttpOptions::new()).await;
    assert_eq!(
        policies(&headers),
        [member("burst", &[("q", 100), ("w", 60)]), member("daily", &[("q", 1000), ("w", 86_400)])]
    );
    assert_eq!(
        limits(&headers),
        [member("burst", &[("r", 50), ("t", 1)]), member("daily", &[("r", 999), ("t", 87)])]
    );
    assert_eq!(headers["ratelimit-policy"], r#""burst";q=100;w=60, "daily";q=1000;w=86400"#, "one line");
    assert!(!headers.contains_key("x-ratelimit-limit") && !headers.contains_key("retry-after"));
}

#[tokio::test]
async fn window_below_a_second_is_reported_per_second() {
    let all = [allow("fast", 10, 0.1, 3, 0.05), allow("odd", 10, 1.5, 0, 1.2), allow("full", 5, 1.0, 5, 0.0)];
    let headers = admitted(&all, HttpOptions::new()).await;
    let expected = [("fast", 100, 1), ("odd", 10, 2), ("full", 5, 1)];
    assert_eq!(policies(&headers), expected.map(|(name, q, w)| member(name, &[("q", q), ("w", w)])));
    let expected = [
        member("fast", &[("r", 3), ("t", 1)]),
        member("odd", &[("r", 0), ("t", 1)]),
        member("full", &[("r", 5)]),
    ];
    assert_eq!(limits(&headers), expected, "a full quota gets no further unit");
}

/// 300 units a second are one unit each 3,333,334 ns, so 300 take a little more than a second.
/// Rounded up, they were reported as 300 units in 2 s.
#[tokio::test]
async fn quota_is_reported_as_it_was_set() {
    for (quota, q, w) in [
        (Quota::per_second(300), 300, 1),
        (Quota::per_second(3).burst(1), 3, 1),
        (Quota::per_second(7).burst(14), 14, 2),
        (Quota::per_minute(7), 7, 60),
        (Quota::per_day(1_000_003), 1_000_003, 86_400),
        (Quota::per_second(50).burst(100), 100, 2),
        (Quota::per_minute(40).burst(1), 1, 2),
    ] {
        let options = HttpOptions::new().shared_quotas(true);
        let layer = RateLimiter::new(quota).unwrap().layer().http_with(options);
        let headers = call(app().layer(layer)).await.headers().clone();
        assert_eq!(policies(&headers), [member("limit", &[("q", q), ("w", w)])], "{quota}");
    }
}

#[tokio::test]
async fn rejection_reports_the_violated_quota() {
    let rejection = Rejected::new("api/free/account", Reason::Limited)
        .numbers(10, 8)
        .over(Duration::from_secs(2))
        .retry_in(Duration::from_millis(1_200));
    let headers = rejected(rejection, HttpOptions::new()).await;
    assert_eq!(policies(&headers), [member("api/free/account", &[("q", 10), ("w", 2)])]);
    assert_eq!(
        limits(&headers),
        [member("api/free/account", &[("r", 2), ("t", 1)])],
        "two remain, it needed more, and the next unit comes within a fifth of a second"
    );
    assert_eq!(rejected(rejection, HttpOptions::new().jitter(0.0)).await["retry-after"], "2");

    let too_large = Rejected::new("x", Reason::TooLarge).numbers(10, 50);
    let headers = rejected(too_large, HttpOptions::new()).await;
    assert!(policies(&headers).is_empty(), "the limit may be that of all callers: {headers:?}");
    let headers = rejected(too_large, HttpOptions::new().shared_quotas(true)).await;
    assert_eq!(policies(&headers), [member("x", &[("q", 10)])]);
    assert!(limits(&headers).is_empty() && !headers.contains_key("retry-after"), "a retry never helps");

    // A valve has no quota, nor has a rejection without numbers.
    for rejection in [Rejected::new("x", Reason::Full).numbers(16, 16), Rejected::new("x", Reason::Limited)] {
        let headers = rejected(rejection, HttpOptions::new().legacy_fields(true)).await;
        assert!(headers.keys().all(|name| !name.as_str().contains("ratelimit")), "{headers:?}");
    }
}

#[tokio::test]
async fn inner_fields_stay_and_each_policy_is_written_once() {
    let inner = Fixed(Ok(vec![allow("inner, \"quoted\"", 1, 1.0, 1, 0.0), allow("both", 7, 7.0, 6, 1.0)]));
    let outer = Fixed(Ok(vec![
        allow("both", 9, 9.0, 9, 0.0),
        allow("inner", 2, 2.0, 2, 0.0),
        allow("outer", 3, 3.0, 3, 0.0),
        allow("outer", 4, 4.0, 4, 0.0),
    ]));
    let options = HttpOptions::new().legacy_fields(true);
    let app = app().layer(layer(inner).http_with(options.clone())).layer(layer(outer).http_with(options));
    let headers = call(app).await.headers().clone();
    let names = |members: Vec<Member>| members.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let expected = ["inner, \"quoted\"", "both", "inner", "outer"];
    assert_eq!(names(policies(&headers)), expected);
    assert_eq!(names(limits(&headers)), expected);
    assert_eq!(policies(&headers)[1], member("both", &[("q", 7), ("w", 7)]), "of the inner layer");
    assert_eq!(headers.get_all("x-ratelimit-limit").iter().count(), 1);
    assert_eq!(headers["x-ratelimit-limit"], "1", "of the inner layer");
}

#[tokio::test]
async fn invalid_fields_of_a_handler_stay() {
    let handler = get(async || ([("ratelimit-policy", "\"open;q=1, x;y")], "hello"));
    let gate = Fixed(Ok(vec![allow("x", 1, 1.0, 1, 0.0)]));
    let headers = call(Router::new().route("/", handler).layer(layer(gate).http())).await.headers().clone();
    let lines: Vec<_> = headers.get_all("ratelimit-policy").iter().collect();
    assert_eq!(lines, ["\"open;q=1, x;y", "\"x\";q=1;w=1"]);
}

#[tokio::test]
async fn legacy_fields_report_the_quota_with_fewest_remaining() {
    let all = [allow("a", 100, 60.0, 50, 29.5), allow("b", 10, 60.0, 3, 40.5), allow("c", 10, 60.0, 3, 1.0)];
    let headers = admitted(&all, HttpOptions::new().legacy_fields(true).rate_limit_fields(false)).await;
    assert_eq!(headers["x-ratelimit-limit"], "10");
    assert_eq!(headers["x-ratelimit-remaining"], "3");
    assert_eq!(headers["x-ratelimit-reset"], "41");
    assert!(!headers.contains_key("ratelimit") && !headers.contains_key("ratelimit-policy"));

    let rejection = Rejected::new("b", Reason::Limited).numbers(10, 10).retry_in(Duration::from_millis(100));
    let headers = rejected(rejection, HttpOptions::new().legacy_fields(true)).await;
    assert_eq!(headers["x-ratelimit-remaining"], "0");
    assert_eq!(headers["x-ratelimit-reset"], "1");
    assert_eq!(limits(&headers), [member("b", &[("r", 0), ("t", 1)])]);
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{1,20}", "\\PC{1,20}", "[\\\\\",; a\u{0}\n\u{7f}é]{1,12}"]
}

proptest! {
    /// For any names and numbers, the fields are lists of structured fields.
    #[test]
    fn fields_are_always_valid(
        names in prop::collection::vec(name(), 1..4),
        limit: u64, window: u64, remaining: u64, reset: u64,
    ) {
        let nanos = Duration::from_nanos;
        let (window, reset) = (nanos(window), nanos(reset));
        let names: Vec<_> = names.iter().map(|name| plimsoll_core::parts::intern(name)).collect();
        let all: Vec<_> =
            names.iter().map(|name| Allowance::new(name, limit, window).remaining(remaining, reset)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let headers = runtime.block_on(admitted(&all, HttpOptions::new().legacy_fields(true)));
        let ascii = |name: &str| name.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect::<String>();
        let mut expected: Vec<String> = vec![];
        for name in names.iter().map(|name| ascii(name)) {
            if !expected.contains(&name) {
                expected.push(name);
            }
        }
        let (policies, limits) = (policies(&headers), limits(&headers));
        prop_assert_eq!(policies.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(limits.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), expected);
        for (_, parameters) in &policies {
            let (q, w) = (parameters[0].1, parameters[1].1);
            prop_assert!(q >= 0 && w >= 1);
            // Rounding never reports fewer units than the limit has.
            prop_assert!(q as u128 >= u128::from(limit.min(999_999_999_999_999)));
        }
        let next = Allowance::new("x", limit, window).remaining(remaining, reset).next_unit();
        for (_, parameters) in &limits {
            let t = parameters.get(1).map_or(0, |(_, t)| u128::from(*t as u64));
            prop_assert!(t * 1_000_000_000 >= next.as_nanos());
        }
    }

    /// `Retry-After` is never before the stated time or `t`, and later by at most the jitter: up to
    /// the share, at least 2 s, at most 60 s.
    #[test]
    fn retry_after_is_spread_and_never_early(millis in 0u64..100_000_000, share in 0.0f32..1.0, seed: u64) {
        let after = Duration::from_millis(millis);
        let rejection = Rejected::new("x", Reason::Limited).numbers(1, 1).over(after).retry_in(after);
        let options = HttpOptions::new().jitter(share).dice(Dice::seeded(seed));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let headers = runtime.block_on(rejected(rejection, options));
        let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
        let t = limits(&headers)[0].1[1].1 as u64;
        prop_assert!(seconds >= 1 && seconds >= t && Duration::from_secs(t) >= after);
        let jitter = (after.as_secs_f64() * f64::from(share)).clamp(2.0, 60.0);
        prop_assert!(seconds as f64 <= after.as_secs_f64() + jitter + 1.001);
    }
}

#[tokio::test]
async fn jitter_spreads_retries() {
    let rejection = Rejected::new("x", Reason::Limited).retry_in(Duration::from_secs(100));
    let retry_after = async |options: HttpOptions| {
        let headers = rejected(rejection, options).await;
        headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap()
    };
    let dice = Dice::seeded(7);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..500 {
        seen.insert(retry_after(HttpOptions::new().dice(dice.clone())).await);
    }
    assert!(seen.first() >= Some(&100) && seen.last() <= Some(&125), "{seen:?}");
    assert!(seen.len() > 20, "{seen:?}");
    for no_jitter in [0.0, -1.0, f32::NAN] {
        assert_eq!(retry_after(HttpOptions::new().jitter(no_jitter)).await, 100);
    }
    assert!(retry_after(HttpOptions::new().jitter(f32::INFINITY)).await <= 160, "a minute at most");
}

/// The jitter was once a quarter of the exact time, before rounding. Of 5,000 clients of a limit of
/// 100/s, all were sent back in the same second: `Retry-After: 1`. Later at least 2 s were added
/// before rounding. Then half of the clients with a wait of 0.5 s came back in the middle one of
/// three seconds.
#[tokio::test]
async fn clients_return_evenly_over_seconds() {
    for millis in [10, 500, 999, 1_000, 1_500, 20_000, 86_400_000] {
        let rejection = Rejected::new("x", Reason::Throttled).retry_in(Duration::from_millis(millis));
        let dice = Dice::seeded(7);
        let mut seen = std::collections::BTreeMap::<u64, u32>::new();
        for _ in 0..10_000 {
            let headers = rejected(rejection, HttpOptions::new().dice(dice.clone())).await;
            *seen.entry(headers["retry-after"].to_str().unwrap().parse().unwrap()).or_default() += 1;
        }
        let mean = 10_000 / seen.len() as u32;
        assert!(seen.len() >= 3, "{millis} ms: {seen:?}");
        assert!(seen.values().all(|n| n * 2 <= mean * 3), "{millis} ms: {seen:?}");
    }
}

/// While requests were queued, a `FairRateLimiter` rejected an account over its share by the
/// numbers of the shared quota. The 429 published the capacity of the whole service.
#[tokio::test]
async fn fair_429_behind_a_queue_states_no_capacity() {
    let time = ManualTime::new();
    let cap = Quota::per_second(5).burst(5);
    let fair = FairRateLimiter::<u64>::builder().quota(Quota::per_second(777).burst(777));
    let fair = fair.share_of(move |_| Share::weight(1.0).at_most(cap)).queue(100);
    let fair = fair.max_wait(Duration::from_secs(5)).clock(time.clock()).build().unwrap();
    for _ in 0..5 {
        fair.try_acquire(&7).unwrap().done(Outcome::Success);
    }
    let mut waiter = std::pin::pin!(fair.acquire(&7));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiter.as_mut().poll(&mut context).is_pending());
    let legacy = HttpOptions::new().legacy_fields(true);
    let response = call(app().layer(layer(fair.by(|_: &Request<Body>| 7)).http_with(legacy))).await;
    assert_eq!(response.status(), 429);
    let headers = response.headers();
    assert!(!format!("{headers:?}").contains("777"), "{headers:?}");
}

/// A client of a class once read the capacity of the whole service, and its present load.
#[tokio::test]
async fn capacity_of_others_is_not_disclosed() {
    let time = ManualTime::new();
    let quota = Quota::per_second(1_000);
    let tiers = TieredRateLimiter::<u64>::builder().name("api").global(quota);
    let class = Class::new("free").each(Quota::per_second(5)).all(Quota::per_second(300));
    let tiers = tiers.class(class).clock(time.clock()).build().unwrap();
    let headers = call(app().layer(layer(tiers.by(|_: &Request<Body>| 7)).http())).await.headers().clone();
    assert_eq!(policies(&headers), [member("api/free/account", &[("q", 5), ("w", 1)])]);
    assert_eq!(limits(&headers), [member("api/free/account", &[("r", 4), ("t", 1)])]);
    let limiter = RateLimiter::builder().quota(quota).clock(time.clock()).build().unwrap();
    let legacy = HttpOptions::new().legacy_fields(true);
    let fair = FairRateLimiter::<u64>::builder().quota(quota).clock(time.clock()).build().unwrap();
    let fair = layer(fair.by(|_: &Request<Body>| 7)).http_with(legacy.clone());
    for app in [app().layer(limiter.layer().http_with(legacy)), app().layer(fair)] {
        let headers = call(app).await.headers().clone();
        assert!(headers.keys().all(|name| !name.as_str().contains("ratelimit")), "{headers:?}");
    }
}

/// The body of a 503 once named the guard: "payments-db".
#[tokio::test]
async fn internal_names_are_stated_by_choice_only() {
    for (options, named) in [(HttpOptions::new(), false), (HttpOptions::new().guard_names(true), true)] {
        let gate = Fixed(Err(Rejected::new("payments-db", Reason::Open)));
        let body = call(app().layer(layer(gate).http_with(options))).await.into_body();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert_eq!(body.contains("payments-db"), named, "{body}");
    }
}

/// With `shared_quotas`, an admitted response reports every tier. A rejection names the tier that
/// rejected.
#[tokio::test]
async fn tiers_report_account_class_and_global() {
    let time = ManualTime::new();
    let limiter = TieredRateLimiter::<str>::builder()
        .name("api")
        .global(Quota::per_second(100).burst(200))
        .class(Class::new("free").each(Quota::per_minute(60).burst(2)).all(Quota::per_second(20)))
        .clock(time.clock())
        .build()
        .unwrap();
    let gate = layer(limiter.by_ref(Header::new("x-api-key").unwrap().or_shared()));
    let app = app().layer(gate.http_with(HttpOptions::new().shared_quotas(true)));
    let headers = call(app.clone()).await.headers().clone();
    assert_eq!(
        policies(&headers),
        [
            member("api/free/account", &[("q", 2), ("w", 2)]),
            member("api/free", &[("q", 20), ("w", 1)]),
            member("api/global", &[("q", 200), ("w", 2)])
        ]
    );
    assert_eq!(
        limits(&headers),
        [
            member("api/free/account", &[("r", 1), ("t", 1)]),
            member("api/free", &[("r", 19), ("t", 1)]),
            member("api/global", &[("r", 199), ("t", 1)])
        ]
    );
    call(app.clone()).await;
    let response = call(app).await;
    assert_eq!(response.status(), 429);
    assert_eq!(limits(response.headers()), [member("api/free/account", &[("r", 0), ("t", 1)])]);
}

/// Calls until a call is rejected. Returns that response and its problem body.
async fn first_rejection(app: Router) -> (Response<()>, serde_json::Value) {
    for account in 0..100 {
        let request = Request::builder().header("x-account", account).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        if response.status() != 200 {
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            return (Response::from_parts(parts, ()), serde_json::from_slice(&body).unwrap());
        }
    }
    panic!("every call was admitted");
}

/// A caller of a shared rate may be innocent of its use, so the response does not blame it.
#[tokio::test]
async fn shared_rate_is_503_without_a_quota() {
    let time = ManualTime::new();
    let ten = Quota::per_second(100).burst(10);
    let account = || Header::new("x-account").unwrap().or_shared();
    let tiers = |class| TieredRateLimiter::<str>::builder().class(class).clock(time.clock());
    let global = RateLimiter::builder().quota(ten).clock(time.clock()).build().unwrap();
    let global_tier = tiers(Class::new("free")).global(ten).build().unwrap();
    let class_tier = tiers(Class::new("free").all(ten)).build().unwrap();
    // No account reaches its share: only the rate that they share can reject.
    let fair = FairRateLimiter::<str>::builder().share_of(|_| Share::weight(1.0).at_least(1_000.0));
    let fair = fair.quota(ten).clock(time.clock()).build().unwrap();
    let options = || HttpOptions::new().jitter(0.0).guard_names(true);
    for (app, guard) in [
        (app().layer(global.layer().http_with(options())), "limit"),
        (app().layer(layer(global_tier.by_ref(account())).http_with(options())), "tiers/global"),
        (app().layer(layer(class_tier.by_ref(account())).http_with(options())), "tiers/free"),
        (app().layer(layer(fair.by_ref(account())).http_with(options())), "fair"),
    ] {
        let (response, problem) = first_rejection(app).await;
        assert_eq!(response.status(), 503, "{guard}");
        assert_eq!(response.headers()["retry-after"], "1", "{guard}");
        assert_eq!(problem["retry_after"], 1, "{guard}");
        assert_eq!((&problem["reason"], &problem["guard"]), (&"throttled".into(), &guard.into()));
        let temporary = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
        assert_eq!(problem["type"], temporary, "{guard}");
        assert_eq!(problem.get("violated-policies"), None, "{guard}");
        let headers = response.headers();
        assert!(headers.keys().all(|name| !name.as_str().contains("ratelimit")), "{guard}: {headers:?}");
    }
}

/// The counterpart: the account has used up its own quota, and the response says which.
#[tokio::test]
async fn own_quota_is_429_with_the_violated_policy() {
    let time = ManualTime::new();
    let two = Quota::per_second(100).burst(2);
    let same = |_: &Request<Body>| 7;
    let keyed = KeyedRateLimiter::<u64>::builder().quota(two).clock(time.clock()).build().unwrap();
    let tiers = TieredRateLimiter::<u64>::builder().class(Class::new("free").each(two));
    let tiers = tiers.clock(time.clock()).build().unwrap();
    let fair = FairRateLimiter::<u64>::builder().share_of(move |_| Share::weight(1.0).at_most(two));
    let fair = fair.quota(Quota::per_second(1_000).burst(100)).clock(time.clock()).build().unwrap();
    let options = || HttpOptions::new().jitter(0.0);
    for (app, guard) in [
        (app().layer(layer(keyed.by(same)).http_with(options())), "accounts"),
        (app().layer(layer(tiers.by(same)).http_with(options())), "tiers/free/account"),
        (app().layer(layer(fair.by(same)).http_with(options())), "fair/cap"),
    ] {
        let (response, problem) = first_rejection(app).await;
        assert_eq!(response.status(), 429, "{guard}");
        assert_eq!(response.headers()["retry-after"], "1", "{guard}");
        let exceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded";
        assert_eq!((&problem["type"], &problem["reason"]), (&exceeded.into(), &"limited".into()), "{guard}");
        assert_eq!(problem["violated-policies"], serde_json::json!([guard]));
        assert_eq!(policies(response.headers()), [member(guard, &[("q", 100), ("w", 1)])]);
        assert_eq!(limits(response.headers()), [member(guard, &[("r", 0), ("t", 1)])]);
    }
}

/// A client that retries after `t` seconds is admitted.
#[tokio::test]
async fn retry_after_t_seconds_is_admitted() {
    let time = ManualTime::new();
    let quota = Quota::per_minute(7).burst(3);
    let limiter = KeyedRateLimiter::<u8>::builder().quota(quota).clock(time.clock()).build().unwrap();
    let app = app().layer(layer(limiter.by(|_: &Request<Body>| 7)).http());
    for _ in 0..200 {
        let response = call(app.clone()).await;
        let r = limits(response.headers())[0].1[0].1;
        if response.status() == 429 {
            assert_eq!(r, 0);
            time.advance(Duration::from_secs(limits(response.headers())[0].1[1].1 as u64));
            assert_eq!(call(app.clone()).await.status(), 200);
        }
    }
}

#[test]
fn guard_without_a_quota_allocates_nothing() {
    let valve = Valve::new(1_000).unwrap();
    let reply = Http::<plimsoll_http::ByStatus>::default();
    let response: Result<Response<String>, ()> = Ok(Response::new(String::new()));
    let mut response = Some(response);
    let counted = allocation_counter::measure(|| {
        let permit = valve.try_acquire_owned().unwrap();
        response = response.take().map(|response| reply.finished(response, permit));
    });
    assert_eq!(counted.count_total, 0);
    assert_eq!(valve.in_flight(), 0);
}

#[test]
fn reading_an_account_allocates_nothing() {
    let limits = KeyedRateLimiter::<str>::new(Quota::per_second(1_000_000)).unwrap();
    let gate = limits.by_ref(Header::new("x-api-key").unwrap().or_shared());
    let addresses = KeyedRateLimiter::<std::net::IpAddr>::new(Quota::per_second(1_000_000)).unwrap();
    let xff = addresses.by(plimsoll_http::ClientAddr::behind(2).or_shared());
    let forwarded = addresses.by(plimsoll_http::ClientAddr::behind(2).by_forwarded().or_shared());
    let request = Request::builder()
        .header("x-api-key", "ann")
        .header("x-forwarded-for", "6.6.6.6, [2001:db8::1]:80, 192.0.2.1")
        .header("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:80\";proto=http, for=192.0.2.1")
        .body(())
        .unwrap();
    let call = || {
        Permit::new(&gate, gate.admit(&request).unwrap()).done(Outcome::Success);
        Permit::new(&xff, xff.admit(&request).unwrap()).done(Outcome::Success);
        Permit::new(&forwarded, forwarded.admit(&request).unwrap()).done(Outcome::Success);
    };
    call();
    assert_eq!(allocation_counter::measure(call).count_total, 0);
}
