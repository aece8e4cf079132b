//! The signal: what a load shedder knows of the queue behind it.

use std::sync::Arc;
use std::time::Duration;

/// A function that reads the queue behind a load shedder.
pub(super) type SignalFn = Arc<dyn Fn() -> SignalReading + Send + Sync>;

/// States that a [`LoadShedder`](crate::LoadShedder) is steered by its own permits in flight.
#[derive(Clone, Copy, Debug)]
pub enum InFlight {}

/// States that a [`LoadShedder`](crate::LoadShedder) is steered by a
/// [signal](crate::LoadShedderBuilder::signal).
#[derive(Clone, Copy, Debug)]
pub enum Signal {}

/// What is known of the queue behind a load shedder, or of any other bottleneck.
///
/// Every field is optional. The more is known, the better a shedder steers.
///
/// | known | steers |
/// |---|---|
/// | depth, and possibly delay, departures and busy | the admitted rate (best) |
/// | delay alone | the share that is kept (slower, and not for very long queues) |
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SignalReading {
    /// The mean wait of the requests started since the last reading.
    ///
    /// If none was started, it is the age of the oldest waiting request.
    pub delay: Option<Duration>,
    /// The number of waiting requests.
    pub depth: Option<u64>,
    /// The total number of requests that have left the queue so far.
    ///
    /// If unset, it is computed from the depth and the number of admitted requests.
    pub departed: Option<u64>,
    /// Whether *all* workers were busy since the last reading, so that the queue was never empty.
    ///
    /// If unset, the queue counts as busy if requests wait now and waited at the last reading.
    pub busy: Option<bool>,
}

impl SignalReading {
    /// Creates a reading in which nothing is known.
    pub const fn new() -> Self {
        SignalReading { delay: None, depth: None, departed: None, busy: None }
    }

    /// Sets the delay.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Sets the number of waiting requests.
    #[must_use]
    pub const fn depth(mut self, depth: u64) -> Self {
        self.depth = Some(depth);
        self
    }

    /// Sets the total number of requests that have left the queue so far.
    #[must_use]
    pub const fn departed(mut self, departed: u64) -> Self {
        self.departed = Some(departed);
        self
    }

    /// Sets whether all workers were busy since the last reading.
    #[must_use]
    pub const fn busy(mut self, busy: bool) -> Self {
        self.busy = Some(busy);
        self
    }
}
