//! The guards of the matrix.

use std::fmt;

use serde::{Serialize, Serializer};

/// A guard of the family, or a stack of them: a line of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Guard {
    /// `Valve`.
    Valve,
    /// `CircuitBreaker`.
    CircuitBreaker,
    /// `KeyedCircuitBreaker`.
    KeyedCircuitBreaker,
    /// `RateLimiter`.
    RateLimiter,
    /// `KeyedRateLimiter`.
    KeyedRateLimiter,
    /// `TieredRateLimiter`.
    TieredRateLimiter,
    /// `FairRateLimiter`.
    FairRateLimiter,
    /// `RandomDrop`.
    RandomDrop,
    /// `LoadShedder`.
    LoadShedder,
    /// `AdaptiveThrottle`.
    AdaptiveThrottle,
    /// `Mailbox`, with the request buffer that is built on it.
    Mailbox,
    /// `Dispatch`.
    Dispatch,
    /// `Workers`.
    Workers,
    /// The stacks of the README.
    Stacks,
}

impl Guard {
    /// All guards, in the order of the matrix.
    pub const ALL: [Guard; 14] = [
        Guard::Valve,
        Guard::CircuitBreaker,
        Guard::KeyedCircuitBreaker,
        Guard::RateLimiter,
        Guard::KeyedRateLimiter,
        Guard::TieredRateLimiter,
        Guard::FairRateLimiter,
        Guard::RandomDrop,
        Guard::LoadShedder,
        Guard::AdaptiveThrottle,
        Guard::Mailbox,
        Guard::Dispatch,
        Guard::Workers,
        Guard::Stacks,
    ];

    /// Returns the name, in kebab case.
    pub fn as_str(self) -> &'static str {
        match self {
            Guard::Valve => "valve",
            Guard::CircuitBreaker => "circuit-breaker",
            Guard::KeyedCircuitBreaker => "keyed-circuit-breaker",
            Guard::RateLimiter => "rate-limiter",
            Guard::KeyedRateLimiter => "keyed-rate-limiter",
            Guard::TieredRateLimiter => "tiered-rate-limiter",
            Guard::FairRateLimiter => "fair-rate-limiter",
            Guard::RandomDrop => "random-drop",
            Guard::LoadShedder => "load-shedder",
            Guard::AdaptiveThrottle => "adaptive-throttle",
            Guard::Mailbox => "mailbox",
            Guard::Dispatch => "dispatch",
            Guard::Workers => "workers",
            Guard::Stacks => "stacks",
        }
    }

    /// Finds a guard by its name. Case, dashes and underscores do not count.
    pub fn find(name: &str) -> Option<Guard> {
        let plain = |text: &str| text.replace(['-', '_', ' '], "").to_lowercase();
        Guard::ALL.into_iter().find(|guard| plain(guard.as_str()) == plain(name))
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Guard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_is_found_by_its_name() {
        for (n, guard) in Guard::ALL.into_iter().enumerate() {
            assert_eq!(guard as usize, n);
            assert_eq!(Guard::find(guard.as_str()), Some(guard));
        }
        assert_eq!(Guard::find("Circuit_Breaker"), Some(Guard::CircuitBreaker));
        assert_eq!(Guard::find("breaker"), None);
    }
}
