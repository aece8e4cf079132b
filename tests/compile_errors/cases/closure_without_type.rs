//! A closure that reads the request states its type.

use axum::{Router, routing::get};
use plimsoll::prelude::*;

fn main() {
    let limiter = KeyedRateLimiter::<str>::new(Quota::per_second(50)).unwrap();
    let by_path = limiter.by_ref(|request| request.uri().path());
    let _: Router = Router::new().route("/", get(async || "hello")).layer(plimsoll::layer(by_path).http());
}
