//! A real axum server on real sockets, HTTP/1 and HTTP/2.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use axum::{Router, routing::get};
use http_body_util::{BodyExt, channel::Channel};
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
        until(|| valve.in_flight() == 2).await;

        for client in [&one, &two] {
            let (status, body) = fetch(client, at, "/a").await;
            assert_eq!(status, 503);
            assert!(body.contains(r#""reason":"full""#), "{body}");
            assert_eq!(fetch(client, at, "/health").await, (200, "well".into()), "never rejected");
        }
        gate.add_permits(2);
        assert_eq!(a.await.unwrap(), (200, "done".into()));
        assert_eq!(b.await.unwrap(), (200, "done".into()));
        until(|| valve.in_flight() == 0).await;
        gate.add_permits(1);
        assert_eq!(fetch(&one, at, "/b").await.0, 200);
    }
}

#[tokio::test]
async fn waiting_requests_are_served_in_turn_and_a_client_that_leaves_takes_no_place() {
    for http2 in [false, true] {
        let hour = std::time::Duration::from_secs(3600);
        let valve = Valve::builder().concurrency(1).queue(8).max_wait(hour).build().unwrap();
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
            until(|| valve.in_flight() + valve.queued() == n + 1).await;
        }
        calls.remove(1).abort(); // it waited
        until(|| valve.queued() == 2).await;
        calls.remove(0).abort(); // it was inside
        until(|| valve.queued() == 1 && valve.in_flight() == 1).await;
        gate.add_permits(2);
        for call in calls {
            assert_eq!(call.await.unwrap(), (200, "done".into()));
        }
        until(|| valve.in_flight() == 0).await;
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
            let valve = Valve::builder().name("connection").concurrency(1).build().unwrap();
            made.lock().unwrap().push(valve.clone());
            let service = TowerToHyperService::new(valve.layer().http().layer(app.clone()));
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let inside = || valves.lock().unwrap().iter().map(Valve::in_flight).sum::<u32>();
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

fn said<B>(response: &Response<B>, name: &str) -> Vec<String> {
    response.headers().get_all(name).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}

/// TieredRateLimiter before a real server: what is left stands in every answer, rejected or not, and a streamed body comes as it
/// was sent.
#[tokio::test]
async fn limits_by_account_tell_what_is_left_and_leave_bodies_alone() {
    use plimsoll::http::{ClientAddr, Header, matched_path};
    use plimsoll::limit::Class;
    for http2 in [false, true] {
        let limits = TieredRateLimiter::<str>::builder()
            .name("api")
            .global(Quota::per_hour(100))
            .class(Class::new("free").each(Quota::per_hour(2)))
            .class(Class::new("premium").each(Quota::per_hour(50)))
            .class_of(|key| if key.starts_with("p-") { "premium" } else { "free" })
            .build()
            .unwrap();
        let routes =
            KeyedRateLimiter::<str>::builder().name("route").quota(Quota::per_hour(3)).build().unwrap();
        let strangers = KeyedRateLimiter::<std::net::IpAddr>::new(Quota::per_hour(1)).unwrap();
        let gate = Work::new(Semaphore::new(0));
        // The first half at once, the second when it is let.
        let stream = async |State(work): State<Work>| {
            let (mut to, body) = Channel::<Bytes>::new(1);
            tokio::spawn(async move {
                to.send_data("first, ".into()).await.unwrap();
                work.acquire().await.unwrap().forget();
                to.send_data("second".into()).await.unwrap();
            });
            Body::new(body)
        };
        let app = Router::new()
            .route(
                "/stream/{n}",
                get(stream).layer(plimsoll::layer(routes.by_option_ref(matched_path)).http()),
            )
            .route("/", get(async || "hello"))
            .route(
                "/stranger",
                get(async || "hello")
                    .layer(plimsoll::layer(strangers.by(ClientAddr::peer().or_shared())).http()),
            )
            .layer(
                plimsoll::layer(limits.by_option_ref(Header::new("x-api-key").unwrap().or_exempt())).http(),
            )
            .with_state(gate.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = client(http2);
        let ask = async |path: &str, key: Option<&str>| {
            let mut request = Request::builder().uri(format!("http://{at}{path}"));
            if let Some(key) = key {
                request = request.header("x-api-key", key);
            }
            client.request(request.body(Body::empty()).unwrap()).await.unwrap()
        };
        let first = ask("/", Some("ann")).await;
        assert_eq!(first.status(), 200);
        assert_eq!(
            said(&first, "ratelimit-policy"),
            [r#""api/free/account";q=2;w=3600, "api/global";q=100;w=3600"#]
        );
        let left = said(&first, "ratelimit");
        assert!(left.len() == 1 && left[0].starts_with(r#""api/free/account";r=1;t="#), "{left:?}");
        assert!(left[0].contains(r#", "api/global";r=99;t="#), "{left:?}");

        assert_eq!(ask("/", Some("ann")).await.status(), 200);
        let no = ask("/", Some("ann")).await;
        assert_eq!(no.status(), 429);
        assert_eq!(said(&no, "ratelimit-policy"), [r#""api/free/account";q=2;w=3600"#]);
        let left = said(&no, "ratelimit");
        assert!(left[0].starts_with(r#""api/free/account";r=0;t="#), "{left:?}");
        let t: u64 = left[0].rsplit('=').next().unwrap().parse().unwrap();
        let retry: u64 = said(&no, "retry-after")[0].parse().unwrap();
        assert!((t..=t + t / 4 + 1).contains(&retry) && t <= 1_800, "{t} {retry}");
        let body = no.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("http-problem-types#quota-exceeded"), "{body}");

        // Two layers, one line of each field from each; and the second half is still to come.
        let mut streamed = ask("/stream/1", Some("p-bob")).await;
        assert_eq!(said(&streamed, "ratelimit-policy").len(), 2);
        assert_eq!(said(&streamed, "ratelimit-policy")[0], r#""route";q=3;w=3600"#);
        let half = streamed.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(half, "first, ");
        gate.add_permits(1);
        let half = streamed.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(half, "second");

        // Who is exempt hears nothing.
        let exempt = ask("/", None).await;
        assert_eq!(exempt.status(), 200);
        assert!(said(&exempt, "ratelimit").is_empty() && said(&exempt, "ratelimit-policy").is_empty());
        assert_eq!(ask("/stranger", None).await.status(), 200);
        assert_eq!(ask("/stranger", None).await.status(), 429, "the same address");
    }
}
