//! What a shedder steers by.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What is known of the queue behind, or of whatever the bottleneck is. Everything may be left out; the more
/// there is, the better it steers.
///
/// | known | steered by |
/// |---|---|
/// | depth (and delay, departures, busy) | the admitted rate: best |
/// | delay alone | the share that is kept: slower, and not for very long queues |
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SignalReading {
    /// How long those waited that began lately – or, where nothing began, how long the first in line has waited.
    pub delay: Option<Duration>,
    /// How many wait.
    pub depth: Option<u64>,
    /// How many have left the queue so far, in all. Otherwise it is worked out from what was admitted and the depth.
    pub departed: Option<u64>,
    /// Whether the queue was never empty since the last reading: *all* workers were busy. Otherwise: whether
    /// somebody waits now and did the last time.
    pub busy: Option<bool>,
}

impl SignalReading {
    /// Nothing yet.
    pub const fn new() -> Self {
        SignalReading { delay: None, depth: None, departed: None, busy: None }
    }

    /// With this delay.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// With so many waiting.
    #[must_use]
    pub const fn depth(mut self, depth: u64) -> Self {
        self.depth = Some(depth);
        self
    }

    /// With so many that have left so far.
    #[must_use]
    pub const fn departed(mut self, departed: u64) -> Self {
        self.departed = Some(departed);
        self
    }

    /// With all workers busy since the last reading, or not.
    #[must_use]
    pub const fn busy(mut self, busy: bool) -> Self {
        self.busy = Some(busy);
        self
    }
}

/// Where a shedder reads it.
#[derive(Clone)]
pub struct Signal(pub(crate) SignalSource);

#[derive(Clone)]
pub(crate) enum SignalSource {
    InFlight(u64),
    Own(Arc<dyn Fn() -> SignalReading + Send + Sync>),
}

impl Signal {
    /// Its own books: how many are inside, of whom `workers` are served at once and the others wait. For a gate in
    /// front of a service that queues.
    pub const fn in_flight(workers: u32) -> Self {
        Signal(SignalSource::InFlight(workers as u64))
    }

    /// A closure, called at each tick, by whoever ticks: in the middle of a [`keep`](crate::LoadShedder::keep). Be quick, and
    /// take no lock that is held by those who ask.
    pub fn new(read: impl Fn() -> SignalReading + Send + Sync + 'static) -> Self {
        Signal(SignalSource::Own(Arc::new(read)))
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            SignalSource::InFlight(workers) => write!(f, "Signal(in flight, {workers} workers)"),
            SignalSource::Own(_) => f.write_str("Signal(own)"),
        }
    }
}
