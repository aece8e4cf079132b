//! One guard is one line, whatever it is put around and however often.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::{Router, routing::get};
use plimsoll::prelude::*;
use tower::{ServiceBuilder, ServiceExt, service_fn};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn ask(path: &str) -> Request<Body> {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}

async fn forever() -> &'static str {
    std::future::pending().await
}

#[tokio::test]
async fn a_handle_and_all_its_layers_share() {
    let valve = Valve::new(1).unwrap();
    let one =
        ServiceBuilder::new().layer(valve.layer()).service(service_fn(async |(): ()| Ok::<_, BoxError>(())));
    let two = ServiceBuilder::new()
        .layer(valve.clone().layer())
        .service(service_fn(async |(): ()| Ok::<_, BoxError>(())));
    let held = valve.try_acquire().unwrap();
    for service in [one.clone(), one] {
        assert!(service.oneshot(()).await.unwrap_err().is::<Rejected>());
    }
    assert!(two.clone().oneshot(()).await.is_err());
    held.done(Outcome::Success);
    two.oneshot(()).await.unwrap();
}

/// One line over all routes, though axum calls `layer()` once for each of them.
#[tokio::test]
async fn a_routers_layer_is_one_line_with_and_without_with_state() {
    for with_state in [true, false] {
        let valve = Valve::new(1).unwrap();
        let app =
            Router::new().route("/a", get(forever)).route("/b", get(forever)).layer(valve.layer().http());
        // Without `with_state` axum applies the layers anew for every request.
        let app = if with_state { app.with_state(()) } else { app };
        let first = tokio::spawn(app.clone().oneshot(ask("/a")));
        while valve.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        for path in ["/a", "/b"] {
            let response = app.clone().oneshot(ask(path)).await.unwrap();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "with_state: {with_state}");
        }
        first.abort();
    }
}

/// The same for requests that wait in a buffer, and in a clone of its handle.
#[tokio::test]
async fn a_buffer_is_one_line_over_all_routes() {
    let buffer = Buffer::builder().concurrency(1).queue(0).build().unwrap();
    let app = Router::new().route("/a", get(forever)).layer(buffer.layer().http());
    let app = app.merge(Router::new().route("/b", get(forever)).layer(buffer.clone().layer().http()));
    let first = tokio::spawn(app.clone().oneshot(ask("/a")));
    while buffer.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    for path in ["/a", "/b"] {
        let response = app.clone().oneshot(ask(path)).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    first.abort();
}

/// And for seats.
#[tokio::test]
async fn seats_are_the_same_seats_over_all_routes() {
    let seats = Dispatch::<()>::new(1).unwrap();
    let app = Router::new().route("/a", get(forever)).layer(seats.layer().http());
    let app = app.merge(Router::new().route("/b", get(forever)).layer(seats.clone().layer().http()));
    let first = tokio::spawn(app.clone().oneshot(ask("/a")));
    while seats.in_use() == 0 {
        tokio::task::yield_now().await;
    }
    for path in ["/a", "/b"] {
        let response = app.clone().oneshot(ask(path)).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    first.abort();
}

/// A route with a valve of its own has a line of its own, inside the common one.
#[tokio::test]
async fn a_route_with_a_valve_of_its_own_has_its_own_line() {
    let (all, heavy) = (Valve::new(2).unwrap(), Valve::new(1).unwrap());
    let app = Router::new()
        .route("/heavy", get(forever).layer(heavy.layer().http()))
        .route("/light", get(async || "light"))
        .layer(all.layer().http())
        .with_state(());
    let first = tokio::spawn(app.clone().oneshot(ask("/heavy")));
    while heavy.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.clone().oneshot(ask("/heavy")).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.oneshot(ask("/light")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        (all.in_flight(), heavy.in_flight()),
        (1, 1),
        "who was rejected further in holds nothing further out"
    );
    first.abort();
}

/// One quota, whichever clone, layer or service asks; and what one of them changes holds for all.
#[tokio::test]
async fn a_limiter_is_one_quota_over_clones_layers_and_services() {
    let time = plimsoll::ManualTime::new();
    let quota = Quota::per_hour(4);
    let limiter = RateLimiter::builder().quota(quota).clock(time.clock()).build().unwrap();
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
        assert_eq!(rejected.unwrap_err().downcast_ref::<Rejected>().unwrap().reason(), Reason::Closed);
    }
}

/// The adapters of a limiter by account are handles too: two routes that read the account in different ways share it.
#[tokio::test]
async fn limiters_by_account_are_one_quota_for_each_over_all_their_adapters() {
    let time = plimsoll::ManualTime::new();
    let quota = Quota::per_hour(4);
    let work = service_fn(async |_: u64| Ok::<_, BoxError>(()));
    let by = |account: &u64| *account;
    let some = |account: &u64| Some(*account);

    let keyed = KeyedRateLimiter::<u64>::builder().quota(quota).clock(time.clock()).build().unwrap();
    let one = ServiceBuilder::new().layer(plimsoll::layer(keyed.by(by))).service(work);
    let two = ServiceBuilder::new().layer(plimsoll::layer(keyed.clone().by_option(some))).service(work);
    let each = plimsoll::limit::Class::new("free").each(quota);
    let tiers = TieredRateLimiter::<u64>::builder().class(each).clock(time.clock()).build().unwrap();
    let three = ServiceBuilder::new().layer(plimsoll::layer(tiers.by(by))).service(work);
    let four = ServiceBuilder::new().layer(plimsoll::layer(tiers.clone().by_option(some))).service(work);
    // With a burst as large as its documentation asks for.
    let shared = Quota::per_second(100);
    let fair = FairRateLimiter::<u64>::builder().quota(shared).clock(time.clock()).build().unwrap();
    let five = ServiceBuilder::new().layer(plimsoll::layer(fair.by(by))).service(work);
    let six = ServiceBuilder::new().layer(plimsoll::layer(fair.clone().by_option(some))).service(work);

    one.clone().oneshot(7).await.unwrap();
    two.clone().oneshot(7).await.unwrap();
    keyed.clone().check_n(&7, 2).unwrap();
    assert!(one.clone().oneshot(7).await.is_err() && two.clone().oneshot(7).await.is_err());
    one.oneshot(8).await.unwrap();
    assert_eq!((keyed.remaining(&7), keyed.remaining(&8), keyed.key_count()), (0, 3, 2));

    three.clone().oneshot(7).await.unwrap();
    four.clone().oneshot(7).await.unwrap();
    tiers.clone().check_n(&7, 2).unwrap();
    assert!(three.clone().oneshot(7).await.is_err() && four.oneshot(7).await.is_err());
    three.oneshot(8).await.unwrap();

    // Both routes draw on the one hundred units, and know the same accounts.
    let mut admitted = 0;
    for _ in 0..200 {
        admitted += u32::from(five.clone().oneshot(7).await.is_ok());
        admitted += u32::from(six.clone().oneshot(8).await.is_ok());
    }
    assert!((20..=100).contains(&admitted), "{admitted}");
    assert!(fair.clone().check(&7).is_err());
    assert_eq!(fair.key_count(), 2);
}

/// Those inside any route are in flight for the shedder of them all.
#[tokio::test]
async fn a_shedder_counts_over_all_routes() {
    let shedder = LoadShedder::new(1).unwrap();
    let app = Router::new().route("/a", get(forever)).route("/b", get(forever)).layer(shedder.layer().http());
    let calls = ["/a", "/b"].map(|path| tokio::spawn(app.clone().oneshot(ask(path))));
    while shedder.in_flight() < 2 {
        assert!(calls.iter().all(|call| !call.is_finished()));
        tokio::task::yield_now().await;
    }
    for call in calls {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(shedder.in_flight(), 0);
}
