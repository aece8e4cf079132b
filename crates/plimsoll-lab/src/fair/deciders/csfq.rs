//! Core-stateless fair queueing (Stoica, Shenker, Zhang, SIGCOMM 1998), for requests in place of
//! packets.
//!
//! The arrival rate r of each account is an exponential average. A request is dropped with
//! probability 1 − α·w/r. Every 100 ms, α is corrected by the rate that was admitted.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use plimsoll::{ConfigError, Dice};

use crate::fair::case::Case;
use crate::fair::deciders::decide::Decide;
use crate::fair::deciders::limiters::GlobalLimit;
use crate::fair::share::Entitlement;
use crate::sim::dice;

/// The time of the exponential average, in seconds: ten requests of an account with ten per second.
const AVERAGING_SECONDS: f64 = 1.0;
const STEP: u64 = 100_000_000;
/// The weight of the newest step in the averages.
const SMOOTHING: f64 = 0.5;

pub(super) struct Csfq {
    global: GlobalLimit,
    dice: Dice,
    accounts: HashMap<u64, Account, BuildHasherDefault<DefaultHasher>>,
    rate: f64,
    fair: f64,
    /// The largest r/w of a step without congestion.
    largest: f64,
    arrived: f64,
    passed: f64,
    arrived_rate: f64,
    passed_rate: f64,
    rejected: bool,
    next: u64,
}

#[derive(Clone, Copy)]
struct Account {
    rate: f64,
    last: u64,
}

impl Csfq {
    pub(super) fn new(case: &Case, seed: u64) -> Result<Self, ConfigError> {
        let rate = f64::from(case.rate(0));
        Ok(Csfq {
            global: GlobalLimit::new(case)?,
            dice: dice(seed, 5),
            accounts: HashMap::default(),
            rate,
            fair: rate,
            largest: 0.0,
            arrived: 0.0,
            passed: 0.0,
            arrived_rate: 0.0,
            passed_rate: 0.0,
            rejected: false,
            next: STEP,
        })
    }

    fn step(&mut self) {
        let step = STEP as f64 / 1e9;
        self.arrived_rate += SMOOTHING * (self.arrived / step - self.arrived_rate);
        self.passed_rate += SMOOTHING * (self.passed / step - self.passed_rate);
        if self.arrived_rate >= self.rate {
            self.fair *= (self.rate / self.passed_rate.max(1e-9)).clamp(0.5, 2.0);
            if self.rejected {
                self.fair *= 0.99;
            }
        } else {
            self.fair = self.largest;
        }
        (self.arrived, self.passed, self.largest, self.rejected) = (0.0, 0.0, 0.0, false);
        // An account that was idle for eight averaging times counts as new.
        let oldest = self.next.saturating_sub((8.0 * AVERAGING_SECONDS * 1e9) as u64);
        self.accounts.retain(|_, account| account.last >= oldest);
        self.next += STEP;
    }
}

impl Decide for Csfq {
    fn admits(&mut self, at: u64, key: u64, entitlement: &Entitlement) -> bool {
        while self.next <= at {
            self.step();
        }
        let account = self.accounts.entry(key).or_insert(Account { rate: 0.0, last: at });
        let gap = at.saturating_sub(account.last) as f64 / 1e9;
        let decay = (-gap / AVERAGING_SECONDS).exp();
        // (1 − e^−t)/t tends to 1 as t tends to 0.
        let gain = if gap > 1e-9 { (1.0 - decay) / gap } else { 1.0 / AVERAGING_SECONDS };
        *account = Account { rate: gain + decay * account.rate, last: at };
        let rate = account.rate / entitlement.weight.max(1e-9);
        self.arrived += 1.0;
        self.largest = self.largest.max(rate);
        if self.dice.chance(1.0 - self.fair / rate) {
            return false;
        }
        self.passed += 1.0;
        let admitted = self.global.try_acquire(at);
        self.rejected |= !admitted;
        admitted
    }
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError> {
        self.rate = f64::from(rate);
        self.global.set_rate(at, rate)
    }
}
