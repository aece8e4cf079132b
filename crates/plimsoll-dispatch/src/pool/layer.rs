//! The tower layer of a pool.

use super::Dispatch;
use plimsoll_core::{GateLayer, layer};

/// The layer that [`Dispatch::layer`] creates.
pub type DispatchLayer<T> = GateLayer<Dispatch<T>>;

impl<T> Dispatch<T> {
    /// Creates a layer that takes a slot for each call, or rejects the call as busy.
    pub fn layer(&self) -> DispatchLayer<T> {
        layer(self.clone())
    }
}
