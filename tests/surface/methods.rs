//! The table of guard × method.

use crate::api;
use plimsoll::breaker::{
    CircuitBreakerBuilder, CircuitBreakerConfig, CircuitBreakerLayer, KeyedCircuitBreakerBuilder,
    KeyedCircuitBreakerConfig, KeyedCircuitBreakerLayer,
};
use plimsoll::buffer::{BufferBuilder, BufferConfig, BufferLayer, MailboxBuilder, MailboxConfig};
use plimsoll::dispatch::{DispatchBuilder, DispatchConfig, DispatchLayer, WorkersBuilder, WorkersConfig};
use plimsoll::drop::{
    AdaptiveThrottleBuilder, AdaptiveThrottleConfig, AdaptiveThrottleLayer, LoadShedderBuilder,
    LoadShedderConfig, LoadShedderLayer, RandomDropBuilder, RandomDropConfig, RandomDropLayer,
};
use plimsoll::limit::{
    FairRateLimiterBuilder, FairRateLimiterConfig, FairRateLimiterLayer, KeyedRateLimiterBuilder,
    KeyedRateLimiterConfig, KeyedRateLimiterLayer, RateLimiterBuilder, RateLimiterConfig, RateLimiterLayer,
    RateLimiterWaitLayer, TieredRateLimiterBuilder, TieredRateLimiterConfig, TieredRateLimiterLayer,
};
use plimsoll::prelude::*;
use plimsoll::valve::{ValveBuilder, ValveConfig, ValveLayer, ValveWaitLayer};
use plimsoll::{Buffer, Gate, Inspect, KeyedCircuitBreaker, Priority, Workers, layer};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The methods that a user of one guard expects of the next.
const METHODS: [&str; 26] = [
    "try_acquire",
    "try_acquire_owned",
    "try_acquire_n",
    "try_acquire_for",
    "check",
    "check_n",
    "acquire",
    "acquire_owned",
    "acquire_n",
    "blocking_acquire",
    "blocking_acquire_timeout",
    "run",
    "config",
    "set_config",
    "remaining",
    "layer",
    "wait_layer",
    "new",
    "builder",
    "name",
    "close",
    "is_closed",
    "in_flight",
    "queued",
    "key_count",
    "max_keys",
];

/// Methods that share a name with a column and do something else: this one runs the ticks.
const OTHERS: [(&str, &str); 1] = [("LoadShedder", "run")];

/// What else a guard has: adapters, types, traits.
const PARTS: [&str; 8] = ["by", "info", "Config", "Builder", "Layer", "WaitLayer", "serde", "Inspect"];

/// A guard with its cells.
struct Row {
    guard: &'static str,
    krate: &'static str,
    /// The types of `api.txt` that hold its methods.
    owners: &'static [&'static str],
    present: Vec<&'static str>,
    absent: Vec<(&'static str, &'static str)>,
}

/// Writes a row. Methods and parts that are present are compiled, and never called.
macro_rules! row {
    (
        $guard:ty as $name:literal in $krate:literal, $owners:expr;
        $($method:ident($($arg:expr),*))*;
        $($part:ident: $proof:expr,)*;
        $($reason:literal: $($missing:ident)*,)*
    ) => {{
        $(let _ = |guard: &$guard| exists(guard.$method($($arg),*));)*
        $(proof::<$guard>($proof);)*
        Row {
            guard: $name,
            krate: $krate,
            owners: &$owners,
            present: vec![$(stringify!($method),)* $(stringify!($part),)*],
            absent: vec![$($((stringify!($missing), $reason),)*)*],
        }
    }};
}

fn exists<T>(_: T) {}
fn proof<G>(_: impl FnOnce(&G)) {}
fn gate<R>(_: impl Gate<R>) {}
fn inspect(_: &impl Inspect) {}
fn config<C: Default + Clone + PartialEq + std::fmt::Debug>() {}
fn serde<C: Serialize + DeserializeOwned>() {}

const S: Duration = Duration::from_secs(1);

fn key(request: &u64) -> u64 {
    *request
}

fn info(_: &u64) -> RequestInfo {
    RequestInfo::new()
}

fn valve() -> Row {
    row! {
        Valve as "Valve" in "valve", ["Valve"];
        try_acquire() try_acquire_owned() acquire() acquire_owned() blocking_acquire()
        blocking_acquire_timeout(S) run(async { Ok::<_, ()>(()) }) layer() wait_layer() name() close()
        is_closed() in_flight() queued();
        new: |_| exists(Valve::new(1)),
        builder: |_| exists(Valve::builder()),
        Config: |_| config::<ValveConfig>(),
        Builder: |_| exists::<ValveBuilder>(Valve::builder()),
        Layer: |guard| exists::<ValveLayer>(guard.layer()),
        WaitLayer: |guard| exists::<ValveWaitLayer>(guard.wait_layer()),
        serde: |_| serde::<ValveConfig>(),
        Inspect: inspect,;
        "each setting has a getter and a setter": config set_config,
        "a request takes one place": try_acquire_n acquire_n,
        "a permit must be held while the request runs": check check_n,
        "concurrency() − in_flight()": remaining,
        "all requests share one valve": try_acquire_for by info key_count max_keys,
    }
}

fn buffer() -> Row {
    row! {
        Buffer as "Buffer" in "buffer", ["Buffer"];
        layer() name() close() is_closed() in_flight() queued();
        builder: |_| exists(Buffer::builder()),
        Config: |_| config::<BufferConfig>(),
        Builder: |_| exists::<BufferBuilder>(Buffer::builder()),
        Layer: |guard| exists::<BufferLayer>(guard.layer()),
        serde: |_| serde::<BufferConfig>(),
        Inspect: inspect,;
        "each setting has a getter and a setter": config set_config,
        "a buffer is a layer; without one, a Valve is the same": try_acquire try_acquire_owned acquire
            acquire_owned blocking_acquire blocking_acquire_timeout run,
        "a request takes one place": try_acquire_n acquire_n,
        "a permit must be held while the request runs": check check_n,
        "concurrency() − in_flight()": remaining,
        "its layer waits": wait_layer WaitLayer,
        "it has no single most important setting": new,
        "all requests share one buffer": try_acquire_for by info key_count max_keys,
    }
}

fn mailbox() -> Row {
    row! {
        Mailbox<u64> as "Mailbox" in "buffer", ["Mailbox<T>"];
        name() close() is_closed();
        new: |_| exists(Mailbox::<u64>::new(1)),
        builder: |_| exists(Mailbox::<u64>::builder()),
        Config: |_| config::<MailboxConfig>(),
        Builder: |_| exists::<MailboxBuilder<u64>>(Mailbox::builder()),
        serde: |_| serde::<MailboxConfig>(),
        Inspect: inspect,;
        "each setting has a getter and a setter": config set_config,
        "it holds items instead of granting permits: offer, take, mail": try_acquire try_acquire_owned
            try_acquire_n try_acquire_for check check_n acquire acquire_owned acquire_n blocking_acquire
            blocking_acquire_timeout run remaining in_flight,
        "a layer needs a response for each request: Buffer": layer wait_layer Layer WaitLayer,
        "all items share one mailbox": by info key_count max_keys,
        "usage() has the number of items": queued,
    }
}

fn rate_limiter() -> Row {
    row! {
        RateLimiter as "RateLimiter" in "limit", ["RateLimiter"];
        try_acquire() try_acquire_owned() try_acquire_n(2) check() check_n(2) acquire() acquire_owned()
        acquire_n(2) blocking_acquire() blocking_acquire_timeout(S) run(async { Ok::<_, ()>(()) })
        remaining() layer() wait_layer() name() close() is_closed() queued();
        new: |_| exists(RateLimiter::new(Quota::per_second(1))),
        builder: |_| exists(RateLimiter::builder()),
        info: |guard| gate(guard.info(info)),
        Config: |_| config::<RateLimiterConfig>(),
        Builder: |_| exists::<RateLimiterBuilder>(RateLimiter::builder()),
        Layer: |guard| exists::<RateLimiterLayer>(guard.layer()),
        WaitLayer: |guard| exists::<RateLimiterWaitLayer>(guard.wait_layer()),
        serde: |_| serde::<RateLimiterConfig>(),
        Inspect: inspect,;
        "each setting has a getter and a setter": config set_config,
        "a rate counts beginnings, not requests in flight": in_flight,
        "all requests share one quota": try_acquire_for by key_count max_keys,
    }
}

/// The three keyed rate limiters are one handle with three policies.
macro_rules! keyed_limiter {
    ($guard:ident, $policy:literal, $builder:ident, $config:ident, $layer:ident; $($constructor:tt)*) => {
        keyed_limiter!(@ $guard, $policy, $builder, $config, $layer; $($constructor)*)
    };
    (@ $guard:ident, $policy:literal, $builder:ident, $config:ident, $layer:ident; $(new: $new:expr,)?; $($no_new:literal: new,)?) => {
        row! {
            $guard<u64> as $policy in "limit", ["KeyedLimiter<P>", $policy];
            try_acquire(&1) try_acquire_owned(&1) try_acquire_n(&1, 2) check(&1) check_n(&1, 2) acquire(&1)
            acquire_owned(&1) acquire_n(&1, 2) blocking_acquire(&1) blocking_acquire_timeout(&1, S)
            remaining(&1) name() close() is_closed() queued() key_count() max_keys();
            $(new: $new,)?
            builder: |_| exists($guard::<u64>::builder()),
            by: |guard| gate(guard.by(key)),
            info: |guard| gate(guard.by(key).info(info)),
            Config: |_| config::<$config>(),
            Builder: |_| exists::<$builder<u64>>($guard::builder()),
            Layer: |guard| exists::<$layer<u64, _>>(layer(guard.by(key))),
            serde: |_| serde::<$config>(),
            Inspect: inspect,;
            "each setting that can change has a getter and a setter": config set_config,
            "`layer(guard.by(key))`: it must know how a request's key is read": layer,
            "the keyed waiting layer comes with the keyed valve": wait_layer WaitLayer,
            "a rate counts beginnings, not requests in flight": in_flight,
            "every method has the key as its argument": try_acquire_for,
            "acquire(&key), then `Permit::run`": run,
            $($no_new: new,)?
        }
    };
}

fn keyed_rate_limiter() -> Row {
    keyed_limiter! {
        KeyedRateLimiter, "KeyedLimiter<PerKey<K>>", KeyedRateLimiterBuilder, KeyedRateLimiterConfig,
        KeyedRateLimiterLayer;
        new: |_| exists(KeyedRateLimiter::<u64>::new(Quota::per_second(1))),;
    }
}

fn tiered_rate_limiter() -> Row {
    keyed_limiter! {
        TieredRateLimiter, "KeyedLimiter<Tiered<K>>", TieredRateLimiterBuilder, TieredRateLimiterConfig,
        TieredRateLimiterLayer;
        ; "tiers have no single most important setting": new,
    }
}

fn fair_rate_limiter() -> Row {
    keyed_limiter! {
        FairRateLimiter, "KeyedLimiter<Fair<K>>", FairRateLimiterBuilder, FairRateLimiterConfig,
        FairRateLimiterLayer;
        new: |_| exists(FairRateLimiter::<u64>::new(Quota::per_second(1_000))),;
    }
}

fn circuit_breaker() -> Row {
    row! {
        CircuitBreaker as "CircuitBreaker" in "breaker", ["CircuitBreaker"];
        try_acquire() try_acquire_owned() run(async { Ok::<_, ()>(()) }) layer() name() config()
        set_config(CircuitBreakerConfig::default());
        new: |_| exists(CircuitBreaker::new("orders")),
        builder: |_| exists(CircuitBreaker::builder()),
        Config: |_| config::<CircuitBreakerConfig>(),
        Builder: |_| exists::<CircuitBreakerBuilder>(CircuitBreaker::builder()),
        Layer: |guard| exists::<CircuitBreakerLayer>(guard.layer()),
        serde: |_| serde::<CircuitBreakerConfig>(),
        Inspect: inspect,;
        "a permit reports one outcome": try_acquire_n,
        "one dependency, one breaker: KeyedCircuitBreaker": try_acquire_for by info key_count max_keys,
        "without an outcome it learns nothing": check check_n,
        "an open breaker rejects at once, since waiting would not help": acquire acquire_owned acquire_n
            blocking_acquire blocking_acquire_timeout wait_layer WaitLayer queued,
        "it has no quota": remaining,
        "`block` stops all calls, and `unblock` admits them again": close is_closed,
        "it counts outcomes, not calls in flight": in_flight,
    }
}

fn keyed_circuit_breaker() -> Row {
    row! {
        KeyedCircuitBreaker<u64> as "KeyedCircuitBreaker" in "breaker", ["KeyedCircuitBreaker<K>"];
        try_acquire(&1) try_acquire_owned(&1) name() key_count() max_keys() config()
        set_config(KeyedCircuitBreakerConfig::default());
        new: |_| exists(KeyedCircuitBreaker::<u64>::new("hosts")),
        builder: |_| exists(KeyedCircuitBreaker::<u64>::builder()),
        by: |guard| gate(guard.by(key)),
        Config: |_| config::<KeyedCircuitBreakerConfig>(),
        Builder: |_| exists::<KeyedCircuitBreakerBuilder<u64>>(KeyedCircuitBreaker::builder()),
        Layer: |guard| exists::<KeyedCircuitBreakerLayer<u64, _>>(layer(guard.by(key))),
        serde: |_| serde::<KeyedCircuitBreakerConfig>(),
        Inspect: inspect,;
        "a permit reports one outcome": try_acquire_n,
        "every method has the key as its argument": try_acquire_for,
        "without an outcome it learns nothing": check check_n,
        "an open breaker rejects at once, since waiting would not help": acquire acquire_owned acquire_n
            blocking_acquire blocking_acquire_timeout wait_layer WaitLayer queued,
        "try_acquire(&key), then `Permit::run`": run,
        "it has no quota": remaining,
        "`layer(guard.by(key))`: it must know how a request's key is read": layer,
        "priority and cost change nothing": info,
        "each breaker has `block`": close is_closed,
        "it counts outcomes, not calls in flight": in_flight,
    }
}

fn random_drop() -> Row {
    row! {
        RandomDrop as "RandomDrop" in "drop", ["RandomDrop"];
        try_acquire() try_acquire_owned() layer() name();
        new: |_| exists(RandomDrop::new(0.5)),
        builder: |_| exists(RandomDrop::builder()),
        Config: |_| config::<RandomDropConfig>(),
        Builder: |_| exists::<RandomDropBuilder>(RandomDrop::builder()),
        Layer: |guard| exists::<RandomDropLayer>(guard.layer()),
        info: |guard| gate(guard.info(info)),
        serde: |_| serde::<RandomDropConfig>(),
        Inspect: inspect,;
        "each setting has a getter and a setter": config set_config,
        "a draw decides on one request": try_acquire_n acquire_n check_n,
        "`keep_for_priority` draws by priority": try_acquire_for,
        "`keep` is its name here": check,
        "a draw never waits": acquire acquire_owned blocking_acquire blocking_acquire_timeout wait_layer
            WaitLayer queued,
        "it needs no outcome: `if drop.keep()`": run,
        "it has no quota": remaining,
        "it holds nothing that could be closed: set_keep_rate(0.0)": close is_closed,
        "it remembers no request": in_flight,
        "every account has the same chance": by key_count max_keys,
    }
}

fn load_shedder() -> Row {
    row! {
        LoadShedder as "LoadShedder" in "drop", ["LoadShedder", "LoadShedder<S>", "LoadShedder<Signal>", "LoadShedder<InFlight>"];
        try_acquire(Priority::NORMAL) try_acquire_owned(Priority::NORMAL)
        try_acquire_for(Priority::NORMAL, &1) layer() name() in_flight();
        new: |_| exists(LoadShedder::new(16)),
        builder: |_| exists(LoadShedder::builder()),
        by: |guard| gate(guard.by(key)),
        info: |guard| gate(guard.info(info)),
        Config: |_| config::<LoadShedderConfig>(),
        Builder: |_| exists::<LoadShedderBuilder>(LoadShedder::builder()),
        Layer: |guard| exists::<LoadShedderLayer>(guard.layer()),
        serde: |_| serde::<LoadShedderConfig>(),
        Inspect: inspect,;
        "each setting has a getter and a setter": config set_config,
        "a decision is about one request": try_acquire_n acquire_n check_n,
        "try_acquire(priority), then `Permit::run`": run,
        "`keep` is its name here": check,
        "it sheds at once what would wait too long": acquire acquire_owned blocking_acquire
            blocking_acquire_timeout wait_layer WaitLayer,
        "without a signal in_flight() − workers(); with one, its queue": queued,
        "it has no quota": remaining,
        "it holds nothing that could be closed": close is_closed,
        "accounts are hashed into cohorts, and none is remembered": key_count max_keys,
    }
}

fn adaptive_throttle() -> Row {
    row! {
        AdaptiveThrottle as "AdaptiveThrottle" in "drop", ["AdaptiveThrottle"];
        try_acquire() try_acquire_owned() layer() name();
        new: |_| exists(AdaptiveThrottle::new()),
        builder: |_| exists(AdaptiveThrottle::builder()),
        Config: |_| config::<AdaptiveThrottleConfig>(),
        Builder: |_| exists::<AdaptiveThrottleBuilder>(AdaptiveThrottle::builder()),
        Layer: |guard| exists::<AdaptiveThrottleLayer>(guard.layer()),
        serde: |_| serde::<AdaptiveThrottleConfig>(),
        Inspect: inspect,;
        "each setting has a getter and a setter": config set_config,
        "a permit reports one outcome": try_acquire_n acquire_n,
        "one server, one throttle": try_acquire_for by info key_count max_keys,
        "without an outcome it learns nothing": check check_n,
        "a draw never waits": acquire acquire_owned blocking_acquire blocking_acquire_timeout wait_layer
            WaitLayer queued,
        "try_acquire(), then `Permit::run`": run,
        "it has no quota": remaining,
        "it holds nothing that could be closed": close is_closed,
        "it counts outcomes, not calls in flight": in_flight,
    }
}

fn dispatch() -> Row {
    row! {
        Dispatch<u64> as "Dispatch" in "dispatch", ["Dispatch<T>"];
        try_acquire() try_acquire_owned() layer() name() close() is_closed() queued();
        new: |_| exists(Dispatch::<u64>::new(1)),
        builder: |_| exists(Dispatch::<u64>::builder()),
        Config: |_| config::<DispatchConfig>(),
        Builder: |_| exists::<DispatchBuilder<u64>>(Dispatch::builder()),
        Layer: |guard| exists::<DispatchLayer<u64>>(guard.layer()),
        serde: |_| serde::<DispatchConfig>(),
        Inspect: inspect,;
        "each setting has a getter and a setter": config set_config,
        "a request takes one slot": try_acquire_n acquire_n,
        "`checkout_for` has a key": try_acquire_for,
        "a permit must be held while the request runs": check check_n,
        "free now or not at all; `checkout_within` waits": acquire acquire_owned
            blocking_acquire blocking_acquire_timeout wait_layer WaitLayer,
        "a lease is held while the work runs": run,
        "slots() − in_use()": remaining,
        "in_use() is its name here": in_flight,
        "all requests share one pool": by info key_count max_keys,
    }
}

fn workers() -> Row {
    row! {
        Workers<u64> as "Workers" in "dispatch", ["Workers<J>"];
        name() close() is_closed();
        new: |_| exists(Workers::<u64>::new(1)),
        builder: |_| exists(Workers::<u64>::builder()),
        Config: |_| config::<WorkersConfig>(),
        Builder: |_| exists::<WorkersBuilder<u64>>(Workers::builder()),
        serde: |_| serde::<WorkersConfig>(),
        Inspect: inspect,;
        "the number of workers is that of the handles": config set_config,
        "it hands over jobs instead of granting permits: submit": try_acquire try_acquire_owned
            try_acquire_n try_acquire_for check check_n acquire acquire_owned acquire_n blocking_acquire
            blocking_acquire_timeout run remaining,
        "a layer needs a response for each request: Dispatch": layer wait_layer Layer WaitLayer,
        "workers() − idle()": in_flight,
        "free now or not at all": queued,
        "all jobs share the workers": by info key_count max_keys,
    }
}

fn table() -> Vec<Row> {
    vec![
        valve(),
        buffer(),
        mailbox(),
        rate_limiter(),
        keyed_rate_limiter(),
        tiered_rate_limiter(),
        fair_rate_limiter(),
        circuit_breaker(),
        keyed_circuit_breaker(),
        random_drop(),
        load_shedder(),
        adaptive_throttle(),
        dispatch(),
        workers(),
    ]
}

#[test]
fn every_cell_is_present_or_has_a_reason() {
    let expected: BTreeSet<&str> = METHODS.into_iter().chain(PARTS).collect();
    for row in table() {
        let mut cells = BTreeMap::<&str, u32>::new();
        for cell in row.present.iter().copied().chain(row.absent.iter().map(|(cell, _)| *cell)) {
            *cells.entry(cell).or_default() += 1;
        }
        let known: BTreeSet<&str> = cells.keys().copied().collect();
        let missing: Vec<_> = expected.difference(&known).collect();
        assert!(missing.is_empty(), "{}: no cell for {missing:?}", row.guard);
        let unknown: Vec<_> = known.difference(&expected).collect();
        assert!(unknown.is_empty(), "{}: not a column: {unknown:?}", row.guard);
        let twice: Vec<_> = cells.iter().filter(|(_, n)| **n > 1).collect();
        assert!(twice.is_empty(), "{}: listed twice: {twice:?}", row.guard);
    }
}

#[test]
fn absent_methods_are_absent_and_present_ones_public() {
    for row in table() {
        let methods: BTreeSet<String> = api::functions(row.krate)
            .into_iter()
            .filter(|function| row.owners.contains(&short(&function.owner).as_str()))
            .map(|function| function.name)
            .collect();
        for method in METHODS {
            let is_present = row.present.contains(&method);
            let is_public = methods.contains(method) && !OTHERS.contains(&(row.guard, method));
            assert_eq!(is_present, is_public, "{}::{method}: table and api.txt differ", row.guard);
        }
    }
}

#[test]
fn absent_keys_and_information_are_absent() {
    for row in table() {
        let guard = row.guard.split('<').next().unwrap();
        let traits: Vec<String> = api::lines(row.krate).iter().map(|line| short(line)).collect();
        let implements = |keyed: &str| {
            let of = |line: &String| line.starts_with("impl") && line.contains(keyed);
            traits.iter().filter(|line| of(line)).any(|line| {
                line.split(" for ").nth(1).is_some_and(|of| of.split(['<', ' ']).next() == Some(guard))
            })
        };
        let (by, info) = (row.present.contains(&"by"), row.present.contains(&"info"));
        assert_eq!(by || info, implements("Keyed<"), "{}: Keyed and the table differ", row.guard);
        assert_eq!(info && !by, implements("Keyed<()>"), "{}: Keyed<()> and the table differ", row.guard);
    }
}

/// A new method of the family is a column, or has another name.
#[test]
fn no_variant_of_a_method_is_without_a_column() {
    let family = ["try_acquire", "acquire", "blocking_acquire", "check", "remaining", "layer", "wait_layer"];
    for row in table() {
        for function in api::functions(row.krate) {
            let of_guard = row.owners.contains(&short(&function.owner).as_str());
            let is_variant =
                |method: &&str| function.name == **method || function.name.starts_with(&format!("{method}_"));
            if of_guard && family.iter().any(is_variant) {
                let is_column = METHODS.contains(&function.name.as_str());
                assert!(is_column, "{}::{} has no column", row.guard, function.name);
            }
        }
    }
}

/// Removes the paths before the names of types.
fn short(text: &str) -> String {
    let mut short = String::new();
    for part in text.split("::") {
        if !short.is_empty() {
            let end = short.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
            if short[end..].starts_with(char::is_uppercase) || short.ends_with('>') {
                short.push_str("::");
            } else {
                short.truncate(end);
            }
        }
        short.push_str(part);
    }
    short
}

#[test]
fn paths_before_types_are_removed() {
    let owner = "plimsoll_limit::KeyedLimiter<plimsoll_limit::keyed::fair::Fair<K>>";
    assert_eq!(short(owner), "KeyedLimiter<Fair<K>>");
    let of = "impl plimsoll_core::request::keyed::Keyed<()> for plimsoll_limit::RateLimiter";
    assert_eq!(short(of), "impl Keyed<()> for RateLimiter");
}
