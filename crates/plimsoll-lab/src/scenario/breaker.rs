//! Reads a circuit breaker. A missing key has the default of the breaker itself.

use std::time::Duration;

use plimsoll::Trip;
use plimsoll::breaker::{CircuitBreakerConfig, OpenTime, Probes, Ramp};
use toml::Spanned;

use crate::scenario::raw;
use crate::scenario::read::{HOUR, NANO, ReadResult, Reader};

/// The keys of a circuit breaker.
pub(super) const BREAKER: &[&str] = &[
    "ratio",
    "min_calls",
    "within",
    "slow",
    "open_time",
    "max_open_time",
    "probe_concurrency",
    "probe_lease",
    "ramp",
    "call_timeout",
];
/// The keys of a circuit breaker with a valve.
pub(super) const BREAKER_VALVE: &[&str] = &[
    "ratio",
    "min_calls",
    "within",
    "slow",
    "open_time",
    "max_open_time",
    "probe_concurrency",
    "probe_lease",
    "ramp",
    "call_timeout",
    "concurrency",
];

impl Reader<'_> {
    pub(super) fn breaker(
        &self,
        raw: &Spanned<raw::Policy>,
        deadline: Option<Duration>,
    ) -> ReadResult<CircuitBreakerConfig> {
        let keys = raw.as_ref();
        let (open, probes, ramp) = (OpenTime::default(), Probes::default(), Ramp::default());
        // The default of `Trip`.
        let ratio =
            keys.ratio.as_ref().map_or(Ok(0.5), |given| self.number("policy.ratio", given, 0.001..=1.0))?;
        let min_calls =
            self.optional_whole("policy.min_calls", &keys.min_calls, 1..=1_000_000)?.unwrap_or(20);
        let min = Duration::from_millis(1);
        let within = self.time_or("policy.within", &keys.within, min, Duration::from_secs(10))?;
        let when = |trip: Trip| trip.ratio(ratio, min_calls).within(within);
        let mut trips = vec![when(Trip::failures()), Trip::overloads(), Trip::cancellations()];
        if let Some(slow) = &keys.slow {
            trips.push(when(Trip::slow(self.time("policy.slow", slow, NANO..=HOUR)?)));
        }
        let first = self.time_or("policy.open_time", &keys.open_time, NANO, open.first)?;
        let max = self.time_or("policy.max_open_time", &keys.max_open_time, first, open.max.max(first))?;
        let probe_concurrency = self
            .optional_whole("policy.probe_concurrency", &keys.probe_concurrency, 1..=1_024)?
            .unwrap_or(probes.concurrency);
        let lease = self.time_or("policy.probe_lease", &keys.probe_lease, NANO, probes.lease)?;
        let over = keys.ramp.as_ref().map(|given| self.time("policy.ramp", given, Duration::ZERO..=HOUR));
        let call_timeout = keys.call_timeout.as_ref();
        let call_timeout = call_timeout.map(|given| self.time("policy.call_timeout", given, NANO..=HOUR));
        let default = CircuitBreakerConfig::default();
        Ok(CircuitBreakerConfig {
            trips,
            open_time: OpenTime { first, max, ..open },
            probes: Probes { concurrency: probe_concurrency, lease, ..probes },
            ramp: Ramp { duration: over.transpose()?.or(ramp.duration), ..ramp },
            call_timeout: call_timeout.transpose()?.or(deadline).or(default.call_timeout),
            ..default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read;
    use crate::sim::Policy;

    #[test]
    fn missing_breaker_keys_have_the_breakers_defaults() {
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
        assert_eq!(policy("kind = \"circuit-breaker\""), Policy::CircuitBreaker(plain.clone()));
        let given = "kind = \"circuit-breaker+valve\"\nratio = 0.2\nmin_calls = 5\nwithin = \"1s\"\nslow = \"50ms\"\nopen_time = \"90s\"\n\
                     probe_concurrency = 3\nprobe_lease = \"300ms\"\nramp = \"0s\"\ncall_timeout = \"100ms\"";
        let when = |trip: Trip| trip.ratio(0.2, 5).within(ms(1_000));
        let breaker = CircuitBreakerConfig {
            trips: vec![
                when(Trip::failures()),
                Trip::overloads(),
                Trip::cancellations(),
                when(Trip::slow(ms(50))),
            ],
            open_time: OpenTime { first: ms(90_000), max: ms(90_000), ..plain.open_time },
            probes: Probes { concurrency: 3, lease: ms(300), ..plain.probes },
            ramp: Ramp { duration: Some(Duration::ZERO), ..plain.ramp },
            call_timeout: Some(ms(100)),
            ..plain
        };
        assert_eq!(policy(given), Policy::CircuitBreakerValve { breaker, concurrency: 4 });
    }
}
