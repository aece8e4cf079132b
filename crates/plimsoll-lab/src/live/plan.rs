//! The size of the bottleneck and the patience of the clients.

use std::time::Duration;

/// The bottleneck and the deadline of a run. A guard may read it to size itself.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Requests that the bottleneck works on at the same time. At least 1.
    pub slots: usize,
    /// The time that one request holds its slot.
    pub service_time: Duration,
    /// The time that the client waits for an answer, from the moment the request was due.
    pub deadline: Duration,
}

impl Plan {
    /// Creates the plan whose capacity is nearest to `capacity` requests per second.
    ///
    /// It has a whole number of slots, `round(capacity × service_time)`. `None` if that is 0, or
    /// too many.
    pub fn near(capacity: f64, service_time: Duration, deadline: Duration) -> Option<Self> {
        let slots = (capacity * service_time.as_secs_f64()).round();
        if !slots.is_finite() || slots < 1.0 || slots > f64::from(u16::MAX) {
            return None;
        }
        Some(Self { slots: slots as usize, service_time, deadline })
    }

    /// Returns the capacity of the bottleneck, in requests per second: `slots / service_time`.
    pub fn capacity(&self) -> f64 {
        self.slots as f64 / self.service_time.as_secs_f64()
    }

    /// Returns the highest goodput that any policy can reach when `offered` requests per second
    /// arrive.
    ///
    /// A rejection takes nothing from the bottleneck, so this is the smaller of demand and
    /// capacity.
    pub fn bound(&self, offered: f64) -> f64 {
        offered.min(self.capacity())
    }

    /// Returns the lag above which a row is void: 2.5 % of the deadline, and at least 1 ms.
    ///
    /// The lag is the 99th percentile of the load generator's own delay. It uses up the client's
    /// patience: a request sent 5 ms late has 195 ms of its 200 ms left. At 2.5 % it makes a good
    /// answer late only at the very edge. An ordinary scheduler adds 1 ms to a sleep.
    pub fn lag_limit(&self) -> Duration {
        self.deadline.mul_f64(0.025).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn default_plan_has_sixteen_slots() {
        let plan = Plan::near(800.0, 20 * MS, 200 * MS).unwrap();
        assert_eq!(plan.slots, 16);
        assert_eq!(plan.capacity(), 800.0);
        assert_eq!(plan.lag_limit(), 5 * MS);
    }

    #[test]
    fn capacity_is_that_of_whole_slots() {
        let plan = Plan::near(30.0, 20 * MS, 200 * MS).unwrap();
        assert_eq!(plan.slots, 1);
        assert_eq!(plan.capacity(), 50.0);
        assert_eq!(plan.bound(20.0), 20.0);
        assert_eq!(plan.bound(500.0), 50.0);
    }

    #[test]
    fn less_than_half_a_slot_is_no_plan() {
        assert!(Plan::near(24.0, 20 * MS, 200 * MS).is_none());
        assert!(Plan::near(25.0, 20 * MS, 200 * MS).is_some());
        assert!(Plan::near(f64::NAN, 20 * MS, 200 * MS).is_none());
        assert!(Plan::near(1e12, 20 * MS, 200 * MS).is_none());
    }

    #[test]
    fn lag_limit_is_at_least_1ms() {
        let plan = Plan::near(800.0, 10 * MS, 20 * MS).unwrap();
        assert_eq!(plan.lag_limit(), MS);
    }
}
