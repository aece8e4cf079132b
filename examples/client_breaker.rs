//! An HTTP client with a circuit breaker for each host.
//!
//! ```text
//! cargo run --example client_breaker
//! ```
//!
//! Two servers listen on real sockets. One of them fails for a while, then hangs, then recovers.
//! The client calls both every few milliseconds, and acquires a permit of the host's circuit
//! breaker before each call:
//!
//! - The failing host receives a probe now and then, instead of every call.
//! - A call to it is rejected at once, instead of after the time-out of the call.
//! - Calls to the other host are not affected.
//!
//! All times are short, so that the example ends soon.

use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use axum::{Router, extract::State, routing::get};
use http_body_util::Empty;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use plimsoll::breaker::{CircuitState, OpenTime, Probes, Ramp};
use plimsoll::{Event, Observe, prelude::*};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::time::{interval, sleep, timeout};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const MS: Duration = Duration::from_millis(1);
/// Far longer than a call to a healthy host takes.
const CALL_TIMEOUT: Duration = Duration::from_millis(150);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (orders_server, prices_server) = (Arc::new(Server::default()), Arc::new(Server::default()));
    let mut client = HostClient::new();
    let orders = client.add("orders", serve(orders_server).await?)?;
    let prices = client.add("prices", serve(prices_server.clone()).await?)?;

    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(call_repeatedly(Arc::new(client), stop.clone()));
    sleep(300 * MS).await;
    let calls = prices.calls.load(Relaxed);
    prices_server.set(FAILING, "prices fails");
    sleep(500 * MS).await;
    prices_server.set(HANGING, "prices hangs");
    sleep(700 * MS).await;
    let calls = prices.calls.load(Relaxed) - calls;
    prices_server.set(HEALTHY, "prices has recovered");

    // The open time ends, a probe succeeds, and the ramp ends.
    let closed = async {
        while prices.breaker.state() != CircuitState::Closed {
            sleep(10 * MS).await;
        }
    };
    timeout(2_500 * MS, closed).await?;
    sleep(200 * MS).await;
    stop.store(true, Relaxed);
    load.await?;

    println!("{orders}\n{prices}");
    let received = prices_server.received_unhealthy.load(Relaxed);
    println!("while prices was unhealthy: {calls} calls, of which it received {received}");
    assert_eq!(orders.rejected.load(Relaxed), 0, "no call to the healthy host is rejected");
    assert!(received * 4 < calls, "the unhealthy host receives few calls");
    assert_eq!(prices.breaker.state(), CircuitState::Closed, "and is called again after it has recovered");
    Ok(())
}

// The client.

/// An HTTP client for several hosts, each behind its own circuit breaker.
struct HostClient {
    http: Client<HttpConnector, Empty<Bytes>>,
    hosts: HashMap<&'static str, Arc<Host>>,
    log: Arc<StateLog>,
}

struct Host {
    uri: Uri,
    breaker: CircuitBreaker,
    calls: AtomicU32,
    rejected: AtomicU32,
    answered: AtomicU32,
}

impl HostClient {
    fn new() -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        HostClient { http, hosts: HashMap::new(), log: Arc::new(StateLog(Instant::now())) }
    }

    fn add(&mut self, name: &'static str, uri: Uri) -> Result<Arc<Host>, BoxError> {
        let breaker = CircuitBreaker::builder()
            .name(name)
            // Opens on whichever comes first: five failures in a row, or half of 20 calls or more
            // in 2 s.
            .trip(Trip::failures().consecutive(5))
            .trip(Trip::failures().ratio(0.5, 20).within(2_000 * MS))
            .open_time(OpenTime { first: 150 * MS, max: 600 * MS, ..OpenTime::default() })
            .probes(Probes { lease: CALL_TIMEOUT + 50 * MS, ..Probes::default() })
            .ramp(Ramp { duration: Some(400 * MS), ..Ramp::default() })
            .observe(self.log.clone())
            .build()?;
        let (calls, rejected, answered) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let host = Arc::new(Host { uri, breaker, calls, rejected, answered });
        self.hosts.insert(name, host.clone());
        Ok(host)
    }

    /// Calls a host, unless its circuit breaker rejects the call.
    async fn get(&self, name: &str) -> Result<StatusCode, Overload<BoxError>> {
        let host = self.hosts.get(name).ok_or_else(|| Overload::Inner("no such host".into()))?;
        host.calls.fetch_add(1, Relaxed);
        let permit = host.breaker.try_acquire().inspect_err(|_| {
            host.rejected.fetch_add(1, Relaxed);
        })?;
        match timeout(CALL_TIMEOUT, self.http.get(host.uri.clone())).await {
            Ok(Ok(response)) => {
                let failed = response.status().is_server_error();
                permit.done(if failed { Outcome::Failure } else { Outcome::Success });
                host.answered.fetch_add(1, Relaxed);
                Ok(response.status())
            }
            Ok(Err(error)) => {
                permit.done(Outcome::Failure);
                Err(Overload::Inner(error.into()))
            }
            Err(elapsed) => {
                permit.done(Outcome::TimedOut);
                Err(Overload::Inner(elapsed.into()))
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [calls, answered, rejected] =
            [&self.calls, &self.answered, &self.rejected].map(|count| count.load(Relaxed));
        let (name, status) = (self.breaker.name(), self.breaker.status());
        write!(f, "{name}: {calls} calls, {answered} answered, {rejected} rejected; now {status}")
    }
}

/// Calls each host every 4 ms, without waiting for the calls before.
async fn call_repeatedly(client: Arc<HostClient>, stop: Arc<AtomicBool>) {
    let mut tick = interval(4 * MS);
    while !stop.load(Relaxed) {
        tick.tick().await;
        for name in ["orders", "prices"] {
            let client = client.clone();
            tokio::spawn(async move { client.get(name).await.is_ok() });
        }
    }
}

/// Prints each change of the state of a circuit breaker.
struct StateLog(Instant);

impl Observe for StateLog {
    fn event(&self, event: Event) {
        if let Event::StateChanged { by, to, why, .. } = event {
            println!("{:>5} ms  {by}: {to} ({why})", self.0.elapsed().as_millis());
        }
    }
}

// The servers.

const HEALTHY: u8 = 0;
const FAILING: u8 = 1;
const HANGING: u8 = 2;

#[derive(Default)]
struct Server {
    condition: AtomicU8,
    /// The number of requests that it received while it was failing or hanging.
    received_unhealthy: AtomicU32,
}

impl Server {
    fn set(&self, condition: u8, message: &str) {
        println!("          {message}");
        self.condition.store(condition, Relaxed);
    }
}

async fn serve(server: Arc<Server>) -> Result<Uri, BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}/", listener.local_addr()?).parse()?;
    let app = Router::new().route("/", get(answer)).with_state(server);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(uri)
}

async fn answer(State(server): State<Arc<Server>>) -> StatusCode {
    let condition = server.condition.load(Relaxed);
    if condition != HEALTHY {
        server.received_unhealthy.fetch_add(1, Relaxed);
    }
    match condition {
        HEALTHY => StatusCode::NO_CONTENT,
        FAILING => StatusCode::INTERNAL_SERVER_ERROR,
        _ => std::future::pending().await,
    }
}
