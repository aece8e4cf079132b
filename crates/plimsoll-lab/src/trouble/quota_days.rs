//! Days on which a limiter sees little traffic, another quota, or a jump of time.

use std::time::Duration;

use plimsoll::limit::Quota;

use crate::trouble::alone::Alone;
use crate::trouble::row::Row;

/// A limiter as one account sees it: whether a request is admitted, and how an operator changes the
/// quota.
pub(crate) struct Limiter {
    pub(crate) try_acquire: Box<dyn Fn() -> bool>,
    pub(crate) set_quota: Box<dyn Fn(Quota)>,
}

/// What builds a limiter with this quota.
pub(crate) type Build = fn(&Alone, Quota) -> Limiter;

/// One request a second, and one an hour, of a quota of more.
pub(crate) fn seldom(build: Build, seed: u64) -> Vec<Row> {
    let days = [("a second", 1, Quota::per_minute(100)), ("an hour", 3_600, Quota::per_day(100))];
    let rows = days.into_iter().map(|(text, gap, quota)| {
        let alone = Alone::new(seed);
        let Limiter { try_acquire, .. } = build(&alone, quota);
        let admitted = (0..1_000).filter(|_| {
            alone.time().advance(Duration::from_secs(gap));
            try_acquire()
        });
        let share = admitted.count() as f64 / 10.0;
        Row::at_least(format!("admitted, one request {text} of {quota}"), share, 99.0, "%")
    });
    rows.collect()
}

/// A quota is lowered or raised a hundredfold while it is used up, and changed to and fro.
pub(crate) fn changed(build: Build, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    let second = (Quota::per_second(10_000), Quota::per_second(100));
    let hour = (Quota::per_hour(10_000), Quota::per_hour(100));
    for (high, low) in [second, hour] {
        for (from, to) in [(high, low), (low, high)] {
            let alone = Alone::new(seed);
            let Limiter { try_acquire, set_quota } = build(&alone, from);
            alone.calls(2.0 * from.rate(), from.fills_in(), &try_acquire);
            while try_acquire() {}
            set_quota(to);
            // In steps of a thousandth of the time in which the new quota fills up.
            let mut admitted = vec![0_u32; 1_000];
            for admitted in &mut admitted {
                while try_acquire() {
                    *admitted += 1;
                }
                alone.time().advance(to.fills_in() / 1_000);
            }
            let waited = admitted.iter().take_while(|admitted| **admitted == 0).count() as f64 / 10.0;
            rows.push(Row::at_most(
                format!("longest wait, {from} to {to}"),
                waited,
                100.0,
                "% of its fill time",
            ));
            let units = f64::from(admitted.iter().sum::<u32>());
            let share = units / f64::from(2 * to.burst_size()) * 100.0;
            rows.push(Row::at_most(
                format!("admitted then, {from} to {to}"),
                share,
                100.0,
                "% of burst and rate",
            ));
        }
        let alone = Alone::new(seed);
        let Limiter { try_acquire, set_quota } = build(&alone, high);
        let mut units = 0_u32;
        for _ in 0..20 {
            while try_acquire() {
                units += 1;
            }
            set_quota(low);
            set_quota(high);
        }
        let share = f64::from(units) / f64::from(high.burst_size()) * 100.0;
        rows.push(Row::at_most(
            format!("admitted at once, {high} to {low} and back, 20 times"),
            share,
            100.0,
            "% of the burst",
        ));
    }
    rows
}

/// The machine sleeps for 30 s, or time jumps by an hour, under twice the rate.
pub(crate) fn jumped(build: Build, seed: u64) -> Vec<Row> {
    let quota = Quota::per_second(1_000);
    let jumps = [("the machine slept for 30 s", 30), ("time jumped by an hour", 3_600)];
    let rows = jumps.into_iter().flat_map(|(text, seconds)| {
        let alone = Alone::new(seed);
        let Limiter { try_acquire, .. } = build(&alone, quota);
        let second = || alone.calls(2_000.0, Duration::from_secs(1), &try_acquire) * 2_000.0;
        second();
        second();
        alone.time().advance(Duration::from_secs(seconds));
        let (after, later) = (second(), second());
        [
            Row::at_most(format!("admitted in the second after {text}"), after, 2_000.0, "units"),
            Row::at_least(format!("admitted in the second second after {text}"), later, 950.0, "units"),
        ]
    });
    rows.collect()
}
