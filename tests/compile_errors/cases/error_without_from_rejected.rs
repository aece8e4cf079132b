//! A rejection needs a place in what the service returns.

use plimsoll::prelude::*;
use std::io;
use tower::{Service, ServiceBuilder, service_fn};

fn greeter(valve: Valve) -> impl Service<String> {
    ServiceBuilder::new()
        .layer(valve.layer())
        .service(service_fn(async |name: String| Ok::<_, io::Error>(name)))
}

fn main() {
    greeter(Valve::new(16).unwrap());
}
