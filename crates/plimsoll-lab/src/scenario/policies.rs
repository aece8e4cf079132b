//! SignalReading the policies, and those that are compared where none is named.

use std::time::Duration;

use toml::Spanned;

use crate::scenario::breaker::{BREAKER, BREAKER_VALVE};
use crate::scenario::drop::{DISPATCH, THROTTLE_VALVE};
use crate::scenario::raw;
use crate::scenario::read::{HOUR, NANO, Read, Reader};
use crate::scenario::values::span;
use crate::sim::{Policy, ServerPlan};

/// What a guard does that waits, where the scenario does not say.
pub(super) struct Waits {
    /// How many are inside.
    pub(super) inside: u32,
    /// How many wait.
    pub(super) room: u32,
    /// How long.
    pub(super) longest_wait: Duration,
}

impl Reader<'_> {
    pub(super) fn policies(
        &self,
        raw: &[Spanned<raw::Policy>],
        server: &ServerPlan,
        deadline: Option<Duration>,
    ) -> Read<Vec<(String, Policy)>> {
        // As the demo does: a quarter of the time that the deadline leaves beside the work is for
        // waiting, and the room is what the server gets done in that time.
        let patience = deadline.unwrap_or(Duration::from_secs(1)).saturating_sub(server.service.mean()) / 4;
        let longest_wait = patience.max(Duration::from_millis(1));
        let inside = server.slots;
        let room = (server.capacity() * longest_wait.as_secs_f64()).ceil() as u32;
        // The rate that is right at twice the capacity, and nowhere else.
        let keep = 0.5;
        if raw.is_empty() {
            return Ok(vec![
                ("bare".into(), Policy::Bare),
                ("valve".into(), Policy::Valve { inside }),
                ("waiting valve".into(), Policy::Waiting { inside, room, longest_wait }),
                ("drop half".into(), Policy::Drop { keep }),
                ("drop + valve".into(), Policy::DropValve { keep, inside }),
            ]);
        }
        let mut policies: Vec<(String, Policy)> = Vec::new();
        for raw in raw {
            let keys = raw.as_ref();
            let kind = keys.kind.as_ref().as_str();
            let used: &[&str] = match kind {
                "bare" => &[],
                "valve" => &["inside"],
                "waiting-valve" => &["inside", "room", "longest_wait"],
                "buffer" => self.buffer_keys(keys.discipline.as_ref())?,
                "breaker" => BREAKER,
                "breaker+valve" => BREAKER_VALVE,
                "drop" => &["keep"],
                "drop+valve" => &["keep", "inside"],
                "three" => &["keep", "inside", "room", "longest_wait"],
                "shedder" => self.shedder_keys(keys.control.as_ref())?,
                "dagor" => &[],
                "dispatch" => DISPATCH,
                "throttle+valve" => THROTTLE_VALVE,
                _ => {
                    let must = "bare, valve, waiting-valve, buffer, breaker, breaker+valve, drop, drop+valve, \
                                three, shedder, dagor, dispatch or throttle+valve";
                    return Err(self.from.refuse("policy.kind", &keys.kind, must));
                }
            };
            // What the keys depend on.
            let narrower = match kind {
                "buffer" => keys.discipline.as_ref(),
                "shedder" => keys.control.as_ref(),
                _ => None,
            };
            self.only(
                used,
                "policy",
                narrower.unwrap_or(&keys.kind),
                &[
                    ("inside", span(&keys.inside)),
                    ("room", span(&keys.room)),
                    ("longest_wait", span(&keys.longest_wait)),
                    ("keep", span(&keys.keep)),
                    ("concurrency", span(&keys.concurrency)),
                    ("count", span(&keys.count)),
                    ("age", span(&keys.age)),
                    ("discipline", span(&keys.discipline)),
                    ("newest_age", span(&keys.newest_age)),
                    ("target", span(&keys.target)),
                    ("interval", span(&keys.interval)),
                    ("slice", span(&keys.slice)),
                    ("slices", span(&keys.slices)),
                    ("ratio", span(&keys.ratio)),
                    ("calls", span(&keys.calls)),
                    ("within", span(&keys.within)),
                    ("slow", span(&keys.slow)),
                    ("open", span(&keys.open)),
                    ("open_most", span(&keys.open_most)),
                    ("at_once", span(&keys.at_once)),
                    ("lease", span(&keys.lease)),
                    ("ramp", span(&keys.ramp)),
                    ("call_timeout", span(&keys.call_timeout)),
                    ("control", span(&keys.control)),
                    ("workers", span(&keys.workers)),
                    ("capacity_hint", span(&keys.capacity_hint)),
                    ("from", span(&keys.from)),
                    ("to", span(&keys.to)),
                    ("seats", span(&keys.seats)),
                    ("probes", span(&keys.probes)),
                    ("k", span(&keys.k)),
                    ("floor", span(&keys.floor)),
                ],
            )?;
            let inside = self.whole_or("policy.inside", &keys.inside, 1..=1_000_000)?.unwrap_or(inside);
            let room = self.whole_or("policy.room", &keys.room, 1..=1_000_000)?.unwrap_or(room);
            let longest_wait = match &keys.longest_wait {
                Some(given) => self.time("policy.longest_wait", given, NANO..=HOUR)?,
                None => longest_wait,
            };
            let keep =
                keys.keep.as_ref().map_or(Ok(keep), |given| self.number("policy.keep", given, 0.0..=1.0))?;
            let policy = match kind {
                "bare" => Policy::Bare,
                "valve" => Policy::Valve { inside },
                "waiting-valve" => Policy::Waiting { inside, room, longest_wait },
                "buffer" => self.buffer(raw, Waits { inside, room, longest_wait })?,
                "breaker" => Policy::Breaker(self.breaker(raw, deadline)?),
                "breaker+valve" => Policy::BreakerValve { breaker: self.breaker(raw, deadline)?, inside },
                "drop" => Policy::Drop { keep },
                "drop+valve" => Policy::DropValve { keep, inside },
                "three" => Policy::Three { keep, inside, room, longest_wait },
                "shedder" => self.shedder(raw, server)?,
                "dagor" => Policy::Dagor,
                "dispatch" => self.dispatch(keys, server)?,
                _ => self.throttle_valve(keys, inside)?,
            };
            let name = keys.name.clone().unwrap_or_else(|| match &policy {
                Policy::Buffer { discipline, .. } => discipline.as_str().replace('-', " "),
                Policy::Shedder { steer, .. } => format!("shedder {}", steer.as_str()),
                _ => kind.replace('-', " "),
            });
            if policies.iter().any(|(other, _)| *other == name) {
                let must = "given a name of its own: there is another of that name";
                return Err(self.from.refuse("policy.kind", &keys.kind, must));
            }
            policies.push((name, policy));
        }
        Ok(policies)
    }
}
