//! Settings: in builders and files, and changed while calls are in flight.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitState, KeyedCircuitBreaker, KeyedCircuitBreakerConfig,
    OpenTime, Probes, Ramp, Trip,
};
use plimsoll_core::{Inspect, ManualTime, Outcome, Reason};
use std::collections::BTreeMap;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

fn trips() -> Vec<Trip> {
    vec![
        Trip::failures().ratio(0.25, 8).within(30 * S),
        Trip::errors().count(5),
        Trip::timeouts().consecutive(3).within(60 * S),
        Trip::slow(S / 4).ratio(0.5, 50),
        Trip::overloads().count(100),
    ]
}

/// Settings that all differ from the defaults.
fn config() -> CircuitBreakerConfig {
    CircuitBreakerConfig {
        name: "orders".into(),
        trips: trips(),
        open_time: OpenTime { first: S, factor: 3.0, max: 20 * S, jitter: 0.25 },
        probes: Probes { concurrency: 2, successes: 4, failures: Some(5), lease: 3 * S },
        ramp: Ramp { duration: Some(8 * S), start: 0.25 },
        call_timeout: Some(2 * S),
        cancelled: Outcome::Failure,
        health_checked: false,
    }
}

fn read(guard: &dyn Inspect) -> BTreeMap<&'static str, f64> {
    let mut values = BTreeMap::new();
    guard.read(&mut |name, value| {
        values.insert(name, value);
    });
    values
}

fn end(breaker: &CircuitBreaker, outcome: Outcome) {
    breaker.try_acquire().unwrap().done(outcome);
}

const NUMBERS: [(&str, f64); 11] = [
    ("open_time.first", 1.0),
    ("open_time.factor", 3.0),
    ("open_time.max", 20.0),
    ("open_time.jitter", 0.25),
    ("probes.concurrency", 2.0),
    ("probes.successes", 4.0),
    ("probes.failures", 5.0),
    ("probes.lease", 3.0),
    ("ramp.duration", 8.0),
    ("ramp.start", 0.25),
    ("call_timeout", 2.0),
];

#[test]
fn builder_setters_and_getters_share_their_words() {
    let config = config();
    let built = CircuitBreaker::builder()
        .name("orders")
        .trips(config.trips.clone())
        .open_time(config.open_time)
        .probes(config.probes)
        .ramp(config.ramp)
        .call_timeout(2 * S)
        .cancelled(config.cancelled)
        .build()
        .unwrap();
    assert_eq!(built.config(), config);

    let set = CircuitBreaker::new("orders").unwrap();
    set.set_trips(built.trips()).unwrap();
    set.set_open_time(built.open_time()).unwrap();
    set.set_probes(built.probes()).unwrap();
    set.set_ramp(built.ramp()).unwrap();
    set.set_call_timeout(built.call_timeout()).unwrap();
    set.set_cancelled(built.cancelled());
    assert_eq!(set.config(), config);
}

#[test]
fn keyed_setters_and_getters_share_their_words() {
    let config = KeyedCircuitBreakerConfig::new(config(), 10);
    let built = KeyedCircuitBreaker::<u32>::builder().config(config.clone()).build().unwrap();
    assert_eq!(built.config(), config);

    let set = KeyedCircuitBreaker::<u32>::new("orders").unwrap();
    let existing = set.breaker(&1).unwrap();
    set.set_max_keys(built.max_keys()).unwrap();
    set.set_trips(built.trips()).unwrap();
    set.set_open_time(built.open_time()).unwrap();
    set.set_probes(built.probes()).unwrap();
    set.set_ramp(built.ramp()).unwrap();
    set.set_call_timeout(built.call_timeout()).unwrap();
    set.set_cancelled(built.cancelled());
    assert_eq!(set.config(), config);
    assert_eq!(existing.config(), config.breaker());
    assert_eq!(set.breaker(&2).unwrap().config(), config.breaker());
}

#[test]
fn inspect_reads_and_sets_every_number() {
    let breaker = CircuitBreaker::new("orders").unwrap();
    let keyed = KeyedCircuitBreaker::<u32>::new("orders").unwrap();
    for guard in [&breaker as &dyn Inspect, &keyed] {
        for (name, value) in NUMBERS {
            assert_ne!(read(guard)[name], value, "{name}");
            guard.set(name, value).unwrap();
            assert_eq!(read(guard)[name], value, "{name}");
        }
        guard.set("call_timeout", 0.0).unwrap();
        for (name, value) in [
            ("open_time.first", 60.5),
            ("open_time.factor", 0.5),
            ("open_time.jitter", f64::NAN),
            ("probes.concurrency", 1.5),
            ("probes.lease", -1.0),
            ("ramp.start", 2.0),
            ("trips", 1.0),
        ] {
            let error = guard.set(name, value).unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
        let expected = NUMBERS.map(|(name, value)| (name, if name == "call_timeout" { 0.0 } else { value }));
        expected.iter().for_each(|(name, value)| assert_eq!(read(guard)[name], *value, "{name}"));
    }
    let expected = CircuitBreakerConfig {
        trips: CircuitBreakerConfig::default().trips,
        call_timeout: None,
        cancelled: Outcome::Ignored,
        ..config()
    };
    assert_eq!((breaker.config(), keyed.config().breaker()), (expected.clone(), expected));
    keyed.set("max_keys", 7.0).unwrap();
    assert_eq!((keyed.max_keys(), read(&keyed)["max_keys"]), (7, 7.0));
    assert!(keyed.set("max_keys", 0.0).is_err() && breaker.set("max_keys", 7.0).is_err());
}

#[test]
fn invalid_config_changes_nothing() {
    let breaker = CircuitBreaker::new("orders").unwrap();
    let keyed = KeyedCircuitBreaker::<u32>::new("orders").unwrap();
    let before = (breaker.config(), keyed.config());
    let probes = Probes { concurrency: 0, ..Probes::default() };
    let renamed = CircuitBreakerConfig { name: "others".into(), ..config() };
    let invalid = CircuitBreakerConfig { probes, ..config() };
    let too_many = CircuitBreakerConfig { trips: vec![Trip::failures(); 9], ..config() };
    for config in [renamed, invalid, too_many] {
        assert!(breaker.set_config(config.clone()).is_err());
        assert!(keyed.set_config(KeyedCircuitBreakerConfig::new(config, 10)).is_err());
    }
    assert!(keyed.set_config(KeyedCircuitBreakerConfig::new(config(), 0)).is_err());
    assert!(breaker.set_trips([Trip::failures().count(0)]).is_err());
    assert!(breaker.set_call_timeout(Some(Duration::ZERO)).is_err());
    assert_eq!((breaker.config(), keyed.config()), before);

    breaker.set_config(config()).unwrap();
    keyed.set_config(KeyedCircuitBreakerConfig::new(config(), 10)).unwrap();
    assert_eq!((breaker.config(), keyed.max_keys()), (config(), 10));
}

/// Counts of the old trips are not seen by the new ones. Calls in flight count for the new ones.
#[test]
fn changed_trips_begin_to_count_anew() {
    let time = ManualTime::new();
    let breaker =
        CircuitBreaker::builder().trips([Trip::failures().count(2)]).clock(time.clock()).build().unwrap();
    end(&breaker, Outcome::Failure);
    let in_flight = breaker.try_acquire().unwrap();
    for trip in [Trip::failures().count(2).within(60 * S), Trip::failures().consecutive(2)] {
        breaker.set_trips([trip]).unwrap();
        end(&breaker, Outcome::Failure);
        assert_eq!(breaker.state(), CircuitState::Closed, "{trip}");
    }
    in_flight.done(Outcome::Failure);
    assert_eq!(breaker.status().to_string(), "open (2 consecutive failures within 10s)");
    // Without trips, only an operator opens it.
    breaker.set_trips([]).unwrap();
    breaker.reset();
    (0..100).for_each(|_| end(&breaker, Outcome::Failure));
    breaker.set_trips([Trip::overloads().count(1), Trip::failures().ratio(1.0, 2)]).unwrap();
    end(&breaker, Outcome::Failure);
    assert_eq!(breaker.state(), CircuitState::Closed);
    end(&breaker, Outcome::Failure);
    assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::Open);
}

#[test]
fn other_changes_keep_the_counts_and_the_state() {
    let time = ManualTime::new();
    let breaker =
        CircuitBreaker::builder().trips([Trip::failures().count(2)]).clock(time.clock()).build().unwrap();
    end(&breaker, Outcome::Failure);
    breaker.set_open_time(OpenTime::fixed(7 * S)).unwrap();
    breaker.set_config(breaker.config()).unwrap();
    end(&breaker, Outcome::Failure);
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(7 * S));
    breaker.set_open_time(OpenTime::fixed(S)).unwrap();
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(S), "no longer than by the new one");
}

/// A change to [`Ramp::NONE`] admitted all calls of a running ramp.
#[test]
fn running_ramp_keeps_its_numbers() {
    let time = ManualTime::new();
    let ramp = Ramp { duration: Some(60 * S), start: 0.0 };
    let builder = CircuitBreaker::builder().open_time(OpenTime::fixed(S)).ramp(ramp).clock(time.clock());
    let breaker = builder.build().unwrap();
    let recover = || {
        breaker.trip("test");
        time.advance(S);
        end(&breaker, Outcome::Success);
    };
    recover();
    for later in [Ramp::NONE, Ramp { duration: Some(S), start: 1.0 }] {
        breaker.set_ramp(later).unwrap();
        assert_eq!(breaker.state(), CircuitState::Ramp);
        assert!(breaker.try_acquire().is_err(), "no call is admitted at first");
    }
    breaker.set_ramp(Ramp::NONE).unwrap();
    recover();
    assert_eq!(breaker.state(), CircuitState::Closed, "the next ramp has the new numbers");
}

/// The ramp lasted 5 s whatever the open time: a breaker that opens for 300 ms rejected 410 of 600
/// calls although the dependency was sick for 100.
#[test]
fn default_ramp_is_no_longer_than_the_open_time() {
    for (first, ramp) in [(300, 300), (5_000, 5_000), (60_000, 5_000)] {
        let time = ManualTime::new();
        let first = Duration::from_millis(first);
        let builder = CircuitBreaker::builder().open_time(OpenTime::fixed(first)).clock(time.clock());
        let breaker = builder.build().unwrap();
        breaker.trip("test");
        time.advance(first);
        end(&breaker, Outcome::Success);
        let status = breaker.status();
        assert_eq!(status.until.unwrap().since(status.since), Duration::from_millis(ramp));
        assert_eq!(read(&breaker)["ramp.duration"], ramp as f64 / 1e3);
    }
}

/// The call time-out applies to calls in flight if calls were timed when they were admitted.
#[test]
fn changed_call_timeout_applies_to_timed_calls() {
    for (before, opens) in [(Some(10 * S), true), (None, false)] {
        let time = ManualTime::new();
        let breaker =
            CircuitBreaker::builder().trips([Trip::timeouts().count(1)]).clock(time.clock()).build().unwrap();
        breaker.set_call_timeout(before).unwrap();
        let (dropped, late) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
        breaker.set_call_timeout(Some(S)).unwrap();
        time.advance(S);
        drop(dropped);
        assert_eq!(breaker.state() == CircuitState::Open, opens, "{before:?}");
        breaker.reset();
        late.done(Outcome::Success);
        assert_eq!(breaker.state(), CircuitState::Closed, "a call of an earlier life");
    }
}

#[test]
fn lower_max_keys_evicts_and_spares_open_breakers() {
    let time = ManualTime::new();
    let hosts = KeyedCircuitBreaker::<u32>::builder()
        .max_keys(20)
        .trips([Trip::failures().count(1)])
        .clock(time.clock())
        .build()
        .unwrap();
    for host in 0..20 {
        let outcome = if host < 5 { Outcome::Failure } else { Outcome::Success };
        hosts.try_acquire(&host).unwrap().done(outcome);
    }
    hosts.set_max_keys(3).unwrap();
    assert_eq!((hosts.max_keys(), hosts.key_count()), (3, 5));
    assert!((0..5).all(|host| hosts.try_acquire(&host).is_err()), "open breakers are not evicted");
    assert!(hosts.breaker(&100).is_none(), "there is no room for another key");
    (0..5).for_each(|host| hosts.breaker(&host).unwrap().reset());
    assert!(hosts.breaker(&100).is_some());
    assert_eq!(hosts.key_count(), 3);
    hosts.set_max_keys(20).unwrap();
    (0..20).for_each(|host| drop(hosts.breaker(&host).unwrap()));
    assert_eq!(hosts.key_count(), 20);

    let sharded = KeyedCircuitBreaker::<u32>::builder().max_keys(4_096).build().unwrap();
    assert!(sharded.set_max_keys(15).is_err());
    sharded.set_max_keys(16).unwrap();
    (0..1_000).for_each(|host| drop(sharded.breaker(&host).unwrap()));
    assert_eq!(sharded.key_count(), 16);
}

/// An eviction looks at no more than 64 breakers. With 64 blocked ones in front, none was evicted,
/// and the next new key evicted 800.
#[test]
fn lower_max_keys_evicts_behind_blocked_breakers() {
    let hosts = KeyedCircuitBreaker::<u32>::builder().max_keys(1_000).build().unwrap();
    for host in 0..1_000 {
        let breaker = hosts.breaker(&host).unwrap();
        // Blocked ones in front, between the others and behind them.
        if !(64..=900).contains(&host) || host % 100 < 30 {
            breaker.block("test");
        }
    }
    let mut blocked = vec![];
    hosts.for_each(|host, breaker| blocked.extend(breaker.status().blocked.map(|_| *host)));
    hosts.set_max_keys(500).unwrap();
    assert_eq!(hosts.key_count(), 500);
    hosts.set_max_keys(200).unwrap();
    let mut rest = vec![];
    hosts.for_each(|host, _| rest.push(*host));
    assert_eq!((blocked.len() > 200, rest), (true, blocked));
}

/// The evicted keys were dropped while the settings were locked. A key whose `Drop` reads the
/// settings deadlocked.
#[test]
fn evicted_keys_are_dropped_without_the_lock_of_the_settings() {
    use std::sync::{OnceLock, mpsc};
    static HOSTS: OnceLock<KeyedCircuitBreaker<Curious>> = OnceLock::new();
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Curious(u32);
    impl Drop for Curious {
        fn drop(&mut self) {
            let _ = HOSTS.get().map(KeyedCircuitBreaker::config);
        }
    }
    let hosts = HOSTS.get_or_init(|| KeyedCircuitBreaker::builder().max_keys(10).build().unwrap());
    (0..10).for_each(|host| drop(hosts.breaker(&Curious(host)).unwrap()));
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        hosts.set_max_keys(5).unwrap();
        hosts.set_config(KeyedCircuitBreakerConfig { max_keys: 2, ..hosts.config() }).unwrap();
        done.send(hosts.key_count()).unwrap();
    });
    assert_eq!(is_done.recv_timeout(60 * S), Ok(2));
}

/// The bound was read after the other settings, so it could belong to another change.
#[test]
fn keyed_settings_are_read_together() {
    let hosts = KeyedCircuitBreaker::<u32>::new("hosts").unwrap();
    let before = hosts.config();
    let probes = Probes { successes: 7, ..before.probes };
    let after = KeyedCircuitBreakerConfig { max_keys: 7, probes, ..before.clone() };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                hosts.set_config(after.clone()).unwrap();
                hosts.set_config(before.clone()).unwrap();
            }
        });
        let torn = (0..50_000).map(|_| hosts.config()).filter(|config| *config != before && *config != after);
        let torn = torn.count();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(torn, 0);
    });
}

/// An error named the setting that had not been given, or not which of the trips was invalid.
#[test]
fn error_names_the_given_setting() {
    let breaker = CircuitBreaker::new("orders").unwrap();
    let rejected = [
        breaker.set("open_time.first", 120.0),
        breaker.set("open_time.max", 2.0),
        breaker.set_trips([Trip::failures(), Trip::errors().count(0)]),
    ];
    assert_eq!(
        rejected.map(|result| result.unwrap_err().to_string()),
        [
            "open_time.first = 120 is not allowed: it must be at most open_time.max (60s)",
            "open_time.max = 2s is not allowed: it must be at least open_time.first",
            "count = 0 (in trips[1]) is not allowed: it must be 1 to 4294967295",
        ]
    );
}

#[cfg(feature = "serde")]
mod files {
    use super::*;

    #[test]
    fn configs_survive_a_round_trip() {
        let never = CircuitBreakerConfig { call_timeout: None, ..CircuitBreakerConfig::default() };
        for config in [config(), CircuitBreakerConfig::default(), never] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<CircuitBreakerConfig>(&text).unwrap(), config, "{text}");
            let config = KeyedCircuitBreakerConfig::new(config, 77);
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<KeyedCircuitBreakerConfig>(&text).unwrap(), config, "{text}");
        }
        assert_eq!(
            serde_json::from_str::<CircuitBreakerConfig>("{}").unwrap(),
            CircuitBreakerConfig::default()
        );
        assert_eq!(
            serde_json::from_str::<KeyedCircuitBreakerConfig>("{}").unwrap(),
            KeyedCircuitBreakerConfig::default()
        );
    }

    #[test]
    fn a_file_uses_the_words_of_the_builder() {
        let text = r#"{
            "name": "orders",
            "trips": [
                { "on": "failures", "ratio": 0.25, "min_calls": 8, "within": "30s" },
                { "on": "errors", "count": 5 },
                { "on": "timeouts", "consecutive": 3, "within": "1m" },
                { "on": "slow", "longer_than": "250ms", "min_calls": 50 },
                { "on": "overloads", "count": 100 }
            ],
            "open_time": { "first": "1s", "factor": 3.0, "max": "20s", "jitter": 0.25 },
            "probes": { "concurrency": 2, "successes": 4, "failures": 5, "lease": "3s" },
            "ramp": { "duration": "8s", "start": 0.25 },
            "call_timeout": "2s",
            "cancelled": "failure"
        }"#;
        assert_eq!(serde_json::from_str::<CircuitBreakerConfig>(text).unwrap(), config());
    }

    #[test]
    fn unknown_and_contradictory_keys_are_rejected() {
        for (trip, named) in [
            (r#"{ "on": "failures", "count": 0 }"#, "count"),
            (r#"{ "on": "failures", "count": 1, "consecutive": 1 }"#, "more than one condition"),
            (r#"{ "on": "failures", "longer_than": "1s" }"#, "longer_than"),
            (r#"{ "on": "slow" }"#, "longer_than"),
            (r#"{ "on": "sometimes" }"#, "sometimes"),
            (r#"{ "on": "errors", "calls": 1 }"#, "calls"),
            (r#"{ "count": 1 }"#, "on"),
        ] {
            let error = serde_json::from_str::<Trip>(trip).unwrap_err().to_string();
            assert!(error.contains(named), "{trip}: {error}");
        }
        assert!(serde_json::from_str::<CircuitBreakerConfig>(r#"{ "open": {} }"#).is_err());
        assert!(serde_json::from_str::<CircuitBreakerConfig>(r#"{ "max_keys": 1 }"#).is_err());
        // Nothing runs health checks for every key.
        let checked = r#"{ "health_checked": true }"#;
        assert!(serde_json::from_str::<CircuitBreakerConfig>(checked).unwrap().health_checked);
        assert!(serde_json::from_str::<KeyedCircuitBreakerConfig>(checked).is_err());
        assert!(serde_json::from_str::<CircuitBreakerConfig>(r#"{ "probes": { "n": 1 } }"#).is_err());
    }
}
