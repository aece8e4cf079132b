//! The steering of a load shedder: it takes a sample and returns a decision. It has no locks, no
//! atomics and no clock.

use super::capacity::{CapacityMeter, PlantScale};
use super::controllers::{Admit, Controller, Measurement};
use super::signal::SignalReading;
use super::threshold::{COHORTS, Histogram, Threshold};
use super::trust::Trust;
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
    /// What the signal returned, or `None` if it panicked.
    pub(super) reading: Option<SignalReading>,
    /// Whether the depth comes from the permits in flight. If not, it comes from a signal.
    pub(super) is_in_flight: bool,
}

/// What applies until the next tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) threshold: Threshold,
    /// The share of all arrivals that is kept.
    pub(super) keep_rate: f64,
    /// The maximum numbers of waiting requests.
    pub(super) ceilings: Ceilings,
    /// The number of waiting requests up to which nothing is dropped.
    pub(super) spared: u64,
    /// The number of admitted requests up to which nothing is dropped.
    pub(super) spared_admitted: u64,
    /// The number of requests a second that leave a queue that is never empty, if it is known.
    pub(super) capacity: Option<f64>,
    /// The instant of the decision, and the numbers of admitted and of waiting requests then.
    pub(super) now: u64,
    pub(super) admitted: u64,
    pub(super) depth: u64,
    /// The instant of the next tick, and the number of admitted requests at which it comes earlier.
    pub(super) due: u64,
    pub(super) due_admitted: u64,
    /// Whether the next tick comes earlier if a request is dropped: none should be.
    pub(super) is_open: bool,
    /// The new state and its cause, if the state has changed.
    pub(super) change: Option<(&'static str, &'static str)>,
}

/// The maximum numbers of waiting requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ceilings {
    /// The highest level to which the lower ceiling applies.
    pub(super) level: usize,
    /// The ceiling of that level and those below it: four targets.
    pub(super) low: u64,
    /// The ceiling of the more important levels: 32 targets.
    pub(super) high: u64,
}

impl Ceilings {
    const NONE: Ceilings = Ceilings { level: 0, low: u64::MAX, high: u64::MAX };
}

/// Steers a load shedder.
#[derive(Debug)]
pub(super) struct Steering {
    target: Duration,
    controller: Controller,
    capacity: CapacityMeter,
    histogram: Histogram,
    trust: Trust,
    // The sample of the last tick.
    admitted: u64,
    completed: u64,
    departed: Option<u64>,
    depth: f64,
    // The time since the last reading.
    unread: f64,
    // The last decision.
    admit: Admit,
    keep_rate: f64,
    // The last delay of a signal that knows a delay alone. It applies while there is no new one.
    delay: Option<f64>,
    // The number of requests admitted until the last delay, and the instant at which more were.
    delay_admitted: u64,
    delay_since: Option<u64>,
    // Whether the last reading had more than a delay. A signal is unknown before its first reading.
    has_depth: bool,
    // Whether the delay is far above its target.
    is_overloaded: bool,
}

/// Returns the usual time between two ticks: the target delay, but 10 ms to 100 ms.
pub(super) fn tick_interval(target: Duration) -> Duration {
    target.clamp(Duration::from_millis(10), Duration::from_millis(100))
}

fn scale(target: Duration) -> PlantScale {
    PlantScale { target: target.as_secs_f64(), tick: tick_interval(target).as_secs_f64() }
}

impl Steering {
    pub(super) fn new(
        target: Duration,
        controller: Controller,
        hint: Option<f64>,
        is_in_flight: bool,
    ) -> Self {
        let capacity = CapacityMeter::new(hint, scale(target));
        Steering {
            target,
            controller,
            capacity,
            histogram: Histogram::new(),
            trust: Trust::new(capacity),
            admitted: 0,
            completed: 0,
            departed: None,
            depth: 0.0,
            unread: 0.0,
            admit: Admit::All,
            keep_rate: 1.0,
            delay: None,
            delay_admitted: 0,
            delay_since: None,
            has_depth: is_in_flight,
            is_overloaded: false,
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
        self.capacity.set(capacity, scale(self.target));
        self.uses_capacity()
    }

    fn uses_capacity(&self) -> bool {
        self.has_depth && self.controller.uses_capacity()
    }

    pub(super) fn set_target(&mut self, target: Duration) {
        self.target = target;
        let scale = scale(target);
        self.capacity.rescale(scale);
        self.controller.set_target(scale.target, scale.tick);
    }

    /// Returns the decision that applies before the first tick: everything is kept.
    pub(super) fn first_decision(&self, now: u64, hint: Option<f64>) -> Decision {
        Decision {
            threshold: Threshold::KEEP_ALL,
            keep_rate: 1.0,
            ceilings: Ceilings::NONE,
            spared: 0,
            spared_admitted: 0,
            capacity: hint.filter(|_| self.uses_capacity()),
            now,
            admitted: 0,
            depth: 0,
            due: now.saturating_add(tick_interval(self.target).as_nanos() as u64),
            due_admitted: 64,
            is_open: true,
            change: None,
        }
    }

    /// Decides what to keep until the next tick.
    pub(super) fn tick(&mut self, sample: Sample<'_>) -> Decision {
        let Sample { now, since, arrivals, admitted, .. } = sample;
        let (dt, interval) = (since as f64 / 1e9, tick_interval(self.target));
        let arrivals_in = |bin: usize| arrivals.get(bin).map_or(0.0, |n| f64::from(*n));
        self.histogram.count(dt, interval.as_secs_f64(), arrivals_in);
        let arrivals: f64 = arrivals.iter().map(|n| f64::from(*n)).sum();
        let arrival_rate = self.histogram.total();
        self.unread += dt;
        let steered = sample.reading.and_then(|reading| self.steer(&sample, reading, arrivals));
        let reading = sample.reading.filter(|_| steered.is_some());
        let blind = self.trust.check(now, admitted, reading, self.capacity);
        // Permits that stand still are held, and their queue is probed.
        let blind = blind.filter(|_| !sample.is_in_flight || reading.is_none());
        if blind.is_some() {
            self.capacity = self.trust.capacity();
        }
        let known = self.capacity.known().filter(|_| self.uses_capacity());
        self.admit = match (blind, steered) {
            // Without a signal, the limit is a little less than the last known capacity.
            (Some(_), _) => known
                .map(|rate| 0.9 * rate)
                .filter(|rate| *rate < arrival_rate)
                .map_or(Admit::All, Admit::Rate),
            (None, Some(admit)) => admit,
            (None, None) => self.admit,
        };
        let (threshold, keep_rate) = match self.admit {
            Admit::All => (Threshold::KEEP_ALL, 1.0),
            Admit::Nothing => (Threshold::DROP_ALL, 0.0),
            Admit::Rate(rate) => {
                let keep_rate = if arrival_rate > 0.0 { (rate / arrival_rate).min(1.0) } else { 1.0 };
                (self.histogram.threshold(rate), keep_rate)
            }
        };
        self.keep_rate = keep_rate;
        // The next tick comes early after a burst of admitted requests: 1.5 times the departures of
        // one tick, six standard deviations and 16 more. While the capacity is unknown, the
        // arrivals stand in for it, with a factor of 2, or 64 requests if some wait.
        let per_tick = |rate: f64| rate * interval.as_secs_f64();
        let burst = match known {
            Some(capacity) => 1.5 * per_tick(capacity) + 6.0 * per_tick(capacity).sqrt() + 16.0,
            None if self.depth > 0.0 => 64.0,
            None => 2.0 * per_tick(arrivals / dt) + 6.0 * per_tick(arrivals / dt).sqrt() + 16.0,
        };
        let ceilings = match blind {
            None => self.ceilings(threshold, burst),
            Some(_) => Ceilings::NONE,
        };
        let keep_rate = match self.depth > ceilings.low as f64 {
            true => keep_rate.min(self.histogram.share_above(ceilings.level)),
            false => keep_rate,
        };
        // A queue whose capacity is unknown is read often, too.
        let is_hot = self.uses_capacity() && (self.is_overloaded || (known.is_none() && self.depth > 0.0));
        let next = interval.as_nanos() as u64 / if is_hot { 8 } else { 1 };
        Decision {
            threshold,
            keep_rate,
            ceilings,
            spared: self.controller.spared(),
            spared_admitted: self.trust.spared_admitted(),
            capacity: known,
            now,
            admitted,
            depth: self.depth as u64,
            due: now.saturating_add(next),
            due_admitted: admitted.saturating_add(burst as u64),
            is_open: self.admit == Admit::All,
            change: self.trust.change(now, blind),
        }
    }

    /// Returns what to admit by this reading, or `None` if a function does not decide.
    fn steer(&mut self, sample: &Sample<'_>, reading: SignalReading, arrivals: f64) -> Option<Admit> {
        let (scale, dt) = (scale(self.target), std::mem::take(&mut self.unread));
        let depth = reading.depth.map(|depth| depth as f64);
        let departures = self.departures(sample, reading, depth);
        let waits = depth.unwrap_or(0.0) > 0.0 && self.depth > 0.0;
        let busy = reading.busy.unwrap_or(waits);
        let delay = self.delay(sample, &reading);
        self.has_depth = depth.is_some() || delay.is_none();
        if self.has_depth {
            self.capacity.count(departures, dt, busy, waits, scale);
        }
        let silent = self.capacity.silent();
        self.depth = depth.unwrap_or(0.0);
        let by_depth = self.capacity.estimate().map_or(0.0, |rate| self.depth / rate);
        let is_idle = self.depth <= 0.0 || delay.unwrap_or(by_depth) < scale.target / 4.0;
        if self.has_depth && !busy && silent <= 0.0 && self.keep_rate < 1.0 && is_idle {
            self.capacity.probe(dt, scale);
        }
        self.is_overloaded = delay.unwrap_or(0.0).max(by_depth).max(silent) > 2.0 * scale.target;
        self.departed = reading.departed.or(self.departed);
        (self.admitted, self.completed) = (sample.admitted, sample.completed);
        self.controller.tick(Measurement {
            dt,
            arrivals,
            departures,
            depth,
            delay,
            busy,
            arrival_rate: self.histogram.total(),
            capacity: self.capacity.known(),
            silent,
        })
    }

    /// Returns the ceilings of the queue until the next tick.
    ///
    /// There is none while the queue cannot reach it before the next tick.
    fn ceilings(&self, threshold: Threshold, burst: f64) -> Ceilings {
        let ceiling = 4.0 * self.target.as_secs_f64() * self.capacity.bound();
        if !self.uses_capacity() || (self.admit == Admit::All && self.depth + burst < ceiling) {
            return Ceilings::NONE;
        }
        let level = match self.admit {
            Admit::All => self.histogram.lowest_level(),
            _ => threshold.bin / COHORTS,
        };
        Ceilings { level, low: ceiling as u64, high: (8.0 * ceiling) as u64 }
    }

    /// Returns the number of requests that left the queue since the last tick.
    fn departures(&self, sample: &Sample<'_>, reading: SignalReading, depth: Option<f64>) -> f64 {
        match (reading.departed, depth) {
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
    /// applies then. A request admitted since has waited at least for the time that has passed.
    fn delay(&mut self, sample: &Sample<'_>, reading: &SignalReading) -> Option<f64> {
        let delay = reading.delay.map(|delay| delay.as_secs_f64());
        if delay.is_some() || reading.depth.is_some() {
            (self.delay, self.delay_admitted, self.delay_since) = (delay, sample.admitted, None);
            if reading.depth.is_some() {
                self.delay = None;
            }
            return delay;
        }
        if sample.admitted > self.delay_admitted {
            self.delay_since.get_or_insert(sample.now);
        }
        let age = self.delay_since.map_or(0.0, |since| (sample.now - since) as f64 / 1e9);
        self.delay.map(|delay| delay.max(age))
    }
}

#[cfg(test)]
mod tests {
    use super::super::controllers::Control;
    use super::super::threshold::BINS;
    use super::*;
    use crate::Curve;

    const TARGET: Duration = Duration::from_millis(5);
    const TICK: u64 = 10_000_000;

    fn steering(control: Control) -> Steering {
        let tick = tick_interval(TARGET).as_secs_f64();
        Steering::new(TARGET, Controller::new(control, TARGET.as_secs_f64(), tick), None, false)
    }

    /// Returns a sample at the end of tick `n`, in which these requests arrived.
    fn sample(n: u64, arrivals: &[u32], admitted: u64, reading: SignalReading) -> Sample<'_> {
        Sample {
            now: n * TICK,
            since: TICK,
            arrivals,
            admitted,
            completed: 0,
            reading: Some(reading),
            is_in_flight: false,
        }
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
                assert_eq!(decision.ceilings.low, (4.0 * capacity * 0.005) as u64);
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
        assert_eq!((decision.threshold, decision.ceilings), (Threshold::KEEP_ALL, Ceilings::NONE));
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
