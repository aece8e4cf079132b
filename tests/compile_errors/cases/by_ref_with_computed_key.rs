//! A closure that computes the key belongs to `by`.

use axum::{Router, extract::Request, routing::get};
use plimsoll::prelude::*;

fn main() {
    let limiter = KeyedRateLimiter::<usize>::new(Quota::per_second(50)).unwrap();
    let by_length = limiter.by_ref(|request: &Request| request.uri().path().len());
    let _: Router = Router::new().route("/", get(async || "hello")).layer(plimsoll::layer(by_length).http());
}
