//! An axum API with free and premium accounts: rate limits for each account and each plan, and one
//! rate that all accounts share fairly.
//!
//! ```text
//! cargo run --example api_limits
//! ```
//!
//! ```text
//! $ curl -i -H 'X-Api-Key: free-ann' localhost:3001/orders
//! HTTP/1.1 200 OK
//! content-type: text/plain; charset=utf-8
//! ratelimit-policy: "api/free/account";q=5;w=5
//! ratelimit: "api/free/account";r=4;t=1
//! content-length: 10
//! date: Sat, 21 Nov 2026 17:19:07 GMT
//!
//! one order
//!
//! $ curl -i -H 'X-Api-Key: premium-eve' localhost:3001/orders
//! HTTP/1.1 200 OK
//! content-type: text/plain; charset=utf-8
//! ratelimit-policy: "api/premium/account";q=100;w=2
//! ratelimit: "api/premium/account";r=99;t=1
//! content-length: 10
//! date: Sat, 21 Nov 2026 17:19:07 GMT
//!
//! one order
//!
//! $ curl -i localhost:3001/orders    # without a key, for the fourth time
//! HTTP/1.1 429 Too Many Requests
//! content-type: application/problem+json
//! retry-after: 3
//! ratelimit-policy: "api/stranger/account";q=3;w=6
//! ratelimit: "api/stranger/account";r=0;t=2
//! content-length: 269
//! date: Sat, 21 Nov 2026 17:19:07 GMT
//!
//! {"detail":"Too many requests in this time. Slow down, and come back later.",
//!  "reason":"limited","retry_after":3,"status":429,
//!  "title":"Too Many Requests",
//!  "type":"https://iana.org/assignments/http-problem-types#quota-exceeded",
//!  "violated-policies":["api/stranger/account"]}
//!
//! $ curl -i localhost:3001/health    # never rejected, never charged
//! HTTP/1.1 200 OK
//! content-type: text/plain; charset=utf-8
//! content-length: 5
//! date: Sat, 21 Nov 2026 17:19:07 GMT
//!
//! well
//! ```
//!
//! Keys are looked up first: a client could otherwise invent a key, and so a new account, for each
//! request. Clients without a valid key are limited by address. No proxy stands in front of this
//! server. Behind one that appends to `X-Forwarded-For`, use `ClientAddr::behind(1)`.

use axum::extract::Request;
use axum::{Router, routing::get};
use plimsoll::http::{ClientAddr, Header, paths_except};
use plimsoll::layer;
use plimsoll::limit::{Class, Share};
use plimsoll::prelude::*;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    Free,
    Premium,
}

/// The account that a request is charged to: a customer, or a client without a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Account {
    Customer(Customer),
    Stranger(IpAddr),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Customer {
    id: u32,
    plan: Plan,
}

/// Only what names the account is hashed. If the plan were, an upgrade would forget what the
/// customer was charged.
impl Hash for Customer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = app()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    println!("listening on http://{}", listener.local_addr()?);
    // Records the address of the peer. Otherwise all clients without a key would share one account.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(shutdown()).await?;
    Ok(())
}

fn app() -> Result<Router, Box<dyn std::error::Error>> {
    // A real API would query a database.
    let keys = HashMap::from([
        ("free-ann", Customer { id: 1, plan: Plan::Free }),
        ("free-bob", Customer { id: 2, plan: Plan::Free }),
        ("premium-eve", Customer { id: 3, plan: Plan::Premium }),
    ]);

    // A quota for each account, and one for all accounts of a plan together.
    let plans = TieredRateLimiter::<Account>::builder()
        .name("api")
        .class(Class::new("stranger").each(Quota::per_minute(30).burst(3)).all(Quota::per_second(50)))
        .class(Class::new("free").each(Quota::per_second(1).burst(5)).all(Quota::per_second(300)))
        .class(Class::new("premium").each(Quota::per_second(50).burst(100)))
        .class_of(|account| match account {
            Account::Customer(Customer { plan: Plan::Premium, .. }) => "premium",
            Account::Customer(Customer { plan: Plan::Free, .. }) => "free",
            Account::Stranger(_) => "stranger",
        })
        .build()?;

    // The capacity of the service, shared by all active accounts. Premium accounts get four shares.
    let service = FairRateLimiter::<Account>::builder()
        .name("service")
        .quota(Quota::per_second(1_000).burst(100))
        .share_of(|account| match account {
            Account::Customer(Customer { plan: Plan::Premium, .. }) => Share::weight(4.0),
            _ => Share::weight(1.0),
        })
        .build()?;

    // The peer's address needs feature `axum`, and `into_make_service_with_connect_info` in `main`.
    let (keys, api_key, address) =
        (Arc::new(keys), Header::new("x-api-key")?, ClientAddr::peer().or_shared());
    let account = move |request: &Request| {
        let customer = api_key.get(request).and_then(|key| keys.get(key));
        customer.map_or_else(|| Account::Stranger(address(request)), |customer| Account::Customer(*customer))
    };

    // A tuple charges both limiters or neither: the first is refunded if the second rejects.
    let limits = layer((plans.by(account.clone()), service.by(account)));
    Ok(Router::new()
        .route("/orders", get(async || "one order\n"))
        .route("/health", get(async || "well\n"))
        .layer(limits.only(paths_except(["/health"])).http()))
}

/// Waits for Ctrl-C.
async fn shutdown() {
    let _ = tokio::signal::ctrl_c().await;
}
