//! The capacity of the bottleneck, measured as work leaves its queue.

use super::decayed_rate::DecayedRate;

/// The rate at which work leaves a queue that is never empty. Times are in seconds.
///
/// While nothing leaves although requests wait, the time is held back. A long one is a stall, which
/// says nothing about the capacity afterwards. A short one is counted with the next departure.
#[derive(Clone, Copy, Debug)]
pub(super) struct CapacityMeter {
    rate: DecayedRate,
    // All departures of the last ticks, also while no request waits.
    flow: DecayedRate,
    // Whether the rate is known well enough to steer by.
    is_known: bool,
    // The time since the last departure, while requests wait.
    silent: f64,
    // The longest recent time between two departures. Work that ends in batches has long ones.
    usual_gap: f64,
    // The time for which requests have been dropped although none waited.
    idle: f64,
    // The departures and the time since the last check for a rise.
    new: (f64, f64),
}

/// While requests are dropped and none waits, the capacity grows by a factor of e in this time …
const PROBE: f64 = 3.0;
/// … and in this one once it has lasted for half a second or four targets. Bursts leave shorter
/// gaps.
const FAST_PROBE: f64 = 0.3;
/// The number of departures that suffices to detect a stall or a rise.
const ENOUGH: f64 = 25.0;

/// The scales of a plant in seconds: the target delay, and the usual time between two ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlantScale {
    pub(super) target: f64,
    pub(super) tick: f64,
}

impl CapacityMeter {
    pub(super) fn new(hint: Option<f64>, scale: PlantScale) -> Self {
        let (rate, flow) = (DecayedRate::default(), DecayedRate::default());
        let mut capacity = CapacityMeter {
            rate,
            flow,
            is_known: false,
            silent: 0.0,
            usual_gap: 0.0,
            idle: 0.0,
            new: (0.0, 0.0),
        };
        if let Some(hint) = hint {
            capacity.set(hint, scale);
        }
        capacity
    }

    /// Sets the capacity as if it had been measured over 64 events. It is used at once, and
    /// measurements replace it.
    pub(super) fn set(&mut self, capacity: f64, scale: PlantScale) {
        self.know(capacity, 0.0, scale);
    }

    /// Keeps a known capacity known under a longer target, for which it may not have been measured
    /// long enough.
    pub(super) fn rescale(&mut self, scale: PlantScale) {
        if self.is_known {
            self.know(self.rate.get(), self.rate.time(), scale);
        }
    }

    /// Sets the capacity as if it had been measured for `seconds`, and for long enough to be known.
    fn know(&mut self, capacity: f64, seconds: f64, scale: PlantScale) {
        let seconds = seconds.max(scale.target).max(64.0 / capacity);
        self.rate = DecayedRate::known(capacity, seconds);
        self.is_known = true;
    }

    /// Returns the capacity, if it is known well enough to steer by.
    pub(super) fn known(&self) -> Option<f64> {
        Some(self.rate.get()).filter(|rate| self.is_known && *rate > 0.0)
    }

    /// Returns the capacity from a few departures on.
    pub(super) fn estimate(&self) -> Option<f64> {
        (self.rate.events() >= 8.0).then(|| self.rate.get())
    }

    /// Returns the time since the last departure, while requests wait.
    pub(super) fn silent(&self) -> f64 {
        self.silent
    }

    /// Returns the rate that the present capacity hardly exceeds.
    ///
    /// It is infinite before any request had to wait. Three departures more than counted would
    /// surprise. While nothing leaves, it falls with the time.
    pub(super) fn bound(&self) -> f64 {
        let bound = |rate: DecayedRate| match rate.time() + self.silent {
            time if time > 0.0 => (rate.events() + 3.0) / time,
            _ => f64::INFINITY,
        };
        match self.known() {
            Some(capacity) if self.silent <= 0.0 => capacity,
            // Work that ends in batches begins with a pause. What went through before is possible.
            _ => bound(self.rate).max(bound(self.flow)),
        }
    }

    /// Counts the departures of a tick of `dt` seconds.
    ///
    /// `is_busy` states that the queue was never empty, and `waits` that requests waited at both
    /// ends of the tick.
    pub(super) fn count(&mut self, departures: f64, dt: f64, is_busy: bool, waits: bool, scale: PlantScale) {
        if departures <= 0.0 {
            // If no request waits, callers may have left a server that stalls.
            self.silent += if is_busy || waits { dt } else { 0.0 };
            return;
        }
        let silent = std::mem::take(&mut self.silent);
        let gap = (2.0 * scale.target.max(scale.tick)).max(3.0 * self.usual_gap);
        let was_stalled = silent > gap && silent * self.rate.get() >= ENOUGH;
        if !was_stalled {
            self.flow.count(departures, dt + silent, (2.0 * scale.target).max(4.0 * scale.tick));
        }
        if !is_busy || was_stalled {
            self.new = (0.0, 0.0);
            return;
        }
        self.idle = 0.0;
        self.usual_gap = silent.max(0.98 * self.usual_gap);
        let dt = dt + silent;
        let min = (4.0 * scale.tick).max(scale.target);
        let max = (5.0_f64).max(2.0 * scale.target).max(min);
        let memory = (200.0 / self.rate.get().max(1e-9)).clamp(min, max);
        let before = self.rate;
        self.rate.count(departures, dt, memory);
        self.follow_rise(departures, dt, before.get(), min.max(3.0 * self.usual_gap));
        self.judge(scale);
    }

    /// Discards what was counted before a rise: more than six standard deviations, and half the
    /// rate.
    fn follow_rise(&mut self, departures: f64, dt: f64, rate: f64, enough: f64) {
        self.new = (self.new.0 + departures, self.new.1 + dt);
        let (counted, time) = self.new;
        if counted.max(rate * time) < 2.0 * ENOUGH || time < enough {
            return;
        }
        let expected = rate * time;
        if rate > 0.0 && counted > 1.5 * expected && counted - expected > 6.0 * expected.max(1.0).sqrt() {
            self.rate = DecayedRate::known(counted / time, time);
        }
        self.new = (0.0, 0.0);
    }

    /// Raises the capacity after a tick of `dt` seconds in which requests were dropped although
    /// none waited: the estimate is too low.
    pub(super) fn probe(&mut self, dt: f64, scale: PlantScale) {
        // A pause without requests is no evidence.
        let dt = dt.min(4.0 * scale.tick);
        self.idle += dt;
        let is_long = self.idle > (4.0 * scale.target).max(0.5);
        self.rate.probe(dt, if is_long { FAST_PROBE } else { PROBE });
    }

    /// Decides whether the capacity is known well enough to steer by.
    ///
    /// Less than a target is about less than five requests of each worker, which may end together.
    fn judge(&mut self, scale: PlantScale) {
        let time = if self.is_known { 0.5 * scale.target } else { 0.95 * scale.target };
        self.is_known = self.rate.events() >= 8.0 && self.rate.time() >= time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: PlantScale = PlantScale { target: 0.02, tick: 0.02 };

    fn measured() -> CapacityMeter {
        let mut capacity = CapacityMeter::new(None, SCALE);
        for _ in 0..100 {
            capacity.count(32.0, 0.02, true, true, SCALE);
        }
        capacity
    }

    #[test]
    fn stall_leaves_the_capacity_and_lowers_its_bound() {
        let mut capacity = measured();
        assert!((capacity.known().unwrap() - 1_600.0).abs() < 1.0 && capacity.bound() < 1_601.0);
        for _ in 0..3_000 {
            capacity.count(0.0, 0.02, true, true, SCALE);
        }
        assert!((capacity.known().unwrap() - 1_600.0).abs() < 1.0, "{capacity:?}");
        assert!((59.0..61.0).contains(&capacity.silent()) && capacity.bound() < 25.0, "{capacity:?}");
        capacity.count(20.0, 0.02, true, true, SCALE);
        assert!((capacity.bound() - 1_600.0).abs() < 1.0, "{capacity:?}");
    }

    #[test]
    fn nothing_counted_bounds_nothing_until_requests_wait() {
        let mut capacity = CapacityMeter::new(None, SCALE);
        assert_eq!((capacity.known(), capacity.bound()), (None, f64::INFINITY));
        capacity.count(9.0, 0.02, false, false, SCALE);
        capacity.count(0.0, 9.0, false, false, SCALE);
        assert_eq!(capacity.bound(), f64::INFINITY);
        for _ in 0..3 {
            capacity.count(0.0, 0.02, false, true, SCALE);
        }
        // Nine have left within 20 ms before, and at most three since.
        assert!((capacity.bound() - 150.0).abs() < 1e-6, "{capacity:?}");
    }

    /// A hundred servers that begin together end together.
    #[test]
    fn batches_are_no_stall() {
        let mut capacity = CapacityMeter::new(None, SCALE);
        for tick in 1..=600 {
            let left = if tick % 5 == 0 { 100.0 } else { 0.0 };
            capacity.count(left, 0.02, true, true, SCALE);
        }
        let known = capacity.known().unwrap();
        assert!((950.0..1_050.0).contains(&known), "{capacity:?}");
    }

    #[test]
    fn rise_is_followed_at_once() {
        let mut capacity = measured();
        for _ in 0..5 {
            capacity.count(320.0, 0.02, true, true, SCALE);
        }
        assert!((15_000.0..16_100.0).contains(&capacity.rate.get()), "{capacity:?}");
    }
}
