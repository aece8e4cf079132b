//! A tuple never waits. `Then` waits, and then a gate decides.

use axum::{Router, routing::get};
use plimsoll::prelude::*;

fn main() {
    let valve = Valve::new(16).unwrap();
    let limiter = RateLimiter::new(Quota::per_second(50)).unwrap();
    let both = plimsoll::wait_layer((valve, limiter));
    let _: Router = Router::new().route("/", get(async || "hello")).layer(both.http());
}
