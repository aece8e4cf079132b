//! A breaker for each key, and a maximum number of keys.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_breaker::{CircuitState, KeyedCircuitBreaker, OpenTime, Trip};
use plimsoll_core::{Account, Event, Gate, KeyedExt, ManualTime, Observe, Outcome, Permit, Reason};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Observe for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    fn unguarded(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|e| matches!(e, Event::Unguarded { by: "hosts", .. })).count()
    }
}

fn hosts(time: &ManualTime, max_keys: usize, recorder: &Arc<Recorder>) -> KeyedCircuitBreaker<String> {
    KeyedCircuitBreaker::builder()
        .name("hosts")
        .max_keys(max_keys)
        .trips([Trip::failures().count(1)])
        .open_time(OpenTime::fixed(10 * SECOND))
        .clock(time.clock())
        .observe(recorder.clone())
        .build()
        .unwrap()
}

fn fail(hosts: &KeyedCircuitBreaker<String>, host: &str) {
    hosts.try_acquire(host).unwrap().done(Outcome::Failure);
}

#[test]
fn each_key_has_a_breaker_of_its_own() {
    let (time, recorder) = (ManualTime::new(), Arc::default());
    let hosts = hosts(&time, 100, &recorder);
    fail(&hosts, "sick");
    let rejected = hosts.try_acquire("sick").unwrap_err();
    assert_eq!(
        (rejected.by(), rejected.reason(), rejected.retry_after()),
        ("hosts", Reason::Open, Some(10 * SECOND))
    );
    hosts.try_acquire("well").unwrap().done(Outcome::Success);
    assert_eq!(hosts.key_count(), 2);
    let mut seen = vec![];
    hosts.for_each(|host, breaker| seen.push((host.clone(), breaker.state())));
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(seen, [("sick".into(), CircuitState::Open), ("well".into(), CircuitState::Closed)]);
    time.advance(10 * SECOND);
    assert!(hosts.try_acquire("sick").is_ok(), "the call is a probe");
}

#[test]
fn invalid_setting_is_named() {
    let builder = KeyedCircuitBreaker::<u32>::builder;
    let error = builder().max_keys(0).build().unwrap_err().to_string();
    assert_eq!(error, "max_keys = 0 is not allowed: it must be 1 to 4294967295");
    assert!(builder().max_keys(1).trips([Trip::failures().count(0)]).build().is_err());
}

#[test]
fn number_of_keys_is_bounded() {
    let (time, recorder) = (ManualTime::new(), Arc::default());
    let hosts = hosts(&time, 64, &recorder);
    for n in 0..10_000 {
        hosts.try_acquire(format!("host {n}").as_str()).unwrap().done(Outcome::Success);
        assert!(hosts.key_count() <= 64);
    }
    assert_eq!(recorder.unguarded(), 0, "closed breakers were evicted");
}

#[test]
fn closed_breakers_are_evicted_and_open_ones_stay() {
    let (time, recorder) = (ManualTime::new(), Arc::default());
    let hosts = KeyedCircuitBreaker::<u32>::builder()
        .name("hosts")
        .max_keys(1)
        .trips([Trip::failures().count(1)])
        .clock(time.clock())
        .observe(Arc::<Recorder>::clone(&recorder))
        .build()
        .unwrap();
    hosts.try_acquire(&1).unwrap().done(Outcome::Failure);
    let unguarded = hosts.try_acquire(&2).unwrap();
    assert_eq!(
        (hosts.key_count(), recorder.unguarded()),
        (1, 1),
        "the call is admitted without a breaker, with an event"
    );
    unguarded.done(Outcome::Failure);
    assert!(hosts.try_acquire(&2).is_ok(), "its failure was not counted");
    assert!(hosts.try_acquire(&1).is_err(), "the open breaker was not evicted");
    hosts.breaker(&1).unwrap().reset();
    hosts.try_acquire(&3).unwrap().done(Outcome::Success);
    let mut keys = vec![];
    hosts.for_each(|key, _| keys.push(*key));
    assert_eq!(keys, [3]);
}

/// Breakers are evicted in the order of their last use.
#[test]
fn recently_used_breaker_is_not_evicted() {
    let time = ManualTime::new();
    let hosts = KeyedCircuitBreaker::<String>::builder()
        .max_keys(160)
        .trips([Trip::failures().count(2).within(3_600 * SECOND)])
        .clock(time.clock())
        .build()
        .unwrap();
    fail(&hosts, "busy");
    for n in 0..2_000 {
        time.advance(SECOND);
        drop(hosts.try_acquire("busy").unwrap());
        hosts.try_acquire(format!("{n}").as_str()).unwrap().done(Outcome::Success);
    }
    fail(&hosts, "busy");
    assert!(hosts.try_acquire("busy").is_err(), "an eviction would have forgotten the first failure");
}

#[test]
fn outcome_for_a_removed_breaker_does_not_reach_its_successor() {
    let (time, recorder) = (ManualTime::new(), Arc::default());
    let hosts = hosts(&time, 8, &recorder);
    let late = hosts.try_acquire("host").unwrap();
    assert!(hosts.remove("host").is_some() && hosts.remove("host").is_none());
    hosts.try_acquire("host").unwrap().done(Outcome::Success);
    late.done(Outcome::Failure);
    assert_eq!(hosts.breaker("host").unwrap().state(), CircuitState::Closed);
}

#[test]
fn key_is_read_from_the_request() {
    struct Request {
        host: String,
    }
    let (time, recorder) = (ManualTime::new(), Arc::default());
    let hosts = hosts(&time, 8, &recorder);
    let by = hosts.by(|r: &Request| r.host.clone());
    let by_ref = hosts.by_ref(|r: &Request| r.host.as_str());
    let request = |host: &str| Request { host: host.into() };
    let pass = by.admit(&request("sick")).unwrap();
    Permit::new(&by, pass).done(Outcome::Failure);
    assert!(by.admit(&request("sick")).is_err() && by_ref.admit(&request("sick")).is_err());
    let pass = by_ref.admit(&request("well")).unwrap();
    drop(Permit::new(&by_ref, pass));
    assert_eq!(hosts.key_count(), 2);
    assert!(format!("{by:?} {by_ref:?}").contains("hosts"));
}

#[test]
fn many_threads_with_many_keys_stay_within_the_bound() {
    let hosts = KeyedCircuitBreaker::<u64>::builder().max_keys(50).build().unwrap();
    std::thread::scope(|s| {
        for thread in 0..4u64 {
            let hosts = hosts.clone();
            s.spawn(move || {
                for n in 0..3_000u64 {
                    let key = (n * (thread + 1)) % 200;
                    let outcome = if n % 3 == 0 { Outcome::Failure } else { Outcome::Success };
                    if let Ok(permit) = hosts.try_acquire(&key) {
                        permit.done(outcome);
                    }
                    assert!(hosts.key_count() <= 50);
                }
            });
        }
    });
}

/// A small bound was split into sixteen shards, and keys of the same shard evicted each other.
#[test]
fn max_keys_breakers_fit_without_evictions() {
    let (time, recorder) = (ManualTime::new(), Arc::default());
    for max_keys in [16, 100, 1_000] {
        let builder = KeyedCircuitBreaker::<usize>::builder().name("hosts").max_keys(max_keys);
        let builder = builder.trips([Trip::failures().count(5)]).clock(time.clock());
        let hosts = builder.observe(Arc::<Recorder>::clone(&recorder)).build().unwrap();
        for _ in 0..5 {
            (0..max_keys).for_each(|host| hosts.try_acquire(&host).unwrap().done(Outcome::Failure));
        }
        assert!((0..max_keys).all(|host| hosts.try_acquire(&host).is_err()), "{max_keys}");
    }
}

/// Breakers that opened once and received no further call occupied their places for ever.
#[test]
fn open_breaker_is_evicted_after_its_open_time() {
    let (time, recorder) = (ManualTime::new(), Arc::default());
    let hosts = hosts(&time, 20, &recorder);
    (0..20).for_each(|n| fail(&hosts, &format!("failed {n}")));
    assert!(hosts.try_acquire("new").is_ok() && recorder.unguarded() == 1);
    time.advance(3_600 * SECOND);
    (0..100).for_each(|n| hosts.try_acquire(format!("new {n}").as_str()).unwrap().done(Outcome::Success));
    assert_eq!((recorder.unguarded(), hosts.key_count()), (1, 20));
}

/// A block must last until it is lifted, however many other keys are used.
#[test]
fn blocked_breaker_survives_a_flood_of_keys() {
    let (time, recorder) = (ManualTime::new(), Arc::default());
    let hosts = hosts(&time, 16, &recorder);
    hosts.breaker("abuser").unwrap().block("abuse");
    (0..999).for_each(|n| hosts.try_acquire(format!("{n}").as_str()).unwrap().done(Outcome::Success));
    assert!(hosts.try_acquire("abuser").is_err());
}

/// The `Drop` of a key is foreign code. One that uses the keyed breaker deadlocked.
#[test]
fn keys_are_dropped_without_the_lock() {
    use std::sync::OnceLock;
    static HOSTS: OnceLock<KeyedCircuitBreaker<Curious>> = OnceLock::new();
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Curious(u32);
    impl Drop for Curious {
        fn drop(&mut self) {
            let _ = HOSTS.get().map(KeyedCircuitBreaker::key_count);
        }
    }
    let hosts = HOSTS.get_or_init(|| KeyedCircuitBreaker::builder().max_keys(2).build().unwrap());
    for n in 0..20 {
        hosts.try_acquire(&Curious(n)).unwrap().done(Outcome::Success);
    }
    hosts.remove(&Curious(19));
    hosts.for_each(|_, _| {});
}

/// With a thousand places and two thousand other healthy hosts, the breaker of the one that always
/// failed was evicted before it had counted five failures: all calls to it passed.
#[test]
fn failing_host_is_remembered_among_many_healthy_ones() {
    let (time, recorder) = (ManualTime::new(), Arc::<Recorder>::default());
    let hosts = KeyedCircuitBreaker::<u32>::builder()
        .max_keys(1_000)
        .trips([Trip::failures().count(5).within(60 * SECOND)])
        .clock(time.clock())
        .observe(recorder)
        .build()
        .unwrap();
    let mut passed = 0;
    for _ in 0..100 {
        passed += u32::from(hosts.try_acquire(&0).map(|call| call.done(Outcome::Failure)).is_ok());
        for healthy in 1..=2_000 {
            hosts.try_acquire(&healthy).unwrap().done(Outcome::Success);
        }
        time.advance(SECOND / 100);
    }
    assert_eq!(passed, 5);
    // It has been open, and still fails: it opens again, for longer. All others are healthy.
    for _ in 0..20 {
        time.advance(SECOND);
        passed += u32::from(hosts.try_acquire(&0).map(|call| call.done(Outcome::Failure)).is_ok());
        for healthy in 1..=2_000 {
            hosts.try_acquire(&healthy).unwrap().done(Outcome::Success);
        }
    }
    assert_eq!(hosts.breaker(&0).unwrap().state(), CircuitState::HalfOpen);
    assert!(passed < 20, "{passed} of 120 calls");
}

/// With a thousand hosts, one learned that some host had opened, and that some call was rejected.
#[test]
fn events_carry_an_account_that_names_the_key() {
    let (time, recorder) = (ManualTime::new(), Arc::<Recorder>::default());
    let hosts = hosts(&time, 5_000, &recorder);
    (0..3_000).for_each(|n| hosts.try_acquire(&format!("host {n}")).unwrap().done(Outcome::Success));
    recorder.0.lock().unwrap().clear();
    fail(&hosts, "host 77");
    assert!(hosts.try_acquire("host 77").is_err());
    let accounts: Vec<_> = recorder
        .0
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::StateChanged { account, .. } | Event::Rejected { account, .. } => *account,
            _ => None,
        })
        .collect();
    assert_eq!(accounts.len(), 2);
    for account in accounts {
        assert_eq!(hosts.key_of(account).as_deref(), Some("host 77"));
    }
    let account = Account::new(77);
    assert_eq!(hosts.key_of(account), None);
}

/// A health check carried only the number of the opening. The one of a removed breaker closed its
/// successor, and so did the one of another key.
#[test]
fn health_check_of_a_removed_breaker_does_not_close_its_successor() {
    let (time, recorder) = (ManualTime::new(), Arc::<Recorder>::default());
    let hosts = hosts(&time, 8, &recorder);
    let open = || {
        let breaker = hosts.breaker("host").unwrap();
        breaker.set_health_checked(true);
        breaker.trip("test");
        time.advance(10 * SECOND);
        breaker
    };
    let check = open().health_check_due().unwrap();
    hosts.remove("host").unwrap();
    let successor = open();
    assert!(successor.health_check_due().is_some());
    successor.record_health_check(check, true);
    assert_eq!(successor.state(), CircuitState::Open);
}

/// The figures of the type's documentation, in bytes. They include a key of four bytes.
#[test]
fn memory_of_a_breaker_is_as_documented() {
    const N: u32 = 1_000;
    for trips in 0..4 {
        let builder = KeyedCircuitBreaker::<u32>::builder().max_keys(N as usize);
        let hosts = builder.trips(vec![Trip::failures(); trips]).build().unwrap();
        let each = |act: &dyn Fn(&u32)| {
            let all = measure(|| (0..N).for_each(|host| act(&host))).bytes_current;
            usize::try_from(all).unwrap() / N as usize
        };
        let created = each(&|host| drop(hosts.breaker(host).unwrap()));
        let counted = each(&|host| hosts.try_acquire(host).unwrap().done(Outcome::Success));
        assert!(created.abs_diff(1_130 + 600 * trips) < 60, "{created} for {trips} trips");
        assert_eq!(counted, 256 + if trips > 0 { 384 } else { 0 }, "for one thread");
    }
}
