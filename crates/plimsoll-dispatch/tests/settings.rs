//! Settings: changed while the pool runs, by method and by name, and read from a file.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, Event, Gate, Inspect, ManualTime, Observe, Pack, Permit, Reason};
use plimsoll_dispatch::{Checkout, Dispatch, DispatchBuilder, SlotPick, Workers};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn builder(slots: u32) -> DispatchBuilder<u32> {
    Dispatch::builder().slots(slots).dice(Dice::seeded(1)).pick(SlotPick::Lowest)
}

fn fill(pool: &Dispatch<u32>) {
    pool.checkout().or_make(|| 7).unwrap().put_back();
}

/// Checks out a slot and puts its resource back. Returns whether there was one.
fn is_reused(pool: &Dispatch<u32>) -> bool {
    match pool.checkout() {
        Checkout::Reuse(lease) => {
            lease.put_back();
            true
        }
        _ => false,
    }
}

fn read(guard: &impl Inspect) -> BTreeMap<&'static str, f64> {
    let mut all = BTreeMap::new();
    guard.read(&mut |name, value| assert!(all.insert(name, value).is_none(), "{name} twice"));
    all
}

#[test]
fn new_pick_applies_to_the_next_request() {
    let pool = builder(8).pick(SlotPick::RoundRobin).build().unwrap();
    let next = || {
        let token = pool.admit(&()).unwrap();
        let words = token.pack();
        drop(Permit::new(&pool, Pack::unpack(words)));
        words[0]
    };
    assert_eq!([next(), next(), next()], [0, 1, 2]);
    pool.set_pick(SlotPick::Lowest);
    assert_eq!([next(), next(), next()], [0, 0, 0]);
    for pick in [SlotPick::RoundRobin, SlotPick::Random, SlotPick::Lowest] {
        pool.set_pick(pick);
        assert_eq!(pool.pick(), pick);
        assert!(next() < 8);
    }
}

#[test]
fn first_idle_limit_counts_from_the_change() {
    let time = ManualTime::new();
    let pool = builder(1).clock(time.clock()).build().unwrap();
    fill(&pool);
    time.advance(3_600_000 * MS);
    pool.set_max_idle(10 * MS);
    assert_eq!((pool.max_idle(), pool.sweep()), (Some(10 * MS), 0));
    time.advance(10 * MS);
    assert!(is_reused(&pool), "it lay idle for exactly the limit");
    time.advance(11 * MS);
    assert!(!is_reused(&pool));

    fill(&pool);
    pool.set_max_idle(None);
    time.advance(3_600_000 * MS);
    assert!(is_reused(&pool), "there is no limit");
    assert_eq!((pool.max_idle(), pool.sweep()), (None, 0));
}

#[test]
fn lower_idle_limit_applies_to_resources_idle_before() {
    let time = ManualTime::new();
    let pool = builder(1).max_idle(100 * MS).clock(time.clock()).build().unwrap();
    fill(&pool);
    time.advance(50 * MS);
    pool.set_max_idle(20 * MS);
    assert_eq!(pool.sweep(), 1);
    fill(&pool);
    time.advance(50 * MS);
    pool.set_max_idle(100 * MS);
    assert!(is_reused(&pool));
}

#[test]
fn largest_idle_limit_is_not_taken_for_none() {
    let pool = builder(1).max_idle(Duration::MAX).build().unwrap();
    assert_eq!(pool.max_idle(), Some(Duration::from_nanos(u64::MAX - 1)));
}

#[test]
fn new_reuse_dropped_applies_to_leases_in_use() {
    let pool = builder(1).reuse_dropped(true).build().unwrap();
    let lease = pool.checkout().or_make(|| 7).unwrap();
    pool.set_reuse_dropped(false);
    drop(lease);
    assert_eq!((pool.reuse_dropped(), pool.idle()), (false, 0));
    pool.set_reuse_dropped(true);
    drop(pool.checkout().or_make(|| 7).unwrap());
    assert_eq!((pool.reuse_dropped(), pool.idle()), (true, 1));
}

#[test]
fn inspect_sets_what_it_reads_by_the_same_name() {
    let pool = builder(4).build().unwrap();
    fill(&pool);
    let held = pool.try_acquire().unwrap();
    let expected = [
        ("slots", 4.0),
        ("in_use", 1.0),
        ("idle", 0.0),
        ("queued", 0.0),
        ("queue", 1_024.0),
        ("max_idle", f64::INFINITY),
    ];
    assert_eq!(read(&pool), expected.into_iter().chain([("reuse_dropped", 0.0)]).collect());
    drop(held);

    for (setting, value) in [("slots", 7.0), ("queue", 9.0), ("max_idle", 0.25), ("reuse_dropped", 1.0)] {
        pool.set(setting, value).unwrap();
        assert_eq!(read(&pool)[setting], value);
    }
    assert_eq!((pool.slots(), pool.queue_limit(), pool.reuse_dropped()), (7, 9, true));
    assert_eq!(pool.max_idle(), Some(250 * MS));
    pool.set("max_idle", f64::INFINITY).unwrap();
    assert_eq!(pool.max_idle(), None);

    let before = read(&pool);
    let invalid = [("slots", 0.0), ("slots", 0.5), ("slots", 1e9), ("queue", 2_147_483_648.0)];
    for (setting, value) in invalid.into_iter().chain([("max_idle", -1.0), ("reuse_dropped", 2.0)]) {
        let error = pool.set(setting, value).unwrap_err();
        assert_eq!(error.field(), setting);
    }
    let error = pool.set("in_use", 1.0).unwrap_err();
    assert_eq!(error.allowed(), "one of slots, queue, max_idle, reuse_dropped");
    assert_eq!(read(&pool), before, "nothing has changed");
}

#[derive(Default)]
struct Events(Mutex<Vec<Event>>);
impl Observe for Events {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn workers_have_a_name_readings_and_no_settings() {
    let events = Arc::new(Events::default());
    let builder = Workers::<u32>::builder().name("indexers").workers(3).observe(events.clone());
    let (workers, all) = builder.clone().build().unwrap();
    drop(all);
    assert_eq!((workers.name(), Inspect::name(&workers)), ("indexers", "indexers"));
    assert_eq!(read(&workers), BTreeMap::from([("workers", 3.0), ("idle", 0.0), ("missing", 3.0)]));
    assert_eq!(workers.set("workers", 4.0).unwrap_err().allowed(), "absent, as this guard has no settings");
    assert_eq!(workers.submit(1).unwrap_err().rejected.by(), "indexers");
    assert!(!workers.is_closed());
    workers.close();
    assert!(workers.is_closed());
    assert_eq!(workers.submit(1).unwrap_err().rejected.reason(), Reason::Closed);
    assert_eq!(events.0.lock().unwrap().len(), 2);
    for invalid in [builder.clone().name(""), builder.clone().workers(0), builder.workers(u32::MAX)] {
        assert!(invalid.build().is_err());
    }
}

#[cfg(feature = "serde")]
mod serde {
    use super::*;
    use plimsoll_dispatch::{DispatchConfig, WorkersConfig};

    #[test]
    fn configs_survive_a_round_trip() {
        let config = DispatchConfig {
            name: "connections".into(),
            slots: 4,
            queue: 8,
            pick: SlotPick::RoundRobin,
            max_idle: Some(90_000 * MS),
            reuse_dropped: true,
        };
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains(r#""pick":"round-robin","max_idle":"1m 30s""#), "{json}");
        assert_eq!(serde_json::from_str::<DispatchConfig>(&json).unwrap(), config);
        for config in [DispatchConfig::default(), DispatchConfig { max_idle: Some(MS), ..Default::default() }]
        {
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<DispatchConfig>(&json).unwrap(), config);
        }
        let config = WorkersConfig { name: "indexers".into(), workers: 4 };
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<WorkersConfig>(&json).unwrap(), config);
    }

    #[test]
    fn missing_fields_have_defaults_and_unknown_ones_are_errors() {
        assert_eq!(serde_json::from_str::<DispatchConfig>("{}").unwrap(), DispatchConfig::default());
        assert_eq!(serde_json::from_str::<WorkersConfig>("{}").unwrap(), WorkersConfig::default());
        assert!(serde_json::from_str::<DispatchConfig>(r#"{"seats":1}"#).is_err());
        assert!(serde_json::from_str::<WorkersConfig>(r#"{"slots":1}"#).is_err());
        assert!(serde_json::from_str::<DispatchConfig>(r#"{"pick":"best"}"#).is_err());
    }
}
