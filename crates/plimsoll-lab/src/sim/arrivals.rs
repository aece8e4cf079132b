//! The arrivals of fresh requests: Poisson with a rate that may change, or a recorded trace.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::Dice;

/// A stretch of time in which the rate is a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// When it ends and the next one begins.
    pub until: Duration,
    /// Requests per second at its beginning.
    pub rate: f64,
    /// Requests per second at its end.
    pub to: f64,
}

/// A stream of fresh requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// Poisson, with a rate of steps and ramps. The final rate of the last piece continues for
    /// ever.
    Pieces(Vec<Piece>),
    /// Poisson, switching between two rates. The times between switches are exponential (MMPP).
    Bursts {
        /// Requests per second in a burst.
        high: f64,
        /// Requests per second between bursts.
        low: f64,
        /// The mean length of a burst.
        on: Duration,
        /// The mean time between bursts.
        off: Duration,
    },
    /// Recorded moments, in order.
    Trace(Arc<[Duration]>),
}

impl Arrivals {
    /// Creates Poisson arrivals with one rate, in requests per second.
    pub fn poisson(rate: f64) -> Self {
        Arrivals::Pieces(vec![Piece { until: Duration::MAX, rate, to: rate }])
    }

    /// Returns whether the rate is constant over `window`.
    pub(crate) fn is_steady(&self, window: &Range<Duration>) -> bool {
        let Arrivals::Pieces(pieces) = self else { return false };
        let mut overlapping = pieces.iter().enumerate().filter(|(n, piece)| {
            let begin =
                n.checked_sub(1).and_then(|n| pieces.get(n)).map_or(Duration::ZERO, |last| last.until);
            begin < window.end && piece.until > window.start
        });
        let first = overlapping.next().map_or(0.0, |(_, piece)| piece.rate);
        pieces.iter().all(|piece| piece.rate == piece.to) && overlapping.all(|(_, piece)| piece.rate == first)
    }
}

/// Draws the arrivals one by one.
#[derive(Debug)]
pub(crate) struct ArrivalStream<'a> {
    arrivals: &'a Arrivals,
    dice: Dice,
    next: usize,
    at: f64,
    piece: Segment,
}

/// The present piece: until `end` the rate grows from `rate` by `slope` per second.
#[derive(Clone, Copy, Debug)]
struct Segment {
    end: f64,
    rate: f64,
    slope: f64,
}

impl<'a> ArrivalStream<'a> {
    pub(crate) fn new(arrivals: &'a Arrivals, dice: Dice) -> Self {
        let piece = Segment { end: 0.0, rate: 0.0, slope: 0.0 };
        ArrivalStream { arrivals, dice, next: 0, at: 0.0, piece }
    }

    /// Returns the nanoseconds from the start to the next arrival, which is never before the last
    /// one.
    pub(crate) fn next(&mut self) -> Option<u64> {
        if let Arrivals::Trace(moments) = self.arrivals {
            let at = moments.get(self.next)?;
            self.next += 1;
            return u64::try_from(at.as_nanos()).ok();
        }
        // The next arrival is when the integral of the rate has grown by an exponential draw.
        let mut need = self.exponential();
        loop {
            let Segment { end, rate, slope } = self.piece;
            let left = end - self.at;
            // Treated apart, because 0 times infinity is not a number.
            let whole = match (rate, slope) {
                (0.0, 0.0) => 0.0,
                (_, 0.0) => rate * left,
                _ => (rate + slope * left / 2.0) * left,
            };
            if need < whole {
                let step = if slope == 0.0 {
                    need / rate
                } else {
                    ((rate * rate + 2.0 * slope * need).max(0.0).sqrt() - rate) / slope
                };
                self.at += step;
                self.piece.rate += slope * step;
                return Some((self.at * 1e9 + 0.5) as u64);
            }
            need -= whole;
            self.at = end;
            self.piece = self.next_segment()?;
        }
    }

    fn exponential(&self) -> f64 {
        -(1.0 - self.dice.uniform()).ln()
    }

    /// Returns the piece that begins now.
    fn next_segment(&mut self) -> Option<Segment> {
        let now = self.at;
        self.next += 1;
        match self.arrivals {
            Arrivals::Pieces(pieces) => {
                let Some(piece) = pieces.get(self.next - 1) else {
                    let rate = pieces.last().map_or(0.0, |last| last.to);
                    return (rate > 0.0 && now.is_finite()).then_some(Segment {
                        end: f64::INFINITY,
                        rate,
                        slope: 0.0,
                    });
                };
                let end =
                    if piece.until == Duration::MAX { f64::INFINITY } else { piece.until.as_secs_f64() };
                let end = end.max(now);
                let slope = if piece.to == piece.rate { 0.0 } else { (piece.to - piece.rate) / (end - now) };
                Some(Segment { end, rate: piece.rate, slope: if slope.is_finite() { slope } else { 0.0 } })
            }
            Arrivals::Bursts { high, low, on, off } => {
                // The first segment is one between bursts.
                let (rate, mean) = if self.next.is_multiple_of(2) { (*high, on) } else { (*low, off) };
                let end = now + self.exponential() * mean.as_secs_f64();
                Some(Segment { end, rate, slope: 0.0 })
            }
            Arrivals::Trace(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(arrivals: &Arrivals, from: f64, until: f64) -> usize {
        let mut stream = ArrivalStream::new(arrivals, Dice::seeded(4));
        let all = std::iter::from_fn(|| stream.next()).map(|at| at as f64 / 1e9);
        all.take_while(|at| *at < until).filter(|at| *at >= from).count()
    }

    #[test]
    fn steps_and_ramps_arrive_at_their_rates() {
        let s = Duration::from_secs(1);
        let arrivals = Arrivals::Pieces(vec![
            Piece { until: 10 * s, rate: 1_000.0, to: 1_000.0 },
            Piece { until: 20 * s, rate: 4_000.0, to: 0.0 },
            Piece { until: 30 * s, rate: 500.0, to: 500.0 },
        ]);
        // Five standard deviations of a Poisson count each.
        for (from, until, mean) in
            [(0.0, 10.0, 1e4), (10.0, 20.0, 2e4), (10.0, 15.0, 1.5e4), (20.0, 30.0, 5e3), (30.0, 40.0, 5e3)]
        {
            let n = count(&arrivals, from, until) as f64;
            assert!((n - mean).abs() < 5.0 * f64::sqrt(mean), "{from}: {n} for {mean}");
        }
    }

    #[test]
    fn bursts_have_the_mean_rate_and_traces_replay() {
        let (on, off) = (Duration::from_millis(10), Duration::from_millis(30));
        let n = count(&Arrivals::Bursts { high: 3_000.0, low: 1_000.0, on, off }, 0.0, 100.0) as f64;
        assert!((n / 150_000.0 - 1.0).abs() < 0.03, "{n}");
        let moments: Arc<[Duration]> = [on, off].into();
        assert_eq!(count(&Arrivals::Trace(moments), 0.0, 1.0), 2);
    }
}
