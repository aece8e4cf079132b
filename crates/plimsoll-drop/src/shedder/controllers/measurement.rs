//! What a controller measures, and what it decides.

/// What a controller knows when it ticks. Times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    /// The time since the last tick.
    pub(crate) dt: f64,
    /// The number of requests that arrived since.
    pub(crate) arrivals: f64,
    /// The number of requests that left the queue since.
    pub(crate) departures: f64,
    /// The number of requests in the queue.
    pub(crate) depth: Option<f64>,
    /// How long the requests waited that were started since.
    pub(crate) delay: Option<f64>,
    /// Whether the queue was never empty since.
    pub(crate) busy: bool,
    /// The rate of arrivals, over the last seconds.
    pub(crate) arrival_rate: f64,
}

/// The requests to admit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Admit {
    /// All.
    All,
    /// This number a second.
    Rate(f64),
    /// None, not even those that never arrived before.
    Nothing,
}

impl Admit {
    /// Returns what to admit so that this share is kept.
    pub(super) fn share(keep_rate: f64, arrival_rate: f64) -> Self {
        match keep_rate {
            keep_rate if keep_rate >= 1.0 => Admit::All,
            keep_rate if keep_rate <= 0.0 => Admit::Nothing,
            keep_rate => Admit::Rate(keep_rate * arrival_rate),
        }
    }
}

/// What a controller decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Command {
    pub(crate) admit: Admit,
    /// Whether the delay is far above its target, so that the next tick comes earlier.
    pub(crate) is_overloaded: bool,
    /// The rate at which work leaves a queue that is never empty, if it is known.
    pub(crate) capacity: Option<f64>,
}

impl From<Admit> for Command {
    fn from(admit: Admit) -> Self {
        Command { admit, is_overloaded: false, capacity: None }
    }
}
