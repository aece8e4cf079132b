//! The tower face.

use crate::Valve;
use plimsoll_core::{GateLayer, WaitLayer, layer, wait_layer};

/// The layer of [`Valve::layer`].
pub type ValveLayer = GateLayer<Valve>;
/// The layer of [`Valve::wait_layer`].
pub type ValveWaitLayer = WaitLayer<Valve>;

impl Valve {
    /// A layer that asks now or never.
    pub fn layer(&self) -> ValveLayer {
        layer(self.clone())
    }

    /// A layer whose calls wait in the room for their turn. It clones the inner service once a call.
    ///
    /// A valve with no room – [`Valve::new`] makes one – answers at once here, too.
    pub fn wait_layer(&self) -> ValveWaitLayer {
        wait_layer(self.clone())
    }
}
