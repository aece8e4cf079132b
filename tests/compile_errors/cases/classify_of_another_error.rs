//! The closure of `classify` takes the result of the service.

use plimsoll::prelude::*;
use std::io;
use tower::{BoxError, Service, ServiceBuilder, service_fn};

fn greeter(breaker: CircuitBreaker) -> impl Service<String> {
    let layer = breaker.layer().classify(|result: Result<&String, &io::Error>| match result {
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    });
    ServiceBuilder::new().layer(layer).service(service_fn(async |name: String| Ok::<_, BoxError>(name)))
}

fn main() {
    greeter(CircuitBreaker::new("database").unwrap());
}
