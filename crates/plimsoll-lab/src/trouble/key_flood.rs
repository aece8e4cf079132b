//! A flood of distinct keys against limits by key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll::limit::Quota;
use plimsoll::{Event, Observe};

use crate::trouble::alone::Alone;
use crate::trouble::cell::Size;
use crate::trouble::row::{Phase, Row};

const HOUR: Duration = Duration::from_secs(3_600);
const LIGHT: u64 = 128;
const HEAVY: u64 = 32;
const NEW: u64 = 256;
const HEAVY_AT: u64 = 1 << 20;
const NEW_AT: u64 = 1 << 30;
const LATE_AT: u64 = 1 << 31;
const FLOOD_AT: u64 = 1 << 40;
/// The steps in which a flood comes.
const STEPS: u64 = 1_024;

/// Whether a request of a key is admitted.
pub(crate) type TryAcquire = Box<dyn Fn(u64) -> bool>;

/// What builds a limiter with this quota for each key.
pub(crate) type Build = fn(&Alone, Quota, Option<usize>, Arc<Crowded>) -> TryAcquire;

/// Counts the changes of state that a guard reports.
#[derive(Debug, Default)]
pub(crate) struct Crowded(AtomicU64);

impl Observe for Crowded {
    fn event(&self, event: Event) {
        if matches!(event, Event::StateChanged { .. }) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Crowded {
    /// Returns their number.
    pub(crate) fn changes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was admitted: light, heavy and new accounts during the flood, newcomers one interval after
/// it, light and heavy ones an hour after it. And the number of events.
type Admitted = [u64; 7];

/// Runs one flood of `keys` keys at `rate`, each with `hits` requests. Without keys it is the same
/// day without a flood.
///
/// Light accounts send a quarter of their quota. Heavy ones have used up their burst, and go on
/// sending twice their quota. Each newcomer sends two requests, an eighth of the flood apart.
fn day(
    build: Build,
    quota: Quota,
    table: Option<usize>,
    rate: f64,
    hits: u64,
    keys: u64,
    on: bool,
) -> Admitted {
    let (alone, crowded, interval) = (Alone::new(1), Arc::new(Crowded::default()), quota.interval());
    let try_acquire = build(&alone, quota, table, crowded.clone());
    let count = |keys: u64, from: u64| (0..keys).filter(|key| try_acquire(from + key)).count() as u64;
    alone.time().advance(HOUR);
    count(LIGHT, 0);
    (0..quota.burst_size()).for_each(|_| _ = count(HEAVY, HEAVY_AT));
    alone.time().advance(4 * interval);
    let step = Duration::from_secs_f64(keys as f64 / rate) / STEPS as u32;
    // In a short flood of long quotas, each account sends once, or twice if it is heavy.
    let intervals = step.as_secs_f64() / interval.as_secs_f64();
    let light_due = LIGHT as f64 * (intervals / 4.0).max(1.0 / STEPS as f64);
    let heavy_due = HEAVY as f64 * (intervals * 2.0).max(2.0 / STEPS as f64);
    let due = |per_step: f64, n: u64| (per_step * n as f64) as u64..(per_step * (n + 1) as f64) as u64;
    let (mut light, mut heavy, mut new) = (0, 0, 0);
    for n in 0..STEPS {
        if on {
            for key in due(keys as f64 / STEPS as f64, n) {
                (0..hits).for_each(|_| _ = try_acquire(FLOOD_AT + key));
            }
        }
        light += due(light_due, n).filter(|key| try_acquire(key % LIGHT)).count() as u64;
        heavy += due(heavy_due, n).filter(|key| try_acquire(HEAVY_AT + key % HEAVY)).count() as u64;
        for wave in [Some(n), n.checked_sub(STEPS / 8)].into_iter().flatten() {
            let keys = due(NEW as f64 / STEPS as f64, wave);
            new += keys.filter(|key| try_acquire(NEW_AT + key)).count() as u64;
        }
        alone.time().advance(step);
    }
    alone.time().advance(interval);
    let late = count(NEW, LATE_AT);
    alone.time().advance(HOUR);
    let (mut light_after, mut heavy_after) = (0, 0);
    for _ in 0..8 {
        light_after += count(LIGHT, 0);
        for _ in 0..4 {
            alone.time().advance(interval);
            heavy_after += count(HEAVY, HEAVY_AT) + count(HEAVY, HEAVY_AT);
        }
    }
    [light, heavy, new, late, light_after, heavy_after, crowded.changes()]
}

/// Returns the rows of a limiter with a quota for each key: the worst of three rates, with one and
/// two requests of each key.
pub(crate) fn quota_rows(size: Size, build: Build) -> Vec<Row> {
    let (table, times) = size.pick((Some(2_048), 8_192), (None, 4 * 262_144));
    let mut rows = Vec::new();
    for (name, quota) in [
        ("5 a second", Quota::per_second(5)),
        ("60 a minute", Quota::per_minute(60)),
        ("100 an hour", Quota::per_hour(100)),
        ("1,000 a day", Quota::per_day(1_000).burst(100)),
    ] {
        let mut worst = [f64::MAX; 6];
        let (mut most_heavy, mut events) = (0.0_f64, Vec::new());
        for rate in [1_000.0, 25_000.0, 500_000.0] {
            for hits in [1, 2] {
                let with = day(build, quota, table, rate, hits, times, true);
                let without = day(build, quota, table, rate, hits, times, false);
                let parts = with.iter().zip(&without).map(|(with, without)| *with as f64 / *without as f64);
                for (worst, part) in worst.iter_mut().zip(parts) {
                    *worst = worst.min(part * 100.0);
                }
                most_heavy = most_heavy.max(with[1] as f64 / without[1] as f64 * 100.0);
                events.push(with[6]);
            }
        }
        let [light, heavy, new, late, light_after, heavy_after] = worst;
        let case = |who: &str| format!("{who}, {name}, up to 500 k keys/s");
        let at_least =
            |who: &str, value, limit, phase| Row::at_least(case(who), value, limit, "%").phase(phase);
        rows.extend([
            at_least("light accounts", light, 95.0, Phase::During).without(100.0),
            at_least("heavy accounts", heavy, 95.0, Phase::During).without(100.0),
            Row::at_most(case("heavy accounts"), most_heavy, 105.0, "%").phase(Phase::During),
            at_least("newcomers", new, 50.0, Phase::During),
            at_least("newcomers one interval later", late, 95.0, Phase::After).without(100.0),
            at_least("light accounts an hour later", light_after, 95.0, Phase::After).without(100.0),
            at_least("heavy accounts an hour later", heavy_after, 95.0, Phase::After).without(100.0),
            Row::at_most(case("events"), events.into_iter().max().unwrap_or(0) as f64, 2.0, ""),
        ]);
    }
    rows
}
