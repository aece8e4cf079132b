//! The layers of a limiter.

use super::RateLimiter;
use plimsoll_core::{GateLayer, WaitLayer, layer, wait_layer};

/// The layer that [`RateLimiter::layer`] creates.
pub type RateLimiterLayer = GateLayer<RateLimiter>;

/// The layer that [`RateLimiter::wait_layer`] creates.
pub type RateLimiterWaitLayer = WaitLayer<RateLimiter>;

impl RateLimiter {
    /// Creates a layer that admits or rejects each call at once.
    #[doc(alias = "RateLimitLayer")]
    #[doc(alias = "GovernorLayer")]
    pub fn layer(&self) -> RateLimiterLayer {
        layer(self.clone())
    }

    /// Creates a layer whose calls wait for a unit. Clones the inner service for each call.
    pub fn wait_layer(&self) -> RateLimiterWaitLayer {
        wait_layer(self.clone())
    }
}
