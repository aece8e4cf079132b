//! Weighted water-filling over estimated demands, the most obvious way to share a rate.
//!
//! The demand of each account is an exponential average over steps of 100 ms. It counts all its
//! requests, admitted or not. After each step, a scan of all accounts finds the level at which the
//! rate is shared out. A token bucket holds each account to that level.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use plimsoll::ConfigError;

use crate::fair::case::Case;
use crate::fair::deciders::decide::Decide;
use crate::fair::deciders::limiters::GlobalLimit;
use crate::fair::share::{Entitlement, fair_level};

const STEP: u64 = 100_000_000;
/// The weight of the newest step in the average.
const SMOOTHING: f64 = 0.2;
/// An account that was idle for this long is forgotten.
const IDLE_TIMEOUT: u64 = 1_000_000_000;
/// The burst of an account, in seconds of its share. It is at least two requests, and at most the
/// burst of the whole rate. Otherwise the largest account would crowd out all others for seconds.
const BURST_SECONDS: f64 = 0.5;

pub(super) struct WaterFilling {
    global: GlobalLimit,
    accounts: HashMap<u64, Account, BuildHasherDefault<DefaultHasher>>,
    level: f64,
    rate: f64,
    burst: f64,
    next: u64,
}

struct Account {
    entitlement: Entitlement,
    demand: f64,
    requests: u32,
    last: u64,
    /// When its bucket is free, in seconds.
    free: f64,
}

impl WaterFilling {
    pub(super) fn new(case: &Case) -> Result<Self, ConfigError> {
        Ok(WaterFilling {
            global: GlobalLimit::new(case)?,
            accounts: HashMap::default(),
            level: f64::INFINITY,
            rate: f64::from(case.rate(0)),
            burst: f64::from(case.burst),
            next: STEP,
        })
    }

    fn reallocate(&mut self, at: u64) {
        self.accounts.retain(|_, account| at.saturating_sub(account.last) < IDLE_TIMEOUT);
        let step = STEP as f64 / 1e9;
        let demands: Vec<(Entitlement, f64)> = self
            .accounts
            .values_mut()
            .map(|account| {
                account.demand += SMOOTHING * (f64::from(account.requests) / step - account.demand);
                account.requests = 0;
                (account.entitlement, account.demand)
            })
            .collect();
        self.level = fair_level(self.rate, &demands);
    }
}

impl Decide for WaterFilling {
    fn admits(&mut self, at: u64, key: u64, entitlement: &Entitlement) -> bool {
        while self.next <= at {
            self.reallocate(self.next);
            self.next += STEP;
        }
        let new = Account { entitlement: *entitlement, demand: 0.0, requests: 0, last: at, free: 0.0 };
        let account = self.accounts.entry(key).or_insert(new);
        account.requests += 1;
        (account.entitlement, account.last) = (*entitlement, at);
        let (rate, now) = (entitlement.at(self.level, f64::INFINITY), at as f64 / 1e9);
        let next = account.free.max(now) + 1.0 / rate;
        let until = now + BURST_SECONDS.min(self.burst / rate).max(2.0 / rate);
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
