//! A closure that borrows the key from the request belongs to `by_ref`.

use axum::{Router, extract::Request, routing::get};
use plimsoll::prelude::*;

fn main() {
    let limiter = KeyedRateLimiter::<str>::new(Quota::per_second(50)).unwrap();
    let by_path = limiter.by(|request: &Request| request.uri().path());
    let _: Router = Router::new().route("/", get(async || "hello")).layer(plimsoll::layer(by_path).http());
}
