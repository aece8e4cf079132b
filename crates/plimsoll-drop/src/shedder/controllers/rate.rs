//! The controller of the admitted rate.
//!
//! It steers the *rate* that is admitted, not the probability of dropping. A step of that
//! probability has twenty times the effect at twenty times the load. A rate that is too high grows
//! the queue equally at any load.
//!
//! The capacity is measured as work leaves the queue, and is fed forward. A proportional term works
//! off the excess over a chosen time. A slow integral term corrects for how the queue really
//! behaves.

use super::super::decayed_rate::DecayedRate;
use super::measurement::{Admit, Command, Measurement};

/// A PI controller of the admitted rate, with the capacity fed forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateController {
    target: f64,
    tick: f64,
    arrivals: DecayedRate,
    departures: DecayedRate,
    // Whether the rate of departures is known well enough to steer by.
    is_known: bool,
    integral: f64,
    keep_rate: f64,
}

/// The limit of the proportional term, as a share of the capacity.
const MAX_PROPORTIONAL: f64 = 0.25;
/// The least share of the capacity that is admitted. It is above the 70 % that important requests
/// are promised.
const MIN_FACTOR: f64 = 0.75;
/// The bounds of the integral term.
const MIN_INTEGRAL: f64 = -0.6;
const MAX_INTEGRAL: f64 = 0.15;
/// While requests are dropped and none waits, the estimated capacity grows by a factor of e in this
/// time, in seconds.
const PROBE: f64 = 3.0;

impl RateController {
    pub(super) fn new(target: f64, tick: f64, capacity: Option<f64>) -> Self {
        let mut controller = RateController {
            target,
            tick,
            arrivals: DecayedRate::default(),
            departures: DecayedRate::default(),
            is_known: false,
            integral: 0.0,
            keep_rate: 1.0,
        };
        if let Some(capacity) = capacity {
            controller.set_capacity(capacity);
        }
        controller
    }

    pub(super) fn set_target(&mut self, target: f64, tick: f64) {
        (self.target, self.tick) = (target, tick);
        if self.is_known {
            // It stays known, even if it has been measured for a small part of the new target only.
            self.know_capacity(self.departures.get(), self.departures.time());
        }
    }

    /// Sets the capacity as if it had been measured over 64 events. It is used at once, and
    /// measurements replace it.
    pub(super) fn set_capacity(&mut self, capacity: f64) {
        self.know_capacity(capacity, 0.0);
    }

    /// Sets the capacity as if it had been measured for `seconds`, and for long enough to be known.
    fn know_capacity(&mut self, capacity: f64, seconds: f64) {
        let seconds = seconds.max(self.target).max(64.0 / capacity);
        self.departures = DecayedRate::known(capacity, seconds);
        self.is_known = true;
    }

    fn capacity(&self) -> Option<f64> {
        (self.departures.events() >= 8.0).then(|| self.departures.get())
    }

    pub(super) fn tick(&mut self, at: Measurement) -> Command {
        let (target, tick) = (self.target, self.tick);
        let Measurement { dt, arrivals, departures, busy, .. } = at;
        let depth = at.depth.unwrap_or(0.0);
        let delay = at.delay.or_else(|| self.capacity().map(|rate| depth / rate)).unwrap_or(0.0);
        let arrival_rate = self.arrivals.get();
        let memory = (64.0 / arrival_rate.max(1e-9)).clamp(2.0 * tick, (5.0_f64).max(2.0 * tick));
        self.arrivals.count_with_jumps(arrivals, dt, memory);
        let arrival_rate = self.arrivals.get().max(1e-9);
        if busy {
            let min = (4.0 * tick).max(target);
            let max = (5.0_f64).max(2.0 * target).max(min);
            let memory = (200.0 / self.departures.get().max(1e-9)).clamp(min, max);
            self.departures.count(departures, dt, memory);
        } else if self.keep_rate < 1.0 && delay < target / 4.0 {
            // Requests are dropped although none waits, so the estimate is too low.
            self.departures.probe(dt, PROBE);
        }
        let capacity = self.departures.get();
        let is_overloaded = delay > 2.0 * target || (capacity > 0.0 && depth / capacity > 2.0 * target);
        let is_measured = (self.departures.events() >= 8.0 && self.departures.time() >= target / 2.0)
            || (self.departures.events() >= 1.0 && is_overloaded);
        self.is_known = is_measured && capacity > 0.0;
        if !self.is_known {
            self.keep_rate = 1.0;
            return Command { admit: Admit::All, is_overloaded, capacity: None };
        }
        // Four times the target or a tick, whichever is longer. With two ticks only, the noise
        // between ticks drives the proportional term to its limit. The integral rests there, and
        // the queue of a single server gets too long.
        let time = 4.0 * target.max(tick);
        // By Little's law, the depth over the capacity is the coming delay, ahead of the measured
        // one.
        let proportional = (-(depth / capacity - target) / time).clamp(-MAX_PROPORTIONAL, MAX_PROPORTIONAL);
        let would_keep = capacity * (1.0 + proportional + self.integral).max(MIN_FACTOR) / arrival_rate;
        let is_enough = would_keep >= 1.0 && delay < target;
        if proportional > -MAX_PROPORTIONAL && !(is_enough && self.integral >= 0.0) {
            self.integral -= 0.25 * dt * (delay - target).clamp(-target, 2.0 * target) / (time * time);
            self.integral = self.integral.clamp(MIN_INTEGRAL, MAX_INTEGRAL);
        }
        if is_enough && self.integral < 0.0 {
            // Nothing has to be dropped, so the correction decays.
            self.integral *= 1.0 - (dt / (10.0 * time)).min(0.5);
        }
        let rate = capacity * (1.0 + proportional + self.integral).max(MIN_FACTOR);
        self.keep_rate = (rate / arrival_rate).min(1.0);
        let admit = if self.keep_rate < 1.0 && rate.is_finite() { Admit::Rate(rate) } else { Admit::All };
        Command { admit, is_overloaded, capacity: Some(capacity) }
    }
}
