//! A guard with keys needs a closure that reads the key from a request.

use axum::{Router, routing::get};
use plimsoll::prelude::*;

fn main() {
    let limiter = KeyedRateLimiter::<str>::new(Quota::per_second(50)).unwrap();
    let _: Router = Router::new().route("/", get(async || "hello")).layer(plimsoll::layer(limiter).http());
}
