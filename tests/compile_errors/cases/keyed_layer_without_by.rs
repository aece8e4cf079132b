//! A guard with keys needs a closure that reads the key from a request.

use plimsoll::prelude::*;
use tower::{BoxError, Service, ServiceBuilder, service_fn};

fn greeter(limiter: KeyedRateLimiter<str>) -> impl Service<String> {
    ServiceBuilder::new()
        .layer(plimsoll::layer(limiter))
        .service(service_fn(async |name: String| Ok::<_, BoxError>(name)))
}

fn main() {
    greeter(KeyedRateLimiter::new(Quota::per_second(50)).unwrap());
}
