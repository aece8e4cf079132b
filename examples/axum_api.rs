//! An axum API with a guard for its bottleneck, one line each.
//!
//! ```text
//! cargo run --example axum_api
//! curl -i localhost:3000/orders        # 200, or 503 with a problem body
//! curl -i localhost:3000/health        # never rejected
//! curl -i localhost:3000/reports       # half of them are rejected, and one runs at a time
//! ```
//!
//! A guard does not protect what stands in front of it: the kernel's accept queue, HTTP parsing,
//! and the layers further out. Limit connections there (`ulimit -n`, the load balancer). Put the
//! guard outside of everything expensive, such as authentication that queries a database. In axum,
//! the layer that is added last is the outermost.

use axum::{Router, routing::get};
use plimsoll::http::paths_except;
use plimsoll::{ConfigError, layer, prelude::*};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (app, valve) = app()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(shutdown(valve)).await?;
    Ok(())
}

/// Returns the API, and the valve, whose settings can be changed while it runs.
fn app() -> Result<(Router, Valve), ConfigError> {
    // The pool behind /orders has 16 connections. A request waits at most 100 ms for one.
    let orders = Valve::builder()
        .name("orders")
        .concurrency(16)
        .queue(32)
        .max_wait(Duration::from_millis(100))
        .build()?;

    // Reports are expensive and can wait: half of them are rejected, and one runs at a time. A
    // tuple checks both guards, in order, and admits a request only if both do.
    let reports = (
        RandomDrop::builder().name("report-shed").keep_rate(0.5).build()?,
        Valve::builder().name("reports").concurrency(1).build()?,
    );

    let app = Router::new()
        .route("/reports", get(report).layer(layer(reports).http()))
        .route("/orders", get(order))
        .route("/health", get(async || "well"))
        // One limit for all routes together, except the health check.
        .layer(orders.wait_layer().only(paths_except(["/health"])).http());
    Ok((app, orders))
}

async fn order() -> &'static str {
    tokio::time::sleep(Duration::from_millis(20)).await; // the database
    "one order\n"
}

async fn report() -> &'static str {
    tokio::time::sleep(Duration::from_millis(500)).await;
    "a long report\n"
}

/// Waits for Ctrl-C, then closes the valve: new requests are rejected, those in flight finish.
async fn shutdown(valve: Valve) {
    if tokio::signal::ctrl_c().await.is_ok() {
        valve.close();
    }
}
