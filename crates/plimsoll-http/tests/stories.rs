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
    assert_eq!(response.headers()["retry-after"], "1");
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

#[cfg(feature = "axum")]
#[tokio::test]
async fn account_is_the_route_and_not_the_path() {
    let limits = KeyedRateLimiter::<str>::new(Quota::per_hour(2)).unwrap();
    let app = Router::new()
        .route("/users/{id}", get(async || "a user"))
        .route("/orders", get(async || "orders"))
        .layer(layer(limits.by_option_ref(plimsoll_http::matched_path)).http());
    let mut seen = vec![];
    for path in ["/users/1", "/users/2", "/users/3", "/orders", "/nowhere", "/nowhere", "/nowhere"] {
        seen.push(call(&app, path, None).await.status().as_u16());
    }
    assert_eq!(seen, [200, 200, 429, 200, 404, 404, 404]);
    assert_eq!(limits.key_count(), 2);
}
