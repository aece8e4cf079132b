//! An independent check of the bound on admissions.

/// Checks that in any span of time no more is admitted than the burst and what the rate adds.
///
/// All spans are checked at once, by a debt that the rate pays off. The check counts in units and
/// knows no limiter, so it shares neither code nor arithmetic with those it watches.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    rate: f64,
    burst: f64,
    debt: f64,
    at: u64,
    over: u64,
}

/// The rounding error of many additions, in units.
const TOLERANCE: f64 = 1e-6;

impl Bound {
    /// Creates a bound at time zero, without debt.
    pub fn new(rate: f64, burst: f64) -> Self {
        Bound { rate, burst, debt: 0.0, at: 0, over: 0 }
    }

    fn advance(&mut self, at: u64) {
        self.debt = (self.debt - self.rate * at.saturating_sub(self.at) as f64 / 1e9).max(0.0);
        self.at = self.at.max(at);
    }

    /// Changes the rate from `at` on.
    pub fn set_rate(&mut self, at: u64, rate: f64) {
        self.advance(at);
        self.rate = rate;
    }

    /// Records an admission at `at` nanoseconds.
    pub fn admitted(&mut self, at: u64) {
        self.advance(at);
        self.debt += 1.0;
        if self.debt > self.burst + TOLERANCE {
            self.over += 1;
            // Counted once, and not again for all that follow.
            self.debt = self.burst;
        }
    }

    /// Returns the number of admissions above the bound.
    pub fn over(&self) -> u64 {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_admission_above_the_bound_is_found() {
        let ms = |n: u64| n * 1_000_000;
        let mut bound = Bound::new(10.0, 3.0);
        (0..3).for_each(|_| bound.admitted(ms(0)));
        bound.admitted(ms(100));
        bound.admitted(ms(200));
        assert_eq!(bound.over(), 0);
        bound.admitted(ms(299));
        assert_eq!(bound.over(), 1);
        // Half a second replenishes five, but the burst is three.
        (0..3).for_each(|_| bound.admitted(ms(1_000)));
        assert_eq!(bound.over(), 1);
        bound.set_rate(ms(1_000), 1.0);
        bound.admitted(ms(1_999));
        assert_eq!(bound.over(), 2);
    }
}
