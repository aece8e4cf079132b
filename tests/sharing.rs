//! A guard is shared by everything that it guards, however often its layer is applied.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use axum::http::StatusCode;
use axum::{Router, routing::get};
use common::{BoxError, get_request, pending_handler, reason, until};
use plimsoll::limit::Class;
use plimsoll::prelude::*;
use plimsoll::{ManualTime, layer};
use tower::{ServiceBuilder, ServiceExt, service_fn};

async fn status(app: &Router, path: &str) -> StatusCode {
    app.clone().oneshot(get_request(path)).await.unwrap().status()
}

#[tokio::test]
async fn handle_and_its_layers_share_one_limit() {
    let valve = Valve::new(1).unwrap();
    let work = service_fn(async |(): ()| Ok::<_, BoxError>(()));
    let one = ServiceBuilder::new().layer(valve.layer()).service(work);
    let two = ServiceBuilder::new().layer(valve.clone().layer()).service(work);
    let held = valve.try_acquire().unwrap();
    for service in [one.clone(), one] {
        assert!(service.oneshot(()).await.unwrap_err().is::<Rejected>());
    }
    assert!(two.clone().oneshot(()).await.is_err());
    held.done(Outcome::Success);
    two.oneshot(()).await.unwrap();
}

/// axum calls `layer()` once for each route. Without `with_state`, it does so for every request.
#[tokio::test]
async fn routes_share_one_limit_with_and_without_state() {
    for with_state in [true, false] {
        let valve = Valve::new(1).unwrap();
        let app = Router::new().route("/a", get(pending_handler)).route("/b", get(pending_handler));
        let app = app.layer(valve.layer().http());
        let app = if with_state { app.with_state(()) } else { app };
        let first = tokio::spawn(app.clone().oneshot(get_request("/a")));
        until(|| valve.in_flight() > 0).await;
        for path in ["/a", "/b"] {
            assert_eq!(status(&app, path).await, StatusCode::SERVICE_UNAVAILABLE, "state: {with_state}");
        }
        first.abort();
    }
}

#[tokio::test]
async fn routes_share_one_buffer() {
    let buffer = Buffer::builder().concurrency(1).queue(0).build().unwrap();
    let app = Router::new().route("/a", get(pending_handler)).layer(buffer.layer().http());
    let other = Router::new().route("/b", get(pending_handler)).layer(buffer.clone().layer().http());
    let app = app.merge(other);
    let first = tokio::spawn(app.clone().oneshot(get_request("/a")));
    until(|| buffer.in_flight() > 0).await;
    for path in ["/a", "/b"] {
        assert_eq!(status(&app, path).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    first.abort();
}

#[tokio::test]
async fn routes_share_the_slots_of_a_pool() {
    let pool = Dispatch::<()>::new(1).unwrap();
    let app = Router::new().route("/a", get(pending_handler)).layer(pool.layer().http());
    let other = Router::new().route("/b", get(pending_handler)).layer(pool.clone().layer().http());
    let app = app.merge(other);
    let first = tokio::spawn(app.clone().oneshot(get_request("/a")));
    until(|| pool.in_use() > 0).await;
    for path in ["/a", "/b"] {
        assert_eq!(status(&app, path).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    first.abort();
}

#[tokio::test]
async fn route_with_its_own_valve_has_its_own_limit() {
    let (all, heavy) = (Valve::new(2).unwrap(), Valve::new(1).unwrap());
    let app = Router::new()
        .route("/heavy", get(pending_handler).layer(heavy.layer().http()))
        .route("/light", get(async || "light"))
        .layer(all.layer().http())
        .with_state(());
    let first = tokio::spawn(app.clone().oneshot(get_request("/heavy")));
    until(|| heavy.in_flight() > 0).await;
    assert_eq!(status(&app, "/heavy").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&app, "/light").await, StatusCode::OK);
    let in_flight = (all.in_flight(), heavy.in_flight());
    assert_eq!(in_flight, (1, 1), "a request that the inner valve rejects holds no place of the outer one");
    first.abort();
}

#[tokio::test]
async fn clones_and_layers_of_a_limiter_share_one_quota() {
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(Quota::per_hour(4)).clock(time.clock()).build().unwrap();
    let work = service_fn(async |(): ()| Ok::<_, BoxError>(()));
    let one = ServiceBuilder::new().layer(limiter.layer()).service(work);
    let two = ServiceBuilder::new().layer(limiter.clone().wait_layer()).service(work);
    one.clone().oneshot(()).await.unwrap();
    one.clone().oneshot(()).await.unwrap();
    two.clone().oneshot(()).await.unwrap();
    limiter.clone().check().unwrap();
    assert_eq!(limiter.remaining(), 0);
    limiter.close();
    for rejected in [one.oneshot(()).await, two.oneshot(()).await] {
        assert_eq!(reason(rejected.unwrap_err()), Reason::Closed);
    }
}

/// Two routes that read the account in different ways share its quota.
#[tokio::test]
async fn adapters_of_a_keyed_limiter_share_its_accounts() {
    let time = ManualTime::new();
    let quota = Quota::per_hour(4);
    let limiter = KeyedRateLimiter::<u64>::builder().quota(quota).clock(time.clock()).build().unwrap();
    let work = service_fn(async |_: u64| Ok::<_, BoxError>(()));
    let by = ServiceBuilder::new().layer(layer(limiter.by(|account: &u64| *account))).service(work);
    let by_option = layer(limiter.clone().by_option(|account: &u64| Some(*account)));
    let by_option = ServiceBuilder::new().layer(by_option).service(work);

    by.clone().oneshot(7).await.unwrap();
    by_option.clone().oneshot(7).await.unwrap();
    limiter.clone().check_n(&7, 2).unwrap();
    assert!(by.clone().oneshot(7).await.is_err() && by_option.clone().oneshot(7).await.is_err());
    by.oneshot(8).await.unwrap();
    assert_eq!((limiter.remaining(&7), limiter.remaining(&8), limiter.key_count()), (0, 3, 2));
}

#[tokio::test]
async fn adapters_of_a_tiered_limiter_share_its_accounts() {
    let time = ManualTime::new();
    let class = Class::new("free").each(Quota::per_hour(4));
    let limiter = TieredRateLimiter::<u64>::builder().class(class).clock(time.clock()).build().unwrap();
    let work = service_fn(async |_: u64| Ok::<_, BoxError>(()));
    let by = ServiceBuilder::new().layer(layer(limiter.by(|account: &u64| *account))).service(work);
    let by_option = layer(limiter.clone().by_option(|account: &u64| Some(*account)));
    let by_option = ServiceBuilder::new().layer(by_option).service(work);

    by.clone().oneshot(7).await.unwrap();
    by_option.clone().oneshot(7).await.unwrap();
    limiter.clone().check_n(&7, 2).unwrap();
    assert!(by.clone().oneshot(7).await.is_err() && by_option.oneshot(7).await.is_err());
    by.oneshot(8).await.unwrap();
}

#[tokio::test]
async fn adapters_of_a_fair_limiter_share_its_quota() {
    let time = ManualTime::new();
    let quota = Quota::per_second(100);
    let limiter = FairRateLimiter::<u64>::builder().quota(quota).clock(time.clock()).build().unwrap();
    let work = service_fn(async |_: u64| Ok::<_, BoxError>(()));
    let by = ServiceBuilder::new().layer(layer(limiter.by(|account: &u64| *account))).service(work);
    let by_option = layer(limiter.clone().by_option(|account: &u64| Some(*account)));
    let by_option = ServiceBuilder::new().layer(by_option).service(work);

    let mut admitted = 0;
    for _ in 0..200 {
        admitted += u32::from(by.clone().oneshot(7).await.is_ok());
        admitted += u32::from(by_option.clone().oneshot(8).await.is_ok());
    }
    assert!((20..=100).contains(&admitted), "{admitted}");
    assert!(limiter.clone().check(&7).is_err());
    assert_eq!(limiter.key_count(), 2);
}

#[tokio::test]
async fn shedder_counts_requests_of_all_routes() {
    let shedder = LoadShedder::new(1).unwrap();
    let app = Router::new().route("/a", get(pending_handler)).route("/b", get(pending_handler));
    let app = app.layer(shedder.layer().http());
    let calls = ["/a", "/b"].map(|path| tokio::spawn(app.clone().oneshot(get_request(path))));
    until(|| {
        assert!(calls.iter().all(|call| !call.is_finished()));
        shedder.in_flight() == 2
    })
    .await;
    for call in calls {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(shedder.in_flight(), 0);
}
