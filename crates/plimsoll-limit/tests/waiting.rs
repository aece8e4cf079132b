//! Waiting: in order for each account, bounded for all, and gone without a trace.
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
    result.err().map(|no| no.reason())
}

/// A call that waits, of any limiter: it answers with the reason of its refusal.
type Call<'a> = Spawn<Pin<Box<dyn Future<Output = Option<Reason>> + 'a>>>;

fn call<'a, T>(future: impl Future<Output = Result<T, Rejected>> + 'a) -> Call<'a> {
    task::spawn(Box::pin(async { reason(future.await) }))
}

#[test]
fn those_who_wait_go_in_the_order_of_asking_at_exactly_the_rate() {
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
        // The last ones first: they do not overtake.
        calls[n + 1..].iter_mut().rev().for_each(|call| assert_pending!(call.poll()));
        assert_eq!(assert_ready!(calls[n].poll()), None);
    }
    assert_eq!(limiter.queued(), 0);
}

/// Woken when it is its turn, and not once more: nobody polls in vain.
#[test]
fn a_waiter_is_polled_no_more_often_than_it_must_be() {
    let (limiter, time) = limiter(ONE);
    assert!(limiter.try_acquire().is_ok());
    let mut calls: Vec<_> = (0..5).map(|_| call(limiter.acquire())).collect();
    let (mut polls, mut done) = (0, 0);
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    // Every hundredth of a second whoever was woken is polled.
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
    // Each as head of the line, and each when its time has come.
    assert!(polls <= 2 * 5, "{polls}");
}

#[test]
fn accounts_do_not_stand_in_each_others_line() {
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
fn all_accounts_together_are_bounded() {
    let (limiter, time) = keyed(ONE);
    for key in 0..8 {
        assert!(limiter.try_acquire(&key).is_ok());
    }
    let keys: Vec<u64> = (0..8).collect();
    let mut calls: Vec<_> = keys.iter().map(|key| call(limiter.acquire(key))).collect();
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    let no = assert_ready!(task::spawn(limiter.acquire(&0)).poll()).map(drop).unwrap_err();
    assert_eq!((no.reason(), no.limit(), no.observed()), (Reason::Full, Some(8), Some(8)));
    // Who need not wait needs no room.
    assert_eq!(assert_ready!(call(limiter.acquire(&99)).poll()), None);
    drop(calls.pop());
    let mut waits = call(limiter.acquire(&0));
    assert_pending!(waits.poll());
    limiter.set_queue(0).unwrap();
    assert_eq!(assert_ready!(call(limiter.acquire(&0)).poll()), Some(Reason::Full));
    time.advance(2 * S);
    calls.iter_mut().for_each(|call| assert_eq!(assert_ready!(call.poll()), None, "it keeps its place"));
    time.advance(S);
    assert_eq!(assert_ready!(waits.poll()), None);
    assert_eq!(limiter.queued(), 0);
    assert!(limiter.set_queue(1 << 31).is_err());
    assert_eq!(limiter.queue_limit(), 0, "nothing has changed");
    limiter.set_queue(1).unwrap();
    assert!(limiter.set_max_wait(Duration::ZERO).is_err());
}

#[test]
fn who_would_come_too_late_is_refused_at_once() {
    let (limiter, time) = limiter(Quota::per_minute(1).burst(2));
    limiter.set_queue(8).unwrap();
    limiter.set_max_wait(90 * S).unwrap();
    let _ = limiter.try_acquire_n(2).unwrap();
    let no = assert_ready!(task::spawn(limiter.acquire_n(2)).poll()).map(drop).unwrap_err();
    assert_eq!((no.reason(), no.retry_after()), (Reason::Throttled, Some(120 * S)));
    assert_eq!(assert_ready!(call(limiter.acquire_n(3)).poll()), Some(Reason::TooLarge));
    assert_eq!(limiter.queued(), 0, "they did not stand in line for it");
    // Behind another it is known only when it is the head.
    let (mut first, mut second) = (call(limiter.acquire()), call(limiter.acquire()));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    time.advance(60 * S);
    assert_eq!(assert_ready!(first.poll()), None);
    assert_eq!(assert_ready!(second.poll()), Some(Reason::Throttled));
}

#[test]
fn who_waits_expires() {
    let (limiter, time) = limiter(Quota::per_minute(1));
    limiter.set_queue(8).unwrap();
    limiter.set_max_wait(60 * S).unwrap();
    assert!(limiter.try_acquire().is_ok());
    let (mut first, mut second) = (call(limiter.acquire()), call(limiter.acquire()));
    assert_pending!(first.poll());
    time.advance(S);
    assert_pending!(second.poll());
    // Slower: neither comes in time, and the head learns it at once.
    limiter.set_quota(Quota::per_hour(1)).unwrap();
    assert_eq!(assert_ready!(first.poll()), Some(Reason::Throttled));
    assert!(second.is_woken(), "it is the head");
    assert_eq!(assert_ready!(second.poll()), Some(Reason::Throttled));
    // Behind a head that is never polled.
    limiter.set_quota(Quota::per_second(1).burst(100)).unwrap();
    (0..99).for_each(|_| drop(limiter.try_acquire()));
    let (mut head, mut behind) = (call(limiter.acquire()), call(limiter.acquire()));
    assert_pending!(head.poll());
    assert_pending!(behind.poll());
    time.advance(60 * S);
    assert_eq!(assert_ready!(behind.poll()), Some(Reason::Expired));
    // It comes at its very last moment, and there is one.
    assert_eq!(assert_ready!(head.poll()), None);
    assert_eq!(limiter.queued(), 0);
}

#[test]
fn an_ask_does_not_overtake_those_who_wait() {
    let (limiter, time) = keyed(ONE);
    assert!(limiter.try_acquire(&1).is_ok());
    let mut waits = call(limiter.acquire(&1));
    assert_pending!(waits.poll());
    time.advance(S);
    let no = limiter.try_acquire(&1).map(drop).unwrap_err();
    assert_eq!((no.reason(), no.retry_after()), (Reason::Limited, Some(S)));
    assert_eq!(limiter.try_acquire_n(&1, 2).map(drop).unwrap_err().reason(), Reason::TooLarge);
    assert!(limiter.try_acquire(&2).is_ok());
    assert_eq!(assert_ready!(waits.poll()), None);
    time.advance(S);
    assert!(limiter.try_acquire(&1).is_ok());
}

#[test]
fn nor_in_tiers_nor_in_fair_shares() {
    let time = ManualTime::new();
    let class = Class::new("free").each(ONE.burst(2));
    let tiers =
        TieredRateLimiter::<u64>::builder().global(ONE.burst(3)).class(class).queue(8).clock(time.clock());
    let tiers = tiers.build().unwrap();
    let _ = tiers.try_acquire_n(&1, 2).unwrap();
    let mut waits = call(tiers.acquire(&1));
    assert_pending!(waits.poll());
    time.advance(S);
    assert_eq!(reason(tiers.try_acquire(&1)), Some(Reason::Limited));
    let no = tiers.try_acquire_n(&1, 3).map(drop).unwrap_err();
    assert_eq!(
        (no.by(), no.reason()),
        ("tiers/free/account", Reason::TooLarge),
        "never, while others wait too"
    );
    let no = tiers.try_acquire_n(&1, 2).map(drop).unwrap_err();
    assert!(no.retry_after() >= Some(S), "{no:?}");
    assert!(tiers.try_acquire(&2).is_ok());
    assert_eq!(assert_ready!(waits.poll()), None);
    let fair = FairRateLimiter::<u64>::builder().quota(Quota::per_second(20)).queue(8).clock(time.clock());
    let fair = fair.build().unwrap();
    assert!(fair.try_acquire(&1).is_ok());
    // It is known, and has used nothing for long, when another takes all.
    time.advance(10 * S);
    let _ = fair.try_acquire_n(&2, 20).unwrap();
    let mut waits = call(fair.acquire(&1));
    assert_pending!(waits.poll());
    time.advance(S / 20);
    assert_eq!(reason(fair.try_acquire(&1)), Some(Reason::Throttled), "it has not had its share");
    assert_eq!(reason(fair.try_acquire_n(&1, 21)), Some(Reason::TooLarge));
    assert_eq!(assert_ready!(waits.poll()), None);
}

/// Left before it was polled, behind another, as the head, and with its time come but not told yet. (Q3, Q4)
#[test]
fn who_goes_away_takes_nothing_and_leaves_nothing() {
    for at in 0..5 {
        let (limiter, time) = limiter(ONE);
        assert!(limiter.try_acquire().is_ok());
        let mut stays = call(limiter.acquire());
        let mut goes = call(limiter.acquire());
        match at {
            // Never polled.
            0 => assert_pending!(stays.poll()),
            // Behind.
            1 => {
                assert_pending!(stays.poll());
                assert_pending!(goes.poll());
            }
            // Head, and another behind it.
            _ => {
                assert_pending!(goes.poll());
                assert_pending!(stays.poll());
            }
        }
        // Its time has come, or has gone.
        time.advance(S * at / 3);
        drop(goes);
        assert_eq!(limiter.queued(), 1, "{at}");
        if at >= 3 {
            assert!(stays.is_woken(), "{at}: the next one is the head");
        } else if at == 2 {
            assert_pending!(stays.poll());
        }
        time.advance(S * 3 - S * at / 3);
        assert_eq!(assert_ready!(stays.poll()), None, "{at}");
        assert!(limiter.try_acquire().is_err(), "{at}: nothing was spent by who left; it filled up to one");
        assert_eq!(limiter.queued(), 0);
    }
}

#[test]
fn close_wakes_all_and_admits_nobody() {
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
fn a_quota_that_is_changed_wakes_the_head() {
    let (limiter, time) = limiter(Quota::per_minute(2).burst(1));
    assert!(limiter.try_acquire().is_ok());
    let mut waits = call(limiter.acquire());
    assert_pending!(waits.poll());
    limiter.set_quota(ONE).unwrap();
    assert!(waits.is_woken());
    assert_pending!(waits.poll());
    time.advance(S - NS);
    assert_pending!(waits.poll());
    time.advance(NS);
    assert_eq!(assert_ready!(waits.poll()), None);
}

#[test]
fn what_is_given_back_wakes_the_head() {
    let (limiter, _time) = keyed(Quota::per_minute(2).burst(1));
    let held = limiter.try_acquire(&1).unwrap();
    let mut waits = call(limiter.acquire(&1));
    assert_pending!(waits.poll());
    held.refund();
    assert!(waits.is_woken());
    assert_eq!(assert_ready!(waits.poll()), None);
    // In tiers it may be another account's unit, too.
    let time = ManualTime::new();
    let tiers =
        TieredRateLimiter::<u64>::builder().global(ONE).class(Class::new("all")).queue(8).clock(time.clock());
    let tiers = tiers.build().unwrap();
    let held = tiers.try_acquire(&1).unwrap();
    let mut waits = call(tiers.acquire(&2));
    assert_pending!(waits.poll());
    held.refund();
    assert_eq!(assert_ready!(waits.poll()), None);
}

#[test]
fn who_is_promoted_while_it_waits_waits_no_longer() {
    let time = ManualTime::new();
    let tiers =
        TieredRateLimiter::<u64>::builder().class(Class::new("free").each(Quota::per_minute(1).burst(1)));
    let tiers = tiers.class(Class::new("premium").each(ONE.burst(9))).queue(8).max_wait(60 * S);
    let tiers = tiers.clock(time.clock()).build().unwrap();
    let _ = tiers.try_acquire(&1).unwrap();
    let mut waits = call(tiers.acquire(&1));
    assert_pending!(waits.poll());
    tiers.assign(&1, "premium").unwrap();
    assert!(waits.is_woken());
    assert_eq!(assert_ready!(waits.poll()), None);
}

#[test]
fn tiers_and_shares_that_are_changed_wake_those_who_wait() {
    let time = ManualTime::new();
    let class = Class::new("free").each(Quota::per_minute(2).burst(1)).all(Quota::per_minute(2).burst(1));
    let tiers = TieredRateLimiter::<u64>::builder()
        .global(Quota::per_minute(2).burst(1))
        .class(class)
        .max_wait(60 * S);
    let tiers = tiers.queue(8).clock(time.clock()).build().unwrap();
    let _ = tiers.try_acquire(&1).unwrap();
    let mut waits = call(tiers.acquire(&1));
    assert_pending!(waits.poll());
    for change in [0, 1, 2] {
        match change {
            0 => tiers.set_global(ONE).unwrap(),
            1 => tiers.set_each("free", ONE).unwrap(),
            _ => tiers.set_all("free", ONE).unwrap(),
        }
        assert!(waits.is_woken(), "{change}");
        assert_pending!(waits.poll());
    }
    time.advance(S);
    assert_eq!(assert_ready!(waits.poll()), None);
    let fair = FairRateLimiter::<u64>::builder().quota(Quota::per_minute(2).burst(2)).max_wait(60 * S);
    let fair = fair.queue(8).clock(time.clock()).build().unwrap();
    assert!(fair.try_acquire(&1).is_ok());
    let mut waits = call(fair.acquire(&1));
    assert_pending!(waits.poll());
    fair.set_quota(Quota::per_second(2)).unwrap();
    assert!(waits.is_woken());
}

/// Q15: a rate that sinks to nearly nothing and comes back; and nobody spins meanwhile.
#[test]
fn a_rate_of_nearly_nothing_recovers() {
    let (limiter, time) = limiter(ONE);
    limiter.set_queue(8).unwrap();
    limiter.set_max_wait(Duration::from_secs(86_400 * 365)).unwrap();
    assert!(limiter.try_acquire().is_ok());
    let mut waits = call(limiter.acquire());
    assert_pending!(waits.poll());
    limiter.set("rate", 1e-6).unwrap();
    assert_pending!(waits.poll());
    let mut polls = 0;
    for _ in 0..1_000 {
        time.advance(60 * S);
        if waits.is_woken() {
            polls += 1;
            assert_pending!(waits.poll());
        }
    }
    assert_eq!(polls, 0, "nothing to do");
    limiter.set("rate", 1.0).unwrap();
    assert!(waits.is_woken());
    // What was owed then is owed still, less what came back in those 60,000 s: six hundredths of a unit.
    assert_pending!(waits.poll());
    time.advance(S * 93 / 100);
    assert_pending!(waits.poll());
    time.advance(S / 100 + 10 * NS);
    assert_eq!(assert_ready!(waits.poll()), None);
}

#[test]
fn several_units_are_waited_for_at_once() {
    let (limiter, time) = limiter(ONE.burst(5));
    let _ = limiter.try_acquire_n(5).unwrap();
    let (mut four, mut one) = (call(limiter.acquire_n(4)), call(limiter.acquire_n(1)));
    assert_pending!(four.poll());
    assert_pending!(one.poll());
    time.advance(4 * S - NS);
    assert_pending!(four.poll());
    assert_pending!(one.poll());
    time.advance(NS);
    assert_pending!(one.poll());
    assert_eq!(assert_ready!(four.poll()), None);
    assert_pending!(one.poll());
    time.advance(S);
    assert_eq!(assert_ready!(one.poll()), None);
}

/// A thousand accounts have waited, and nothing of it is left.
#[test]
fn no_line_is_left_behind() {
    let (limiter, time) = keyed(ONE);
    limiter.set_queue(1_000).unwrap();
    limiter.set_max_wait(60 * S).unwrap();
    let lines = |limiter: &KeyedRateLimiter<u64>| {
        let mut waiting = f64::NAN;
        Inspect::read(limiter, &mut |what, value| {
            if what == "queued" {
                waiting = value
            }
        });
        waiting
    };
    let clean = allocation_counter::measure(|| {
        for round in 0..50u64 {
            let keys: Vec<u64> = (round * 20..round * 20 + 20).collect();
            keys.iter().for_each(|key| drop(limiter.try_acquire(key)));
            let mut calls: Vec<_> = keys.iter().map(|key| call(limiter.acquire(key))).collect();
            calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
            assert_eq!(lines(&limiter), 20.0);
            // Half of them leave, half of them get theirs.
            calls.truncate(10);
            time.advance(10 * S);
            calls.iter_mut().for_each(|call| assert_eq!(assert_ready!(call.poll()), None));
        }
    });
    assert_eq!(limiter.queued(), 0);
    // The maps may keep some room of their own; a thousand lines would be more.
    assert!(clean.bytes_current < 60_000, "{} bytes are left", clean.bytes_current);
}

// ---- without a runtime

/// Lets the time of a world go by as soon as the head of a line sleeps in it, until `done`. Who stands behind has
/// much longer to go. If nothing comes of it, all are sent away, and fail.
fn drive(time: &ManualTime, limiter: &RateLimiter, done: impl Fn() -> bool) {
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
fn threads_wait_in_the_same_line() {
    let (limiter, time) = limiter(Quota::per_second(10).burst(1));
    let got = Mutex::new(vec![]);
    std::thread::scope(|s| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| {
                    for _ in 0..5 {
                        // 20 in all, ten a second: nobody waits for more than a second.
                        let _ = limiter.blocking_acquire_timeout(30 * S).unwrap();
                        got.lock().unwrap().push(time.clock().now().as_nanos());
                    }
                })
            })
            .collect();
        drive(&time, &limiter, || threads.iter().all(std::thread::ScopedJoinHandle::is_finished));
    });
    let got = got.into_inner().unwrap();
    assert_eq!(got.len(), 20);
    assert_eq!(*got.iter().max().unwrap(), 1_900_000_000, "exactly the rate");
    assert_eq!(limiter.queued(), 0);
}

#[test]
fn a_thread_gives_up_when_its_own_time_is_over() {
    let (limiter, time) = limiter(Quota::per_second(1));
    assert!(limiter.try_acquire().is_ok());
    assert_eq!(
        reason(limiter.blocking_acquire_timeout(S - NS)),
        Some(Reason::Throttled),
        "it would come too late"
    );
    let waits = call(limiter.acquire());
    let mut waits = waits;
    assert_pending!(waits.poll());
    std::thread::scope(|s| {
        // Behind another, who never goes on.
        let expires = s.spawn(|| reason(limiter.blocking_acquire_timeout(S)));
        drive(&time, &limiter, || expires.is_finished());
        assert_eq!(expires.join().unwrap(), Some(Reason::Expired));
    });
    assert_eq!(limiter.queued(), 1);
}

// ---- what is told

#[derive(Default)]
struct Ear(Mutex<Vec<Event>>);

impl Observe for Ear {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn each_who_asked_is_told_of_once() {
    let (time, ear) = (ManualTime::new(), Arc::new(Ear::default()));
    let limiter =
        RateLimiter::builder().name("told").quota(ONE).queue(2).max_wait(10 * S).clock(time.clock());
    let limiter = limiter.observe(ear.clone()).build().unwrap();
    let mut heard = 0;
    let mut news = || {
        let all = ear.0.lock().unwrap();
        let new = all[heard..].to_vec();
        heard = all.len();
        new
    };
    let by = "told";
    limiter.try_acquire().unwrap().done(plimsoll_core::Outcome::Success);
    let ended = |outcome| Event::completed(by, outcome);
    assert_eq!(news(), [Event::admitted(by), ended(plimsoll_core::Outcome::Success)]);
    let (mut gets, mut leaves) = (task::spawn(limiter.acquire()), task::spawn(limiter.acquire()));
    assert_pending!(gets.poll());
    assert_pending!(leaves.poll());
    assert_eq!(news(), [], "whoever waits is not refused");
    assert_eq!(reason(assert_ready!(task::spawn(limiter.acquire()).poll())), Some(Reason::Full));
    assert!(matches!(news()[..], [Event::Rejected { rejected: no, .. }] if no.reason() == Reason::Full));
    drop(leaves);
    assert_eq!(news(), [Event::abandoned(by)]);
    time.advance(S);
    let permit: Permit<_> = assert_ready!(gets.poll()).unwrap();
    assert_eq!(news(), [Event::admitted(by)]);
    permit.refund();
    assert_eq!(news(), [Event::refunded(by)]);
}

#[test]
fn an_acquire_runs_on_any_clock() {
    // On the system's clock, with nothing to wait for.
    let limiter = RateLimiter::new(Quota::per_second(1_000)).unwrap();
    let got = Clock::system().block_until(None, limiter.acquire()).unwrap();
    assert!(got.is_ok());
}

#[cfg(all(feature = "tower", feature = "test-util"))]
mod in_a_runtime {
    use super::*;
    use std::task::Poll;
    use tower::{BoxError, Service, ServiceExt, service_fn};

    /// Forty at once, ten a second: the last one after three seconds.
    #[tokio::test(start_paused = true)]
    async fn a_layer_that_waits_admits_at_exactly_the_rate() {
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
    async fn a_task_that_is_cancelled_leaves_the_line() {
        let limiter =
            KeyedRateLimiter::<u64>::builder().quota(ONE).queue(8).max_wait(60 * S).build().unwrap();
        assert!(limiter.try_acquire(&1).is_ok());
        let (clock, mut waits) = (Clock::system(), Box::pin(limiter.acquire(&1)));
        assert!(std::future::poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
        clock.sleep_until(clock.now() + S / 2).await;
        drop(waits);
        assert_eq!(limiter.queued(), 0);
        let begin = Clock::system().now();
        assert!(limiter.acquire(&1).await.is_ok());
        assert!(
            Clock::system().now().since(begin) <= S / 2 + Duration::from_millis(2),
            "nothing was spent: {:?}",
            Clock::system().now().since(begin)
        );
    }

    /// Clones that were made ready and never called have taken nothing.
    #[tokio::test(start_paused = true)]
    async fn ready_clones_that_are_dropped_burn_nothing() {
        let limiter = RateLimiter::new(Quota::per_second(5)).unwrap();
        let work = service_fn(async |(): ()| Ok::<_, BoxError>(()));
        let gate = tower::ServiceBuilder::new().layer(limiter.layer()).service(work);
        let waits = tower::ServiceBuilder::new().layer(limiter.wait_layer()).service(work);
        for _ in 0..20 {
            let (mut gate, mut waits) = (gate.clone(), waits.clone());
            std::future::poll_fn(|cx| Service::<()>::poll_ready(&mut gate, cx)).await.unwrap();
            std::future::poll_fn(|cx| Service::<()>::poll_ready(&mut waits, cx)).await.unwrap();
        }
        assert_eq!(limiter.remaining(), 5);
    }
}
