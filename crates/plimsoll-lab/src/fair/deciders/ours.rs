//! The real limiters.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll::{
    ConfigError, ControlError, FairRateLimiter, Instant, Keyed, KeyedRateLimiter, ManualTime, Outcome, Quota,
    RateLimiter, Settle,
};
use plimsoll::{RequestInfo, limit::Share};

use crate::fair::case::Case;
use crate::fair::deciders::decide::Decide;
use crate::fair::share::Claim;
use crate::sim::dice;

/// What all policies end in.
pub(super) struct Naive {
    time: ManualTime,
    limiter: RateLimiter,
    burst: u32,
}

fn quota(rate: u32, burst: u32) -> Quota {
    Quota::per_second(rate).burst(burst)
}

/// A quota that was checked when it was built is as good while it runs.
fn turned(result: Result<(), ControlError>) -> Result<(), ConfigError> {
    result.map_err(|error| ConfigError::new("rate", error.to_string(), "what a limiter takes"))
}

impl Naive {
    pub(super) fn new(case: &Case) -> Result<Self, ConfigError> {
        let time = ManualTime::new();
        let limiter =
            RateLimiter::builder().quota(quota(case.rate(0), case.burst)).clock(time.clock()).build()?;
        Ok(Naive { time, limiter, burst: case.burst })
    }

    pub(super) fn try_acquire(&self, at: u64) -> bool {
        self.time.advance_to(Instant::from_nanos(at));
        self.limiter.try_acquire().is_ok()
    }
}

impl Decide for Naive {
    fn admits(&mut self, at: u64, _: u64, _: &Claim) -> bool {
        self.try_acquire(at)
    }
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError> {
        self.time.advance_to(Instant::from_nanos(at));
        turned(self.limiter.set_quota(quota(rate, self.burst)))
    }
}

/// What is asked for, for the closures that say what an account has a right to.
type Asked<T> = Arc<Mutex<T>>;

fn read<T: Copy>(asked: &Asked<T>) -> T {
    *asked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(asked: &Asked<T>, value: T) {
    *asked.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

pub(super) struct Tide {
    time: ManualTime,
    limiter: FairRateLimiter<u64>,
    asked: Option<Asked<Share>>,
    burst: u32,
}

impl Tide {
    pub(super) fn new(case: &Case, seed: u64) -> Result<Self, ConfigError> {
        let time = ManualTime::new();
        let mut builder = FairRateLimiter::builder()
            .quota(quota(case.rate(0), case.burst))
            .max_keys(case.table)
            .tail(case.tail)
            .clock(time.clock())
            .dice(dice(seed, 4));
        let plain = |n: usize| {
            case.groups
                .iter()
                .all(|group| group.claim(0, n) == Claim { weight: 1.0, floor: 0.0, cap: f64::INFINITY })
        };
        let most = case.groups.iter().map(|group| group.weights.len()).max().unwrap_or(1);
        let asked = (!(0..most).all(plain)).then(|| Arc::new(Mutex::new(Share::default())));
        if let Some(asked) = &asked {
            let asked = asked.clone();
            builder = builder.share_of(move |_: &u64| read(&asked));
        }
        Ok(Tide { time, limiter: builder.build()?, asked, burst: case.burst })
    }
}

impl Decide for Tide {
    fn admits(&mut self, at: u64, who: u64, claim: &Claim) -> bool {
        self.time.advance_to(Instant::from_nanos(at));
        if let Some(asked) = &self.asked {
            let share = Share::weight(claim.weight).at_least(claim.floor);
            write(
                asked,
                if claim.cap.is_finite() {
                    share.at_most(Quota::per_second(claim.cap as u32))
                } else {
                    share
                },
            );
        }
        match self.limiter.admit_for(&who, RequestInfo::new()) {
            Ok(spent) => {
                self.limiter.settle(spent, Outcome::Success);
                true
            }
            Err(_) => false,
        }
    }
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError> {
        self.time.advance_to(Instant::from_nanos(at));
        turned(self.limiter.set_quota(quota(rate, self.burst)))
    }
}

/// A fixed part for each, as somebody sets it who knows how many there are at the most: the rate over
/// all their weights, and a second's worth at once.
pub(super) struct PerAccount {
    time: ManualTime,
    global: Naive,
    limiter: KeyedRateLimiter<u64>,
    asked: Asked<Quota>,
    weights: f64,
    rate: u32,
}

impl PerAccount {
    pub(super) fn new(case: &Case, seed: u64) -> Result<Self, ConfigError> {
        let time = ManualTime::new();
        let asked = Arc::new(Mutex::new(quota(1, 1)));
        let of = asked.clone();
        let limiter = KeyedRateLimiter::builder()
            .max_keys(case.table)
            .quota_of(move |_: &u64| read(&of))
            .clock(time.clock())
            .dice(dice(seed, 4))
            .build()?;
        let at_once = |moment: Duration| {
            let there = case.groups.iter().filter(|group| group.from <= moment && moment < group.until);
            let there = there.filter(|group| !group.strangers);
            let weight = |weights: &[f64]| weights.iter().sum::<f64>() / weights.len().max(1) as f64;
            there.map(|group| f64::from(group.accounts) * weight(&group.weights)).sum::<f64>()
        };
        let weights = case.changes().into_iter().map(at_once).fold(1.0, f64::max);
        let global = Naive::new(case)?;
        Ok(PerAccount { time, global, limiter, asked, weights, rate: case.rate(0) })
    }
}

impl Decide for PerAccount {
    fn admits(&mut self, at: u64, who: u64, claim: &Claim) -> bool {
        let rate = (f64::from(self.rate) * claim.weight / self.weights).max(claim.floor).min(claim.cap);
        if rate <= 0.0 {
            return false;
        }
        write(&self.asked, Quota::per(1, Duration::from_secs_f64(1.0 / rate)).burst(rate.ceil() as u32));
        self.time.advance_to(Instant::from_nanos(at));
        let Ok(spent) = self.limiter.admit_for(&who, RequestInfo::new()) else { return false };
        if self.global.try_acquire(at) {
            self.limiter.settle(spent, Outcome::Success);
            return true;
        }
        self.limiter.refund(spent);
        false
    }
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError> {
        self.rate = rate;
        self.global.set_rate(at, rate)
    }
}
