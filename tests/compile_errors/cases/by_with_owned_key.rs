//! A limiter with keys of type `str` takes a borrowed key, by `by_ref`.

use axum::{Router, extract::Request, routing::get};
use plimsoll::prelude::*;

fn main() {
    let limiter = KeyedRateLimiter::<str>::new(Quota::per_second(50)).unwrap();
    let by_path = limiter.by(|request: &Request| request.uri().path().to_owned());
    let _: Router = Router::new().route("/", get(async || "hello")).layer(plimsoll::layer(by_path).http());
}
