//! What one simulation is about: the server, its clients and their arrivals.

use std::ops::Range;
use std::time::Duration;

use crate::sim::{Arrivals, Clients, Fault, Law};

/// One simulation, without its policy and its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The server.
    pub server: ServerPlan,
    /// The behaviour of the clients.
    pub clients: Clients,
    /// When fresh requests arrive.
    pub arrivals: Arrivals,
    /// Clients that reconnect all at once.
    pub herd: Option<Herd>,
    /// Attempts that begin in this window count for the row. The others count only in the timeline.
    pub window: Range<Duration>,
    /// When arrivals and retries end. Requests in progress are still brought to their end.
    pub span: Duration,
}

/// The simulated server: slots behind one unbounded FIFO.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerPlan {
    /// Requests that it works on at the same time.
    pub slots: u32,
    /// The distribution of its service times.
    pub service: Law,
    /// What a rejection takes from the slots, as a share of the mean service time.
    pub rejection_cost: f64,
    /// How its capacity changes, in the order of time.
    pub changes: Vec<Change>,
    /// Its faults, in the order of time. None begins before the end of the previous one.
    pub faults: Vec<Fault>,
}

impl ServerPlan {
    /// Creates a server without changes or faults, whose rejections cost nothing.
    pub fn new(slots: u32, service: Law) -> Self {
        ServerPlan { slots, service, rejection_cost: 0.0, changes: Vec::new(), faults: Vec::new() }
    }

    /// Returns the capacity before any change, in requests per second.
    pub fn capacity(&self) -> f64 {
        f64::from(self.slots) / self.service.mean().as_secs_f64()
    }

    /// Returns the mean capacity over `window`, in requests per second.
    pub fn capacity_over(&self, window: &Range<Duration>) -> f64 {
        let changes = self.changes.iter().map(|change| change.at);
        let faults = self.faults.iter().flat_map(|fault| [fault.from, fault.until]);
        let moments = changes.chain(faults).filter(|moment| window.contains(moment));
        let mut moments: Vec<Duration> = moments.chain([window.end]).collect();
        moments.sort();
        let (mut at, mut work) = (window.start, 0.0);
        for moment in moments {
            work += moment.saturating_sub(at).as_secs_f64() * self.effective_slots(at);
            at = moment;
        }
        let length = window.end.saturating_sub(window.start).as_secs_f64();
        work / length / self.service.mean().as_secs_f64()
    }

    /// Returns the slots at `time`, converted to slots of full speed.
    fn effective_slots(&self, time: Duration) -> f64 {
        let change = self.changes.iter().rfind(|change| change.at <= time);
        let slots = change.map_or(f64::from(self.slots), |change| f64::from(change.slots) * change.speed);
        let fault = self.faults.iter().find(|fault| (fault.from..fault.until).contains(&time));
        slots * fault.map_or(1.0, Fault::leaves)
    }

    /// Returns the highest goodput that any policy can reach when `offered` requests per second
    /// arrive at a server of `capacity`.
    ///
    /// This is `G*(x) = C·min(x, (1 - c·x)/(1 - c))`, and never below 0. Work is conserved: what is
    /// not spent on answers is spent on rejections.
    pub fn bound(&self, capacity: f64, offered: f64) -> f64 {
        let (x, c) = (offered / capacity, self.rejection_cost);
        if capacity <= 0.0 { 0.0 } else { capacity * x.min((1.0 - c * x) / (1.0 - c)).max(0.0) }
    }
}

/// A change of the server's slots and speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// When it happens.
    pub at: Duration,
    /// The number of slots. Excess slots finish their work first.
    pub slots: u32,
    /// The speed of each slot: 1 as planned, 0 for a stall.
    pub speed: f64,
}

/// Clients that lost their connections at one moment and all come back.
///
/// Each tries until it succeeds, with the clients' back-off and jitter. No budget limits it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Herd {
    /// The moment.
    pub at: Duration,
    /// The number of clients.
    pub count: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::FaultKind;

    #[test]
    fn capacity_over_is_the_mean_over_changes_and_faults() {
        let s = Duration::from_secs(1);
        let mut plan = ServerPlan::new(10, Law::Constant(s / 100));
        assert_eq!(plan.capacity_over(&(s..5 * s)), plan.capacity());
        plan.changes = vec![
            Change { at: 2 * s, slots: 5, speed: 1.0 },
            Change { at: 3 * s, slots: 10, speed: 0.0 },
            Change { at: 9 * s, slots: 10, speed: 1.0 },
        ];
        assert_eq!(plan.capacity_over(&(Duration::ZERO..2 * s)), 1_000.0);
        assert_eq!(plan.capacity_over(&(2 * s..3 * s)), 500.0);
        assert_eq!(plan.capacity_over(&(s..4 * s)), 500.0);
        assert_eq!(plan.capacity_over(&(4 * s..5 * s)), 0.0);
        let fault = |from, kind| Fault { from: from * s, until: (from + 1) * s, kind };
        plan.faults = vec![
            fault(2, FaultKind::Slow { factor: 5.0 }),
            fault(10, FaultKind::Fails { after: s }),
            fault(12, FaultKind::Hangs { forgets: false }),
        ];
        assert_eq!(plan.capacity_over(&(2 * s..3 * s)), 100.0);
        assert_eq!(plan.capacity_over(&(9 * s..13 * s)), 500.0);
    }

    #[test]
    fn bound_is_the_capacity_left_after_rejections() {
        let plan = ServerPlan {
            rejection_cost: 0.01,
            ..ServerPlan::new(10, Law::Constant(Duration::from_millis(10)))
        };
        let share = |x: f64| (plan.bound(1_000.0, x * 1_000.0) * 1e3).round() / 1e6;
        assert_eq!((share(0.5), share(1.0), share(200.0)), (0.5, 1.0, 0.0));
        assert_eq!((share(10.0), share(20.0)), (0.909091, 0.808081));
    }
}
