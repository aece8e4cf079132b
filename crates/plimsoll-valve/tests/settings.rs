//! Settings: validation, live changes by name and by method, and settings files.
#![allow(clippy::unwrap_used)]

use plimsoll_core::{ConfigError, Discipline, Inspect, ManualTime, Reason};
use plimsoll_valve::{Valve, ValveConfig};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready_err, task};

const LIVE_SETTINGS: [&str; 3] = ["concurrency", "queue", "max_wait"];

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Returns the number that `Inspect` reads under this name. It must occur once.
fn read(valve: &Valve, name: &str) -> f64 {
    let mut found = vec![];
    valve.read(&mut |reading, value| {
        if reading == name {
            found.push(value);
        }
    });
    let [value] = found[..] else { panic!("{name} is read {} times", found.len()) };
    value
}

#[test]
fn an_invalid_setting_is_named_with_its_value_and_range() {
    let text = |e: Result<Valve, _>| -> String {
        e.map(|_| ()).map_err(|e: ConfigError| e.to_string()).unwrap_err()
    };
    assert_eq!(text(Valve::new(0)), "concurrency = 0 is not allowed: it must be 1 to 2147483647");
    assert!(text(Valve::new(u32::MAX)).contains("concurrency = 4294967295"));
    assert!(text(Valve::builder().queue(u32::MAX).build()).contains("queue = 4294967295"));
    let no_wait = text(Valve::builder().queue(1).max_wait(Duration::ZERO).build());
    assert!(no_wait.starts_with("max_wait = 0ns is not allowed"), "{no_wait}");
    assert!(text(Valve::builder().name("").build()).starts_with("name = \"\" is not allowed"));
    let invalid = Discipline::LifoWithAge { max_age: Duration::ZERO };
    assert!(text(Valve::builder().discipline(invalid).build()).starts_with("max_age = 0ns"));
    assert!(
        Valve::builder().config(ValveConfig { concurrency: 3, ..ValveConfig::default() }).build().is_ok()
    );
}

#[test]
fn a_valve_has_the_settings_it_was_built_with() {
    let discipline = Discipline::CODEL;
    let builder = Valve::builder().name("orders").concurrency(3).queue(4).max_wait(ms(5));
    let built = builder.discipline(discipline).build().unwrap();
    let config = ValveConfig { name: "orders".into(), concurrency: 3, queue: 4, max_wait: ms(5), discipline };
    for valve in [built, Valve::builder().config(config).build().unwrap()] {
        assert_eq!((valve.name(), Inspect::name(&valve)), ("orders", "orders"));
        assert_eq!((valve.concurrency(), valve.queue_limit(), valve.max_wait()), (3, 4, ms(5)));
        assert_eq!(valve.discipline(), discipline);
    }
    let default = Valve::builder().build().unwrap();
    assert_eq!((default.name(), default.concurrency(), default.queue_limit()), ("valve", 1, 0));
    assert_eq!((default.max_wait(), default.discipline()), (ms(100), Discipline::KeepOldest));
}

#[test]
fn every_live_setting_is_set_and_read_by_method_and_by_name() {
    let valve = Valve::builder().concurrency(1).queue(2).build().unwrap();

    valve.set_concurrency(5).unwrap();
    assert_eq!((valve.concurrency(), read(&valve, "concurrency")), (5, 5.0));
    valve.set("concurrency", 6.0).unwrap();
    assert_eq!((valve.concurrency(), read(&valve, "concurrency")), (6, 6.0));

    valve.set_queue(7).unwrap();
    assert_eq!((valve.queue_limit(), read(&valve, "queue")), (7, 7.0));
    valve.set("queue", 8.0).unwrap();
    assert_eq!((valve.queue_limit(), read(&valve, "queue")), (8, 8.0));

    valve.set_max_wait(ms(250)).unwrap();
    assert_eq!((valve.max_wait(), read(&valve, "max_wait")), (ms(250), 0.25));
    valve.set("max_wait", 1.5).unwrap();
    assert_eq!((valve.max_wait(), read(&valve, "max_wait")), (ms(1500), 1.5));

    valve.set_discipline(Discipline::Lifo).unwrap();
    assert_eq!(valve.discipline(), Discipline::Lifo);

    // No setter has changed another setting.
    assert_eq!((valve.concurrency(), valve.queue_limit(), valve.max_wait()), (6, 8, ms(1500)));
}

#[test]
fn in_flight_and_queued_are_read_by_method_and_by_name() {
    let valve = Valve::builder().concurrency(2).queue(3).build().unwrap();
    let readings = || {
        let by_name = (read(&valve, "in_flight"), read(&valve, "queued"));
        assert_eq!(by_name, (f64::from(valve.in_flight()), f64::from(valve.queued())));
        by_name
    };
    assert_eq!(readings(), (0.0, 0.0));
    let permits = [valve.try_acquire().unwrap(), valve.try_acquire().unwrap()];
    let mut waiter = task::spawn(valve.acquire());
    assert_pending!(waiter.poll());
    assert_eq!(readings(), (2.0, 1.0));
    drop((waiter, permits));
    assert_eq!(readings(), (0.0, 0.0));
}

#[test]
fn an_invalid_live_setting_changes_nothing() {
    let valve = Valve::builder().concurrency(3).queue(4).build().unwrap();
    assert_eq!(valve.set_concurrency(0).unwrap_err().field(), "concurrency");
    assert_eq!(valve.set_concurrency(1 << 31).unwrap_err().field(), "concurrency");
    assert_eq!(valve.set_queue(1 << 31).unwrap_err().field(), "queue");
    assert_eq!(valve.set_max_wait(Duration::ZERO).unwrap_err().field(), "max_wait");
    let invalid = Discipline::TimeBuckets { slice: ms(5), slices: 1 };
    assert_eq!(valve.set_discipline(invalid).unwrap_err().field(), "slices");
    for (setting, values) in [
        ("concurrency", &[0.0, 0.5, -1.0, f64::NAN, 2147483648.0, 4294967296.0][..]),
        ("queue", &[0.5, -1.0, f64::NAN, 2147483648.0, 4294967296.0]),
        ("max_wait", &[0.0, -1.0, f64::NAN, f64::INFINITY]),
    ] {
        for &value in values {
            let error = valve.set(setting, value).unwrap_err();
            assert_eq!(error.field(), setting, "{setting} = {value}");
        }
    }
    assert_eq!((valve.concurrency(), valve.queue_limit(), valve.max_wait()), (3, 4, ms(100)));
    assert_eq!(valve.discipline(), Discipline::KeepOldest);
}

#[test]
fn a_valve_without_a_queue_may_have_no_longest_wait() {
    let valve = Valve::builder().max_wait(Duration::ZERO).build().unwrap();
    assert_eq!(valve.set_queue(1).unwrap_err().field(), "max_wait", "a queue needs a longest wait");
    assert_eq!(valve.set("queue", 1.0).unwrap_err().field(), "max_wait");
    valve.set_max_wait(ms(1)).unwrap();
    valve.set_queue(1).unwrap();
    valve.set_queue(0).unwrap();
    valve.set_max_wait(Duration::ZERO).unwrap();
}

#[test]
fn an_unknown_setting_is_rejected_with_the_list_of_known_ones() {
    let valve = Valve::builder().queue(1).build().unwrap();
    for unknown in ["inside", "in_flight", "queue_limit", "discipline", ""] {
        let error = valve.set(unknown, 1.0).unwrap_err();
        assert_eq!((error.field(), error.value()), ("setting", unknown));
        assert_eq!(error.allowed(), format!("one of {}", LIVE_SETTINGS.join(", ")));
    }
    for setting in LIVE_SETTINGS {
        valve.set(setting, read(&valve, setting)).unwrap();
    }
}

#[test]
fn a_larger_queue_and_longest_wait_apply_to_later_requests() {
    let time = ManualTime::new();
    let valve = Valve::builder().queue(1).max_wait(ms(100)).clock(time.clock()).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    let mut first = task::spawn(valve.acquire());
    assert_pending!(first.poll());
    assert_eq!(assert_ready_err!(task::spawn(valve.acquire()).poll()).reason(), Reason::Full);
    valve.set_max_wait(ms(200)).unwrap();
    valve.set_queue(2).unwrap();
    let mut second = task::spawn(valve.acquire());
    assert_pending!(second.poll());
    time.advance(ms(100));
    assert!(!second.is_woken());
    assert_eq!(assert_ready_err!(first.poll()).reason(), Reason::Expired, "as when it arrived");
    // A smaller queue rejects newcomers; a request that waits already stays.
    valve.set_queue(0).unwrap();
    assert_eq!(assert_ready_err!(task::spawn(valve.acquire()).poll()).reason(), Reason::Full);
    assert_eq!(valve.queued(), 1);
    time.advance(ms(100));
    assert_eq!(assert_ready_err!(second.poll()).reason(), Reason::Expired);
}

/// A queue under `Fifo` kept its old length after `set_queue`: each newcomer evicted one waiter and
/// took its place.
#[test]
fn smaller_queue_that_evicts_shrinks_at_the_next_arrival() {
    let time = ManualTime::new();
    let builder = Valve::builder().queue(5).max_wait(ms(100)).discipline(Discipline::Fifo);
    let valve = builder.clock(time.clock()).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    let mut waiters: Vec<_> = (0..5).map(|_| task::spawn(valve.acquire())).collect();
    waiters.iter_mut().for_each(|waiter| assert_pending!(waiter.poll()));
    valve.set_queue(2).unwrap();
    assert_eq!(valve.queued(), 5, "nothing changes before the next arrival");
    let mut newcomer = task::spawn(valve.acquire());
    assert_pending!(newcomer.poll());
    assert_eq!(valve.queued(), 2);
    let mut kept = waiters.split_off(4);
    let rejected: Vec<_> = waiters.iter_mut().map(|waiter| assert_ready_err!(waiter.poll())).collect();
    assert!(rejected.iter().all(|rejected| rejected.reason() == Reason::Evicted));
    // Three are beyond the limit. The fourth makes room for the newcomer.
    let numbers = rejected.iter().map(|rejected| (rejected.limit(), rejected.observed()));
    assert_eq!(numbers.collect::<Vec<_>>(), [5, 5, 5, 2].map(|queued| (Some(2), Some(queued))));
    assert_pending!(kept.remove(0).poll());
    assert_pending!(newcomer.poll());
}

#[test]
fn debug_shows_the_settings_and_the_readings() {
    let valve = Valve::builder().name("orders").concurrency(2).queue(1).build().unwrap();
    let _one = valve.try_acquire().unwrap();
    let shown = format!("{valve:?}");
    assert!(
        shown.contains("\"orders\"") && shown.contains("in_flight: 1") && shown.contains("concurrency: 2"),
        "{shown}"
    );
}

#[cfg(feature = "serde")]
mod files {
    use super::*;
    use serde_json::{from_str, json, to_string, to_value};

    #[test]
    fn a_config_round_trips_through_a_file() {
        let default = ValveConfig::default();
        let other = |discipline| ValveConfig {
            name: "orders".into(),
            concurrency: 2_147_483_647,
            queue: 3,
            max_wait: Duration::new(90, 1),
            discipline,
        };
        for config in [
            default,
            other(Discipline::Lifo),
            other(Discipline::LifoWithAge { max_age: ms(5) }),
            other(Discipline::CODEL),
            other(Discipline::TimeBuckets { slice: ms(5), slices: 4 }),
        ] {
            let text = to_string(&config).unwrap();
            assert_eq!(from_str::<ValveConfig>(&text).unwrap(), config, "{text}");
        }
    }

    #[test]
    fn a_file_uses_the_words_of_the_builder() {
        let expected = json!({
            "name": "valve",
            "concurrency": 1,
            "queue": 0,
            "max_wait": "100ms",
            "discipline": "keep-oldest",
        });
        assert_eq!(to_value(ValveConfig::default()).unwrap(), expected);
    }

    #[test]
    fn settings_that_a_file_omits_have_their_defaults() {
        assert_eq!(from_str::<ValveConfig>("{}").unwrap(), ValveConfig::default());
        let config: ValveConfig = from_str(r#"{"concurrency":16,"max_wait":"2s"}"#).unwrap();
        let expected =
            ValveConfig { concurrency: 16, max_wait: Duration::from_secs(2), ..ValveConfig::default() };
        assert_eq!(config, expected);
    }

    #[test]
    fn an_unknown_setting_in_a_file_is_rejected_by_name() {
        for text in [r#"{"inside":1}"#, r#"{"concurrency":1,"inside":2}"#] {
            let error = from_str::<ValveConfig>(text).unwrap_err().to_string();
            assert!(error.contains("unknown field `inside`") && error.contains("`concurrency`"), "{error}");
        }
    }

    #[test]
    fn an_invalid_value_in_a_file_is_rejected_by_validate() {
        for (text, field) in [
            (r#"{"concurrency":0}"#, "concurrency"),
            (r#"{"concurrency":2147483648}"#, "concurrency"),
            (r#"{"queue":2147483648}"#, "queue"),
            (r#"{"queue":1,"max_wait":"0s"}"#, "max_wait"),
            (r#"{"name":""}"#, "name"),
            (r#"{"discipline":{"lifo-with-age":{"max_age":"0s"}}}"#, "max_age"),
        ] {
            let config: ValveConfig = from_str(text).unwrap();
            assert_eq!(config.validate().unwrap_err().field(), field, "{text}");
            assert_eq!(Valve::builder().config(config).build().unwrap_err().field(), field, "{text}");
        }
        // A value of the wrong type does not become a config at all.
        for text in [r#"{"concurrency":-1}"#, r#"{"queue":1.5}"#, r#"{"max_wait":100}"#] {
            assert!(from_str::<ValveConfig>(text).is_err(), "{text}");
        }
    }
}
