//! A real axum server on real sockets, HTTP/1 and HTTP/2.
#![allow(missing_docs, clippy::unwrap_used)]

use axum::body::Body;
use axum::extract::{Request, State};
use axum::{Router, routing::get};
use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use plimsoll::prelude::*;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::Layer;

/// The handler waits for this: so a test says when work ends, and nothing depends on time.
type Work = Arc<Semaphore>;

fn client(http2: bool) -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}

async fn work(State(work): State<Work>) -> &'static str {
    work.acquire().await.unwrap().forget();
    "done"
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn fetch(client: &Client<HttpConnector, Body>, at: SocketAddr, path: &str) -> (u16, String) {
    let request = Request::builder().uri(format!("http://{at}{path}")).body(Body::empty()).unwrap();
    let response = client.request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn until(mut there: impl FnMut() -> bool) {
    while !there() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_line_over_all_connections_and_routes() {
    for http2 in [false, true] {
        let (valve, gate) = (Valve::new(2).unwrap(), Work::new(Semaphore::new(0)));
        let app = Router::new()
            .route("/a", get(work))
            .route("/b", get(work))
            .route("/health", get(async || "well"))
            .layer(valve.layer().only(|r: &Request| r.uri().path() != "/health").http())
            .with_state(gate.clone());
        let at = serve(app).await;
        // Two clients: with HTTP/2 each is one connection that carries many requests.
        let (one, two) = (client(http2), client(http2));
        let a = tokio::spawn({
            let one = one.clone();
            async move { fetch(&one, at, "/a").await }
        });
        let b = tokio::spawn({
            let two = two.clone();
            async move { fetch(&two, at, "/b").await }
        });
        until(|| valve.inside() == 2).await;

        for client in [&one, &two] {
            let (status, body) = fetch(client, at, "/a").await;
            assert_eq!(status, 503);
            assert!(body.contains(r#""reason":"full""#), "{body}");
            assert_eq!(fetch(client, at, "/health").await, (200, "well".into()), "never refused");
        }
        gate.add_permits(2);
        assert_eq!(a.await.unwrap(), (200, "done".into()));
        assert_eq!(b.await.unwrap(), (200, "done".into()));
        until(|| valve.inside() == 0).await;
        gate.add_permits(1);
        assert_eq!(fetch(&one, at, "/b").await.0, 200);
    }
}

#[tokio::test]
async fn waiting_requests_are_served_in_turn_and_a_client_that_leaves_takes_no_place() {
    for http2 in [false, true] {
        let hour = std::time::Duration::from_secs(3600);
        let valve = Valve::builder().inside(1).room(8).longest_wait(hour).build().unwrap();
        let gate = Work::new(Semaphore::new(0));
        let at = serve(
            Router::new().route("/", get(work)).layer(valve.wait_layer().http()).with_state(gate.clone()),
        )
        .await;
        let client = client(http2);
        let mut calls = vec![];
        for n in 0..4u32 {
            let client = client.clone();
            calls.push(tokio::spawn(async move { fetch(&client, at, "/").await }));
            until(|| valve.inside() + valve.waiting() == n + 1).await;
        }
        calls.remove(1).abort(); // it waited
        until(|| valve.waiting() == 2).await;
        calls.remove(0).abort(); // it was inside
        until(|| valve.waiting() == 1 && valve.inside() == 1).await;
        gate.add_permits(2);
        for call in calls {
            assert_eq!(call.await.unwrap(), (200, "done".into()));
        }
        until(|| valve.inside() == 0).await;
    }
}

/// A line for each connection: build a guard for each, around the shared service.
#[tokio::test]
async fn a_line_for_each_connection() {
    let gate = Work::new(Semaphore::new(0));
    let app = Router::new().route("/", get(work)).with_state(gate.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let valves: Arc<std::sync::Mutex<Vec<Valve>>> = Arc::default();
    let made = valves.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let valve = Valve::builder().name("connection").inside(1).build().unwrap();
            made.lock().unwrap().push(valve.clone());
            let service = TowerToHyperService::new(valve.layer().http().layer(app.clone()));
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let inside = || valves.lock().unwrap().iter().map(Valve::inside).sum::<u32>();
    let (one, two) = (client(true), client(true)); // HTTP/2: one connection each
    let first = tokio::spawn({
        let one = one.clone();
        async move { fetch(&one, at, "/").await }
    });
    until(|| inside() == 1).await;
    assert_eq!(fetch(&one, at, "/").await.0, 503, "this connection's line is full");
    let second = tokio::spawn(async move { fetch(&two, at, "/").await });
    until(|| inside() == 2).await;
    gate.add_permits(2);
    assert_eq!((first.await.unwrap().0, second.await.unwrap().0), (200, 200), "the other's is not");
}
