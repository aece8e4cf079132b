//! Bugs of tower_governor 0.8.0 that must not occur here.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::{Router, routing::get};
use plimsoll_core::{KeyedExt, ManualTime, layer};
use plimsoll_http::{ClientAddr, HttpExt};
use plimsoll_limit::{KeyedRateLimiter, Quota, RateLimiter};
use std::net::IpAddr;
use std::time::Duration;
use tower::ServiceExt;

fn app() -> Router {
    Router::new().route("/", get(async || "hello")).route("/other", get(async || "hello"))
}

async fn call(app: &Router, path: &str, forwarded_for: Option<&str>) -> Response<Body> {
    let mut request = Request::builder().uri(path);
    if let Some(value) = forwarded_for {
        request = request.header("x-forwarded-for", value);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// A wait of less than a second became `Retry-After: 0`, and clients retried at once.
#[tokio::test]
async fn retry_after_is_never_zero() {
    let time = ManualTime::new();
    let quota = Quota::per_second(50).burst(1);
    let limiter = RateLimiter::builder().quota(quota).clock(time.clock()).build().unwrap();
    let app = app().layer(limiter.layer().http());
    assert_eq!(call(&app, "/", None).await.status(), StatusCode::OK);
    let response = call(&app, "/", None).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let retry_after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&retry_after), "20 ms and a jitter of up to 2 s: {retry_after}");
}

/// `per_second(4)` was one request in four seconds.
#[tokio::test]
async fn four_per_second_admits_four_per_second() {
    let time = ManualTime::new();
    let quota = Quota::per_second(4).burst(1);
    let limiter = RateLimiter::builder().quota(quota).clock(time.clock()).build().unwrap();
    let app = app().layer(limiter.layer().http());
    let mut served = 0;
    for _ in 0..1_000 {
        served += u32::from(call(&app, "/", None).await.status() == StatusCode::OK);
        time.advance(Duration::from_millis(10));
    }
    assert_eq!(served, 40, "in ten seconds");
}

/// The left-most address of `X-Forwarded-For` was the account, so a client could invent accounts.
#[tokio::test]
async fn invented_addresses_are_one_client() {
    let limits = KeyedRateLimiter::<IpAddr>::new(Quota::per_hour(5)).unwrap();
    let app = app().layer(layer(limits.by(ClientAddr::behind(1).or_shared())).http());
    let mut served = 0;
    for n in 0..50 {
        let invented = format!("198.51.100.{n}, 203.0.113.9");
        served += u32::from(call(&app, "/", Some(&invented)).await.status() == StatusCode::OK);
    }
    assert_eq!((served, limits.key_count()), (5, 1));
}

/// Without `ConnectInfo`, every response was 500, "Unable To Extract Key!".
#[tokio::test]
async fn missing_address_is_not_an_error() {
    let limits = KeyedRateLimiter::<IpAddr>::new(Quota::per_hour(2)).unwrap();
    let exempt = app().layer(layer(limits.by_option(ClientAddr::peer().or_exempt())).http());
    for _ in 0..10 {
        assert_eq!(call(&exempt, "/", None).await.status(), StatusCode::OK);
    }
    let shared = app().layer(layer(limits.by(ClientAddr::peer().or_shared())).http());
    let mut seen = vec![];
    for _ in 0..3 {
        seen.push(call(&shared, "/", None).await.status());
    }
    assert_eq!(seen, [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]);
}

/// axum calls a layer once for each route. One limit applies to all of them.
#[tokio::test]
async fn all_routes_share_one_limit() {
    let limiter = RateLimiter::new(Quota::per_hour(3)).unwrap();
    let app = app().layer(limiter.layer().http());
    let mut served = 0;
    for n in 0..10 {
        let path = if n % 2 == 0 { "/" } else { "/other" };
        served += u32::from(call(&app, path, None).await.status() == StatusCode::OK);
    }
    assert_eq!(served, 3);
}

/// Requests without an address, and requests that match no route, once passed uncounted without a
/// trace.
#[cfg(feature = "axum")]
#[tokio::test]
async fn exempt_requests_are_events() {
    use plimsoll_core::{Event, Observe};
    use std::sync::atomic::{AtomicU32, Ordering};
    #[derive(Default)]
    struct Count(AtomicU32);
    impl Observe for Count {
        fn event(&self, event: Event) {
            if let Event::Unguarded { by: "accounts", .. } = event {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    let unguarded = std::sync::Arc::new(Count::default());
    let limits = KeyedRateLimiter::<str>::builder().quota(Quota::per_hour(1));
    let limits = limits.observe(unguarded.clone()).build().unwrap();
    let by_route = layer(limits.by_option_ref(plimsoll_http::MatchedRoute.or_exempt())).http();
    for _ in 0..3 {
        assert_eq!(call(&app().layer(by_route.clone()), "/nowhere", None).await.status(), 404);
    }
    assert_eq!(unguarded.0.load(Ordering::Relaxed), 3);
    let limits = KeyedRateLimiter::<IpAddr>::builder().quota(Quota::per_hour(1));
    let limits = limits.observe(unguarded.clone()).build().unwrap();
    let by_address = layer(limits.by_option(ClientAddr::peer().or_exempt())).http();
    assert_eq!(call(&app().layer(by_address), "/", None).await.status(), 200);
    assert_eq!(unguarded.0.load(Ordering::Relaxed), 4);
}

/// Exempt and shared were once the only choices.
#[cfg(feature = "axum")]
#[tokio::test]
async fn unknown_accounts_are_rejected_by_choice() {
    let addresses = KeyedRateLimiter::<IpAddr>::new(Quota::per_hour(9)).unwrap();
    let by_address = layer(addresses.by_required(ClientAddr::behind(1).or_rejected())).http();
    let address = app().layer(by_address);
    let response = call(&address, "/", None).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let rejected = response.extensions().get::<plimsoll_core::Rejected>().unwrap();
    assert_eq!((rejected.by(), rejected.reason()), ("accounts", plimsoll_core::Reason::Unidentified));
    assert_eq!(call(&address, "/", Some("203.0.113.9")).await.status(), 200);

    let routes = KeyedRateLimiter::<str>::new(Quota::per_hour(1)).unwrap();
    let required = layer(routes.by_required_ref(plimsoll_http::MatchedRoute.or_rejected())).http();
    let required = app().layer(required);
    assert_eq!(call(&required, "/nowhere", None).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(call(&required, "/", None).await.status(), 200);
    let shared = app().layer(layer(routes.by_ref(plimsoll_http::MatchedRoute.or_shared())).http());
    assert_eq!(call(&shared, "/nowhere", None).await.status(), 404);
    assert_eq!(call(&shared, "/no-such-route", None).await.status(), 429, "one account");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn account_is_the_route_and_not_the_path() {
    let limits = KeyedRateLimiter::<str>::new(Quota::per_hour(2)).unwrap();
    let app = Router::new()
        .route("/users/{id}", get(async || "a user"))
        .route("/orders", get(async || "orders"))
        .layer(layer(limits.by_option_ref(plimsoll_http::MatchedRoute.or_exempt())).http());
    let mut seen = vec![];
    for path in ["/users/1", "/users/2", "/users/3", "/orders", "/nowhere", "/nowhere", "/nowhere"] {
        seen.push(call(&app, path, None).await.status().as_u16());
    }
    assert_eq!(seen, [200, 200, 429, 200, 404, 404, 404]);
    assert_eq!(limits.key_count(), 2);
}
