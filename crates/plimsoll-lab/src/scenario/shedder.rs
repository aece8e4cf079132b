//! Reads a load shedder. A missing key has the default of the shedder itself.

use std::time::Duration;

use toml::Spanned;

use crate::scenario::raw;
use crate::scenario::read::{ReadResult, Reader};
use crate::scenario::types::Text;
use crate::sim::{Policy, ServerPlan, ShedderControl};

/// The control of a load shedder without the key.
const DEFAULT: &str = "rate";

impl Reader<'_> {
    /// Returns the keys that a load shedder with this control may have.
    pub(super) fn shedder_keys(&self, control: Option<&Text>) -> ReadResult<&'static [&'static str]> {
        Ok(match control.map_or(DEFAULT, |given| given.as_ref().as_str()) {
            "rate" => &["control", "target", "workers", "capacity_hint"],
            "pie" => &["control", "target", "workers"],
            // The curve of RED takes the place of a target.
            "red" => &["control", "from", "to", "workers"],
            _ => {
                let Some(given) = control else { unreachable!("the default is known") };
                return Err(self.source.invalid("policy.control", given, "rate, pie or red"));
            }
        })
    }

    pub(super) fn shedder(&self, raw: &Spanned<raw::Policy>, server: &ServerPlan) -> ReadResult<Policy> {
        let keys = raw.as_ref();
        let control = match keys.control.as_ref().map_or(DEFAULT, |given| given.as_ref().as_str()) {
            "rate" => ShedderControl::Rate,
            "pie" => ShedderControl::Pie,
            _ => {
                let from = self.optional_whole("policy.from", &keys.from, 0..=999_999)?;
                let from = from.ok_or_else(|| self.missing(raw, "policy.from"))?;
                let to = self.optional_whole("policy.to", &keys.to, from + 1..=1_000_000)?;
                ShedderControl::Red { from, to: to.ok_or_else(|| self.missing(raw, "policy.to"))? }
            }
        };
        let min = Duration::from_micros(1);
        let hint = keys.capacity_hint.as_ref();
        Ok(Policy::LoadShedder {
            workers: self
                .optional_whole("policy.workers", &keys.workers, 1..=1_000_000)?
                .unwrap_or(server.slots),
            target: self.time_or("policy.target", &keys.target, min, Duration::from_millis(5))?,
            control,
            capacity_hint: hint
                .map(|given| self.number("policy.capacity_hint", given, 0.001..=1e9))
                .transpose()?,
        })
    }
}
