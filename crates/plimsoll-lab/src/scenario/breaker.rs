//! SignalReading a circuit breaker: what is not given is as the breaker itself has it.

use std::time::Duration;

use plimsoll::Trip;
use plimsoll::breaker::{CircuitBreakerConfig, OpenTime, Probes, Ramp};
use toml::Spanned;

use crate::scenario::raw;
use crate::scenario::read::{HOUR, NANO, Read, Reader};

/// The keys of a breaker.
pub(super) const BREAKER: &[&str] =
    &["ratio", "calls", "within", "slow", "open", "open_most", "at_once", "lease", "ramp", "call_timeout"];
/// And of one with a valve.
pub(super) const BREAKER_VALVE: &[&str] = &[
    "ratio",
    "calls",
    "within",
    "slow",
    "open",
    "open_most",
    "at_once",
    "lease",
    "ramp",
    "call_timeout",
    "inside",
];

impl Reader<'_> {
    pub(super) fn breaker(
        &self,
        raw: &Spanned<raw::Policy>,
        deadline: Option<Duration>,
    ) -> Read<CircuitBreakerConfig> {
        let keys = raw.as_ref();
        let (open, probes, ramp) = (OpenTime::default(), Probes::default(), Ramp::default());
        // As `Trip` has it.
        let ratio =
            keys.ratio.as_ref().map_or(Ok(0.5), |given| self.number("policy.ratio", given, 0.001..=1.0))?;
        let calls = self.whole_or("policy.calls", &keys.calls, 1..=1_000_000)?.unwrap_or(20);
        let least = Duration::from_millis(1);
        let within = self.time_unless("policy.within", &keys.within, least, Duration::from_secs(10))?;
        let when = |trip: Trip| trip.ratio(ratio, calls).within(within);
        let mut trips = vec![when(Trip::failures())];
        if let Some(slow) = &keys.slow {
            trips.push(when(Trip::slow(self.time("policy.slow", slow, NANO..=HOUR)?)));
        }
        let first = self.time_unless("policy.open", &keys.open, NANO, open.first)?;
        let most = self.time_unless("policy.open_most", &keys.open_most, first, open.max.max(first))?;
        let at_once =
            self.whole_or("policy.at_once", &keys.at_once, 1..=1_024)?.unwrap_or(probes.concurrency);
        let lease = self.time_unless("policy.lease", &keys.lease, NANO, probes.lease)?;
        let over = self.time_unless("policy.ramp", &keys.ramp, Duration::ZERO, ramp.duration)?;
        let call_timeout = keys.call_timeout.as_ref();
        let call_timeout = call_timeout.map(|given| self.time("policy.call_timeout", given, NANO..=HOUR));
        Ok(CircuitBreakerConfig {
            trips,
            open_time: OpenTime { first, max: most, ..open },
            probes: Probes { concurrency: at_once, lease, ..probes },
            ramp: Ramp { duration: over, ..ramp },
            call_timeout: call_timeout.transpose()?.or(deadline),
            ..CircuitBreakerConfig::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read;
    use crate::sim::Policy;

    #[test]
    fn what_is_not_given_is_the_breakers_own_default_and_the_call_timeout_is_the_deadline() {
        let text = |policy: &str| {
            format!(
                "about = \"x\"\nseconds = 2\nserver = {{ slots = 4, service = {{ law = \"constant\", mean = \"10ms\" }} }}\n\
                 clients = {{ deadline = \"210ms\" }}\narrivals = {{ load = 1 }}\n\
                 trigger = {{ from = \"0s\", until = \"1s\" }}\n[[policy]]\n{policy}\n"
            )
        };
        let policy = |keys: &str| read("x", "x.toml", &text(keys), None).unwrap().policies.remove(0).1;
        let ms = Duration::from_millis;
        let plain = CircuitBreakerConfig { call_timeout: Some(ms(210)), ..CircuitBreakerConfig::default() };
        assert_eq!(policy("kind = \"breaker\""), Policy::Breaker(plain.clone()));
        let given = "kind = \"breaker+valve\"\nratio = 0.2\ncalls = 5\nwithin = \"1s\"\nslow = \"50ms\"\nopen = \"90s\"\n\
                     at_once = 3\nlease = \"300ms\"\nramp = \"0s\"\ncall_timeout = \"100ms\"";
        let when = |trip: Trip| trip.ratio(0.2, 5).within(ms(1_000));
        let breaker = CircuitBreakerConfig {
            trips: vec![when(Trip::failures()), when(Trip::slow(ms(50)))],
            open_time: OpenTime { first: ms(90_000), max: ms(90_000), ..plain.open_time },
            probes: Probes { concurrency: 3, lease: ms(300), ..plain.probes },
            ramp: Ramp { duration: Duration::ZERO, ..plain.ramp },
            call_timeout: Some(ms(100)),
            ..plain
        };
        assert_eq!(policy(given), Policy::BreakerValve { breaker, inside: 4 });
    }
}
