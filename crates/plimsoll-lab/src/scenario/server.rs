//! Reads the server: its slots, its service times, its changes and faults.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use crate::scenario::raw;
use crate::scenario::read::{HOUR, NANO, ReadResult, Reader};
use crate::scenario::values::span;
use crate::sim::{Change, Fault, FaultKind, Law, ServerPlan};

impl Reader<'_> {
    /// Reads a server. Its changes and faults must lie within `end`, the end of the simulation.
    pub(super) fn server(
        &self,
        raw: &raw::Server,
        deadline: Option<Duration>,
        end: Duration,
    ) -> ReadResult<ServerPlan> {
        let slots = self.whole("server.slots", &raw.slots, 1..=65_535)?;
        let rejection_cost = raw
            .rejection_cost
            .as_ref()
            .map_or(Ok(0.0), |cost| self.number("server.rejection_cost", cost, 0.0..=0.9))?;
        let mut plan = ServerPlan { rejection_cost, ..ServerPlan::new(slots, self.law(&raw.service)?) };
        let (mut slots, mut speed, mut last) = (slots, 1.0, Duration::ZERO);
        for change in &raw.change {
            let at = self.time("server.change.at", &change.at, last..=end)?;
            slots = self.optional_whole("server.change.slots", &change.slots, 0..=65_535)?.unwrap_or(slots);
            if let Some(given) = &change.speed {
                speed = self.number("server.change.speed", given, 0.0..=100.0)?;
            }
            plan.changes.push(Change { at, slots, speed });
            last = at;
        }
        let mut last = Duration::ZERO;
        for fault in &raw.fault {
            let fault = self.fault(fault, last..end, deadline)?;
            last = fault.until;
            plan.faults.push(fault);
        }
        Ok(plan)
    }

    /// Reads a fault. `within` begins at the end of the previous one.
    fn fault(
        &self,
        raw: &Spanned<raw::Fault>,
        within: Range<Duration>,
        deadline: Option<Duration>,
    ) -> ReadResult<Fault> {
        let keys = raw.as_ref();
        let used: &[&str] = match keys.kind.as_ref().as_str() {
            "fails" => &["after"],
            "slow" => &["factor"],
            "hangs" => &["forgets"],
            _ => return Err(self.source.invalid("server.fault.kind", &keys.kind, "fails, slow or hangs")),
        };
        let given =
            [("after", span(&keys.after)), ("factor", span(&keys.factor)), ("forgets", span(&keys.forgets))];
        self.reject_unused(used, "server.fault", &keys.kind, &given)?;
        let from = self.time("server.fault.from", &keys.from, within.start..=within.end)?;
        let until = self.time("server.fault.until", &keys.until, from..=within.end)?;
        if until == from {
            let expected = "later than server.fault.from";
            return Err(self.source.invalid("server.fault.until", &keys.until, expected));
        }
        let kind = match keys.kind.as_ref().as_str() {
            "fails" => {
                let after = keys.after.as_ref();
                let after = after.map(|given| self.time("server.fault.after", given, NANO..=HOUR));
                FaultKind::Fails { after: after.transpose()?.unwrap_or(Duration::from_millis(1)) }
            }
            "slow" => FaultKind::Slow {
                factor: self.required_number(raw, "server.fault.factor", &keys.factor, 1.0..=1_000.0)?,
            },
            _ => {
                let forgets = keys.forgets.as_ref().filter(|forgets| *forgets.as_ref());
                if let Some(given) = forgets.filter(|_| deadline.is_none()) {
                    let expected =
                        "false without clients.deadline: clients of lost requests would wait for ever";
                    return Err(self.source.invalid("server.fault.forgets", given, expected));
                }
                FaultKind::Hangs { forgets: forgets.is_some() }
            }
        };
        Ok(Fault { from, until, kind })
    }

    pub(super) fn law(&self, raw: &Spanned<raw::Service>) -> ReadResult<Law> {
        let keys = raw.as_ref();
        let times = Duration::from_micros(1)..=Duration::from_secs(60);
        let mean = || self.required_time(raw, "server.service.mean", &keys.mean, times.clone());
        let used: &[&str] = match keys.law.as_ref().as_str() {
            "constant" | "exponential" => &["mean"],
            "lognormal" => &["mean", "sigma"],
            "pareto" => &["mean", "shape"],
            "bimodal" => &["short", "long", "share"],
            _ => {
                let expected = "constant, exponential, lognormal, pareto or bimodal";
                return Err(self.source.invalid("server.service.law", &keys.law, expected));
            }
        };
        self.reject_unused(
            used,
            "server.service",
            &keys.law,
            &[
                ("mean", span(&keys.mean)),
                ("sigma", span(&keys.sigma)),
                ("shape", span(&keys.shape)),
                ("short", span(&keys.short)),
                ("long", span(&keys.long)),
                ("share", span(&keys.share)),
            ],
        )?;
        let number = |key, given, range| self.required_number(raw, key, given, range);
        Ok(match keys.law.as_ref().as_str() {
            "constant" => Law::Constant(mean()?),
            "exponential" => Law::Exponential(mean()?),
            "lognormal" => Law::Lognormal {
                mean: mean()?,
                sigma: number("server.service.sigma", &keys.sigma, 0.0..=5.0)?,
            },
            "pareto" => Law::Pareto {
                mean: mean()?,
                shape: number("server.service.shape", &keys.shape, 1.01..=100.0)?,
            },
            _ => Law::Bimodal {
                short: self.required_time(raw, "server.service.short", &keys.short, times.clone())?,
                long: self.required_time(raw, "server.service.long", &keys.long, times.clone())?,
                share: number("server.service.share", &keys.share, 0.0..=1.0)?,
            },
        })
    }

    /// Returns the slots and the speed during the trigger.
    pub(super) fn trigger_server(&self, raw: &raw::Trigger, server: &ServerPlan) -> ReadResult<(u32, f64)> {
        let slots = self.optional_whole("trigger.slots", &raw.slots, 0..=65_535)?.unwrap_or(server.slots);
        let speed = raw.speed.as_ref();
        let speed = speed.map_or(Ok(1.0), |given| self.number("trigger.speed", given, 0.0..=100.0))?;
        Ok((slots, speed))
    }
}
