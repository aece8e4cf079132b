//! PIE (RFC 8033), a PI controller of the probability of dropping.

use super::measurement::Measurement;

/// PIE with the gains of the RFC, which are scaled down while the probability is small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pie {
    target: f64,
    drop_probability: f64,
    last_delay: f64,
    // The remaining burst allowance, in seconds.
    burst: f64,
    // The current measurement of the departure rate: departures and time.
    measured: (f64, f64),
    departure_rate: Option<f64>,
}

impl Pie {
    /// The time between two updates in the RFC, in seconds. The gains apply to one update.
    const UPDATE: f64 = 0.015;
    const ALPHA: f64 = 0.125;
    const BETA: f64 = 1.25;
    /// The burst allowance in seconds.
    const BURST: f64 = 0.15;
    /// The RFC never drops while two or fewer packets wait.
    pub(super) const SPARED: u64 = 2;
    /// The number of departures in one measurement of their rate: about the 16 KiB of the RFC. A
    /// single tick may see none, and would then take a long queue for an empty one.
    const MEASURED: f64 = 16.0;

    pub(super) fn new(target: f64) -> Self {
        Pie {
            target,
            drop_probability: 0.0,
            last_delay: 0.0,
            burst: Self::BURST,
            measured: (0.0, 0.0),
            departure_rate: None,
        }
    }

    pub(super) fn set_target(&mut self, target: f64) {
        self.target = target;
    }

    /// Returns the share to keep.
    pub(super) fn tick(&mut self, at: Measurement) -> f64 {
        let by_depth = at.depth.map(|depth| self.delay_of(depth, at));
        self.update(at.dt, at.delay.or(by_depth).unwrap_or(0.0))
    }

    /// Returns the delay of a queue, by the rate at which work leaves it while it is not empty.
    fn delay_of(&mut self, depth: f64, at: Measurement) -> f64 {
        let (departures, time) = self.measured;
        self.measured = if at.busy { (departures + at.departures, time + at.dt) } else { (0.0, 0.0) };
        let (departures, time) = self.measured;
        if departures >= Self::MEASURED {
            let new = departures / time;
            self.departure_rate = Some(self.departure_rate.map_or(new, |old| old + (new - old) / 8.0));
            self.measured = (0.0, 0.0);
        }
        // The oldest request has waited at least since the last departure.
        self.departure_rate.map_or(0.0, |rate| depth / rate).max(at.silent)
    }

    fn update(&mut self, dt: f64, delay: f64) -> f64 {
        let updates = dt / Self::UPDATE;
        let mut step = Self::ALPHA * updates * (delay - self.target) + Self::BETA * (delay - self.last_delay);
        step *= match self.drop_probability {
            p if p < 0.000_001 => 1.0 / 2_048.0,
            p if p < 0.000_01 => 1.0 / 512.0,
            p if p < 0.000_1 => 1.0 / 128.0,
            p if p < 0.001 => 1.0 / 32.0,
            p if p < 0.01 => 1.0 / 8.0,
            p if p < 0.1 => 1.0 / 2.0,
            _ => 1.0,
        };
        if self.drop_probability >= 0.1 {
            step = step.min(0.02);
        }
        self.drop_probability += step;
        if delay == 0.0 && self.last_delay == 0.0 {
            self.drop_probability *= 0.98;
        }
        self.drop_probability = self.drop_probability.clamp(0.0, 1.0);
        let is_idle = delay < self.target / 2.0;
        if self.drop_probability == 0.0 && is_idle && self.last_delay < self.target / 2.0 {
            self.burst = Self::BURST;
        }
        self.last_delay = delay;
        self.burst = (self.burst - dt).max(0.0);
        // Subtracting 15 ms ten times from 150 ms leaves a rounding error.
        let is_spared = self.burst > 1e-9 || (is_idle && self.drop_probability < 0.2);
        if is_spared { 1.0 } else { 1.0 - self.drop_probability }
    }
}
