//! Each gate of a tuple reads the request. One with keys needs a closure for that.

use axum::{Router, routing::get};
use plimsoll::prelude::*;

fn main() {
    let limiter = KeyedRateLimiter::<str>::new(Quota::per_second(50)).unwrap();
    let breaker = CircuitBreaker::new("database").unwrap();
    let _: Router =
        Router::new().route("/", get(async || "hello")).layer(plimsoll::layer((limiter, breaker)).http());
}
