//! Reads the policies, or returns the default ones if none is named.

use std::time::Duration;

use toml::Spanned;

use crate::scenario::breaker::{BREAKER, BREAKER_VALVE};
use crate::scenario::raw;
use crate::scenario::read::{HOUR, NANO, ReadResult, Reader};
use crate::scenario::types::Number;
use crate::scenario::values::span;
use crate::sim::{Policy, ServerPlan};

/// The keys of a dispatch pool.
const DISPATCH: &[&str] = &["slots"];
/// The keys of an adaptive throttle with a valve.
const ADAPTIVE_THROTTLE_VALVE: &[&str] = &["multiplier", "window", "min_rate", "concurrency"];

impl Reader<'_> {
    pub(super) fn policies(
        &self,
        raw: &[Spanned<raw::Policy>],
        server: &ServerPlan,
        deadline: Option<Duration>,
    ) -> ReadResult<Vec<(String, Policy)>> {
        // As in the demo, the longest wait is a quarter of the time that the deadline leaves after
        // the work. The queue holds what the server finishes in that time.
        let patience = deadline.unwrap_or(Duration::from_secs(1)).saturating_sub(server.service.mean()) / 4;
        let max_wait = patience.max(Duration::from_millis(1));
        let concurrency = server.slots;
        let queue = (server.capacity() * max_wait.as_secs_f64()).ceil() as u32;
        // The right rate at twice the capacity, and nowhere else.
        let keep_rate = 0.5;
        if raw.is_empty() {
            return Ok(vec![
                ("bare".into(), Policy::Bare),
                ("valve".into(), Policy::Valve { concurrency }),
                ("queueing valve".into(), Policy::QueueingValve { concurrency, queue, max_wait }),
                ("random drop 0.5".into(), Policy::RandomDrop { keep_rate }),
                ("random drop + valve".into(), Policy::RandomDropValve { keep_rate, concurrency }),
            ]);
        }
        let mut policies: Vec<(String, Policy)> = Vec::new();
        for raw in raw {
            let keys = raw.as_ref();
            let kind = keys.kind.as_ref().as_str();
            let used: &[&str] = match kind {
                "bare" => &[],
                "valve" => &["concurrency"],
                "queueing-valve" => &["concurrency", "queue", "max_wait"],
                "buffer" => self.buffer_keys(keys.discipline.as_ref())?,
                "circuit-breaker" => BREAKER,
                "circuit-breaker+valve" => BREAKER_VALVE,
                "random-drop" => &["keep_rate"],
                "random-drop+valve" => &["keep_rate", "concurrency"],
                "three-layers" => &["keep_rate", "concurrency", "queue", "max_wait"],
                "load-shedder" => self.shedder_keys(keys.control.as_ref())?,
                "dagor" => &[],
                "dispatch" => DISPATCH,
                "adaptive-throttle+valve" => ADAPTIVE_THROTTLE_VALVE,
                _ => {
                    let expected = "bare, valve, queueing-valve, buffer, circuit-breaker, circuit-breaker+valve, random-drop, \
                                random-drop+valve, three-layers, load-shedder, dagor, dispatch or \
                                adaptive-throttle+valve";
                    return Err(self.source.invalid("policy.kind", &keys.kind, expected));
                }
            };
            // The key that decides which others are allowed.
            let narrower = match kind {
                "buffer" => keys.discipline.as_ref(),
                "load-shedder" => keys.control.as_ref(),
                _ => None,
            };
            self.reject_unused(
                used,
                "policy",
                narrower.unwrap_or(&keys.kind),
                &[
                    ("concurrency", span(&keys.concurrency)),
                    ("queue", span(&keys.queue)),
                    ("max_wait", span(&keys.max_wait)),
                    ("keep_rate", span(&keys.keep_rate)),
                    ("discipline", span(&keys.discipline)),
                    ("max_age", span(&keys.max_age)),
                    ("target", span(&keys.target)),
                    ("interval", span(&keys.interval)),
                    ("slice", span(&keys.slice)),
                    ("slices", span(&keys.slices)),
                    ("ratio", span(&keys.ratio)),
                    ("min_calls", span(&keys.min_calls)),
                    ("within", span(&keys.within)),
                    ("slow", span(&keys.slow)),
                    ("open_time", span(&keys.open_time)),
                    ("max_open_time", span(&keys.max_open_time)),
                    ("probe_concurrency", span(&keys.probe_concurrency)),
                    ("probe_lease", span(&keys.probe_lease)),
                    ("ramp", span(&keys.ramp)),
                    ("call_timeout", span(&keys.call_timeout)),
                    ("control", span(&keys.control)),
                    ("workers", span(&keys.workers)),
                    ("capacity_hint", span(&keys.capacity_hint)),
                    ("from", span(&keys.from)),
                    ("to", span(&keys.to)),
                    ("slots", span(&keys.slots)),
                    ("multiplier", span(&keys.multiplier)),
                    ("window", span(&keys.window)),
                    ("min_rate", span(&keys.min_rate)),
                ],
            )?;
            let concurrency = self
                .optional_whole("policy.concurrency", &keys.concurrency, 1..=1_000_000)?
                .unwrap_or(concurrency);
            let queue = self.optional_whole("policy.queue", &keys.queue, 1..=1_000_000)?.unwrap_or(queue);
            let max_wait = match &keys.max_wait {
                Some(given) => self.time("policy.max_wait", given, NANO..=HOUR)?,
                None => max_wait,
            };
            let keep_rate = keys
                .keep_rate
                .as_ref()
                .map_or(Ok(keep_rate), |given| self.number("policy.keep_rate", given, 0.0..=1.0))?;
            let policy = match kind {
                "bare" => Policy::Bare,
                "valve" => Policy::Valve { concurrency },
                "queueing-valve" => Policy::QueueingValve { concurrency, queue, max_wait },
                "buffer" => {
                    Policy::Buffer { concurrency, queue, max_wait, discipline: self.discipline(raw)? }
                }
                "circuit-breaker" => Policy::CircuitBreaker(self.breaker(raw, deadline)?),
                "circuit-breaker+valve" => {
                    Policy::CircuitBreakerValve { breaker: self.breaker(raw, deadline)?, concurrency }
                }
                "random-drop" => Policy::RandomDrop { keep_rate },
                "random-drop+valve" => Policy::RandomDropValve { keep_rate, concurrency },
                "three-layers" => Policy::ThreeLayers { keep_rate, concurrency, queue, max_wait },
                "load-shedder" => self.shedder(raw, server)?,
                "dagor" => Policy::Dagor,
                "dispatch" => self.dispatch(keys, server)?,
                _ => self.adaptive_throttle_valve(keys, concurrency)?,
            };
            let given = keys.name.as_ref();
            let name = given.map(|name| name.as_ref().clone()).unwrap_or_else(|| match &policy {
                Policy::Buffer { discipline, .. } => discipline.as_str().replace('-', " "),
                Policy::LoadShedder { control, .. } => format!("load shedder, {}", control.as_str()),
                _ => kind.replace('-', " ").replace('+', " + "),
            });
            if policies.iter().any(|(other, _)| *other == name) {
                let at = given.map_or(keys.kind.span(), Spanned::span);
                let what = format!(
                    "policy.name = {name:?} is not allowed: it must be a name that no other policy has"
                );
                return Err(self.source.error_at(&at, what));
            }
            policies.push((name, policy));
        }
        Ok(policies)
    }

    fn dispatch(&self, keys: &raw::Policy, server: &ServerPlan) -> ReadResult<Policy> {
        let slots = self.optional_whole("policy.slots", &keys.slots, 1..=1_000_000)?;
        Ok(Policy::Dispatch { slots: slots.unwrap_or(server.slots) })
    }

    fn adaptive_throttle_valve(&self, keys: &raw::Policy, concurrency: u32) -> ReadResult<Policy> {
        let number = |key, given: &Option<Number>, range, default| {
            given.as_ref().map_or(Ok(default), |given| self.number(key, given, range))
        };
        let (min, default) = (Duration::from_secs(1), Duration::from_secs(30));
        Ok(Policy::AdaptiveThrottleValve {
            multiplier: number("policy.multiplier", &keys.multiplier, 1.0..=1e6, 2.0)?,
            window: self.time_or("policy.window", &keys.window, min, default)?,
            min_rate: number("policy.min_rate", &keys.min_rate, 0.0..=1e6, 1.0)?,
            concurrency,
        })
    }
}
