//! A circuit breaker decides at once: it has a `layer` and no queue for `wait_layer`.

use axum::{Router, routing::get};
use plimsoll::prelude::*;

fn main() {
    let breaker = CircuitBreaker::new("database").unwrap();
    let _: Router =
        Router::new().route("/", get(async || "hello")).layer(plimsoll::wait_layer(breaker).http());
}
