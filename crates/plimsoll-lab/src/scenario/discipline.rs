//! Reads the discipline of a buffer, which decides the keys that the policy may have.

use std::time::Duration;

use plimsoll::Discipline;
use toml::Spanned;

use crate::scenario::raw;
use crate::scenario::read::{HOUR, NANO, ReadResult, Reader};
use crate::scenario::types::Text;

/// The discipline of a buffer without the key.
const DEFAULT: &str = "fifo";

impl Reader<'_> {
    /// Returns the keys that a buffer of this discipline may have.
    pub(super) fn buffer_keys(&self, discipline: Option<&Text>) -> ReadResult<&'static [&'static str]> {
        Ok(match discipline.map_or(DEFAULT, |given| given.as_ref().as_str()) {
            "fifo" | "keep-oldest" | "lifo" => &["concurrency", "queue", "max_wait", "discipline"],
            "lifo-with-age" => &["concurrency", "queue", "max_wait", "discipline", "max_age"],
            "codel" | "adaptive-lifo" => {
                &["concurrency", "queue", "max_wait", "discipline", "target", "interval"]
            }
            "time-buckets" => &["concurrency", "queue", "max_wait", "discipline", "slice", "slices"],
            _ => {
                let Some(given) = discipline else { unreachable!("the default is known") };
                let expected = "fifo, keep-oldest, lifo, lifo-with-age, codel, adaptive-lifo or time-buckets";
                return Err(self.source.invalid("policy.discipline", given, expected));
            }
        })
    }

    pub(super) fn discipline(&self, raw: &Spanned<raw::Policy>) -> ReadResult<Discipline> {
        let keys = raw.as_ref();
        let ms = Duration::from_millis;
        // A given target may be longer than the default interval, which then grows with it.
        let controlled = || {
            let target = self.time_or("policy.target", &keys.target, NANO, ms(5))?;
            let interval = self.time_or("policy.interval", &keys.interval, target, target.max(ms(100)))?;
            Ok((target, interval))
        };
        Ok(match keys.discipline.as_ref().map_or(DEFAULT, |given| given.as_ref().as_str()) {
            "fifo" => Discipline::Fifo,
            "keep-oldest" => Discipline::KeepOldest,
            "lifo" => Discipline::Lifo,
            "lifo-with-age" => Discipline::LifoWithAge {
                max_age: self.required_time(raw, "policy.max_age", &keys.max_age, NANO..=HOUR)?,
            },
            "codel" => {
                let (target, interval) = controlled()?;
                Discipline::CoDel { target, interval }
            }
            "adaptive-lifo" => {
                let (target, interval) = controlled()?;
                Discipline::AdaptiveLifo { target, interval }
            }
            _ => {
                let slices = self.optional_whole("policy.slices", &keys.slices, 2..=1_000_000)?;
                Discipline::TimeBuckets {
                    slice: self.required_time(raw, "policy.slice", &keys.slice, NANO..=HOUR)?,
                    slices: slices.ok_or_else(|| self.missing(raw, "policy.slices"))?,
                }
            }
        })
    }

    pub(super) fn time_or(
        &self,
        key: &str,
        given: &Option<Text>,
        min: Duration,
        default: Duration,
    ) -> ReadResult<Duration> {
        given.as_ref().map_or(Ok(default), |given| self.time(key, given, min..=HOUR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read;
    use crate::sim::Policy;

    #[test]
    fn missing_buffer_keys_have_defaults() {
        let text = |policy: &str| {
            format!(
                "about = \"x\"\nseconds = 2\nserver = {{ slots = 4, service = {{ law = \"constant\", mean = \"10ms\" }} }}\n\
                 clients = {{ deadline = \"210ms\" }}\narrivals = {{ load = 1 }}\n\
                 trigger = {{ from = \"0s\", until = \"1s\" }}\n[[policy]]\n{policy}\n"
            )
        };
        let policy = |keys: &str| read("x", "x.toml", &text(keys), None).unwrap().policies.remove(0).1;
        for (given, expected) in [
            ("", Discipline::Fifo),
            ("discipline = \"codel\"", Discipline::CODEL),
            ("discipline = \"adaptive-lifo\"", Discipline::ADAPTIVE_LIFO),
        ] {
            let Policy::Buffer { concurrency, queue, max_wait, discipline } =
                policy(&format!("kind = \"buffer\"\n{given}"))
            else {
                panic!("{given}")
            };
            assert_eq!(discipline, expected);
            let valve = Policy::QueueingValve { concurrency, queue, max_wait };
            assert_eq!(policy("kind = \"queueing-valve\""), valve);
        }
    }
}
