//! A circuit breaker decides at once: it has a `layer` and no queue for `wait_layer`.

use plimsoll::prelude::*;
use tower::{BoxError, Service, ServiceBuilder, service_fn};

fn greeter(breaker: CircuitBreaker) -> impl Service<String> {
    ServiceBuilder::new()
        .layer(plimsoll::wait_layer(breaker))
        .service(service_fn(async |name: String| Ok::<_, BoxError>(name)))
}

fn main() {
    greeter(CircuitBreaker::new("database").unwrap());
}
