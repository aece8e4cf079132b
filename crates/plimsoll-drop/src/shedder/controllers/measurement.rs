//! The input and the output of a controller.

/// What a controller knows when it ticks. Times are in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    /// The time since the last tick.
    pub(crate) dt: f64,
    /// The number of requests that arrived since then.
    pub(crate) arrivals: f64,
    /// The number of requests that left the queue since then.
    pub(crate) departures: f64,
    /// The number of requests in the queue.
    pub(crate) depth: Option<f64>,
    /// The mean wait of the requests that were started since then.
    pub(crate) delay: Option<f64>,
    /// Whether the queue was never empty since then.
    pub(crate) busy: bool,
    /// The rate of arrivals over the last seconds.
    pub(crate) arrival_rate: f64,
    /// The rate at which work leaves a queue that is never empty, if it is known.
    pub(crate) capacity: Option<f64>,
    /// The time since the last departure, while requests wait.
    pub(crate) silent: f64,
}

/// The requests to admit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Admit {
    /// All requests.
    All,
    /// This number of requests a second.
    Rate(f64),
    /// No request, not even in bins in which none has arrived yet.
    Nothing,
}

impl Admit {
    /// Returns what to admit to keep this share.
    pub(super) fn share(keep_rate: f64, arrival_rate: f64) -> Self {
        match keep_rate {
            keep_rate if keep_rate >= 1.0 => Admit::All,
            keep_rate if keep_rate <= 0.0 => Admit::Nothing,
            keep_rate => Admit::Rate(keep_rate * arrival_rate),
        }
    }
}
