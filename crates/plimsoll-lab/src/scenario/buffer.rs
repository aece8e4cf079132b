//! SignalReading a buffer: the policy whose keys depend on its discipline.

use std::time::Duration;

use plimsoll::Discipline;
use toml::Spanned;

use crate::scenario::policies::Waits;
use crate::scenario::raw::{self, Text};
use crate::scenario::read::{HOUR, NANO, Read, Reader};
use crate::sim::Policy;

/// The discipline of a buffer that names none.
const DEFAULT: &str = "fifo";

impl Reader<'_> {
    /// The keys that a buffer of this discipline has.
    pub(super) fn buffer_keys(&self, discipline: Option<&Text>) -> Read<&'static [&'static str]> {
        Ok(match discipline.map_or(DEFAULT, |given| given.as_ref().as_str()) {
            "fifo" | "keep-oldest" | "lifo" => &["concurrency", "count", "age", "discipline"],
            "lifo-with-age" => &["concurrency", "count", "age", "discipline", "newest_age"],
            "codel" | "adaptive-lifo" => &["concurrency", "count", "age", "discipline", "target", "interval"],
            "time-buckets" => &["concurrency", "count", "age", "discipline", "slice", "slices"],
            _ => {
                let Some(given) = discipline else { unreachable!("the default is known") };
                let must = "fifo, keep-oldest, lifo, lifo-with-age, codel, adaptive-lifo or time-buckets";
                return Err(self.from.refuse("policy.discipline", given, must));
            }
        })
    }

    pub(super) fn buffer(&self, raw: &Spanned<raw::Policy>, waits: Waits) -> Read<Policy> {
        let keys = raw.as_ref();
        let concurrency = self.whole_or("policy.concurrency", &keys.concurrency, 1..=1_000_000)?;
        let count = self.whole_or("policy.count", &keys.count, 1..=1_000_000)?;
        let age = self.time_unless("policy.age", &keys.age, NANO, waits.longest_wait)?;
        Ok(Policy::Buffer {
            concurrency: concurrency.unwrap_or(waits.inside),
            count: count.unwrap_or(waits.room),
            age,
            discipline: self.discipline(raw)?,
        })
    }

    fn discipline(&self, raw: &Spanned<raw::Policy>) -> Read<Discipline> {
        let keys = raw.as_ref();
        let ms = Duration::from_millis;
        // A target that is given may be longer than the interval that is not.
        let controlled = || {
            let target = self.time_unless("policy.target", &keys.target, NANO, ms(5))?;
            let interval =
                self.time_unless("policy.interval", &keys.interval, target, target.max(ms(100)))?;
            Ok((target, interval))
        };
        Ok(match keys.discipline.as_ref().map_or(DEFAULT, |given| given.as_ref().as_str()) {
            "fifo" => Discipline::Fifo,
            "keep-oldest" => Discipline::KeepOldest,
            "lifo" => Discipline::Lifo,
            "lifo-with-age" => Discipline::LifoWithAge {
                max_age: self.needed_time(raw, "policy.newest_age", &keys.newest_age, NANO..=HOUR)?,
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
                let slices = self.whole_or("policy.slices", &keys.slices, 2..=1_000_000)?;
                Discipline::TimeBuckets {
                    slice: self.needed_time(raw, "policy.slice", &keys.slice, NANO..=HOUR)?,
                    slices: slices.ok_or_else(|| self.missing(raw, "policy.slices"))?,
                }
            }
        })
    }

    pub(super) fn time_unless(
        &self,
        key: &str,
        given: &Option<Text>,
        least: Duration,
        otherwise: Duration,
    ) -> Read<Duration> {
        given.as_ref().map_or(Ok(otherwise), |given| self.time(key, given, least..=HOUR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read;

    #[test]
    fn what_is_not_given_is_what_the_literature_and_the_waiting_valve_have() {
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
            let Policy::Buffer { concurrency, count, age, discipline } =
                policy(&format!("kind = \"buffer\"\n{given}"))
            else {
                panic!("{given}")
            };
            assert_eq!(discipline, expected);
            let waiting = Policy::Waiting { inside: concurrency, room: count, longest_wait: age };
            assert_eq!(policy("kind = \"waiting-valve\""), waiting);
        }
    }
}
