//! The table of guard × setting: one word in the configuration, the builder, the setter, the getter
//! and `Inspect`.

use plimsoll::breaker::{CircuitBreakerConfig, KeyedCircuitBreakerConfig, OpenTime, Probes, Ramp};
use plimsoll::buffer::{BufferConfig, MailboxConfig, ShardPick};
use plimsoll::dispatch::{DispatchConfig, SlotPick, WorkersConfig};
use plimsoll::drop::{AdaptiveThrottleConfig, Control, LoadShedderConfig, RandomDropConfig};
use plimsoll::limit::{
    Class, FairRateLimiterConfig, KeyedRateLimiterConfig, RateLimiterConfig, TieredRateLimiterConfig,
    WhenFull,
};
use plimsoll::prelude::*;
use plimsoll::valve::ValveConfig;
use plimsoll::{Buffer, ControlError, Inspect, KeyedCircuitBreaker, Priority, Workers};
use std::fmt::Debug;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const QUOTA: Quota = Quota::per_second(50).burst(7);

/// What a setter returns.
trait Changed {
    fn ok(self);
}

impl Changed for () {
    fn ok(self) {}
}

impl Changed for Result<(), ControlError> {
    fn ok(self) {
        self.unwrap();
    }
}

/// How `Inspect` shows a setting.
trait Shown: Copy {
    /// Whether the number is the whole value.
    const WHOLE: bool = false;
    /// Returns its name and the number that stands for the value; `None` if it is not a number.
    fn number(self, field: &'static str) -> Option<(&'static str, f64)>;
}

/// By the setting's own name.
impl Shown for f64 {
    const WHOLE: bool = true;
    fn number(self, field: &'static str) -> Option<(&'static str, f64)> {
        Some((field, self))
    }
}

/// By the name of a part of it.
impl Shown for (&'static str, f64) {
    fn number(self, _: &'static str) -> Option<(&'static str, f64)> {
        Some(self)
    }
}

/// Not at all, for this reason.
impl Shown for &'static str {
    fn number(self, _: &'static str) -> Option<(&'static str, f64)> {
        assert!(self.len() > 10, "a reason is a sentence");
        None
    }
}

fn read(guard: &impl Inspect, name: &str) -> Option<f64> {
    let mut found = None;
    guard.read(&mut |reading, value| {
        if reading == name {
            found = Some(value);
        }
    });
    found
}

/// Checks how `Inspect` shows a setting of a guard that has the value, and changes it in one that
/// has not.
///
/// Returns whether the second guard has the same value now.
fn check_inspect<S: Shown>(
    changed: &impl Inspect,
    fresh: &impl Inspect,
    field: &'static str,
    shown: S,
) -> bool {
    let Some((name, number)) = shown.number(field) else {
        assert_eq!(read(changed, field), None, "{field} is not a number");
        assert!(fresh.set(field, 1.0).is_err(), "{field} cannot be set by a number");
        return false;
    };
    let close = |value: Option<f64>| value.is_some_and(|value| (value - number).abs() < 1e-9);
    assert!(close(read(changed, name)), "{name} reads {:?} instead of {number}", read(changed, name));
    assert!(!close(read(fresh, name)), "{name} is {number} by default: the table needs another value");
    let before = read(fresh, name);
    assert!(fresh.set(name, f64::NAN).is_err(), "{name} is not a number");
    assert_eq!(read(fresh, name), before, "an error changes nothing");
    fresh.set(name, number).unwrap();
    assert!(close(read(fresh, name)), "{name} reads {:?} after set({number})", read(fresh, name));
    S::WHOLE
}

/// Checks that a setting has one word. The length of a queue is the exception: `queued` counts its
/// requests.
fn check_words(field: &str, built: &str, set: &str, get: &str) {
    assert_eq!((built, set), (field, format!("set_{field}").as_str()));
    assert!(get == field || (field, get) == ("queue", "queue_limit"), "{get} returns {field}");
}

fn check_round_trip<C: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(config: &C) {
    let json = serde_json::to_value(config).unwrap();
    assert_eq!(&serde_json::from_value::<C>(json.clone()).unwrap(), config);
    let mut unknown = json;
    unknown["surprise"] = 1.into();
    assert!(serde_json::from_value::<C>(unknown).is_err(), "an unknown setting is an error");
}

/// Checks each setting of a guard. A field of the configuration that is missing here does not
/// compile.
macro_rules! settings {
    (
        $test:ident: $Config:ident = $base:expr, $builder:expr, $build:expr;
        $($field:ident = $value:expr => $built:ident($($arg:expr),*), $set:ident($($new:expr),*),
            $get:ident($($of:expr),*) == $expected:expr, $shown:expr;)*
        @fixed { $($reason:literal: $($fixed:ident)*,)* }
    ) => {
        #[test]
        fn $test() {
            let base: $Config = $base;
            let $Config { name: _, $($field: _,)* $($($fixed: _,)*)* } = &base;
            $(assert!($reason.len() > 10, "a reason is a sentence");)*
            let build = $build;
            let mut all = base.clone();
            $({
                check_words(stringify!($field), stringify!($built), stringify!($set), stringify!($get));
                let fresh = build($builder.config(base.clone()));
                let built = build($builder.config(base.clone()).$built($($arg),*));
                let mut config = base.clone();
                config.$field = $value;
                all.$field = $value;
                assert_ne!(config, base, "{}: the table needs another value", stringify!($field));
                let configured = build($builder.config(config));
                let changed = build($builder.config(base.clone()));
                changed.$set($($new),*).ok();
                for guard in [built, configured, changed] {
                    assert_eq!(guard.$get($($of),*), $expected, stringify!($field));
                    let fresh = build($builder.config(base.clone()));
                    if check_inspect(&guard, &fresh, stringify!($field), $shown) {
                        assert_eq!(fresh.$get($($of),*), $expected, "{} by name", stringify!($field));
                    }
                }
                assert_ne!(fresh.$get($($of),*), $expected, "{}", stringify!($field));
            })*
            check_round_trip(&all);
        }
    };
}

settings! {
    valve: ValveConfig = ValveConfig::default(), Valve::builder(), |b: plimsoll::valve::ValveBuilder| b.build().unwrap();
    concurrency = 4 => concurrency(4), set_concurrency(4), concurrency() == 4, 4.0;
    queue = 8 => queue(8), set_queue(8), queue_limit() == 8, 8.0;
    max_wait = S => max_wait(S), set_max_wait(S), max_wait() == S, 1.0;
    discipline = Discipline::Lifo => discipline(Discipline::Lifo), set_discipline(Discipline::Lifo),
        discipline() == Discipline::Lifo, "an order is not a number";
    @fixed {}
}

settings! {
    buffer: BufferConfig = BufferConfig::default(), Buffer::builder(), |b: plimsoll::buffer::BufferBuilder| b.build().unwrap();
    concurrency = 4 => concurrency(4), set_concurrency(4), concurrency() == 4, 4.0;
    queue = 8 => queue(8), set_queue(8), queue_limit() == 8, 8.0;
    max_wait = 9 * S => max_wait(9 * S), set_max_wait(9 * S), max_wait() == 9 * S, 9.0;
    discipline = Discipline::Lifo => discipline(Discipline::Lifo), set_discipline(Discipline::Lifo),
        discipline() == Discipline::Lifo, "an order is not a number";
    @fixed {}
}

settings! {
    mailbox: MailboxConfig = MailboxConfig::default(), Mailbox::<u64>::builder().max_weight(u64::MAX, |_| 1),
        |b: plimsoll::buffer::MailboxBuilder<u64>| b.build().unwrap();
    discipline = Discipline::Lifo => discipline(Discipline::Lifo), set_discipline(Discipline::Lifo),
        discipline() == Discipline::Lifo, "an order is not a number";
    capacity = 7 => capacity(7), set_capacity(7), capacity() == 7, 7.0;
    max_weight = 9 => max_weight(9, |_| 1), set_max_weight(9), max_weight() == 9, 9.0;
    max_age = Some(S) => max_age(S), set_max_age(Some(S)), max_age() == Some(S), 1.0;
    shards = 4 => shards(4), set_shards(4), shards() == 4, 4.0;
    pick = ShardPick::Random => pick(ShardPick::Random), set_pick(ShardPick::Random),
        pick() == ShardPick::Random, "a way to choose is not a number";
    @fixed {}
}

settings! {
    rate_limiter: RateLimiterConfig = RateLimiterConfig::default(), RateLimiter::builder(),
        |b: plimsoll::limit::RateLimiterBuilder| b.build().unwrap();
    quota = QUOTA => quota(QUOTA), set_quota(QUOTA), quota() == QUOTA, ("burst", 7.0);
    queue = 8 => queue(8), set_queue(8), queue_limit() == 8, 8.0;
    max_wait = S => max_wait(S), set_max_wait(S), max_wait() == S, 1.0;
    @fixed {}
}

settings! {
    keyed_rate_limiter: KeyedRateLimiterConfig = KeyedRateLimiterConfig::default(), KeyedRateLimiter::<u64>::builder(),
        |b: plimsoll::limit::KeyedRateLimiterBuilder<u64>| b.build().unwrap();
    quota = QUOTA => quota(QUOTA), set_quota(QUOTA), quota() == QUOTA, ("rate", 50.0);
    when_full = WhenFull::Reject => when_full(WhenFull::Reject), set_when_full(WhenFull::Reject),
        when_full() == WhenFull::Reject, "a way to choose is not a number";
    queue = 8 => queue(8), set_queue(8), queue_limit() == 8, 8.0;
    max_wait = S => max_wait(S), set_max_wait(S), max_wait() == S, 1.0;
    @fixed { "the table of accounts is allocated when the limiter is built": max_keys, }
}

settings! {
    tiered_rate_limiter: TieredRateLimiterConfig =
        TieredRateLimiterConfig {
            global: Some(Quota::per_second(1_000)),
            classes: vec![Class::new("free").each(Quota::per_second(10))],
            ..TieredRateLimiterConfig::default()
        },
        TieredRateLimiter::<u64>::builder(), |b: plimsoll::limit::TieredRateLimiterBuilder<u64>| b.build().unwrap();
    global = Some(QUOTA) => global(QUOTA), set_global(QUOTA), global() == Some(QUOTA), ("burst", 7.0);
    when_full = WhenFull::Reject => when_full(WhenFull::Reject), set_when_full(WhenFull::Reject),
        when_full() == WhenFull::Reject, "a way to choose is not a number";
    queue = 8 => queue(8), set_queue(8), queue_limit() == 8, 8.0;
    max_wait = S => max_wait(S), set_max_wait(S), max_wait() == S, 1.0;
    @fixed {
        "the table of accounts is allocated when the limiter is built": max_keys,
        "classes are set when it is built; set_each and set_all change their quotas": classes,
    }
}

settings! {
    fair_rate_limiter: FairRateLimiterConfig = FairRateLimiterConfig::default(), FairRateLimiter::<u64>::builder(),
        |b: plimsoll::limit::FairRateLimiterBuilder<u64>| b.build().unwrap();
    quota = QUOTA.burst(99) => quota(QUOTA.burst(99)), set_quota(QUOTA.burst(99)), quota() == QUOTA.burst(99),
        ("rate", 50.0);
    tail = 0.25 => tail(0.25), set_tail(0.25), tail() == 0.25, 0.25;
    queue = 8 => queue(8), set_queue(8), queue_limit() == 8, 8.0;
    max_wait = S => max_wait(S), set_max_wait(S), max_wait() == S, 1.0;
    @fixed { "the table of accounts is allocated when the limiter is built": max_keys, }
}

fn open_time() -> OpenTime {
    OpenTime { first: 2 * S, ..OpenTime::default() }
}

fn probes() -> Probes {
    Probes { successes: 7, ..Probes::default() }
}

fn ramp() -> Ramp {
    Ramp { start: 0.125, ..Ramp::default() }
}

/// One breaker and many have the same settings.
macro_rules! breaker_settings {
    ($test:ident: $Config:ident = $base:expr, $builder:expr, $build:expr; $($more:tt)*) => {
        settings! {
            $test: $Config = $base, $builder, $build;
            trips = vec![Trip::timeouts()] => trips([Trip::timeouts()]), set_trips([Trip::timeouts()]),
                trips() == vec![Trip::timeouts()], "a list is not a number";
            open_time = open_time() => open_time(open_time()), set_open_time(open_time()),
                open_time() == open_time(), ("open_time.first", 2.0);
            probes = probes() => probes(probes()), set_probes(probes()), probes() == probes(),
                ("probes.successes", 7.0);
            ramp = ramp() => ramp(ramp()), set_ramp(ramp()), ramp() == ramp(), ("ramp.start", 0.125);
            call_timeout = Some(S) => call_timeout(S), set_call_timeout(Some(S)), call_timeout() == Some(S), 1.0;
            cancelled = Outcome::Failure => cancelled(Outcome::Failure), set_cancelled(Outcome::Failure),
                cancelled() == Outcome::Failure, "an outcome is not a number";
            $($more)*
            @fixed {}
        }
    };
}

breaker_settings! {
    circuit_breaker: CircuitBreakerConfig = CircuitBreakerConfig::default(), CircuitBreaker::builder(),
        |b: plimsoll::breaker::CircuitBreakerBuilder| b.build().unwrap();
    health_checked = true => health_checked(), set_health_checked(true), health_checked() == true, 1.0;
}

breaker_settings! {
    keyed_circuit_breaker: KeyedCircuitBreakerConfig = KeyedCircuitBreakerConfig::default(),
        KeyedCircuitBreaker::<u64>::builder(),
        |b: plimsoll::breaker::KeyedCircuitBreakerBuilder<u64>| b.build().unwrap();
    max_keys = 9 => max_keys(9), set_max_keys(9), max_keys() == 9, 9.0;
}

settings! {
    random_drop: RandomDropConfig = RandomDropConfig::default(), RandomDrop::builder(),
        |b: plimsoll::drop::RandomDropBuilder| b.build().unwrap();
    keep_rate = 0.5 => keep_rate(0.5), set_keep_rate(0.5), keep_rate() == 0.5, 0.5;
    keep_rate_for = vec![(64, 0.25)] => keep_rate_for(Priority(64), 0.25), set_keep_rate_for(Priority(64), 0.25),
        keep_rate_for(Priority(64)) == 0.25, ("keep_rate_for_64", 0.25);
    @fixed {}
}

settings! {
    load_shedder: LoadShedderConfig =
        LoadShedderConfig { workers: Some(1), ..LoadShedderConfig::default() }, LoadShedder::builder().workers(1),
        |b: plimsoll::drop::LoadShedderBuilder| b.build().unwrap();
    target = S => target(S), set_target(S), target() == S, 1.0;
    control = Control::Pie => control(Control::Pie), set_control(Control::Pie), control() == Some(Control::Pie),
        "a way to steer is not a number";
    capacity_hint = Some(90.0) => capacity_hint(90.0), set_capacity_hint(Some(90.0)),
        capacity_hint() == Some(90.0), 90.0;
    reshuffle_every = 9 * S => reshuffle_every(9 * S), set_reshuffle_every(9 * S), reshuffle_every() == 9 * S, 9.0;
    workers = Some(4) => workers(4), set_workers(4), workers() == Some(4), 4.0;
    @fixed { "another seed spreads all accounts anew, as in another shedder": cohort_seed, }
}

settings! {
    adaptive_throttle: AdaptiveThrottleConfig = AdaptiveThrottleConfig::default(), AdaptiveThrottle::builder(),
        |b: plimsoll::drop::AdaptiveThrottleBuilder| b.build().unwrap();
    multiplier = 1.5 => multiplier(1.5), set_multiplier(1.5), multiplier() == 1.5, 1.5;
    window = 9 * S => window(9 * S), set_window(9 * S), window() == 9 * S, 9.0;
    min_rate = 3.0 => min_rate(3.0), set_min_rate(3.0), min_rate() == 3.0, 3.0;
    count_timeouts = true => count_timeouts(true), set_count_timeouts(true), count_timeouts() == true, 1.0;
    @fixed {}
}

settings! {
    dispatch: DispatchConfig = DispatchConfig::default(), Dispatch::<u64>::builder(),
        |b: plimsoll::dispatch::DispatchBuilder<u64>| b.build().unwrap();
    slots = 4 => slots(4), set_slots(4), slots() == 4, 4.0;
    queue = 8 => queue(8), set_queue(8), queue_limit() == 8, 8.0;
    pick = SlotPick::RoundRobin => pick(SlotPick::RoundRobin), set_pick(SlotPick::RoundRobin),
        pick() == SlotPick::RoundRobin, "a way to choose is not a number";
    max_idle = Some(S) => max_idle(S), set_max_idle(S), max_idle() == Some(S), 1.0;
    reuse_dropped = true => reuse_dropped(true), set_reuse_dropped(true), reuse_dropped() == true, 1.0;
    @fixed {}
}

/// The number of workers is that of the handles that `build` returns.
#[test]
fn workers() {
    let config = WorkersConfig { workers: 3, ..WorkersConfig::default() };
    let WorkersConfig { name: _, workers: _ } = &config;
    let (workers, handles) = Workers::<u64>::builder().config(config.clone()).build().unwrap();
    assert_eq!((workers.workers(), handles.len(), read(&workers, "workers")), (3, 3, Some(3.0)));
    assert!(workers.set("workers", 4.0).is_err());
    check_round_trip(&config);
}
