//! The closure takes the request type of the service.

use plimsoll::prelude::*;
use tower::{BoxError, Service, ServiceBuilder, service_fn};

fn greeter(limiter: KeyedRateLimiter<usize>) -> impl Service<String> {
    ServiceBuilder::new()
        .layer(plimsoll::layer(limiter.by(|name: &str| name.len())))
        .service(service_fn(async |name: String| Ok::<_, BoxError>(name)))
}

fn main() {
    greeter(KeyedRateLimiter::new(Quota::per_second(50)).unwrap());
}
