//! An axum API behind a load line, one line a guard.
//!
//! ```text
//! cargo run --example axum_api
//! curl -i localhost:3000/orders        # served, or 503 with a problem body
//! curl -i localhost:3000/health        # never rejected
//! curl -i localhost:3000/reports       # one at a time, and only half of them: a tuple
//! ```
//!
//! What stands in front of the guards is not guarded by them: the kernel's accept queue, HTTP
//! parsing, and any layer further out. Put a limit on connections there (`ulimit -n`, the load
//! balancer) – and put these guards *outside* of everything expensive, such as authentication that
//! asks a database. In axum the layer that is added last is the outermost.

use axum::extract::Request;
use axum::{Router, routing::get};
use plimsoll::{ConfigError, prelude::*};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (app, valve) = app()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}; {valve:?}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(stop(valve)).await?;
    Ok(())
}

/// The API, and the handle by which its line can be moved while it runs.
fn app() -> Result<(Router, Valve), ConfigError> {
    // The pool behind /orders has 16 connections. Who waits longer than 100 ms is told so.
    let orders = Valve::builder()
        .name("orders")
        .concurrency(16)
        .queue(32)
        .max_wait(Duration::from_millis(100))
        .build()?;

    // Reports are heavy and can be had later: half of them are shed, and one runs at a time. Asked
    // together: when the valve refuses, nothing is spent.
    let reports = (
        RandomDrop::builder().name("report-shed").keep_rate(0.5).build()?,
        Valve::builder().name("reports").build()?,
    );

    let app = Router::new()
        .route("/reports", get(report).layer(plimsoll::layer(reports).http()))
        .route("/orders", get(order))
        .route("/health", get(async || "well"))
        // One line for all routes together, but for the health check.
        .layer(orders.wait_layer().only(|r: &Request| r.uri().path() != "/health").http());
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

/// On Ctrl-C nobody new comes in; who is inside finishes.
async fn stop(valve: Valve) {
    if tokio::signal::ctrl_c().await.is_ok() {
        valve.close();
    }
}
