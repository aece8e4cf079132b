//! The layers.

use crate::breaker::CircuitBreaker;
use crate::keyed::KeyedCircuitBreaker;
use plimsoll_core::{By, GateLayer, layer};

/// The layer that [`CircuitBreaker::layer`] creates.
pub type CircuitBreakerLayer = GateLayer<CircuitBreaker>;

/// The layer of a [`KeyedCircuitBreaker`] that reads the key of a request by the closure `F`.
///
/// ```
/// use plimsoll_breaker::{KeyedCircuitBreaker, KeyedCircuitBreakerLayer};
/// use plimsoll_core::{KeyedExt, layer};
///
/// let hosts = KeyedCircuitBreaker::<String>::new("hosts")?;
/// let host = |request: &(String, u32)| request.0.clone();
/// let layer: KeyedCircuitBreakerLayer<String, _> = layer(hosts.by(host));
/// # let _ = layer;
/// # Ok::<(), plimsoll_core::ConfigError>(())
/// ```
pub type KeyedCircuitBreakerLayer<K, F> = GateLayer<By<KeyedCircuitBreaker<K>, F>>;

impl CircuitBreaker {
    /// Returns a layer that admits or rejects each call. By default, `Err` is a failure.
    ///
    /// Decide otherwise by [`classify`](plimsoll_core::GuardLayer::classify), or by `.http()` from
    /// `plimsoll-http`.
    pub fn layer(&self) -> CircuitBreakerLayer {
        layer(self.clone())
    }
}
