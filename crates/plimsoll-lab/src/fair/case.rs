//! What happens in a contest: numbers only.

use std::time::Duration;

use crate::fair::share::Entitlement;
use crate::sim::nanos;

/// A scenario of accounts that share one rate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FairnessScenario {
    /// Its name: that of its file.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The same with other numbers, each run by itself.
    pub cases: Vec<Case>,
    /// Who shares the rate out, each in turn.
    pub policies: Vec<Policy>,
}

/// One course of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What tells it from the others; empty if there is no other.
    pub name: String,
    /// How long it lasts.
    pub span: Duration,
    /// The rate that is shared, from each of these moments on; the first is zero.
    pub rates: Vec<(Duration, u32)>,
    /// The units that may be admitted at once.
    pub burst: u32,
    /// How many accounts the limiters' tables have room for.
    pub max_keys: usize,
    /// What accounts that are not known get together, of the rate, where the policy is ours.
    pub tail: f64,
    /// What the judged accounts share, of the rate: less than all where others are not judged.
    pub judged_share: f64,
    /// Whether arrivals are Poisson; if not, their distances vary by a fifth.
    pub poisson: bool,
    /// When the weights move on by one account within each group.
    pub permute: Vec<Duration>,
    /// Who is rejected and tries again.
    pub retries: Option<Retries>,
    /// Who asks.
    pub groups: Vec<Group>,
}

/// How the rejected try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often.
    pub times: u32,
    /// After what time, from half of it to once and a half.
    pub after: Duration,
}

/// Accounts of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What they are called.
    pub name: String,
    /// How many.
    pub accounts: u32,
    /// How often they ask.
    pub demand: Demand,
    /// From when on.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
    /// If they ask by turns.
    pub turns: Option<Turns>,
    /// Their weights, dealt out in turn.
    pub weights: Vec<f64>,
    /// What each has in any case, in units a second.
    pub floor: f64,
    /// What each has at the most, in units a second.
    pub cap: Option<u32>,
    /// After so long, an account is replaced by one that nobody knows.
    pub lifetime: Option<Duration>,
    /// Whether each request comes from an account of its own.
    pub new_key_per_request: bool,
    /// Whether it is judged what they get.
    pub judged: bool,
}

/// How often the accounts of a group ask, in requests a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Demand {
    /// Each as often.
    Each(f64),
    /// From the one to the other, evenly.
    Spread(f64, f64),
    /// So many in all, the n-th account n^−s of the first.
    Zipf {
        /// All together.
        total: f64,
        /// The exponent s.
        exponent: f64,
    },
}

/// One account of a group after the other asks, for so long, round and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// How long a turn is.
    pub each: Duration,
}

/// Who shares the rate out. Each ends in the same global limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Our `FairRateLimiter`.
    FairRateLimiter,
    /// Weighted water-filling over estimates of each account's demand, anew each 100 ms.
    WaterFilling,
    /// Core-stateless fair queueing: dropped with probability 1 − α/r.
    Csfq,
    /// Our `KeyedRateLimiter` at a fixed part of the rate for each account, before our `RateLimiter`.
    KeyedRateLimiter,
    /// Our `RateLimiter` alone.
    RateLimiter,
}

impl Policy {
    /// All of them.
    pub const ALL: [Policy; 5] = [
        Policy::FairRateLimiter,
        Policy::WaterFilling,
        Policy::Csfq,
        Policy::KeyedRateLimiter,
        Policy::RateLimiter,
    ];

    /// Its name in files and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Policy::FairRateLimiter => "fair-rate-limiter",
            Policy::WaterFilling => "water-filling",
            Policy::Csfq => "csfq",
            Policy::KeyedRateLimiter => "keyed-rate-limiter",
            Policy::RateLimiter => "rate-limiter",
        }
    }
}

impl Case {
    /// The moments at which something changes, from the start on, each once.
    pub fn changes(&self) -> Vec<Duration> {
        let rates = self.rates.iter().map(|(at, _)| *at);
        let groups = self.groups.iter().flat_map(|group| [group.from, group.until]);
        let mut all: Vec<Duration> = rates.chain(groups).chain(self.permute.iter().copied()).collect();
        all.push(Duration::ZERO);
        all.retain(|at| *at < self.span);
        all.sort();
        all.dedup();
        all
    }

    /// The windows in which shares are judged, as nanoseconds from and to: of two seconds, the first two
    /// seconds after each change.
    pub fn windows(&self) -> Vec<(u64, u64)> {
        const TWO: Duration = Duration::from_secs(2);
        let changes = self.changes();
        let ends = changes.iter().skip(1).copied().chain([self.span]);
        let mut windows = Vec::new();
        for (change, end) in changes.iter().zip(ends) {
            let mut from = *change + TWO;
            while from + TWO <= end {
                windows.push((nanos(from), nanos(from + TWO)));
                from += TWO;
            }
        }
        windows
    }

    /// The rate at a moment.
    pub fn rate(&self, at: u64) -> u32 {
        let now = self.rates.iter().rev().find(|(from, _)| nanos(*from) <= at);
        now.or(self.rates.first()).map_or(0, |(_, rate)| *rate)
    }

    /// How often the weights have moved on by then.
    pub fn permutations(&self, at: u64) -> usize {
        self.permute.iter().filter(|moment| nanos(**moment) <= at).count()
    }
}

impl Group {
    /// How often each account asks while it does, in requests a second.
    pub fn demands(&self) -> Vec<f64> {
        let all = 0..self.accounts;
        match self.demand {
            Demand::Each(rate) => all.map(|_| rate).collect(),
            Demand::Spread(low, high) => {
                let steps = f64::from(self.accounts.saturating_sub(1).max(1));
                all.map(|n| low + (high - low) * f64::from(n) / steps).collect()
            }
            Demand::Zipf { total, exponent } => {
                let parts: Vec<f64> = all.map(|n| f64::from(n + 1).powf(-exponent)).collect();
                let sum: f64 = parts.iter().sum();
                parts.into_iter().map(|part| total * part / sum).collect()
            }
        }
    }

    /// What all of them ask for, in requests a second.
    pub fn demand_of_all(&self) -> f64 {
        match self.demand {
            Demand::Each(rate) if self.turns.is_some() => rate,
            Demand::Each(rate) => rate * f64::from(self.accounts),
            Demand::Spread(low, high) => (low + high) / 2.0 * f64::from(self.accounts),
            Demand::Zipf { total, .. } => total,
        }
    }

    /// What its n-th account has a right to, when the weights have moved on so often.
    pub fn entitlement(&self, n: u32, permutations: usize) -> Entitlement {
        let which = (n as usize + permutations) % self.weights.len().max(1);
        let weight = self.weights.get(which).copied().unwrap_or(1.0);
        Entitlement { weight, floor: self.floor, cap: self.cap.map_or(f64::INFINITY, f64::from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_two_seconds_after_each_change_and_end_before_the_next() {
        let second = Duration::from_secs;
        let case = Case {
            name: String::new(),
            span: second(13),
            rates: vec![(Duration::ZERO, 1), (second(7), 2)],
            burst: 1,
            max_keys: 8,
            tail: 0.05,
            judged_share: 1.0,
            poisson: false,
            permute: vec![second(8)],
            retries: None,
            groups: Vec::new(),
        };
        let s = |seconds: u64| seconds * 1_000_000_000;
        assert_eq!(case.windows(), [(s(2), s(4)), (s(4), s(6)), (s(10), s(12))]);
        assert_eq!((case.rate(s(7) - 1), case.rate(s(7)), case.permutations(s(8))), (1, 2, 1));
    }
}
