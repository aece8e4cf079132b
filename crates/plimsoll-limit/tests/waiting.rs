//! Waiting: in order for each account, bounded for all accounts, and without a trace afterwards.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Clock, Event, Inspect, ManualTime, Observe, Permit, Reason, Rejected};
use plimsoll_limit::{Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};

const S: Duration = Duration::from_secs(1);
const NS: Duration = Duration::from_nanos(1);
const ONE: Quota = Quota::per_second(1);

fn limiter(quota: Quota) -> (RateLimiter, ManualTime) {
    let time = ManualTime::new();
    (RateLimiter::builder().quota(quota).queue(8).max_wait(60 * S).clock(time.clock()).build().unwrap(), time)
}

fn keyed(quota: Quota) -> (KeyedRateLimiter<u64>, ManualTime) {
    let time = ManualTime::new();
    let builder = KeyedRateLimiter::builder().quota(quota).max_keys(64).queue(8).max_wait(60 * S);
    (builder.clock(time.clock()).build().unwrap(), time)
}

fn reason<T>(result: Result<T, Rejected>) -> Option<Reason> {
    result.err().map(|rejected| rejected.reason())
}

/// A waiting call of any limiter. Its output is the reason of the rejection.
type Call<'a> = Spawn<Pin<Box<dyn Future<Output = Option<Reason>> + 'a>>>;

fn call<'a, T>(future: impl Future<Output = Result<T, Rejected>> + 'a) -> Call<'a> {
    task::spawn(Box::pin(async { reason(future.await) }))
}

#[test]
fn waiters_are_admitted_in_order_at_exactly_the_rate() {
    let (limiter, time) = limiter(ONE);
    assert!(limiter.try_acquire().is_ok());
    let mut calls: Vec<_> = (0..5).map(|_| call(limiter.acquire())).collect();
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    assert_eq!(limiter.queued(), 5);
    for n in 0..5 {
        time.advance(S - NS);
        calls[n..].iter_mut().for_each(|call| assert_pending!(call.poll()));
        time.advance(NS);
        assert!(calls[n].is_woken(), "{n}");
        // The last ones are polled first, and do not overtake.
        calls[n + 1..].iter_mut().rev().for_each(|call| assert_pending!(call.poll()));
        assert_eq!(assert_ready!(calls[n].poll()), None);
    }
    assert_eq!(limiter.queued(), 0);
}

/// A waiter is woken when it is its turn, and not once more.
#[test]
fn waiter_is_polled_no_more_than_twice() {
    let (limiter, time) = limiter(ONE);
    assert!(limiter.try_acquire().is_ok());
    let mut calls: Vec<_> = (0..5).map(|_| call(limiter.acquire())).collect();
    let (mut polls, mut done) = (0, 0);
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    // Every hundredth of a second, the calls that were woken are polled.
    for _ in 0..500 {
        time.advance(S / 100);
        for call in &mut calls {
            while call.is_woken() {
                polls += 1;
                assert!(polls < 100);
                if call.poll().is_ready() {
                    done += 1;
                    break;
                }
            }
        }
        calls.retain_mut(|call| !call.is_woken());
    }
    assert_eq!(done, 5);
    // Each as the head of the queue, and each when its unit is there.
    assert!(polls <= 2 * 5, "{polls}");
}

#[test]
fn accounts_do_not_wait_for_each_other() {
    let (limiter, time) = keyed(ONE);
    assert!(limiter.try_acquire(&1).is_ok());
    let (mut first, mut second) = (call(limiter.acquire(&1)), call(limiter.acquire(&1)));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_eq!(assert_ready!(call(limiter.acquire(&2)).poll()), None);
    assert!(limiter.try_acquire(&3).is_ok());
    let mut other = call(limiter.acquire(&2));
    assert_pending!(other.poll());
    time.advance(S);
    assert_eq!(assert_ready!(other.poll()), None);
    assert_eq!(assert_ready!(first.poll()), None);
    assert_pending!(second.poll());
    drop(second);
    assert_eq!(limiter.queued(), 0);
}

#[test]
fn queue_bounds_all_accounts_together() {
    let (limiter, time) = keyed(ONE);
    for key in 0..8 {
        assert!(limiter.try_acquire(&key).is_ok());
    }
    let keys: Vec<u64> = (0..8).collect();
    let mut calls: Vec<_> = keys.iter().map(|key| call(limiter.acquire(key))).collect();
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    let rejected = assert_ready!(task::spawn(limiter.acquire(&0)).poll()).map(drop).unwrap_err();
    let numbers = (rejected.reason(), rejected.limit(), rejected.observed());
    assert_eq!(numbers, (Reason::Full, Some(8), Some(8)));
    // A call that need not wait takes no room.
    assert_eq!(assert_ready!(call(limiter.acquire(&99)).poll()), None);
    drop(calls.pop());
    let mut waiter = call(limiter.acquire(&0));
    assert_pending!(waiter.poll());
    limiter.set_queue(0).unwrap();
    assert_eq!(assert_ready!(call(limiter.acquire(&0)).poll()), Some(Reason::Full));
    time.advance(2 * S);
    calls.iter_mut().for_each(|call| assert_eq!(assert_ready!(call.poll()), None, "it stays in the queue"));
    time.advance(S);
    assert_eq!(assert_ready!(waiter.poll()), None);
    assert_eq!(limiter.queued(), 0);
    assert!(limiter.set_queue(1 << 31).is_err());
    assert_eq!(limiter.queue_limit(), 0, "nothing has changed");
    limiter.set_queue(1).unwrap();
    assert!(limiter.set_max_wait(Duration::ZERO).is_err());
}

#[test]
fn request_that_would_wait_too_long_is_rejected_at_once() {
    let (limiter, time) = limiter(Quota::per_minute(1).burst(2));
    limiter.set_queue(8).unwrap();
    limiter.set_max_wait(90 * S).unwrap();
    let _ = limiter.try_acquire_n(2).unwrap();
    let rejected = assert_ready!(task::spawn(limiter.acquire_n(2)).poll()).map(drop).unwrap_err();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Throttled, Some(120 * S)));
    assert_eq!(assert_ready!(call(limiter.acquire_n(3)).poll()), Some(Reason::TooLarge));
    assert_eq!(limiter.queued(), 0, "neither joined the queue");
    // Behind another call, this was once known only to the head of the queue.
    let mut first = call(limiter.acquire());
    assert_pending!(first.poll());
    let rejected = assert_ready!(task::spawn(limiter.acquire()).poll()).map(drop).unwrap_err();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Throttled, Some(120 * S)));
    assert_eq!(limiter.queued(), 1);
    time.advance(60 * S);
    assert_eq!(assert_ready!(first.poll()), None);
}

#[test]
fn waiter_expires_after_the_longest_wait() {
    let (limiter, time) = limiter(Quota::per_minute(1));
    limiter.set_queue(8).unwrap();
    limiter.set_max_wait(120 * S).unwrap();
    assert!(limiter.try_acquire().is_ok());
    let (mut first, mut second) = (call(limiter.acquire()), call(limiter.acquire()));
    assert_pending!(first.poll());
    time.advance(S);
    assert_pending!(second.poll());
    // At the lower rate neither is served in time. The head is rejected at once.
    limiter.set_quota(Quota::per_hour(1)).unwrap();
    assert_eq!(assert_ready!(first.poll()), Some(Reason::Throttled));
    assert!(second.is_woken(), "it is the head");
    assert_eq!(assert_ready!(second.poll()), Some(Reason::Throttled));
    // Behind a head that is never polled.
    limiter.set_max_wait(60 * S).unwrap();
    limiter.set_quota(Quota::per_second(1).burst(100)).unwrap();
    (0..99).for_each(|_| drop(limiter.try_acquire()));
    let (mut head, mut behind) = (call(limiter.acquire()), call(limiter.acquire()));
    assert_pending!(head.poll());
    assert_pending!(behind.poll());
    time.advance(60 * S);
    assert_eq!(assert_ready!(behind.poll()), Some(Reason::Expired));
    // The head is polled at its very last moment, and there is a unit.
    assert_eq!(assert_ready!(head.poll()), None);
    assert_eq!(limiter.queued(), 0);
}

#[test]
fn try_acquire_does_not_overtake_waiters_of_the_account() {
    let (limiter, time) = keyed(ONE);
    assert!(limiter.try_acquire(&1).is_ok());
    let mut waiter = call(limiter.acquire(&1));
    assert_pending!(waiter.poll());
    time.advance(S);
    let rejected = limiter.try_acquire(&1).map(drop).unwrap_err();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Limited, Some(S)));
    assert_eq!(limiter.try_acquire_n(&1, 2).map(drop).unwrap_err().reason(), Reason::TooLarge);
    assert!(limiter.try_acquire(&2).is_ok());
    assert_eq!(assert_ready!(waiter.poll()), None);
    time.advance(S);
    assert!(limiter.try_acquire(&1).is_ok());
}

#[test]
fn try_acquire_overtakes_no_waiters_of_tiers_and_shares() {
    let time = ManualTime::new();
    let class = Class::new("free").each(ONE.burst(2));
    let tiered =
        TieredRateLimiter::<u64>::builder().global(ONE.burst(3)).class(class).queue(8).clock(time.clock());
    let tiered = tiered.build().unwrap();
    let _ = tiered.try_acquire_n(&1, 2).unwrap();
    let mut waiter = call(tiered.acquire(&1));
    assert_pending!(waiter.poll());
    time.advance(S);
    assert_eq!(reason(tiered.try_acquire(&1)), Some(Reason::Limited));
    let rejected = tiered.try_acquire_n(&1, 3).map(drop).unwrap_err();
    assert_eq!(
        (rejected.by(), rejected.reason()),
        ("tiers/free/account", Reason::TooLarge),
        "also behind a waiting request"
    );
    let rejected = tiered.try_acquire_n(&1, 2).map(drop).unwrap_err();
    assert!(rejected.retry_after() >= Some(S), "{rejected:?}");
    assert!(tiered.try_acquire(&2).is_ok());
    assert_eq!(assert_ready!(waiter.poll()), None);
    let fair = FairRateLimiter::<u64>::builder().quota(Quota::per_second(20)).queue(8).clock(time.clock());
    let fair = fair.build().unwrap();
    assert!(fair.try_acquire(&1).is_ok());
    // The account is known and has used nothing for ten seconds. Then another one takes all units.
    time.advance(10 * S);
    let _ = fair.try_acquire_n(&2, 20).unwrap();
    let mut waiter = call(fair.acquire(&1));
    assert_pending!(waiter.poll());
    time.advance(S / 20);
    assert_eq!(reason(fair.try_acquire(&1)), Some(Reason::Throttled), "it has not had its share");
    assert_eq!(reason(fair.try_acquire_n(&1, 21)), Some(Reason::TooLarge));
    assert_eq!(assert_ready!(waiter.poll()), None);
}

/// It leaves before it is polled, behind another call, as the head, and as the head whose unit is
/// there.
#[test]
fn dropped_call_is_charged_nothing_and_leaves_the_queue() {
    for at in 0..5 {
        let (limiter, time) = limiter(ONE);
        assert!(limiter.try_acquire().is_ok());
        let mut stays = call(limiter.acquire());
        let mut leaves = call(limiter.acquire());
        match at {
            // Never polled.
            0 => assert_pending!(stays.poll()),
            // Behind the other call.
            1 => {
                assert_pending!(stays.poll());
                assert_pending!(leaves.poll());
            }
            // The head, with the other call behind it.
            _ => {
                assert_pending!(leaves.poll());
                assert_pending!(stays.poll());
            }
        }
        // From 3 on its unit is there.
        time.advance(S * at / 3);
        drop(leaves);
        assert_eq!(limiter.queued(), 1, "{at}");
        if at >= 3 {
            assert!(stays.is_woken(), "{at}: the other call is the head");
        } else if at == 2 {
            assert_pending!(stays.poll());
        }
        time.advance(S * 3 - S * at / 3);
        assert_eq!(assert_ready!(stays.poll()), None, "{at}");
        assert!(limiter.try_acquire().is_err(), "{at}: the burst is one unit");
        assert_eq!(limiter.queued(), 0);
    }
}

#[test]
fn close_wakes_all_waiters_and_rejects_all_requests() {
    let (limiter, _time) = keyed(ONE);
    assert!(limiter.try_acquire(&1).is_ok() && limiter.try_acquire(&2).is_ok());
    let keys = [1, 1, 1, 2];
    let mut calls: Vec<_> = keys.iter().map(|key| call(limiter.acquire(key))).collect();
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    limiter.close();
    for call in &mut calls {
        assert!(call.is_woken());
        assert_eq!(assert_ready!(call.poll()), Some(Reason::Closed));
    }
    assert!(limiter.is_closed());
    assert_eq!(limiter.queued(), 0);
    assert_eq!(reason(limiter.try_acquire(&3)), Some(Reason::Closed));
    assert_eq!(assert_ready!(call(limiter.acquire(&3)).poll()), Some(Reason::Closed));
    assert_eq!(reason(limiter.blocking_acquire_timeout(&3, S)), Some(Reason::Closed));
}

#[test]
fn changed_quota_wakes_the_head() {
    let (limiter, time) = limiter(Quota::per_minute(2).burst(1));
    assert!(limiter.try_acquire().is_ok());
    let mut waiter = call(limiter.acquire());
    assert_pending!(waiter.poll());
    limiter.set_quota(ONE).unwrap();
    assert!(waiter.is_woken());
    assert_pending!(waiter.poll());
    time.advance(S - NS);
    assert_pending!(waiter.poll());
    time.advance(NS);
    assert_eq!(assert_ready!(waiter.poll()), None);
}

#[test]
fn refund_wakes_the_head() {
    let (limiter, _time) = keyed(Quota::per_minute(2).burst(1));
    let held = limiter.try_acquire(&1).unwrap();
    let mut waiter = call(limiter.acquire(&1));
    assert_pending!(waiter.poll());
    held.refund();
    assert!(waiter.is_woken());
    assert_eq!(assert_ready!(waiter.poll()), None);
    // In a tiered limiter, the unit may have been another account's.
    let time = ManualTime::new();
    let tiered =
        TieredRateLimiter::<u64>::builder().global(ONE).class(Class::new("all")).queue(8).clock(time.clock());
    let tiered = tiered.build().unwrap();
    let held = tiered.try_acquire(&1).unwrap();
    let mut waiter = call(tiered.acquire(&2));
    assert_pending!(waiter.poll());
    held.refund();
    assert_eq!(assert_ready!(waiter.poll()), None);
}

#[test]
fn assignment_to_a_better_class_wakes_the_waiter() {
    let time = ManualTime::new();
    let tiered =
        TieredRateLimiter::<u64>::builder().class(Class::new("free").each(Quota::per_minute(1).burst(1)));
    let tiered = tiered.class(Class::new("premium").each(ONE.burst(9))).queue(8).max_wait(60 * S);
    let tiered = tiered.clock(time.clock()).build().unwrap();
    let _ = tiered.try_acquire(&1).unwrap();
    let mut waiter = call(tiered.acquire(&1));
    assert_pending!(waiter.poll());
    tiered.assign(&1, "premium").unwrap();
    assert!(waiter.is_woken());
    assert_eq!(assert_ready!(waiter.poll()), None);
}

#[test]
fn changed_quota_of_any_tier_or_share_wakes_the_waiter() {
    let time = ManualTime::new();
    let class = Class::new("free").each(Quota::per_minute(2).burst(1)).all(Quota::per_minute(2).burst(1));
    let tiered = TieredRateLimiter::<u64>::builder()
        .global(Quota::per_minute(2).burst(1))
        .class(class)
        .max_wait(60 * S);
    let tiered = tiered.queue(8).clock(time.clock()).build().unwrap();
    let _ = tiered.try_acquire(&1).unwrap();
    let mut waiter = call(tiered.acquire(&1));
    assert_pending!(waiter.poll());
    for change in [0, 1, 2] {
        match change {
            0 => tiered.set_global(ONE).unwrap(),
            1 => tiered.set_each("free", ONE).unwrap(),
            _ => tiered.set_all("free", ONE).unwrap(),
        }
        assert!(waiter.is_woken(), "{change}");
        assert_pending!(waiter.poll());
    }
    time.advance(S);
    assert_eq!(assert_ready!(waiter.poll()), None);
    let fair = FairRateLimiter::<u64>::builder().quota(Quota::per_minute(2).burst(2)).max_wait(60 * S);
    let fair = fair.queue(8).clock(time.clock()).build().unwrap();
    assert!(fair.try_acquire(&1).is_ok());
    let mut waiter = call(fair.acquire(&1));
    assert_pending!(waiter.poll());
    fair.set_quota(Quota::per_second(2)).unwrap();
    assert!(waiter.is_woken());
}

/// A new account waits for the tail that new accounts share.
#[test]
fn changed_tail_of_a_fair_limiter_wakes_the_waiter() {
    let time = ManualTime::new();
    time.advance(S);
    let fair = FairRateLimiter::<u64>::builder().quota(Quota::per_second(1_000).burst(100)).tail(0.001);
    let fair = fair.clock(time.clock()).build().unwrap();
    for n in 0..8_000 {
        time.advance(S / 2_000);
        let _ = fair.check(&(n % 10));
    }
    while fair.try_acquire(&100).is_ok() || fair.try_acquire(&101).is_ok() {}
    let mut waiter = call(fair.acquire(&1_000));
    assert_pending!(waiter.poll());
    for change in [0, 1] {
        match change {
            0 => fair.set_tail(0.002).unwrap(),
            _ => fair.set("tail", 0.003).unwrap(),
        }
        assert!(waiter.is_woken(), "{change}");
        assert_pending!(waiter.poll());
    }
}

/// A rate falls to nearly nothing and is raised again. The waiter does not spin meanwhile.
#[test]
fn waiter_survives_a_rate_of_nearly_nothing() {
    let (limiter, time) = limiter(ONE);
    limiter.set_queue(8).unwrap();
    limiter.set_max_wait(Duration::from_secs(86_400 * 365)).unwrap();
    assert!(limiter.try_acquire().is_ok());
    let mut waiter = call(limiter.acquire());
    assert_pending!(waiter.poll());
    limiter.set("rate", 1e-6).unwrap();
    assert_pending!(waiter.poll());
    let mut polls = 0;
    for _ in 0..1_000 {
        time.advance(60 * S);
        if waiter.is_woken() {
            polls += 1;
            assert_pending!(waiter.poll());
        }
    }
    assert_eq!(polls, 0, "the waiter was woken in vain");
    limiter.set("rate", 1.0).unwrap();
    assert!(waiter.is_woken());
    // The unit is still owed, less what was replenished in those 60,000 s: six hundredths of it.
    assert_pending!(waiter.poll());
    time.advance(S * 93 / 100);
    assert_pending!(waiter.poll());
    time.advance(S / 100 + 10 * NS);
    assert_eq!(assert_ready!(waiter.poll()), None);
}

#[test]
fn waiter_for_several_units_is_charged_them_at_once() {
    let (limiter, time) = limiter(ONE.burst(5));
    let _ = limiter.try_acquire_n(5).unwrap();
    let mut four = call(limiter.acquire_n(4));
    assert_pending!(four.poll());
    time.advance(4 * S - NS);
    assert_pending!(four.poll());
    time.advance(NS);
    assert_eq!(assert_ready!(four.poll()), None);
    // A small request beside it has half of the rate until it is served.
    let (mut four, mut one) = (call(limiter.acquire_n(4)), call(limiter.acquire_n(1)));
    assert_pending!(four.poll());
    assert_pending!(one.poll());
    time.advance(2 * S - S / 1_000);
    assert_pending!(four.poll());
    assert_pending!(one.poll());
    time.advance(S / 1_000);
    assert_pending!(four.poll());
    assert_eq!(assert_ready!(one.poll()), None);
    time.advance(3 * S - NS);
    assert_pending!(four.poll());
    time.advance(NS);
    assert_eq!(assert_ready!(four.poll()), None);
}

/// A thousand accounts have waited, and no memory stays allocated for them.
#[test]
fn queues_leave_no_memory_behind() {
    let (limiter, time) = keyed(ONE);
    limiter.set_queue(1_000).unwrap();
    limiter.set_max_wait(60 * S).unwrap();
    let queued = |limiter: &KeyedRateLimiter<u64>| {
        let mut queued = f64::NAN;
        Inspect::read(limiter, &mut |reading, value| {
            if reading == "queued" {
                queued = value
            }
        });
        queued
    };
    let allocated = allocation_counter::measure(|| {
        for round in 0..50u64 {
            let keys: Vec<u64> = (round * 20..round * 20 + 20).collect();
            keys.iter().for_each(|key| drop(limiter.try_acquire(key)));
            let mut calls: Vec<_> = keys.iter().map(|key| call(limiter.acquire(key))).collect();
            calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
            assert_eq!(queued(&limiter), 20.0);
            // Half of them leave, and half of them are admitted.
            calls.truncate(10);
            time.advance(10 * S);
            calls.iter_mut().for_each(|call| assert_eq!(assert_ready!(call.poll()), None));
        }
    });
    assert_eq!(limiter.queued(), 0);
    // The maps may keep some memory, but less than a thousand queues take.
    let bytes = allocated.bytes_current;
    assert!(bytes < 60_000, "{bytes} bytes stay allocated");
}

// ---- without a runtime

/// Advances the time to the next sleeper, if that is within a second, until `done`. So it wakes the
/// head of a queue, not the deadlines of the calls behind it. After many tries without success it
/// closes the limiter, so that all calls fail.
fn advance_until(time: &ManualTime, limiter: &RateLimiter, done: impl Fn() -> bool) {
    let mut tries = 0;
    while !done() {
        let soon = time.clock().now() + S;
        if let Some(at) = time.next_sleeper().filter(|at| *at <= soon) {
            time.advance_to(at);
        }
        std::thread::yield_now();
        tries += 1;
        if tries == 50_000_000 {
            limiter.close();
        }
    }
}

#[test]
fn threads_are_admitted_at_exactly_the_rate() {
    let (limiter, time) = limiter(Quota::per_second(10).burst(1));
    let admitted = Mutex::new(vec![]);
    std::thread::scope(|s| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| {
                    for _ in 0..5 {
                        // 20 calls at ten a second, of four threads: none waits for more than a
                        // second.
                        let _ = limiter.blocking_acquire_timeout(30 * S).unwrap();
                        admitted.lock().unwrap().push(time.clock().now().as_nanos());
                    }
                })
            })
            .collect();
        advance_until(&time, &limiter, || threads.iter().all(std::thread::ScopedJoinHandle::is_finished));
    });
    let admitted = admitted.into_inner().unwrap();
    assert_eq!(admitted.len(), 20);
    assert_eq!(*admitted.iter().max().unwrap(), 1_900_000_000, "exactly the rate");
    assert_eq!(limiter.queued(), 0);
}

#[test]
fn blocking_acquire_timeout_ends_after_its_own_timeout() {
    let (limiter, time) = limiter(Quota::per_second(1));
    assert!(limiter.try_acquire().is_ok());
    assert_eq!(
        reason(limiter.blocking_acquire_timeout(S - NS)),
        Some(Reason::Throttled),
        "it would wait too long"
    );
    let mut head = call(limiter.acquire());
    assert_pending!(head.poll());
    std::thread::scope(|s| {
        // Behind a head that is never polled again.
        let expires = s.spawn(|| reason(limiter.blocking_acquire_timeout(2 * S)));
        // The thread may begin to wait before or after the head is woken.
        while !expires.is_finished() {
            time.next_sleeper().into_iter().for_each(|at| time.advance_to(at));
            std::thread::yield_now();
        }
        assert_eq!(expires.join().unwrap(), Some(Reason::Expired));
    });
    assert_eq!(limiter.queued(), 1);
}

// ---- events

#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Observe for Events {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn each_request_emits_each_event_once() {
    let (time, events) = (ManualTime::new(), Arc::new(Events::default()));
    let limiter =
        RateLimiter::builder().name("observed").quota(ONE).queue(2).max_wait(10 * S).clock(time.clock());
    let limiter = limiter.observe(events.clone()).build().unwrap();
    let mut seen = 0;
    let mut new_events = || {
        let events = events.0.lock().unwrap();
        let new = events[seen..].to_vec();
        seen = events.len();
        new
    };
    let by = "observed";
    limiter.try_acquire().unwrap().done(plimsoll_core::Outcome::Success);
    let completed = Event::completed(by, plimsoll_core::Outcome::Success);
    assert_eq!(new_events(), [Event::admitted(by), completed]);
    let (mut stays, mut leaves) = (task::spawn(limiter.acquire()), task::spawn(limiter.acquire()));
    assert_pending!(stays.poll());
    assert_pending!(leaves.poll());
    assert_eq!(new_events(), [], "waiting is no rejection");
    assert_eq!(reason(assert_ready!(task::spawn(limiter.acquire()).poll())), Some(Reason::Full));
    assert!(
        matches!(new_events()[..], [Event::Rejected { rejected, .. }] if rejected.reason() == Reason::Full)
    );
    drop(leaves);
    assert_eq!(new_events(), [Event::abandoned(by)]);
    time.advance(S);
    let permit: Permit<_> = assert_ready!(stays.poll()).unwrap();
    assert_eq!(new_events(), [Event::admitted(by)]);
    permit.refund();
    assert_eq!(new_events(), [Event::refunded(by)]);
}

/// On the system clock, without a need to wait.
#[test]
fn acquire_runs_on_the_system_clock() {
    let limiter = RateLimiter::new(Quota::per_second(1_000)).unwrap();
    let acquired = Clock::system().block_until(None, limiter.acquire()).unwrap();
    assert!(acquired.is_ok());
}

#[cfg(all(feature = "tower", feature = "test-util"))]
mod in_a_runtime {
    use super::*;
    use std::task::Poll;
    use tower::{BoxError, Service, ServiceExt, service_fn};

    /// Forty calls at ten a second: the last one is admitted after three seconds.
    #[tokio::test(start_paused = true)]
    async fn wait_layer_admits_at_exactly_the_rate() {
        let limiter =
            RateLimiter::builder().quota(Quota::per_second(10)).queue(64).max_wait(60 * S).build().unwrap();
        let begin = Clock::system().now();
        let service = tower::ServiceBuilder::new().layer(limiter.wait_layer()).service(service_fn(
            move |n: u32| async move { Ok::<_, BoxError>((n, Clock::system().now().since(begin))) },
        ));
        let calls: Vec<_> = (0..40).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
        for (n, call) in calls.into_iter().enumerate() {
            let (which, at) = call.await.unwrap().unwrap();
            let due = S * (n as u32).saturating_sub(9) / 10;
            assert_eq!(which as usize, n);
            // The runtime's timer counts milliseconds.
            assert!((due..=due + 2 * Duration::from_millis(1)).contains(&at), "{n}: {at:?}, not {due:?}");
        }
        assert_eq!(limiter.queued(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_task_leaves_the_queue() {
        let limiter =
            KeyedRateLimiter::<u64>::builder().quota(ONE).queue(8).max_wait(60 * S).build().unwrap();
        assert!(limiter.try_acquire(&1).is_ok());
        let (clock, mut waiter) = (Clock::system(), Box::pin(limiter.acquire(&1)));
        assert!(std::future::poll_fn(|cx| Poll::Ready(waiter.as_mut().poll(cx).is_pending())).await);
        clock.sleep_until(clock.now() + S / 2).await;
        drop(waiter);
        assert_eq!(limiter.queued(), 0);
        let begin = Clock::system().now();
        assert!(limiter.acquire(&1).await.is_ok());
        assert!(
            Clock::system().now().since(begin) <= S / 2 + Duration::from_millis(2),
            "it was charged nothing: {:?}",
            Clock::system().now().since(begin)
        );
    }

    /// Services that were readied but never called have been charged nothing.
    #[tokio::test(start_paused = true)]
    async fn readied_service_that_is_dropped_is_charged_nothing() {
        let limiter = RateLimiter::new(Quota::per_second(5)).unwrap();
        let work = service_fn(async |(): ()| Ok::<_, BoxError>(()));
        let gate = tower::ServiceBuilder::new().layer(limiter.layer()).service(work);
        let waiter = tower::ServiceBuilder::new().layer(limiter.wait_layer()).service(work);
        for _ in 0..20 {
            let (mut gate, mut waiter) = (gate.clone(), waiter.clone());
            std::future::poll_fn(|cx| Service::<()>::poll_ready(&mut gate, cx)).await.unwrap();
            std::future::poll_fn(|cx| Service::<()>::poll_ready(&mut waiter, cx)).await.unwrap();
        }
        assert_eq!(limiter.remaining(), 5);
    }
}
