//! What one simulation is about: the server, its clients, their arrivals.

use std::ops::Range;
use std::time::Duration;

use crate::sim::{Arrivals, Clients, Law};

/// One simulation, all but its policy and its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The server.
    pub server: ServerPlan,
    /// How those behave who send.
    pub clients: Clients,
    /// When they send afresh.
    pub arrivals: Arrivals,
    /// Clients that come all at once.
    pub herd: Option<Herd>,
    /// Attempts that begin within count for the row; the others only for the time line.
    pub window: Range<Duration>,
    /// When arrivals and retries end. What is under way then is still brought to its end.
    pub span: Duration,
}

/// The simulated server: slots with one unbounded FIFO before them.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerPlan {
    /// Requests it works on at the same time.
    pub slots: u32,
    /// How long each takes.
    pub service: Law,
    /// What a refusal takes from the slots, as a share of the mean service time.
    pub refusal_cost: f64,
    /// How its capacity changes, in the order of time.
    pub changes: Vec<Change>,
}

impl ServerPlan {
    /// A server that stays as it is, and whose refusals cost nothing.
    pub fn new(slots: u32, service: Law) -> Self {
        ServerPlan { slots, service, refusal_cost: 0.0, changes: Vec::new() }
    }

    /// Requests per second, before any change.
    pub fn capacity(&self) -> f64 {
        f64::from(self.slots) / self.service.mean().as_secs_f64()
    }

    /// The most goodput any policy can reach when `offered` requests per second come to a server
    /// of `capacity`: `G*(x) = C·min(x, (1 - c·x)/(1 - c))`, and never below 0. Work is conserved: what is
    /// not spent on answers is spent on refusals.
    pub fn bound(&self, capacity: f64, offered: f64) -> f64 {
        let (x, c) = (offered / capacity, self.refusal_cost);
        if capacity <= 0.0 { 0.0 } else { capacity * x.min((1.0 - c * x) / (1.0 - c)).max(0.0) }
    }
}

/// From `at` on the server has other slots and another speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// When.
    pub at: Duration,
    /// How many slots; those in excess finish what they do.
    pub slots: u32,
    /// How fast each works, 1 as planned, 0 not at all.
    pub speed: f64,
}

/// Clients that lost their connections at one moment, and all come back.
///
/// Each tries until it is in, with the clients' back-off and jitter; no budget holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Herd {
    /// The moment.
    pub at: Duration,
    /// How many.
    pub count: u32,
}
