//! The tower face.

use crate::breaker::CircuitBreaker;
use plimsoll_core::{GateLayer, layer};

/// The layer of [`CircuitBreaker::layer`].
pub type CircuitBreakerLayer = GateLayer<CircuitBreaker>;

impl CircuitBreaker {
    /// A layer that asks before each call. By default `Err` is a failure; say otherwise by
    /// [`classify`](plimsoll_core::GuardLayer::classify), or by `.http()` from `plimsoll-http`.
    pub fn layer(&self) -> CircuitBreakerLayer {
        layer(self.clone())
    }
}
