//! The controller for a signal that knows a delay alone.

/// A PI controller of the logarithm of the kept share. Its gain is the same at any load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogController {
    target: f64,
    tick: f64,
    log: f64,
    last_delay: f64,
}

/// While requests are dropped and none waits, the share grows by a factor of e in this time.
const PROBE: f64 = 0.5;
/// The number of requests a second that are kept in any case.
const MIN_RATE: f64 = 10.0;

impl LogController {
    pub(super) fn new(target: f64, tick: f64) -> Self {
        LogController { target, tick, log: 0.0, last_delay: 0.0 }
    }

    pub(super) fn set_target(&mut self, target: f64, tick: f64) {
        (self.target, self.tick) = (target, tick);
    }

    /// Returns the share to keep of this rate of arrivals.
    pub(super) fn tick(&mut self, dt: f64, delay: f64, arrival_rate: f64) -> f64 {
        let target = self.target;
        let frequency = 1.0 / (3.0 * (target + self.tick));
        let error = (delay - target).clamp(-target, 4.0 * target);
        let slope = (delay - self.last_delay).clamp(-4.0 * target, 4.0 * target);
        self.last_delay = delay;
        self.log -= frequency * frequency * dt * error + 2.0 * frequency * slope;
        if delay < target / 4.0 {
            // Requests are dropped although none waits.
            self.log += dt / PROBE;
        }
        // Ten requests a second are kept. Without any, no delay is measured, and the end of an
        // overload is not noticed.
        let min = (MIN_RATE / arrival_rate.max(MIN_RATE)).max(1e-4);
        self.log = self.log.clamp(min.ln(), 0.0);
        self.log.exp()
    }
}
