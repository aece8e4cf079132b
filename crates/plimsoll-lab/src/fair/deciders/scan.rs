//! Weighted water-filling over estimated demands: what is written about most, and built first.
//!
//! Each account's demand is an exponential average over steps of 100 ms, of all its requests, admitted or not.
//! After each step a scan of all of them finds the level at which the rate is shared out, and each account is
//! held to it by a token bucket of its own.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use plimsoll::ConfigError;

use crate::fair::case::Case;
use crate::fair::deciders::decide::Decide;
use crate::fair::deciders::ours::Naive;
use crate::fair::share::{Claim, share_out};

const STEP: u64 = 100_000_000;
/// What the last step counts.
const NEW: f64 = 0.2;
/// Who has not asked for so long is forgotten.
const IDLE: u64 = 1_000_000_000;
/// So many seconds of its share an account may use at once: two requests at least, and no more than the burst
/// of all, or the largest would crowd out all others for seconds.
const BURST: f64 = 0.5;

pub(super) struct Scan {
    global: Naive,
    accounts: HashMap<u64, Account, BuildHasherDefault<DefaultHasher>>,
    level: f64,
    rate: f64,
    burst: f64,
    next: u64,
}

struct Account {
    claim: Claim,
    demand: f64,
    asked: u32,
    last: u64,
    /// Of its bucket: when it is free, in seconds.
    free: f64,
}

impl Scan {
    pub(super) fn new(case: &Case) -> Result<Self, ConfigError> {
        Ok(Scan {
            global: Naive::new(case)?,
            accounts: HashMap::default(),
            level: f64::INFINITY,
            rate: f64::from(case.rate(0)),
            burst: f64::from(case.burst),
            next: STEP,
        })
    }

    fn scan(&mut self, at: u64) {
        self.accounts.retain(|_, account| at.saturating_sub(account.last) < IDLE);
        let step = STEP as f64 / 1e9;
        let wants: Vec<(Claim, f64)> = self
            .accounts
            .values_mut()
            .map(|account| {
                account.demand += NEW * (f64::from(account.asked) / step - account.demand);
                account.asked = 0;
                (account.claim, account.demand)
            })
            .collect();
        self.level = share_out(self.rate, &wants);
    }
}

impl Decide for Scan {
    fn admits(&mut self, at: u64, who: u64, claim: &Claim) -> bool {
        while self.next <= at {
            self.scan(self.next);
            self.next += STEP;
        }
        let new = Account { claim: *claim, demand: 0.0, asked: 0, last: at, free: 0.0 };
        let account = self.accounts.entry(who).or_insert(new);
        account.asked += 1;
        (account.claim, account.last) = (*claim, at);
        let (rate, now) = (claim.at(self.level, f64::INFINITY), at as f64 / 1e9);
        let next = account.free.max(now) + 1.0 / rate;
        let until = now + BURST.min(self.burst / rate).max(2.0 / rate);
        let admitted = rate > 0.0 && next <= until && self.global.try_acquire(at);
        if admitted {
            account.free = next;
        }
        admitted
    }
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError> {
        self.rate = f64::from(rate);
        self.global.set_rate(at, rate)
    }
}
