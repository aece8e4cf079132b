//! The policies by Plimsoll's own limiters.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll::{
    ConfigError, ControlError, FairRateLimiter, Instant, Keyed, KeyedRateLimiter, ManualTime, Outcome, Quota,
    RateLimiter, Settle,
};
use plimsoll::{RequestInfo, limit::Share};

use crate::fair::case::Case;
use crate::fair::deciders::decide::Decide;
use crate::fair::share::Entitlement;
use crate::sim::dice;

/// The global limiter that all policies end in.
pub(super) struct GlobalLimit {
    time: ManualTime,
    limiter: RateLimiter,
    burst: u32,
}

fn quota(rate: u32, burst: u32) -> Quota {
    Quota::per_second(rate).burst(burst)
}

/// A quota that passed the check when the limiter was built passes it again.
fn as_config_error(result: Result<(), ControlError>) -> Result<(), ConfigError> {
    result.map_err(|error| ConfigError::new("rate", error.to_string(), "a rate that the limiter accepts"))
}

impl GlobalLimit {
    pub(super) fn new(case: &Case) -> Result<Self, ConfigError> {
        let time = ManualTime::new();
        let limiter =
            RateLimiter::builder().quota(quota(case.rate(0), case.burst)).clock(time.clock()).build()?;
        Ok(GlobalLimit { time, limiter, burst: case.burst })
    }

    pub(super) fn try_acquire(&self, at: u64) -> bool {
        self.time.advance_to(Instant::from_nanos(at));
        self.limiter.try_acquire().is_ok()
    }
}

impl Decide for GlobalLimit {
    fn admits(&mut self, at: u64, _: u64, _: &Entitlement) -> bool {
        self.try_acquire(at)
    }
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError> {
        self.time.advance_to(Instant::from_nanos(at));
        as_config_error(self.limiter.set_quota(quota(rate, self.burst)))
    }
}

/// The settings of the present account, for the closures that the limiters call.
type Current<T> = Arc<Mutex<T>>;

fn read<T: Copy>(current: &Current<T>) -> T {
    *current.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(current: &Current<T>, value: T) {
    *current.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

pub(super) struct FairLimit {
    time: ManualTime,
    limiter: FairRateLimiter<u64>,
    current: Option<Current<Share>>,
    burst: u32,
}

impl FairLimit {
    pub(super) fn new(case: &Case, seed: u64) -> Result<Self, ConfigError> {
        let time = ManualTime::new();
        let mut builder = FairRateLimiter::builder()
            .quota(quota(case.rate(0), case.burst))
            .max_keys(case.max_keys)
            .tail(case.tail)
            .clock(time.clock())
            .dice(dice(seed, 4));
        let plain = |n: usize| {
            case.groups.iter().all(|group| {
                group.entitlement(0, n) == Entitlement { weight: 1.0, floor: 0.0, cap: f64::INFINITY }
            })
        };
        let max = case.groups.iter().map(|group| group.weights.len()).max().unwrap_or(1);
        let current = (!(0..max).all(plain)).then(|| Arc::new(Mutex::new(Share::default())));
        if let Some(current) = &current {
            let current = current.clone();
            builder = builder.share_of(move |_: &u64| read(&current));
        }
        Ok(FairLimit { time, limiter: builder.build()?, current, burst: case.burst })
    }
}

impl Decide for FairLimit {
    fn admits(&mut self, at: u64, key: u64, entitlement: &Entitlement) -> bool {
        self.time.advance_to(Instant::from_nanos(at));
        if let Some(current) = &self.current {
            let share = Share::weight(entitlement.weight).at_least(entitlement.floor);
            write(
                current,
                if entitlement.cap.is_finite() {
                    share.at_most(Quota::per_second(entitlement.cap as u32))
                } else {
                    share
                },
            );
        }
        match self.limiter.admit_for(&key, RequestInfo::new()) {
            Ok(charge) => {
                self.limiter.settle(charge, Outcome::Success);
                true
            }
            Err(_) => false,
        }
    }
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError> {
        self.time.advance_to(Instant::from_nanos(at));
        as_config_error(self.limiter.set_quota(quota(rate, self.burst)))
    }
}

/// A fixed quota per account: the rate over the sum of all weights, with a burst of one second.
///
/// This is what an operator would set who knows the maximum number of accounts.
pub(super) struct KeyedLimit {
    time: ManualTime,
    global: GlobalLimit,
    limiter: KeyedRateLimiter<u64>,
    current: Current<Quota>,
    weights: f64,
    rate: u32,
}

impl KeyedLimit {
    pub(super) fn new(case: &Case, seed: u64) -> Result<Self, ConfigError> {
        let time = ManualTime::new();
        let current = Arc::new(Mutex::new(quota(1, 1)));
        let shared = current.clone();
        let limiter = KeyedRateLimiter::builder()
            .max_keys(case.max_keys)
            .quota_of(move |_: &u64| read(&shared))
            .clock(time.clock())
            .dice(dice(seed, 4))
            .build()?;
        let total_weight = |moment: Duration| {
            let there = case.groups.iter().filter(|group| group.from <= moment && moment < group.until);
            let there = there.filter(|group| !group.new_key_per_request);
            let weight = |weights: &[f64]| weights.iter().sum::<f64>() / weights.len().max(1) as f64;
            there.map(|group| f64::from(group.accounts) * weight(&group.weights)).sum::<f64>()
        };
        let weights = case.changes().into_iter().map(total_weight).fold(1.0, f64::max);
        let global = GlobalLimit::new(case)?;
        Ok(KeyedLimit { time, global, limiter, current, weights, rate: case.rate(0) })
    }
}

impl Decide for KeyedLimit {
    fn admits(&mut self, at: u64, key: u64, entitlement: &Entitlement) -> bool {
        let rate = (f64::from(self.rate) * entitlement.weight / self.weights)
            .max(entitlement.floor)
            .min(entitlement.cap);
        if rate <= 0.0 {
            return false;
        }
        write(&self.current, Quota::per(1, Duration::from_secs_f64(1.0 / rate)).burst(rate.ceil() as u32));
        self.time.advance_to(Instant::from_nanos(at));
        let Ok(charge) = self.limiter.admit_for(&key, RequestInfo::new()) else { return false };
        if self.global.try_acquire(at) {
            self.limiter.settle(charge, Outcome::Success);
            return true;
        }
        self.limiter.refund(charge);
        false
    }
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError> {
        self.rate = rate;
        self.global.set_rate(at, rate)
    }
}
