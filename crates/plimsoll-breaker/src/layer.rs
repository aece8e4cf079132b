//! The tower face.

use crate::Breaker;
use plimsoll_core::{GateLayer, layer};

/// The layer of [`Breaker::layer`].
pub type BreakerLayer = GateLayer<Breaker>;

impl Breaker {
    /// A layer that asks before each call. By default `Err` is a failure; say otherwise by
    /// [`classify`](plimsoll_core::GuardLayer::classify), or by `.http()` from `plimsoll-http`.
    pub fn layer(&self) -> BreakerLayer {
        layer(self.clone())
    }
}
