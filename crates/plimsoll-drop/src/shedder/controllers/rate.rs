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
use super::measurement::{Admit, Measurement};

/// A PI controller of the admitted rate, with the capacity fed forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateController {
    target: f64,
    tick: f64,
    arrivals: DecayedRate,
    integral: f64,
}

/// The limit of the proportional term, as a share of the capacity.
const MAX_PROPORTIONAL: f64 = 0.25;
/// The least share of the capacity that is admitted. It is above the 70 % that important requests
/// are promised.
const MIN_FACTOR: f64 = 0.75;
/// The bounds of the integral term.
const MIN_INTEGRAL: f64 = -0.6;
const MAX_INTEGRAL: f64 = 0.15;

impl RateController {
    pub(super) fn new(target: f64, tick: f64) -> Self {
        RateController { target, tick, arrivals: DecayedRate::default(), integral: 0.0 }
    }

    pub(super) fn set_target(&mut self, target: f64, tick: f64) {
        (self.target, self.tick) = (target, tick);
    }

    pub(super) fn tick(&mut self, at: Measurement) -> Admit {
        let (target, tick) = (self.target, self.tick);
        let Measurement { dt, arrivals, .. } = at;
        let arrival_rate = self.arrivals.get();
        let memory = (64.0 / arrival_rate.max(1e-9)).clamp(2.0 * tick, (5.0_f64).max(2.0 * tick));
        self.arrivals.count_with_jumps(arrivals, dt, memory);
        let arrival_rate = self.arrivals.get().max(1e-9);
        // The ceiling of the queue is the only limit while the capacity is unknown.
        let Some(capacity) = at.capacity else { return Admit::All };
        let depth = at.depth.unwrap_or(0.0);
        let delay = at.delay.unwrap_or(depth / capacity);
        // Four times the target or a tick, whichever is longer. With two ticks only, the noise
        // between ticks drives the proportional term to its limit. The integral rests there, and
        // the queue of a single server gets too long.
        let time = 4.0 * target.max(tick);
        // By Little's law, the depth over the capacity is the coming delay, ahead of the measured
        // one.
        let proportional = (-(depth / capacity - target) / time).clamp(-MAX_PROPORTIONAL, MAX_PROPORTIONAL);
        let would_keep = capacity * (1.0 + proportional + self.integral).max(MIN_FACTOR) / arrival_rate;
        let is_enough = would_keep >= 1.0 && delay < target;
        // The delay of a queue that nothing leaves says nothing about the rate.
        let rests = proportional <= -MAX_PROPORTIONAL || at.silent > time;
        if !(rests || is_enough && self.integral >= 0.0) {
            self.integral -= 0.25 * dt * (delay - target).clamp(-target, 2.0 * target) / (time * time);
            self.integral = self.integral.clamp(MIN_INTEGRAL, MAX_INTEGRAL);
        }
        if is_enough && self.integral < 0.0 {
            // Nothing has to be dropped, so the correction decays.
            self.integral *= 1.0 - (dt / (10.0 * time)).min(0.5);
        }
        let rate = capacity * (1.0 + proportional + self.integral).max(MIN_FACTOR);
        if rate < arrival_rate && rate.is_finite() { Admit::Rate(rate) } else { Admit::All }
    }
}
