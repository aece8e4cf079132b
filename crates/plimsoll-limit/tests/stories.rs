//! Stories: bugs of this crate and of others, and what users expect of limiters.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Event, ManualTime, Observe, Reason};
use plimsoll_limit::{Class, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_test::task::spawn;

/// The coarse clock is behind the precise one. Units that were charged by the coarse one and
/// refunded by the precise one came back in part only. A tuple whose second gate rejected requests
/// used up the first.
#[test]
fn refund_on_the_system_clock_returns_all_units() {
    let limiter = RateLimiter::new(Quota::per_hour(500)).unwrap();
    let keyed = KeyedRateLimiter::<u64>::new(Quota::per_hour(500)).unwrap();
    for _ in 0..500 {
        limiter.try_acquire_n(500).unwrap().refund();
        keyed.try_acquire_n(&7, 500).unwrap().refund();
    }
    assert_eq!((limiter.remaining(), keyed.remaining(&7)), (500, 500));
}

/// governor#171: keys of clients fill the memory until the application calls a clean-up. Here it
/// need not.
#[test]
fn memory_is_bounded_without_a_clean_up() {
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

/// governor#219: a limit per minute admitted more than that in the first minute. `at_most`
/// guarantees the limit.
#[test]
fn at_most_holds_in_any_minute() {
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
    assert_eq!(in_a_minute(Quota::per_minute(100)), 199, "a burst, and what is replenished meanwhile");
    assert_eq!(in_a_minute(Quota::at_most(100, Duration::from_secs(60))), 100);
}

/// A thousand accounts that waited for one limit were all woken for each unit.
#[test]
fn unit_of_a_shared_limit_wakes_one_of_many_accounts() {
    const WAITERS: u64 = 200;
    let time = ManualTime::new();
    let tiered = TieredRateLimiter::<u64>::builder()
        .global(Quota::per_second(10).burst(1))
        .class(Class::new("all"))
        .max_wait(Duration::from_secs(3_600))
        .clock(time.clock())
        .build()
        .unwrap();
    tiered.check(&0).unwrap();
    let mut waiters: Vec<_> =
        (1..=WAITERS).map(|key| spawn(tiered.acquire(Box::leak(Box::new(key))))).collect();
    let mut polls = 0;
    for _ in 0..100_000 {
        let mut polled = false;
        waiters.retain_mut(|waiter| {
            if polls < WAITERS || waiter.is_woken() {
                polled = true;
                polls += 1;
                return waiter.poll().map(|permit| drop(permit.unwrap())).is_pending();
            }
            true
        });
        if waiters.is_empty() {
            break;
        }
        if !polled {
            time.advance(Duration::from_millis(100));
        }
    }
    assert!(waiters.is_empty(), "{} wait for ever", waiters.len());
    // A first poll each, one to become the head of the shared queue, one or two for the unit.
    assert!(polls <= 5 * WAITERS, "{polls} polls for {WAITERS} units");
}

/// A client that never waited, but tried again and again, took each unit from the one that waited
/// for it. Then the one that waited took each unit. Now each has its share.
#[test]
fn waiter_and_client_that_tries_again_have_equal_shares() {
    let time = ManualTime::new();
    let tiered = TieredRateLimiter::<&str>::builder()
        .global(Quota::per_second(100).burst(1))
        .class(Class::new("all"))
        .clock(time.clock())
        .build()
        .unwrap();
    let (mut by_waiting, mut by_trying) = (0, 0);
    let mut waiter = spawn(tiered.acquire(&"patient"));
    for _ in 0..10_000 {
        by_trying += u32::from(tiered.check(&"eager").is_ok());
        if waiter.poll().map(|permit| drop(permit.unwrap())).is_ready() {
            by_waiting += 1;
            drop(waiter);
            waiter = spawn(tiered.acquire(&"patient"));
        }
        time.advance(Duration::from_millis(1));
    }
    let told = format!("{by_waiting} of 1,000 by waiting, {by_trying} by trying");
    assert!((490..=510).contains(&by_waiting) && by_trying >= 490, "{told}");
}

#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Observe for Events {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A rejection names the tier. Events name the guard, so that its books balance.
#[test]
fn rejection_names_the_tier_and_events_name_the_guard() {
    let events = Arc::new(Events::default());
    let tiered = TieredRateLimiter::<str>::builder()
        .name("api")
        .class(Class::new("free").each(Quota::per_hour(1)))
        .clock(ManualTime::new().clock())
        .observe(events.clone())
        .build()
        .unwrap();
    tiered.check("ann").unwrap();
    let rejected = tiered.check("ann").unwrap_err();
    assert_eq!((rejected.by(), rejected.reason()), ("api/free/account", Reason::Limited));
    let events = events.0.lock().unwrap();
    assert!(matches!(events[0], Event::Admitted { by: "api", .. }));
    assert!(matches!(events[1], Event::Completed { by: "api", .. }));
    assert!(matches!(events[2], Event::Rejected { rejected, .. } if rejected.by() == "api"));
    assert_eq!(events.len(), 3);
}
