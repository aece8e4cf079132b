//! An axum service has no error. With `.http()` a rejection is a response.

use axum::{Router, routing::get};
use plimsoll::prelude::*;

fn main() {
    let valve = Valve::new(16).unwrap();
    let _: Router = Router::new().route("/", get(async || "hello")).layer(valve.wait_layer());
}
