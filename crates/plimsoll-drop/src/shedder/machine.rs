//! The steering of a load shedder: it takes a sample and returns a decision. It has no locks, no
//! atomics and no clock.

use super::controllers::{Admit, Controller, Measurement};
use super::signal::SignalReading;
use super::threshold::{Histogram, Threshold};
use std::time::Duration;

/// What is known when a shedder ticks. Times are in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    pub(super) now: u64,
    /// The time since the last tick.
    pub(super) since: u64,
    /// The number of requests that arrived since then, by bin.
    pub(super) arrivals: &'a [u32],
    /// The total number of requests admitted so far.
    pub(super) admitted: u64,
    /// The total number of permits whose work has completed so far.
    pub(super) completed: u64,
    pub(super) reading: SignalReading,
    /// Whether the depth comes from the permits in flight. If not, it comes from a signal.
    pub(super) is_in_flight: bool,
}

/// What applies until the next tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) threshold: Threshold,
    /// The share of all arrivals that is kept.
    pub(super) keep_rate: f64,
    /// The maximum number of waiting requests.
    pub(super) ceiling: u64,
    /// The number of requests a second that leave a queue that is never empty, if it is known.
    pub(super) capacity: Option<f64>,
    /// The instant of the decision, and the numbers of admitted and of waiting requests then.
    pub(super) now: u64,
    pub(super) admitted: u64,
    pub(super) depth: u64,
    /// The instant of the next tick, and the number of admitted requests at which it comes earlier.
    pub(super) due: u64,
    pub(super) due_admitted: u64,
}

/// Steers a load shedder.
#[derive(Debug)]
pub(super) struct Steering {
    target: Duration,
    controller: Controller,
    histogram: Histogram,
    // The sample of the last tick.
    admitted: u64,
    completed: u64,
    departed: Option<u64>,
    depth: f64,
    // The last delay of a signal that knows a delay alone. It applies while there is no new one.
    delay: Option<f64>,
    // Whether the last reading had more than a delay. A signal is unknown before its first reading.
    has_depth: bool,
}

/// Returns the usual time between two ticks: the target delay, but 10 ms to 100 ms.
pub(super) fn tick_interval(target: Duration) -> Duration {
    target.clamp(Duration::from_millis(10), Duration::from_millis(100))
}

impl Steering {
    pub(super) fn new(target: Duration, controller: Controller, is_in_flight: bool) -> Self {
        Steering {
            target,
            controller,
            histogram: Histogram::new(),
            admitted: 0,
            completed: 0,
            departed: None,
            depth: 0.0,
            delay: None,
            has_depth: is_in_flight,
        }
    }

    pub(super) fn controller(&self) -> &Controller {
        &self.controller
    }

    pub(super) fn set_controller(&mut self, controller: Controller) {
        self.controller = controller;
    }

    /// Replaces the capacity that was measured. Returns whether a capacity steers the shedder.
    pub(super) fn set_capacity(&mut self, capacity: f64) -> bool {
        self.controller.set_capacity(capacity);
        self.uses_capacity()
    }

    fn uses_capacity(&self) -> bool {
        self.has_depth && self.controller.uses_capacity()
    }

    pub(super) fn set_target(&mut self, target: Duration) {
        self.target = target;
        self.controller.set_target(target.as_secs_f64(), tick_interval(target).as_secs_f64());
    }

    /// Returns the decision that applies before the first tick: everything is kept.
    pub(super) fn first_decision(&self, now: u64, hint: Option<f64>) -> Decision {
        Decision {
            threshold: Threshold::KEEP_ALL,
            keep_rate: 1.0,
            ceiling: u64::MAX,
            capacity: hint.filter(|_| self.uses_capacity()),
            now,
            admitted: 0,
            depth: 0,
            due: now.saturating_add(tick_interval(self.target).as_nanos() as u64),
            due_admitted: 64,
        }
    }

    /// Decides what to keep until the next tick.
    pub(super) fn tick(&mut self, sample: Sample<'_>) -> Decision {
        let Sample { now, since, arrivals, admitted, completed, reading, .. } = sample;
        let (dt, interval) = (since as f64 / 1e9, tick_interval(self.target));
        let arrivals_in = |bin: usize| arrivals.get(bin).map_or(0.0, |n| f64::from(*n));
        self.histogram.count(dt, interval.as_secs_f64(), arrivals_in);
        let arrivals: f64 = arrivals.iter().map(|n| f64::from(*n)).sum();
        let arrival_rate = self.histogram.total();
        let depth = reading.depth.map(|depth| depth as f64);
        let departures = self.departures(&sample, depth);
        let busy = reading.busy.unwrap_or(depth.unwrap_or(0.0) > 0.0 && self.depth > 0.0);
        let delay = self.delay(&reading);
        self.has_depth = depth.is_some() || delay.is_none();
        let command =
            self.controller.tick(Measurement { dt, arrivals, departures, depth, delay, busy, arrival_rate });
        self.departed = reading.departed.or(self.departed);
        (self.admitted, self.completed, self.depth) = (admitted, completed, depth.unwrap_or(0.0));
        let (threshold, keep_rate) = match command.admit {
            Admit::All => (Threshold::KEEP_ALL, 1.0),
            Admit::Nothing => (Threshold::DROP_ALL, 0.0),
            Admit::Rate(rate) => {
                let keep_rate = if arrival_rate > 0.0 { (rate / arrival_rate).min(1.0) } else { 1.0 };
                (self.histogram.threshold(rate), keep_rate)
            }
        };
        // The next tick comes early after a burst of admitted requests: 1.5 times the departures of
        // one tick, six standard deviations and 16 more. While the capacity is unknown, the
        // arrivals stand in for it, with a factor of 2.
        let per_tick = command.capacity.unwrap_or(arrivals / dt) * interval.as_secs_f64();
        let factor = if command.capacity.is_some() { 1.5 } else { 2.0 };
        let burst = factor * per_tick + 6.0 * per_tick.sqrt() + 16.0;
        let nanos = self.target.as_nanos() as u64;
        let ceiling = |capacity: f64| (4.0 * capacity * nanos as f64 / 1e9) as u64;
        let next = interval.as_nanos() as u64 / if command.is_overloaded { 8 } else { 1 };
        Decision {
            threshold,
            keep_rate,
            ceiling: command.capacity.map_or(u64::MAX, ceiling),
            capacity: command.capacity,
            now,
            admitted,
            depth: self.depth as u64,
            due: now.saturating_add(next),
            due_admitted: admitted.saturating_add(burst as u64),
        }
    }

    /// Returns the number of requests that left the queue since the last tick.
    fn departures(&self, sample: &Sample<'_>, depth: Option<f64>) -> f64 {
        match (sample.reading.departed, depth) {
            // The first reading counts departures from before this tick.
            (Some(departed), _) => self.departed.map_or(0, |before| departed.saturating_sub(before)) as f64,
            (None, Some(depth)) if !sample.is_in_flight => {
                let admitted = sample.admitted.saturating_sub(self.admitted) as f64;
                (admitted - (depth - self.depth)).max(0.0)
            }
            _ => sample.completed.saturating_sub(self.completed) as f64,
        }
    }

    /// Returns the delay in seconds.
    ///
    /// A signal that knows a delay alone reports none if no request was started. The last delay
    /// applies then.
    fn delay(&mut self, reading: &SignalReading) -> Option<f64> {
        let delay = reading.delay.map(|delay| delay.as_secs_f64());
        if reading.depth.is_some() {
            self.delay = None;
            return delay;
        }
        self.delay = delay.or(self.delay);
        self.delay
    }
}

#[cfg(test)]
mod tests {
    use super::super::controllers::Control;
    use super::super::threshold::{BINS, COHORTS};
    use super::*;
    use crate::Curve;

    const TARGET: Duration = Duration::from_millis(5);
    const TICK: u64 = 10_000_000;

    fn steering(control: Control) -> Steering {
        let tick = tick_interval(TARGET).as_secs_f64();
        Steering::new(TARGET, Controller::new(control, TARGET.as_secs_f64(), tick, None), false)
    }

    /// Returns a sample at the end of tick `n`, in which these requests arrived.
    fn sample(n: u64, arrivals: &[u32], admitted: u64, reading: SignalReading) -> Sample<'_> {
        Sample { now: n * TICK, since: TICK, arrivals, admitted, completed: 0, reading, is_in_flight: false }
    }

    fn arrivals(normal: u32, high: u32) -> [u32; BINS] {
        let mut arrivals = [0; BINS];
        arrivals[4 * COHORTS + 60] = normal;
        arrivals[6 * COHORTS + 60] = high;
        arrivals
    }

    /// 1,000 requests a second leave the queue, and 2,000 arrive. 800 of these have high priority.
    #[test]
    fn overload_admits_the_capacity_and_cuts_lower_priorities() {
        let mut steering = steering(Control::Rate);
        let arrivals = arrivals(12, 8);
        let mut decision = steering.first_decision(0, None);
        let (mut admitted, mut departed, mut depth) = (0.0_f64, 0, 0.0_f64);
        for n in 1..=1_000 {
            let kept = 20.0 * decision.keep_rate;
            let left = (depth + kept).min(10.0);
            (admitted, departed, depth) = (admitted + kept, departed + left as u64, depth + kept - left);
            let reading = SignalReading::new().depth(depth as u64).departed(departed).busy(depth >= 1.0);
            decision = steering.tick(sample(n, &arrivals, admitted as u64, reading));
            if n > 500 {
                assert!((0.4..0.6).contains(&decision.keep_rate), "{decision:?}");
                assert_eq!(decision.threshold.bin, 4 * COHORTS + 60, "{decision:?}");
                let capacity = decision.capacity.unwrap();
                assert!((950.0..1_050.0).contains(&capacity), "{decision:?}");
                // Four times the target.
                assert_eq!(decision.ceiling, (4.0 * capacity * 0.005) as u64);
            }
        }
        // A delay of 5 ms is five requests.
        assert!((1.0..12.0).contains(&depth), "{depth}");
    }

    #[test]
    fn next_tick_is_due_earlier_under_overload() {
        let mut steering = steering(Control::Rate);
        let arrivals = arrivals(20, 0);
        let calm = SignalReading::new().depth(0).departed(0).busy(false);
        let decision = steering.tick(sample(1, &arrivals, 20, calm));
        assert_eq!((decision.now, decision.due, decision.admitted), (TICK, 2 * TICK, 20));
        assert_eq!((decision.threshold, decision.ceiling), (Threshold::KEEP_ALL, u64::MAX));
        // Twice the arrivals of a tick, six standard deviations and 16 more.
        assert_eq!(decision.due_admitted, 20 + (40.0 + 6.0 * 20.0_f64.sqrt() + 16.0) as u64);
        let long = SignalReading::new().depth(100).delay(Duration::from_millis(50)).departed(10).busy(true);
        let decision = steering.tick(sample(2, &arrivals, 40, long));
        assert_eq!((decision.due, decision.depth), (2 * TICK + TICK / 8, 100));
    }

    #[test]
    fn curve_decides_the_share_and_zero_drops_all() {
        let mut steering = steering(Control::Curve(Curve::linear(0.0, 10.0)));
        let arrivals = arrivals(20, 0);
        let mut at = |n, depth| steering.tick(sample(n, &arrivals, 0, SignalReading::new().depth(depth)));
        assert_eq!(at(1, 0).threshold, Threshold::KEEP_ALL);
        assert_eq!(at(2, 4).keep_rate, 0.6);
        assert_eq!((at(3, 10).threshold, at(4, 10).keep_rate), (Threshold::DROP_ALL, 0.0));
    }

    #[test]
    fn delay_alone_applies_until_the_next_reading() {
        let mut steering = steering(Control::Curve(Curve::linear(0.0, 1.0)));
        let arrivals = arrivals(20, 0);
        let mut at = |n, reading| steering.tick(sample(n, &arrivals, 0, reading)).keep_rate;
        assert_eq!(at(1, SignalReading::new().delay(Duration::from_millis(250))), 0.75);
        assert_eq!(at(2, SignalReading::new()), 0.75);
        assert_eq!(at(3, SignalReading::new().depth(1)), 0.0);
        assert_eq!(at(4, SignalReading::new()), 1.0, "a reading with a depth discards the delay");
    }
}
