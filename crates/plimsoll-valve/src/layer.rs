//! The tower layers.

use crate::Valve;
use plimsoll_core::{GateLayer, WaitLayer, layer, wait_layer};

/// The layer that [`Valve::layer`] creates.
pub type ValveLayer = GateLayer<Valve>;

/// The layer that [`Valve::wait_layer`] creates.
pub type ValveWaitLayer = WaitLayer<Valve>;

impl Valve {
    /// Creates a layer that admits or rejects each call at once.
    #[doc(alias = "LoadShedLayer")]
    pub fn layer(&self) -> ValveLayer {
        layer(self.clone())
    }

    /// Creates a layer whose calls wait in the queue.
    ///
    /// The inner service is cloned for each call. A valve without a queue, such as [`Valve::new`]
    /// creates, decides at once here, too.
    #[doc(alias = "ConcurrencyLimitLayer")]
    #[doc(alias = "GlobalConcurrencyLimitLayer")]
    pub fn wait_layer(&self) -> ValveWaitLayer {
        wait_layer(self.clone())
    }
}
