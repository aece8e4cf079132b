//! A limiter with keys of type `String` takes an owned key, by `by`.

use axum::{Router, extract::Request, routing::get};
use plimsoll::prelude::*;

fn main() {
    let limiter = KeyedRateLimiter::<String>::new(Quota::per_second(50)).unwrap();
    let by_path = limiter.by_ref(|request: &Request| request.uri().path());
    let _: Router = Router::new().route("/", get(async || "hello")).layer(plimsoll::layer(by_path).http());
}
