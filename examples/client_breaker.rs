//! An HTTP client with a breaker for each host, so that a sick one costs neither its callers nor the others.
//!
//! ```text
//! cargo run --example client_breaker
//! ```
//!
//! Two servers on real sockets. One of them begins to fail, then hangs, then is well again. The client
//! calls both all the time and asks the host's breaker before each call. So the sick host is left in
//! peace but for a probe now and then, who wants something of it is told at once instead of after the
//! call time-out, and calls to the other host never notice. All times are short, to have it over soon.

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
/// Far longer than any call to a host that is well.
const CALL_TIMEOUT: Duration = Duration::from_millis(150);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (well, sick) = (Arc::new(Host::default()), Arc::new(Host::default()));
    let mut caller = Caller::new();
    let orders = caller.add("orders", serve(well).await?)?;
    let prices = caller.add("prices", serve(sick.clone()).await?)?;

    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(call_all_the_time(Arc::new(caller), stop.clone()));
    sleep(300 * MS).await;
    let wanted = prices.wanted.load(Relaxed);
    sick.turn(FAILS, "fails");
    sleep(500 * MS).await;
    sick.turn(HANGS, "hangs");
    sleep(700 * MS).await;
    let wanted = prices.wanted.load(Relaxed) - wanted;
    sick.turn(IS_WELL, "is well");

    // The open time has to end, a probe to succeed, and the ramp to be over: a second or so.
    let closed_again = async {
        while prices.breaker.state() != CircuitState::Closed {
            sleep(10 * MS).await;
        }
    };
    timeout(2_500 * MS, closed_again).await?;
    sleep(200 * MS).await;
    stop.store(true, Relaxed);
    load.await?;

    println!("{orders}\n{prices}");
    let bothered = sick.served_sick.load(Relaxed);
    println!("while prices was sick it was wanted {wanted} times, and bothered {bothered} times");
    assert_eq!(orders.rejected.load(Relaxed), 0, "the healthy host was never rejected");
    assert!(bothered * 4 < wanted, "the sick host was spared");
    assert_eq!(prices.breaker.state(), CircuitState::Closed, "and is called again");
    Ok(())
}

/// Calls hosts, each behind a breaker of its own.
struct Caller {
    http: Client<HttpConnector, Empty<Bytes>>,
    hosts: HashMap<&'static str, Arc<Called>>,
    turns: Arc<Turns>,
}

/// A host as its caller sees it.
struct Called {
    uri: Uri,
    breaker: CircuitBreaker,
    wanted: AtomicU32,
    answered: AtomicU32,
    rejected: AtomicU32,
}

impl Caller {
    fn new() -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Caller { http, hosts: HashMap::new(), turns: Arc::new(Turns(Instant::now())) }
    }

    fn add(&mut self, name: &'static str, uri: Uri) -> Result<Arc<Called>, BoxError> {
        let breaker = CircuitBreaker::builder()
            .name(name)
            // Whichever comes first: it is dead, or it has been failing half of the time.
            .trip(Trip::failures().consecutive(5))
            .trip(Trip::failures().ratio(0.5, 20).within(2_000 * MS))
            .open_time(OpenTime { first: 150 * MS, max: 600 * MS, ..OpenTime::default() })
            .probes(Probes { lease: CALL_TIMEOUT + 50 * MS, ..Probes::default() })
            .ramp(Ramp { duration: 400 * MS, ..Ramp::default() })
            .observe(self.turns.clone())
            .build()?;
        let called = Arc::new(Called {
            uri,
            breaker,
            wanted: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            rejected: AtomicU32::new(0),
        });
        self.hosts.insert(name, called.clone());
        Ok(called)
    }

    /// One call, if the host's breaker thinks that it makes sense.
    async fn get(&self, name: &str) -> Result<StatusCode, Overload<BoxError>> {
        let host = self.hosts.get(name).ok_or_else(|| Overload::Inner("no such host".into()))?;
        host.wanted.fetch_add(1, Relaxed);
        let permit = host.breaker.try_acquire().inspect_err(|_| {
            host.rejected.fetch_add(1, Relaxed);
        })?;
        match timeout(CALL_TIMEOUT, self.http.get(host.uri.clone())).await {
            Ok(Ok(answer)) => {
                let failed = answer.status().is_server_error();
                permit.done(if failed { Outcome::Failure } else { Outcome::Success });
                host.answered.fetch_add(1, Relaxed);
                Ok(answer.status())
            }
            Ok(Err(error)) => {
                permit.done(Outcome::Failure);
                Err(Overload::Inner(error.into()))
            }
            Err(late) => {
                permit.done(Outcome::TimedOut);
                Err(Overload::Inner(late.into()))
            }
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [wanted, answered, rejected] =
            [&self.wanted, &self.answered, &self.rejected].map(|count| count.load(Relaxed));
        let (name, status) = (self.breaker.name(), self.breaker.status());
        write!(f, "{name}: wanted {wanted} times, {answered} answers, {rejected} rejected; now {status}")
    }
}

/// Every few milliseconds a call to each host, whatever becomes of those before.
async fn call_all_the_time(caller: Arc<Caller>, stop: Arc<AtomicBool>) {
    let mut tick = interval(4 * MS);
    while !stop.load(Relaxed) {
        tick.tick().await;
        for name in ["orders", "prices"] {
            let caller = caller.clone();
            tokio::spawn(async move { caller.get(name).await.is_ok() });
        }
    }
}

/// Prints what the breakers do.
struct Turns(Instant);

impl Observe for Turns {
    fn event(&self, event: Event) {
        if let Event::StateChanged { by, to, why, .. } = event {
            println!("{:>5} ms  {by}: {to} ({why})", self.0.elapsed().as_millis());
        }
    }
}

const IS_WELL: u8 = 0;
const FAILS: u8 = 1;
const HANGS: u8 = 2;

/// A server, and how it feels.
#[derive(Default)]
struct Host {
    mood: AtomicU8,
    served_sick: AtomicU32,
}

impl Host {
    fn turn(&self, mood: u8, told: &str) {
        println!("          prices {told}");
        self.mood.store(mood, Relaxed);
    }
}

async fn serve(host: Arc<Host>) -> Result<Uri, BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}/", listener.local_addr()?).parse()?;
    let app = Router::new().route("/", get(answer)).with_state(host);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(uri)
}

async fn answer(State(host): State<Arc<Host>>) -> StatusCode {
    let mood = host.mood.load(Relaxed);
    if mood != IS_WELL {
        host.served_sick.fetch_add(1, Relaxed);
    }
    match mood {
        IS_WELL => StatusCode::NO_CONTENT,
        FAILS => StatusCode::INTERNAL_SERVER_ERROR,
        _ => std::future::pending().await,
    }
}
