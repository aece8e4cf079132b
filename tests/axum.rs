//! A real axum server on real sockets, over HTTP/1 and HTTP/2.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use axum::{Router, routing::get};
use common::until;
use http_body_util::{BodyExt, channel::Channel};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use plimsoll::http::{ClientAddr, Header, MatchedRoute};
use plimsoll::layer;
use plimsoll::limit::Class;
use plimsoll::prelude::*;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::Layer;

/// The handler acquires a permit of it. So a test decides when work ends, and nothing depends on
/// time.
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

#[tokio::test]
async fn one_limit_for_all_connections_and_routes() {
    for http2 in [false, true] {
        let (valve, permits) = (Valve::new(2).unwrap(), Work::new(Semaphore::new(0)));
        let app = Router::new()
            .route("/a", get(work))
            .route("/b", get(work))
            .route("/health", get(async || "well"))
            .layer(valve.layer().only(|r: &Request| r.uri().path() != "/health").http())
            .with_state(permits.clone());
        let at = serve(app).await;
        // Two clients: over HTTP/2, each has one connection for all of its requests.
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
            assert_eq!(fetch(client, at, "/health").await, (200, "well".into()), "exempt");
        }
        permits.add_permits(2);
        assert_eq!(a.await.unwrap(), (200, "done".into()));
        assert_eq!(b.await.unwrap(), (200, "done".into()));
        until(|| valve.in_flight() == 0).await;
        permits.add_permits(1);
        assert_eq!(fetch(&one, at, "/b").await.0, 200);
    }
}

#[tokio::test]
async fn client_that_leaves_releases_its_place_in_the_queue() {
    for http2 in [false, true] {
        let hour = Duration::from_secs(3600);
        let valve = Valve::builder().concurrency(1).queue(8).max_wait(hour).build().unwrap();
        let permits = Work::new(Semaphore::new(0));
        let app = Router::new().route("/", get(work)).layer(valve.wait_layer().http());
        let at = serve(app.with_state(permits.clone())).await;
        let client = client(http2);
        let mut calls = vec![];
        for n in 0..4u32 {
            let client = client.clone();
            calls.push(tokio::spawn(async move { fetch(&client, at, "/").await }));
            until(|| valve.in_flight() + valve.queued() == n + 1).await;
        }
        calls.remove(1).abort(); // it is waiting
        until(|| valve.queued() == 2).await;
        calls.remove(0).abort(); // it is in flight
        until(|| valve.queued() == 1 && valve.in_flight() == 1).await;
        permits.add_permits(2);
        for call in calls {
            assert_eq!(call.await.unwrap(), (200, "done".into()));
        }
        until(|| valve.in_flight() == 0).await;
    }
}

/// For a limit per connection, build a guard for each, around the shared service.
#[tokio::test]
async fn each_connection_has_its_own_limit() {
    let permits = Work::new(Semaphore::new(0));
    let app = Router::new().route("/", get(work)).with_state(permits.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let valves: Arc<Mutex<Vec<Valve>>> = Arc::default();
    let built = valves.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let valve = Valve::builder().name("connection").concurrency(1).build().unwrap();
            built.lock().unwrap().push(valve.clone());
            let service = TowerToHyperService::new(valve.layer().http().layer(app.clone()));
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let in_flight = || valves.lock().unwrap().iter().map(Valve::in_flight).sum::<u32>();
    let (one, two) = (client(true), client(true)); // HTTP/2: one connection each
    let first = tokio::spawn({
        let one = one.clone();
        async move { fetch(&one, at, "/").await }
    });
    until(|| in_flight() == 1).await;
    assert_eq!(fetch(&one, at, "/").await.0, 503, "the limit of this connection is reached");
    let second = tokio::spawn(async move { fetch(&two, at, "/").await });
    until(|| in_flight() == 2).await;
    permits.add_permits(2);
    assert_eq!(
        (first.await.unwrap().0, second.await.unwrap().0),
        (200, 200),
        "the other connection has its own"
    );
}

fn lines<B>(response: &Response<B>, name: &str) -> Vec<String> {
    response.headers().get_all(name).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}

/// A client of a server with connect info.
struct Api {
    client: Client<HttpConnector, Body>,
    at: SocketAddr,
}

impl Api {
    async fn serve(app: Router, http2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Api { client: client(http2), at }
    }

    async fn get(&self, path: &str, key: Option<&str>) -> Response<Body> {
        let mut request = Request::builder().uri(format!("http://{}{path}", self.at));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        self.client.request(request.body(Body::empty()).unwrap()).await.unwrap().map(Body::new)
    }
}

/// Limits for free accounts, and for premium ones, whose keys begin with `p-`.
fn plans() -> TieredRateLimiter<str> {
    TieredRateLimiter::builder()
        .name("api")
        .global(Quota::per_hour(100))
        .class(Class::new("free").each(Quota::per_hour(2)))
        .class(Class::new("premium").each(Quota::per_hour(50)))
        .class_of(|key: &str| if key.starts_with("p-") { "premium" } else { "free" })
        .build()
        .unwrap()
}

/// Returns the number after the last `=`.
fn last_number(line: &str) -> u64 {
    line.rsplit('=').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn responses_report_the_quotas_of_an_account() {
    for http2 in [false, true] {
        let by_key = layer(plans().by_option_ref(Header::new("x-api-key").unwrap().or_exempt()));
        let app = Router::new().route("/", get(async || "hello")).layer(by_key.http());
        let api = Api::serve(app, http2).await;

        let first = api.get("/", Some("ann")).await;
        assert_eq!(first.status(), 200);
        let policies = lines(&first, "ratelimit-policy");
        assert_eq!(policies, [r#""api/free/account";q=2;w=3600"#], "not the quota of all callers");
        let remaining = lines(&first, "ratelimit");
        assert_eq!(remaining.len(), 1);
        assert!(remaining[0].starts_with(r#""api/free/account";r=1;t="#), "{remaining:?}");

        assert_eq!(api.get("/", Some("ann")).await.status(), 200);
        let rejected = api.get("/", Some("ann")).await;
        assert_eq!(rejected.status(), 429);
        assert_eq!(lines(&rejected, "ratelimit-policy"), [r#""api/free/account";q=2;w=3600"#]);
        let remaining = lines(&rejected, "ratelimit");
        assert!(remaining[0].starts_with(r#""api/free/account";r=0;t="#), "{remaining:?}");
        let t = last_number(&remaining[0]);
        let retry_after: u64 = lines(&rejected, "retry-after")[0].parse().unwrap();
        assert!((t..=t + t / 4 + 3).contains(&retry_after) && t <= 1_800, "{t} {retry_after}");
        let body = rejected.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("http-problem-types#quota-exceeded"), "{body}");

        let exempt = api.get("/", None).await;
        assert_eq!(exempt.status(), 200);
        assert!(lines(&exempt, "ratelimit").is_empty() && lines(&exempt, "ratelimit-policy").is_empty());
    }
}

/// Two layers, each with its own quota, in front of a body that is sent in two halves.
#[tokio::test]
async fn streamed_body_passes_two_layers_unchanged() {
    for http2 in [false, true] {
        let routes = KeyedRateLimiter::<str>::builder().name("route").quota(Quota::per_hour(3));
        let routes = routes.build().unwrap();
        let work = Work::new(Semaphore::new(0));
        let stream = async |State(work): State<Work>| {
            let (mut sender, body) = Channel::<Bytes>::new(1);
            tokio::spawn(async move {
                sender.send_data("first, ".into()).await.unwrap();
                work.acquire().await.unwrap().forget();
                sender.send_data("second".into()).await.unwrap();
            });
            Body::new(body)
        };
        let by_route = layer(routes.by_ref(MatchedRoute.or_shared()));
        let by_key = layer(plans().by_option_ref(Header::new("x-api-key").unwrap().or_exempt()));
        let app = Router::new()
            .route("/stream/{n}", get(stream).layer(by_route.http()))
            .layer(by_key.http())
            .with_state(work.clone());
        let api = Api::serve(app, http2).await;

        let mut response = api.get("/stream/1", Some("p-bob")).await;
        let policies = lines(&response, "ratelimit-policy");
        assert_eq!(policies.len(), 2, "one line of each layer");
        assert_eq!(policies[0], r#""route";q=3;w=3600"#);
        let half = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(half, "first, ");
        work.add_permits(1);
        let half = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(half, "second");
    }
}

#[tokio::test]
async fn client_without_a_key_is_limited_by_address() {
    for http2 in [false, true] {
        let limiter = KeyedRateLimiter::<IpAddr>::new(Quota::per_hour(1)).unwrap();
        let by_address = layer(limiter.by(ClientAddr::peer().or_shared()));
        let app = Router::new().route("/", get(async || "hello")).layer(by_address.http());
        let api = Api::serve(app, http2).await;
        assert_eq!(api.get("/", None).await.status(), 200);
        assert_eq!(api.get("/", None).await.status(), 429, "the same address");
        assert!(limiter.check(&"127.0.0.1".parse().unwrap()).is_err(), "the address is that of the peer");
    }
}
