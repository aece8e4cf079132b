//! Stories: what went wrong once, here or elsewhere, and what people ask of limiters.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Event, ManualTime, Observe, Reason};
use plimsoll_limit::{Class, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_test::task::spawn;

/// The rough clock is behind the precise one: what was taken by the one and given back by the other came back in part only,
/// and a tuple whose second gate refused used up the first.
#[test]
fn on_the_systems_clock_what_is_given_back_at_once_is_whole_again() {
    let limiter = RateLimiter::new(Quota::per_hour(500)).unwrap();
    let keyed = KeyedRateLimiter::<u64>::new(Quota::per_hour(500)).unwrap();
    for _ in 0..500 {
        limiter.try_acquire_n(500).unwrap().refund();
        keyed.try_acquire_n(&7, 500).unwrap().refund();
    }
    assert_eq!((limiter.remaining(), keyed.remaining(&7)), (500, 500));
}

/// governor#171: keys from outside fill the memory until somebody calls for a cleaning. Here nobody has to.
#[test]
fn nobody_has_to_clean_up() {
    let time = ManualTime::new();
    let limiter = KeyedRateLimiter::<u64>::builder()
        .quota(Quota::per_second(1))
        .max_keys(64)
        .clock(time.clock())
        .build()
        .unwrap();
    for key in 0..100_000 {
        let _ = limiter.check(&key);
        time.advance(Duration::from_millis(1));
    }
    assert!(limiter.key_count() <= limiter.max_keys());
    assert_eq!(limiter.max_keys(), 64);
}

/// governor#219: a limit per minute let more than that through in the first minute. Who needs the promise has it.
#[test]
fn at_most_so_many_in_any_minute_is_a_promise() {
    let time = ManualTime::new();
    let in_a_minute = |quota| {
        let limiter = RateLimiter::builder().quota(quota).clock(time.clock()).build().unwrap();
        let mut admitted = 0;
        for _ in 0..60_000 {
            admitted += u32::from(limiter.check().is_ok());
            time.advance(Duration::from_millis(1));
        }
        admitted
    };
    assert_eq!(in_a_minute(Quota::per_minute(100)), 199, "a burst, and what comes back meanwhile");
    assert_eq!(in_a_minute(Quota::at_most(100, Duration::from_secs(60))), 100);
}

/// A thousand who waited for one limit all woke for each unit.
#[test]
fn of_many_accounts_that_wait_for_a_limit_of_all_one_wakes_for_a_unit() {
    const WAIT: u64 = 200;
    let time = ManualTime::new();
    let tiers = TieredRateLimiter::<u64>::builder()
        .global(Quota::per_second(10).burst(1))
        .class(Class::new("all"))
        .max_wait(Duration::from_secs(3_600))
        .clock(time.clock())
        .build()
        .unwrap();
    tiers.check(&0).unwrap();
    let mut waits: Vec<_> = (1..=WAIT).map(|key| spawn(tiers.acquire(Box::leak(Box::new(key))))).collect();
    let mut polls = 0;
    for _ in 0..100_000 {
        let mut any = false;
        waits.retain_mut(|wait| {
            if polls < WAIT || wait.is_woken() {
                any = true;
                polls += 1;
                return wait.poll().map(|spent| drop(spent.unwrap())).is_pending();
            }
            true
        });
        if waits.is_empty() {
            break;
        }
        if !any {
            time.advance(Duration::from_millis(100));
        }
    }
    assert!(waits.is_empty(), "{} wait for ever", waits.len());
    // A first poll each, one to come to the head of the line of all, one or two for the unit.
    assert!(polls <= 5 * WAIT, "{polls} polls for {WAIT} units");
}

/// Whoever asked again and again took each unit from the one who stood in line for it.
#[test]
fn who_waits_for_a_limit_of_all_is_not_overtaken_by_those_who_only_ask() {
    let time = ManualTime::new();
    let tiers = TieredRateLimiter::<&str>::builder()
        .global(Quota::per_second(100).burst(1))
        .class(Class::new("all"))
        .clock(time.clock())
        .build()
        .unwrap();
    let (mut waited, mut asked) = (0, 0);
    let mut wait = spawn(tiers.acquire(&"patient"));
    for _ in 0..10_000 {
        asked += u32::from(tiers.check(&"eager").is_ok());
        if wait.poll().map(|spent| drop(spent.unwrap())).is_ready() {
            waited += 1;
            drop(wait);
            wait = spawn(tiers.acquire(&"patient"));
        }
        time.advance(Duration::from_millis(1));
    }
    assert!(waited >= 900, "{waited} by waiting, {asked} by asking, of 1,000");
}

#[derive(Default)]
struct Ear(Mutex<Vec<Event>>);

impl Observe for Ear {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A refusal names the tier; the books are those of the guard, and balance by its name.
#[test]
fn the_books_are_kept_by_the_guards_name_and_the_refusal_names_the_tier() {
    let ear = Arc::new(Ear::default());
    let tiers = TieredRateLimiter::<str>::builder()
        .name("api")
        .class(Class::new("free").each(Quota::per_hour(1)))
        .clock(ManualTime::new().clock())
        .observe(ear.clone())
        .build()
        .unwrap();
    tiers.check("ann").unwrap();
    let no = tiers.check("ann").unwrap_err();
    assert_eq!((no.by(), no.reason()), ("api/free/account", Reason::Limited));
    let told = ear.0.lock().unwrap();
    assert!(matches!(told[0], Event::Admitted { by: "api", .. }));
    assert!(matches!(told[1], Event::Completed { by: "api", .. }));
    assert!(matches!(told[2], Event::Rejected { rejected: no, .. } if no.by() == "api"));
    assert_eq!(told.len(), 3);
}

/// An account had two bursts: one from the slot that it shared, and one from its own as soon as there was one.
#[test]
fn who_comes_from_a_shared_slot_has_one_burst() {
    let time = ManualTime::new();
    time.advance(Duration::from_secs(1));
    let limiter = KeyedRateLimiter::<u64>::builder()
        .quota_of(|key| if *key == 99 { Quota::per_hour(10) } else { Quota::per_second(1) })
        .max_keys(8)
        .clock(time.clock())
        .build()
        .unwrap();
    (0..8).for_each(|key| limiter.check(&key).unwrap());
    let first = (0..20).filter(|_| limiter.check(&99).is_ok()).count();
    time.advance(Duration::from_secs(2)); // the others may go now
    let second = (0..20).filter(|_| limiter.check(&99).is_ok()).count();
    assert_eq!((first, second), (10, 0));
}
