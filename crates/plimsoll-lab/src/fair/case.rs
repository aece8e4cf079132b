//! The data of a fairness scenario.

use std::time::Duration;

use crate::fair::share::Entitlement;
use crate::sim::nanos;

/// A scenario in which accounts share one rate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FairnessScenario {
    /// The name, which is that of its file.
    pub name: String,
    /// A one-sentence description.
    pub about: String,
    /// Variants with different numbers, each simulated by itself.
    pub cases: Vec<Case>,
    /// The policies to compare.
    pub policies: Vec<Policy>,
}

/// One course of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What distinguishes it from the other cases. Empty if there is only one.
    pub name: String,
    /// The simulated time.
    pub span: Duration,
    /// The shared rate from each of these moments on. The first moment is zero.
    pub rates: Vec<(Duration, u32)>,
    /// The units that may be admitted at once.
    pub burst: u32,
    /// The maximum number of keys in the limiters' tables.
    pub max_keys: usize,
    /// The part of the rate that unknown accounts share in a `FairRateLimiter`.
    pub tail: f64,
    /// The part of the rate that the judged accounts share. Below 1 if there are others.
    pub judged_share: f64,
    /// Whether arrivals are Poisson. Otherwise their distances vary by a fifth.
    pub poisson: bool,
    /// When the weights move on by one account within each group.
    pub permute: Vec<Duration>,
    /// How rejected requests are retried.
    pub retries: Option<Retries>,
    /// The groups of accounts.
    pub groups: Vec<Group>,
}

/// How rejected requests are retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// The maximum number of retries.
    pub times: u32,
    /// The pause, drawn from half of this to one and a half times this.
    pub after: Duration,
}

/// Accounts of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The name of the group.
    pub name: String,
    /// The number of accounts.
    pub accounts: u32,
    /// The rates at which they send.
    pub demand: Demand,
    /// When they begin to send.
    pub from: Duration,
    /// When they stop sending.
    pub until: Duration,
    /// Whether they send in turns.
    pub turns: Option<Turns>,
    /// Their weights, assigned in turn.
    pub weights: Vec<f64>,
    /// The guaranteed rate of each account, in units per second.
    pub floor: f64,
    /// The maximum rate of each account, in units per second.
    pub cap: Option<u32>,
    /// The time after which an account is replaced by a new one.
    pub lifetime: Option<Duration>,
    /// Whether each request comes from a new account.
    pub new_key_per_request: bool,
    /// Whether the shares of these accounts are judged.
    pub judged: bool,
}

/// The rates at which the accounts of a group send, in requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Demand {
    /// The same rate for each.
    Each(f64),
    /// From the first rate to the second, evenly.
    Spread(f64, f64),
    /// A total in which the n-th account sends n^−s times as much as the first.
    Zipf {
        /// The sum of all rates.
        total: f64,
        /// The exponent s.
        exponent: f64,
    },
}

/// The accounts of a group send one after the other, round and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// The length of a turn.
    pub each: Duration,
}

/// How the rate is shared. Each policy ends in the same global limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Our `FairRateLimiter`.
    FairRateLimiter,
    /// Weighted water-filling over estimates of each account's demand, every 100 ms.
    WaterFilling,
    /// Core-stateless fair queueing: drops with probability 1 − α/r.
    Csfq,
    /// Our `KeyedRateLimiter` with a fixed part of the rate per account, in front of our
    /// `RateLimiter`.
    KeyedRateLimiter,
    /// Our `RateLimiter` alone.
    RateLimiter,
}

impl Policy {
    /// All policies.
    pub const ALL: [Policy; 5] = [
        Policy::FairRateLimiter,
        Policy::WaterFilling,
        Policy::Csfq,
        Policy::KeyedRateLimiter,
        Policy::RateLimiter,
    ];

    /// Returns its name in files and tables.
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
    /// Returns the moments at which something changes, in order, each once. The first is zero.
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

    /// Returns the windows in which shares are judged, as nanoseconds.
    ///
    /// Each is two seconds long. The first one begins two seconds after a change.
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

    /// Returns the rate at a moment.
    pub fn rate(&self, at: u64) -> u32 {
        let now = self.rates.iter().rev().find(|(from, _)| nanos(*from) <= at);
        now.or(self.rates.first()).map_or(0, |(_, rate)| *rate)
    }

    /// Returns how often the weights have moved on by then.
    pub fn permutations(&self, at: u64) -> usize {
        self.permute.iter().filter(|moment| nanos(**moment) <= at).count()
    }
}

impl Group {
    /// Returns the rate of each account while it is active, in requests per second.
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

    /// Returns the rate of all accounts together, in requests per second.
    pub fn demand_of_all(&self) -> f64 {
        match self.demand {
            Demand::Each(rate) if self.turns.is_some() => rate,
            Demand::Each(rate) => rate * f64::from(self.accounts),
            Demand::Spread(low, high) => (low + high) / 2.0 * f64::from(self.accounts),
            Demand::Zipf { total, .. } => total,
        }
    }

    /// Returns the entitlement of the n-th account after that many permutations of the weights.
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
    fn windows_begin_2s_after_a_change_and_end_before_the_next() {
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
