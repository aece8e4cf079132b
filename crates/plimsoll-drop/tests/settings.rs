//! Settings: in builders, configs and settings files, and changed at run time.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Account, Dice, Event, Inspect, ManualTime, Observe, Outcome, Priority};
use plimsoll_drop::{
    AdaptiveThrottle, AdaptiveThrottleConfig, Control, Curve, LoadShedder, LoadShedderBuilder,
    LoadShedderConfig, RandomDrop, RandomDropConfig, SignalReading,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const N: Priority = Priority::NORMAL;
const SECOND: Duration = Duration::from_secs(1);

fn settings(guard: &dyn Inspect) -> Vec<(&'static str, f64)> {
    let mut all = vec![];
    guard.read(&mut |name, value| all.push((name, value)));
    all
}

/// Sets every number to its own value, under its own name. Setting one of `readings` fails.
fn set_all(guard: &dyn Inspect, readings: &[&str]) {
    for (name, value) in settings(guard) {
        let set = guard.set(name, value);
        assert_eq!(set.is_err(), readings.contains(&name), "{name} = {value}: {set:?}");
    }
    let unknown = guard.set("knob", 1.0).unwrap_err();
    assert_eq!((unknown.field(), unknown.value()), ("setting", "knob"));
}

#[test]
fn every_setting_is_read_and_set_under_one_name() {
    set_all(&RandomDrop::new(0.5).unwrap(), &[]);
    set_all(&LoadShedder::new(3).unwrap(), &["keep_rate", "in_flight", "capacity"]);
    set_all(&AdaptiveThrottle::new().unwrap(), &["rejection_rate", "requests", "accepts"]);
}

#[test]
fn random_drop_rates_by_priority_are_settings() {
    let config = RandomDropConfig {
        keep_rate: 0.5,
        keep_rate_for: vec![(Priority::LOW.0, 0.1), (200, 0.9), (192, 1.0)],
        ..RandomDropConfig::default()
    };
    let of_config = RandomDrop::builder().config(config).build().unwrap();
    let of_builder = RandomDrop::builder()
        .keep_rate(0.5)
        .keep_rate_for(Priority::LOW, 0.1)
        .keep_rate_for(Priority::HIGH, 1.0)
        .build()
        .unwrap();
    for drop in [&of_config, &of_builder] {
        let rates: Vec<f64> = (0..8).map(|level| drop.keep_rate_for(Priority(level * 32 + 31))).collect();
        assert_eq!(rates, [0.5, 0.5, 0.1, 0.5, 0.5, 0.5, 1.0, 0.5]);
        assert!((0..1_000).all(|_| drop.keep_for_priority(Priority::HIGH)));
    }
    of_config.set("keep_rate_for_64", 0.75).unwrap();
    assert_eq!((of_config.keep_rate_for(Priority(70)), of_config.keep_rate()), (0.75, 0.5));
    assert_eq!(settings(&of_config)[3], ("keep_rate_for_64", 0.75));
    of_config.set("keep_rate", 0.25).unwrap();
    let rates: Vec<f64> = settings(&of_config).into_iter().map(|(_, rate)| rate).collect();
    assert_eq!(rates, [0.25, 0.25, 0.25, 0.75, 0.25, 0.25, 0.25, 1.0, 0.25]);
    of_config.clear_keep_rate_for(Priority(95));
    of_config.clear_keep_rate_for(Priority::HIGH);
    assert!(settings(&of_config).iter().all(|(_, rate)| *rate == 0.25));
    assert_eq!(of_config.set("keep_rate_for_64", 2.0).unwrap_err().field(), "keep_rate_for_64");
    let error = RandomDrop::builder().keep_rate_for(Priority::LOW, -1.0).build().unwrap_err();
    assert_eq!(error.to_string(), "keep_rate_for = -1.0 is not allowed: it must be 0.0 to 1.0");
    of_config.set_keep_rate(1.0).unwrap();
    let permit = of_config.try_acquire_owned().unwrap();
    drop(of_config);
    permit.done(Outcome::Success);
}

#[test]
fn set_keep_rate_leaves_the_rates_of_priorities() {
    let drop = RandomDrop::builder().keep_rate(0.9).keep_rate_for(Priority::CRITICAL, 1.0).build().unwrap();
    let rates = || (drop.keep_rate(), drop.keep_rate_for(N), drop.keep_rate_for(Priority::CRITICAL));
    drop.set_keep_rate(0.1).unwrap();
    assert_eq!(rates(), (0.1, 0.1, 1.0));
    assert!((0..1_000).all(|_| drop.keep_for_priority(Priority::CRITICAL)));
    drop.set("keep_rate", 0.2).unwrap();
    assert_eq!(rates(), (0.2, 0.2, 1.0));
    // Normal priority is one of the levels: its own rate is not the base.
    drop.set_keep_rate_for(N, 0.5).unwrap();
    assert_eq!((rates(), settings(&drop)[0]), ((0.2, 0.5, 1.0), ("keep_rate", 0.2)));
    // A level without a rate of its own follows the base again, and so do its draws.
    drop.set_keep_rate(0.0).unwrap();
    for priority in [N, N, Priority::CRITICAL] {
        drop.clear_keep_rate_for(priority);
        assert!(!drop.keep_for_priority(priority));
    }
    assert_eq!(rates(), (0.0, 0.0, 0.0));
}

#[test]
fn set_control_applies_from_the_next_tick() {
    let time = ManualTime::new();
    let shedder = LoadShedder::builder()
        .signal(|| SignalReading::new().depth(5))
        .clock(time.clock())
        .dice(Dice::seeded(1))
        .build()
        .unwrap();
    let rate = || {
        shedder.keep(N);
        time.advance(Duration::from_millis(10));
        shedder.tick();
        shedder.keep_rate()
    };
    assert_eq!((shedder.control(), rate()), (Some(Control::Rate), 1.0));
    for (control, keep_rate) in [
        (Control::Curve(Curve::step(5.0, 0.25)), 0.25),
        (Control::Curve(Curve::linear(0.0, 10.0)), 0.5),
        (Control::Pie, 1.0),
    ] {
        shedder.set_control(control).unwrap();
        assert_eq!((shedder.control(), rate()), (Some(control), keep_rate));
    }
    shedder.set_control(Control::Rate).unwrap();
    // Five requests of 100 a second are more than four targets.
    assert_eq!(rate(), 0.0, "the queue is above its ceiling");
    let error = shedder.set_control(Control::Red(Curve::linear(2.0, 1.0))).unwrap_err();
    assert_eq!(
        (error.field(), shedder.control()),
        ("curve", Some(Control::Rate)),
        "the control is unchanged"
    );
    let function = LoadShedder::builder().workers(1).red_fn(|load| 1.0 / (1.0 + load)).build().unwrap();
    assert_eq!(function.control(), None);
}

#[test]
fn set_capacity_hint_applies_at_once() {
    let time = ManualTime::new();
    let shedder =
        LoadShedder::builder().workers(1).clock(time.clock()).dice(Dice::seeded(1)).build().unwrap();
    assert_eq!((shedder.capacity(), shedder.capacity_hint()), (None, None));
    shedder.set_capacity_hint(Some(400.0)).unwrap();
    assert_eq!((shedder.capacity(), shedder.capacity_hint()), (Some(400.0), Some(400.0)));
    let tick = || {
        drop(shedder.try_acquire(N));
        time.advance(Duration::from_millis(10));
        shedder.tick();
        shedder.capacity()
    };
    assert_eq!(tick(), Some(400.0));
    shedder.set("capacity_hint", 0.0).unwrap();
    assert_eq!((shedder.capacity_hint(), tick()), (None, Some(400.0)), "the known capacity stays");
    // Another controller starts with the capacity that is known.
    shedder.set_control(Control::Rate).unwrap();
    assert_eq!(tick(), Some(400.0));
    assert_eq!(shedder.set_capacity_hint(Some(-1.0)).unwrap_err().field(), "capacity_hint");
}

/// A hint steers [`Control::Rate`] by a depth, and nothing else.
#[test]
fn capacity_is_no_hint_that_steers_nothing() {
    let hinted = || LoadShedder::builder().capacity_hint(400.0);
    let line = Curve::linear(5.0, 10.0);
    let (first, second) = (Some(400.0), Some(500.0));
    // The capacity before the first tick, after it, and after the hint has changed.
    check_hint("a depth", hinted().signal(|| SignalReading::new().depth(0)), [None, first, second]);
    let delay = || SignalReading::new().delay(Duration::from_millis(1));
    check_hint("a delay alone", hinted().signal(delay), [None; 3]);
    for (name, builder, expected) in [
        ("in flight", hinted(), [first, first, second]),
        ("PIE", hinted().control(Control::Pie), [None; 3]),
        ("a curve", hinted().control(Control::Curve(line)), [None; 3]),
        ("RED", hinted().control(Control::Red(line)), [None; 3]),
        ("a function", hinted().curve_fn(|_| 1.0), [None; 3]),
    ] {
        check_hint(name, builder.workers(1), expected);
    }
}

fn check_hint<S>(name: &str, builder: LoadShedderBuilder<S>, expected: [Option<f64>; 3]) {
    let time = ManualTime::new();
    let shedder = builder.clock(time.clock()).dice(Dice::seeded(1)).build().unwrap();
    let before = shedder.capacity();
    time.advance(Duration::from_millis(10));
    shedder.tick();
    let after = shedder.capacity();
    shedder.set_capacity_hint(Some(500.0)).unwrap();
    assert_eq!([before, after, shedder.capacity()], expected, "{name}");
    assert_eq!(shedder.capacity_hint(), Some(500.0), "{name}");
    // A controller that uses the hint starts with it.
    shedder.set_control(Control::Rate).unwrap();
    time.advance(Duration::from_millis(10));
    shedder.tick();
    let known = if name == "a delay alone" { None } else { Some(500.0) };
    assert_eq!(shedder.capacity(), known, "{name}");
}

#[test]
fn more_workers_admit_more_before_requests_wait() {
    let time = ManualTime::new();
    let shedder = LoadShedder::builder()
        .workers(1)
        .control(Control::Curve(Curve::step(1.0, 0.0)))
        .clock(time.clock())
        .dice(Dice::seeded(1))
        .build()
        .unwrap();
    let _held: Vec<_> = (0..3).map(|_| shedder.try_acquire_owned(N).unwrap()).collect();
    let tick = || {
        time.advance(Duration::from_millis(10));
        shedder.tick();
        shedder.keep_rate()
    };
    assert_eq!(tick(), 0.0, "two requests wait");
    shedder.set_workers(3).unwrap();
    assert_eq!((shedder.workers(), tick()), (Some(3), 1.0));
    assert_eq!(shedder.set_workers(0).unwrap_err().field(), "workers");
    let reads = LoadShedder::builder().signal(SignalReading::new).build().unwrap();
    assert_eq!(reads.workers(), None);
    assert!(reads.set_workers(2).is_err() && !settings(&reads).iter().any(|(name, _)| *name == "workers"));
}

#[test]
fn set_reshuffle_every_reshuffles_accounts() {
    let time = ManualTime::new();
    // A signal that never moves would not be trusted.
    let reads = AtomicU64::new(0);
    let shedder = LoadShedder::builder()
        .control(Control::Curve(Curve::step(0.0, 0.5)))
        .signal(move || SignalReading::new().depth(1 + reads.fetch_add(1, Ordering::Relaxed) % 2))
        .clock(time.clock())
        .dice(Dice::seeded(1))
        .build()
        .unwrap();
    time.advance(10 * SECOND);
    let kept = || (0..1_000).map(|account| shedder.keep_for(N, &account)).collect::<Vec<_>>();
    for _ in 0..200 {
        kept();
        time.advance(Duration::from_millis(10));
    }
    let before = kept();
    let alike = |now: &[bool]| before.iter().zip(now).filter(|(a, b)| a == b).count();
    assert!(alike(&kept()) > 950, "the same accounts are kept");
    shedder.set_reshuffle_every(2 * SECOND).unwrap();
    assert_eq!(shedder.reshuffle_every(), 2 * SECOND);
    assert!((400..600).contains(&alike(&kept())), "other accounts are kept, independently");
    assert!(shedder.set_reshuffle_every(Duration::ZERO).is_err());
}

#[test]
fn throttle_settings_apply_from_the_next_request() {
    let time = ManualTime::new();
    let throttle = AdaptiveThrottle::builder()
        .clock(time.clock())
        .dice(Dice::seeded(2))
        .window(10 * SECOND)
        .min_rate(0.0)
        .build()
        .unwrap();
    let send = |outcome: Outcome, times: u32| {
        (0..times)
            .filter(|_| {
                time.advance(Duration::from_millis(1));
                throttle.try_acquire().map(|permit| permit.done(outcome)).is_ok()
            })
            .count()
    };
    send(Outcome::Success, 1_000);
    throttle.set_count_timeouts(true);
    assert!(throttle.count_timeouts());
    assert_eq!(send(Outcome::TimedOut, 1_000), 1_000, "half of all requests are accepted");
    assert_eq!(throttle.counts(), (2_000, 1_000));
    throttle.set_multiplier(1.0).unwrap();
    assert!((0.49..0.51).contains(&throttle.rejection_rate()) && throttle.multiplier() == 1.0);
    assert!((350..650).contains(&send(Outcome::Ignored, 1_000)));

    // In a lasting overload, only the minimum rate is sent.
    send(Outcome::Overloaded, 30_000);
    assert!(send(Outcome::Overloaded, 10_000) < 20);
    throttle.set_min_rate(10.0).unwrap();
    assert!((95..125).contains(&send(Outcome::Overloaded, 10_000)) && throttle.min_rate() == 10.0);

    throttle.set_window(2 * SECOND).unwrap();
    // The counts restart, but the outage is not forgotten before the server answers.
    assert_eq!((throttle.window(), throttle.counts()), (2 * SECOND, (0, 0)));
    assert!(throttle.rejection_rate() > 0.99, "{throttle:?}");
    send(Outcome::Overloaded, 3_000);
    let (requests, accepts) = throttle.counts();
    assert!((2_000..=2_200).contains(&requests) && accepts == 0, "{requests} requests in two seconds");
    time.advance(3 * SECOND);
    assert_eq!(throttle.counts(), (0, 0));

    assert_eq!(throttle.set_multiplier(0.5).unwrap_err().field(), "multiplier");
    assert_eq!(throttle.set_window(Duration::ZERO).unwrap_err().field(), "window");
    assert_eq!(throttle.set_min_rate(f64::NAN).unwrap_err().field(), "min_rate");
}

#[derive(Default)]
struct Accounts(Mutex<Vec<Option<Account>>>);

impl Observe for Accounts {
    fn event(&self, event: Event) {
        if let Event::Admitted { account, .. } | Event::Rejected { account, .. } = event {
            self.0.lock().unwrap().push(account);
        }
    }
}

#[test]
fn events_carry_one_account_across_reshuffles() {
    let (time, seen) = (ManualTime::new(), Arc::new(Accounts::default()));
    let shedder = LoadShedder::builder()
        .control(Control::Curve(Curve::step(0.0, 0.0)))
        .signal(|| SignalReading::new().depth(1))
        .reshuffle_every(SECOND)
        .clock(time.clock())
        .observe(seen.clone())
        .build()
        .unwrap();
    for _ in 0..10 {
        let _ = (shedder.keep_for(N, "ann"), shedder.try_acquire_for(N, "ann"));
        time.advance(SECOND);
    }
    let accounts = std::mem::take(&mut *seen.0.lock().unwrap());
    assert!(accounts.len() == 20 && accounts[0].is_some() && accounts.iter().all(|a| *a == accounts[0]));
    let _ = (shedder.keep_for(N, "eve"), shedder.keep(N));
    let accounts = seen.0.lock().unwrap();
    assert!(accounts[0].is_some() && accounts[0] != accounts[1] && accounts[1].is_none(), "{accounts:?}");
}

#[cfg(feature = "serde")]
mod files {
    use super::*;
    use serde::de::DeserializeOwned;
    use std::fmt::Debug;

    fn round_trip<C: serde::Serialize + DeserializeOwned + Default + PartialEq + Debug>(
        config: C,
        json: &str,
    ) {
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<C>(&written).unwrap(), config, "{written}");
        assert_eq!(serde_json::from_str::<C>(json).unwrap(), config);
        assert_eq!(serde_json::from_str::<C>("{}").unwrap(), C::default());
        let unknown = serde_json::from_str::<C>(r#"{"kept": 1}"#).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `kept`"), "{unknown}");
    }

    #[test]
    fn random_drop_config_survives_a_round_trip() {
        let config = RandomDropConfig {
            name: "telemetry".into(),
            keep_rate: 0.5,
            keep_rate_for: vec![(64, 0.1), (192, 1.0)],
        };
        let json = r#"{"name": "telemetry", "keep_rate": 0.5, "keep_rate_for": [[64, 0.1], [192, 1.0]]}"#;
        round_trip(config, json);
    }

    #[test]
    fn load_shedder_config_survives_a_round_trip() {
        let red = Control::Red(Curve::linear(50.0, 150.0));
        let config = LoadShedderConfig {
            name: "orders".into(),
            target: Duration::from_millis(20),
            control: red,
            capacity_hint: Some(800.0),
            reshuffle_every: Duration::from_secs(90),
            cohort_seed: Some(7),
            workers: Some(16),
        };
        let json = r#"{"name": "orders", "target": "20ms", "control": {"red": {"linear": {"from": 50, "to": 150}}},
            "capacity_hint": 800, "reshuffle_every": "1m 30s", "cohort_seed": 7, "workers": 16}"#;
        round_trip(config, json);
        let control = Control::Curve(Curve::step(10.0, 0.25));
        let json = r#"{"control": {"curve": {"step": {"at": 10, "keep_rate": 0.25}}}}"#;
        round_trip(LoadShedderConfig { control, ..LoadShedderConfig::default() }, json);
        let control = Control::Pie;
        round_trip(LoadShedderConfig { control, ..LoadShedderConfig::default() }, r#"{"control": "pie"}"#);
    }

    #[test]
    fn throttle_config_survives_a_round_trip() {
        let config = AdaptiveThrottleConfig {
            name: "client".into(),
            multiplier: 1.5,
            window: Duration::from_secs(30),
            min_rate: 0.0,
            count_timeouts: true,
        };
        let json = r#"{"name": "client", "multiplier": 1.5, "window": "30s", "min_rate": 0, "count_timeouts": true}"#;
        round_trip(config, json);
    }
}

#[test]
fn default_config_builds_what_new_builds() {
    assert!(RandomDropConfig::default().validate().is_ok());
    assert!(LoadShedderConfig::default().validate().is_ok());
    assert!(AdaptiveThrottleConfig::default().validate().is_ok());
    let shedder = LoadShedder::builder().config(LoadShedderConfig::default()).workers(1).build().unwrap();
    assert_eq!(settings(&shedder), settings(&LoadShedder::new(1).unwrap()));
}
