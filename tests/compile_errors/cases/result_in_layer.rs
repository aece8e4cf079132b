//! A guard is built with `?`, because its settings are checked.

use axum::{Router, routing::get};
use plimsoll::prelude::*;

fn main() {
    let valve = Valve::builder().concurrency(16).build();
    let _: Router = Router::new().route("/", get(async || "hello")).layer(plimsoll::layer(valve).http());
}
