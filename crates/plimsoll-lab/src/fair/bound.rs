//! The bound on what is admitted, watched from outside.

/// In any span of time no more than the burst and what the rate brings in that time: checked for all spans at
/// once, by what is owed.
///
/// It knows no limiter and counts in units, so it shares neither code nor arithmetic with those it watches.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    rate: f64,
    burst: f64,
    debt: f64,
    at: u64,
    over: u64,
}

/// Of a unit: what adding up so many fractions may be off by.
const TOLERANCE: f64 = 1e-6;

impl Bound {
    /// At time zero, with nothing owed.
    pub fn new(rate: f64, burst: f64) -> Self {
        Bound { rate, burst, debt: 0.0, at: 0, over: 0 }
    }

    fn advance(&mut self, at: u64) {
        self.debt = (self.debt - self.rate * at.saturating_sub(self.at) as f64 / 1e9).max(0.0);
        self.at = self.at.max(at);
    }

    /// Another rate, from `at` on.
    pub fn set_rate(&mut self, at: u64, rate: f64) {
        self.advance(at);
        self.rate = rate;
    }

    /// One was admitted at `at` nanoseconds.
    pub fn admitted(&mut self, at: u64) {
        self.advance(at);
        self.debt += 1.0;
        if self.debt > self.burst + TOLERANCE {
            self.over += 1;
            // Told once, and not of all that follow.
            self.debt = self.burst;
        }
    }

    /// How many were above the bound.
    pub fn over(&self) -> u64 {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_the_bound_in_any_span_is_found() {
        let ms = |n: u64| n * 1_000_000;
        let mut bound = Bound::new(10.0, 3.0);
        (0..3).for_each(|_| bound.admitted(ms(0)));
        bound.admitted(ms(100));
        bound.admitted(ms(200));
        assert_eq!(bound.over(), 0);
        bound.admitted(ms(299));
        assert_eq!(bound.over(), 1);
        // Five are back after half a second; three is the most.
        (0..3).for_each(|_| bound.admitted(ms(1_000)));
        assert_eq!(bound.over(), 1);
        bound.set_rate(ms(1_000), 1.0);
        bound.admitted(ms(1_999));
        assert_eq!(bound.over(), 2);
    }
}
