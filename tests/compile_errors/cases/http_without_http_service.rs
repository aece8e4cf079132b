//! `.http()` is for services that return an `http::Response`.

use plimsoll::prelude::*;
use tower::{BoxError, Service, ServiceBuilder, service_fn};

fn greeter(valve: Valve) -> impl Service<String> {
    ServiceBuilder::new()
        .layer(valve.layer().http())
        .service(service_fn(async |name: String| Ok::<_, BoxError>(name)))
}

fn main() {
    greeter(Valve::new(16).unwrap());
}
