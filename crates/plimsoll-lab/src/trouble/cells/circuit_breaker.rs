//! The cells of `CircuitBreaker`.

use std::time::Duration;

use plimsoll::{CircuitBreaker, Outcome};

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row};

const GUARD: Guard = Guard::CircuitBreaker;
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![Cell::new(GUARD, Trouble::T4, background_failures)]
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T10, "It has no keys."),
    (Trouble::T11, "It has no accounts and no queue."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[Trouble::T5, Trouble::T8, Trouble::T9, Trouble::T19, Trouble::T22];

/// Returns the share of calls that a default breaker admits in the hour after a blip of 15 s, while
/// `share` of all calls fail in the background.
fn admitted_after_blip(size: Size, seed: u64, rate: f64, share: f64) -> f64 {
    let alone = Alone::new(seed);
    let breaker = CircuitBreaker::builder().clock(alone.clock()).dice(alone.guard_dice(0)).build();
    let breaker = breaker.unwrap_or_else(|error| unreachable!("{error}"));
    let call = |failing: f64| match breaker.try_acquire() {
        Ok(permit) => {
            let outcome = if alone.chance(failing) { Outcome::Failure } else { Outcome::Success };
            permit.done(outcome);
            true
        }
        Err(_) => false,
    };
    alone.calls(rate, 60 * S, || call(share));
    alone.calls(rate, 15 * S, || call(1.0));
    // The breaker may need an open time and its ramp before it is judged.
    alone.calls(rate, 120 * S, || call(share));
    alone.calls(rate, size.pick(300 * S, 3_600 * S), || call(share))
}

/// Returns whether a closed breaker practically never trips by chance: the default trip, half of the
/// calls of 10 s, is four standard deviations away.
fn trips_seldom(rate: f64, share: f64) -> bool {
    let deviation = (share * (1.0 - share) / (10.0 * rate)).sqrt();
    0.5 - share >= 4.0 * deviation
}

/// A closed breaker bears a background of failures for ever. One blip must not change that.
fn background_failures(size: Size, seed: u64) -> Vec<Row> {
    let rates: &[f64] = size.pick(&[20.0, 200.0], &[20.0, 200.0, 1_000.0]);
    let shares: &[f64] = size.pick(&[0.12, 0.45], &[0.05, 0.08, 0.10, 0.12, 0.15, 0.20, 0.25, 0.35, 0.45]);
    let mut rows = Vec::new();
    for rate in rates {
        for share in shares {
            if !trips_seldom(*rate, *share) {
                continue;
            }
            let admitted = admitted_after_blip(size, seed, *rate, *share);
            let case = format!("admitted, {rate} calls/s of which {:.0} % always fail", share * 100.0);
            rows.push(Row::at_least(case, admitted * 100.0, 99.0, "%").phase(Phase::After).without(100.0));
        }
    }
    rows
}
