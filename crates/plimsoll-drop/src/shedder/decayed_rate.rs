//! Rates that decay, and that follow a jump at once.

/// A rate: a decayed count over a decayed time. Times are in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DecayedRate {
    count: f64,
    time: f64,
    // The count and the time since the last check for a jump.
    new_count: f64,
    new_time: f64,
}

/// The number of events, counted or expected, that suffices to detect a jump of the rate.
const ENOUGH: f64 = 25.0;

impl DecayedRate {
    /// Creates a rate as if it had been measured for `seconds`.
    pub(super) fn known(rate: f64, seconds: f64) -> Self {
        DecayedRate { count: rate * seconds, time: seconds, ..DecayedRate::default() }
    }

    /// Returns the rate a second, or 0 before the first count.
    pub(super) fn get(self) -> f64 {
        if self.time > 0.0 { self.count / self.time } else { 0.0 }
    }

    /// Returns the number of events that the rate is based on.
    pub(super) fn events(self) -> f64 {
        self.count
    }

    /// Returns the time that the rate is based on.
    pub(super) fn time(self) -> f64 {
        self.time
    }

    /// Counts `events` within `dt`. Older events decay by a factor of e in the time `memory`.
    pub(super) fn count(&mut self, events: f64, dt: f64, memory: f64) {
        // A pause longer than the memory counts as that long. Otherwise the rate would take as long
        // as the pause to recover.
        let part = (memory / dt).min(1.0);
        let decay = (-dt / memory).exp();
        self.count = self.count * decay + events * part;
        self.time = self.time * decay + dt * part;
    }

    /// Counts like [`count`](Self::count), and discards what was counted before a jump.
    ///
    /// A jump is a difference of more than six standard deviations, and of more than half the rate.
    pub(super) fn count_with_jumps(&mut self, events: f64, dt: f64, memory: f64) {
        let part = (memory / dt).min(1.0);
        (self.new_count, self.new_time) = (self.new_count + events * part, self.new_time + dt * part);
        let (counted, expected) = (self.new_count, self.get() * self.new_time);
        let (more, less) = (counted.max(expected), counted.min(expected));
        let known = self.time > 0.0;
        self.count(events, dt, memory);
        if more >= ENOUGH {
            if known && more - less > 6.0 * expected.max(1.0).sqrt() && more > 1.5 * less {
                (self.count, self.time) = (self.new_count, self.new_time);
            }
            (self.new_count, self.new_time) = (0.0, 0.0);
        }
    }

    /// Decays the time but not the count: the rate grows by a factor of e in the time `memory`.
    pub(super) fn probe(&mut self, dt: f64, memory: f64) {
        self.time *= (-dt / memory).exp();
    }
}
