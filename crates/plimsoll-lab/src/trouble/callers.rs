//! The callers of a day: their load, their patience, and what they do after a rejection.

use std::ops::Range;
use std::time::Duration;

use crate::sim::{Arrivals, Clients, Piece};

/// The callers of a [`Day`](crate::trouble::day::Day). Poisson arrivals; patient unless a deadline
/// is set.
#[derive(Clone, Debug)]
pub(crate) struct Callers {
    load: f64,
    deadline: Option<Duration>,
    retries: u32,
    /// When callers leave, and which share of them.
    pub(crate) leaving: (Range<Duration>, f64),
    /// Other loads for a while, in the order of time.
    spells: Vec<(Range<Duration>, f64)>,
}

impl Callers {
    /// Creates patient callers that send `load` times the capacity and do not retry.
    pub(crate) fn load(load: f64) -> Self {
        Callers {
            load,
            deadline: None,
            retries: 0,
            leaving: (Duration::ZERO..Duration::ZERO, 0.0),
            spells: Vec::new(),
        }
    }

    /// Sets the time that each caller waits for its answer.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Makes each caller send a rejected, failed or late request again, at once, up to `times`
    /// times.
    pub(crate) fn retrying(mut self, times: u32) -> Self {
        self.retries = times;
        self
    }

    /// Makes `share` of the callers of this time leave at a random moment of their first 100 ms.
    pub(crate) fn leaving(mut self, during: Range<Duration>, share: f64) -> Self {
        self.leaving = (during, share);
        self
    }

    /// Changes the load for a while. Spells are added in the order of time.
    pub(crate) fn load_during(mut self, spell: Range<Duration>, load: f64) -> Self {
        self.spells.push((spell, load));
        self
    }

    /// Returns the time after which an answer is worth nothing: the deadline, or one second.
    pub(crate) fn useful(&self) -> Duration {
        self.deadline.unwrap_or(Duration::from_secs(1))
    }

    /// Returns what the simulator needs to know about them.
    pub(crate) fn clients(&self) -> Clients {
        Clients { deadline: self.deadline, retries: self.retries, ..Clients::default() }
    }

    /// Returns the arrivals in front of a server of `capacity` calls per second.
    pub(crate) fn arrivals(&self, capacity: f64) -> Arrivals {
        let piece = |until, load: f64| Piece { until, rate: load * capacity, to: load * capacity };
        let mut pieces = Vec::new();
        for (spell, load) in &self.spells {
            pieces.push(piece(spell.start, self.load));
            pieces.push(piece(spell.end, *load));
        }
        pieces.push(piece(Duration::MAX, self.load));
        Arrivals::Pieces(pieces)
    }
}
