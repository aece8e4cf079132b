//! SignalReading a shedder, a dispatch pool and a throttle: what is not given is as they have it themselves.

use std::time::Duration;

use toml::Spanned;

use crate::scenario::raw::{self, Text};
use crate::scenario::read::{Read, Reader};
use crate::sim::{Policy, ServerPlan, Steer};

/// The control of a shedder that names none.
const DEFAULT: &str = "rate";

/// The keys of a dispatch pool.
pub(super) const DISPATCH: &[&str] = &["seats", "probes"];
/// And of a throttle with a valve.
pub(super) const THROTTLE_VALVE: &[&str] = &["k", "within", "floor", "inside"];

impl Reader<'_> {
    /// The keys that a shedder with this control has.
    pub(super) fn shedder_keys(&self, control: Option<&Text>) -> Read<&'static [&'static str]> {
        Ok(match control.map_or(DEFAULT, |given| given.as_ref().as_str()) {
            "rate" => &["control", "target", "workers", "capacity_hint"],
            "pie" => &["control", "target", "workers"],
            // Its line says it all.
            "red" => &["control", "from", "to", "workers"],
            _ => {
                let Some(given) = control else { unreachable!("the default is known") };
                return Err(self.from.refuse("policy.control", given, "rate, pie or red"));
            }
        })
    }

    pub(super) fn shedder(&self, raw: &Spanned<raw::Policy>, server: &ServerPlan) -> Read<Policy> {
        let keys = raw.as_ref();
        let steer = match keys.control.as_ref().map_or(DEFAULT, |given| given.as_ref().as_str()) {
            "rate" => Steer::Rate,
            "pie" => Steer::Pie,
            _ => {
                let from = self.whole_or("policy.from", &keys.from, 0..=999_999)?;
                let from = from.ok_or_else(|| self.missing(raw, "policy.from"))?;
                let to = self.whole_or("policy.to", &keys.to, from + 1..=1_000_000)?;
                Steer::Red { from, to: to.ok_or_else(|| self.missing(raw, "policy.to"))? }
            }
        };
        let least = Duration::from_micros(1);
        let hint = keys.capacity_hint.as_ref();
        Ok(Policy::Shedder {
            workers: self.whole_or("policy.workers", &keys.workers, 1..=1_000_000)?.unwrap_or(server.slots),
            target: self.time_unless("policy.target", &keys.target, least, Duration::from_millis(5))?,
            steer,
            capacity_hint: hint
                .map(|given| self.number("policy.capacity_hint", given, 0.001..=1e9))
                .transpose()?,
        })
    }

    pub(super) fn dispatch(&self, keys: &raw::Policy, server: &ServerPlan) -> Read<Policy> {
        let usual = plimsoll::dispatch::DispatchConfig::default().probes;
        Ok(Policy::Dispatch {
            seats: self.whole_or("policy.seats", &keys.seats, 1..=1_000_000)?.unwrap_or(server.slots),
            probes: self.whole_or("policy.probes", &keys.probes, 1..=1_000_000)?.unwrap_or(usual),
        })
    }

    pub(super) fn throttle_valve(&self, keys: &raw::Policy, inside: u32) -> Read<Policy> {
        let number = |key, given: &Option<raw::Number>, range, usual| {
            given.as_ref().map_or(Ok(usual), |given| self.number(key, given, range))
        };
        let (least, usual) = (Duration::from_secs(1), Duration::from_secs(120));
        Ok(Policy::ThrottleValve {
            k: number("policy.k", &keys.k, 1.0..=1e6, 2.0)?,
            within: self.time_unless("policy.within", &keys.within, least, usual)?,
            floor: number("policy.floor", &keys.floor, 0.0..=1e6, 1.0)?,
            inside,
        })
    }
}
