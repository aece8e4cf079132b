//! A builder is no guard before `.build()?`.

use axum::{Router, routing::get};
use plimsoll::prelude::*;

fn main() {
    let valve = Valve::builder().concurrency(16);
    let _: Router = Router::new().route("/", get(async || "hello")).layer(plimsoll::layer(valve).http());
}
