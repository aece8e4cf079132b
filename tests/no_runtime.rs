//! Everything works on plain threads, with no runtime anywhere.
#![allow(missing_docs, clippy::unwrap_used)]

use plimsoll::limit::Class;
use plimsoll::prelude::*;
use plimsoll::{Clock, Gate, ManualTime};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

#[test]
fn threads_wait_in_line_and_all_get_through() {
    let valve =
        Valve::builder().concurrency(2).queue(16).max_wait(Duration::from_secs(3600)).build().unwrap();
    let (now, most, done) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                for _ in 0..500 {
                    let _permit = valve.blocking_acquire_timeout(Duration::from_secs(3600)).unwrap();
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    now.fetch_sub(1, SeqCst);
                    done.fetch_add(1, SeqCst);
                }
            });
        }
    });
    assert_eq!(done.load(SeqCst), 4_000);
    assert!(most.load(SeqCst) <= 2);
}

#[test]
fn an_async_wait_runs_on_a_thread_and_expires_by_its_clock() {
    let time = ManualTime::new();
    let valve =
        Valve::builder().queue(1).max_wait(Duration::from_secs(60)).clock(time.clock()).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    std::thread::scope(|s| {
        let waits = s.spawn(|| Clock::system().block_until(None, valve.acquire()).unwrap().map(|_| ()));
        while !waits.is_finished() {
            if valve.queued() == 1 {
                time.advance(Duration::from_secs(60));
            }
            std::thread::yield_now();
        }
        assert_eq!(waits.join().unwrap().unwrap_err().reason(), Reason::Expired);
    });
}

#[test]
fn a_tuple_is_a_gate_on_a_thread_too() {
    let (shed, valve) = (RandomDrop::new(1.0).unwrap(), Valve::new(1).unwrap());
    let gates = (&shed, &valve);
    let token = gates.admit("job").unwrap();
    let permit = Permit::new(gates, token);
    assert_eq!(gates.admit("job").unwrap_err().reason(), Reason::Full);
    permit.done(Outcome::Success);
    assert_eq!(valve.in_flight(), 0);
}

#[test]
fn a_mailbox_carries_items_between_threads_and_tells_what_it_lost() {
    const EACH: u64 = 20_000;
    let mailbox = Mailbox::new(64).unwrap();
    let mut inbox = mailbox.inbox();
    let (mut taken, mut lost) = (0, 0);
    std::thread::scope(|s| {
        for _ in 0..2 {
            let mailbox = mailbox.clone();
            s.spawn(move || (0..EACH).for_each(|n| drop(mailbox.offer(n))));
        }
        drop(mailbox);
        while let Some(mail) = inbox.blocking_mail_timeout(Duration::from_secs(60)) {
            taken += mail.items.len() as u64;
            lost += mail.lost.total();
        }
    });
    assert_eq!(taken + lost, 2 * EACH);
}

#[test]
fn slots_and_workers_serve_threads() {
    let pool = Dispatch::<u32>::new(4).unwrap();
    let (hands, workers) = plimsoll::Workers::<u32>::new(2).unwrap();
    let done = AtomicU32::new(0);
    std::thread::scope(|s| {
        for mut worker in workers {
            let (pool, done) = (&pool, &done);
            s.spawn(move || {
                while let Some(job) = worker.blocking_next() {
                    // A slot for each, and two to spare: nobody is busy.
                    *pool.checkout().or_make(|| 0).unwrap() += 1;
                    done.fetch_add(job, SeqCst);
                }
            });
        }
        for _ in 0..1_000 {
            let mut job = 1;
            while let Err(busy) = hands.submit(job) {
                job = busy.job;
                std::thread::yield_now();
            }
        }
        hands.close();
    });
    assert_eq!((done.into_inner(), pool.in_use()), (1_000, 0));
    assert_eq!(pool.close().into_iter().sum::<u32>(), 1_000, "each was counted in one of them");
}

/// So many are asked for at once, until it refuses; two more by threads that wait, and time is moved while they do.
fn asks_and_waits<T: Send>(
    time: &ManualTime,
    ask: impl Fn() -> Result<T, Rejected>,
    wait: impl Fn() -> Result<T, Rejected> + Sync,
    (waiting, close): (impl Fn() -> u32, impl Fn()),
    at_once: std::ops::RangeInclusive<usize>,
) {
    let taken = (0..1_000).take_while(|_| ask().is_ok()).count();
    assert!(at_once.contains(&taken), "{taken}");
    let no = ask().map(|_| ()).unwrap_err();
    assert!(matches!(no.reason(), Reason::Limited | Reason::Throttled));
    assert!(no.retry_after().is_some());
    std::thread::scope(|s| {
        let waits = [s.spawn(|| wait().map(|_| ())), s.spawn(|| wait().map(|_| ()))];
        for _ in 0..20_000_000 {
            if waits.iter().all(|waits| waits.is_finished()) {
                break;
            }
            if waiting() > 0 {
                time.advance(Duration::from_secs(1));
            }
            std::thread::yield_now();
        }
        close(); // Whoever waited for ever would be rejected now.
        waits.into_iter().for_each(|waits| waits.join().unwrap().unwrap());
    });
    assert_eq!(waiting(), 0);
    assert_eq!(ask().map(|_| ()).unwrap_err().reason(), Reason::Closed);
    assert_eq!(wait().map(|_| ()).unwrap_err().reason(), Reason::Closed);
}

const TWO: Quota = Quota::per_hour(2);
const LONG: Duration = Duration::from_secs(100_000_000);

#[test]
fn a_limiter_is_asked_and_waited_for_on_threads() {
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(TWO).max_wait(LONG).clock(time.clock()).build().unwrap();
    let watch = (|| limiter.queued(), || limiter.close());
    asks_and_waits(&time, || limiter.try_acquire(), || limiter.blocking_acquire_timeout(LONG), watch, 2..=2);
}

#[test]
fn a_limiter_by_account_is_asked_and_waited_for_on_threads() {
    let time = ManualTime::new();
    let new = KeyedRateLimiter::<str>::builder().quota(TWO).max_wait(LONG);
    let limiter = new.clock(time.clock()).build().unwrap();
    let watch = (|| limiter.queued(), || limiter.close());
    asks_and_waits(
        &time,
        || limiter.try_acquire("ann"),
        || limiter.blocking_acquire_timeout("ann", LONG),
        watch,
        2..=2,
    );
}

#[test]
fn tiers_are_asked_and_waited_for_on_threads() {
    let time = ManualTime::new();
    let new =
        TieredRateLimiter::<str>::builder().global(TWO).class(Class::new("free").each(TWO)).max_wait(LONG);
    let tiers = new.clock(time.clock()).build().unwrap();
    let watch = (|| tiers.queued(), || tiers.close());
    asks_and_waits(
        &time,
        || tiers.try_acquire("ann"),
        || tiers.blocking_acquire_timeout("ann", LONG),
        watch,
        2..=2,
    );
}

#[test]
fn a_fair_limiter_is_asked_and_waited_for_on_threads() {
    let time = ManualTime::new();
    let new = FairRateLimiter::<str>::builder().quota(Quota::per_second(100)).max_wait(LONG);
    let limiter = new.clock(time.clock()).build().unwrap();
    let watch = (|| limiter.queued(), || limiter.close());
    asks_and_waits(
        &time,
        || limiter.try_acquire("ann"),
        || limiter.blocking_acquire_timeout("ann", LONG),
        watch,
        20..=100,
    );
}

/// Who is not let through in time has spent nothing, and is told at once where that is known.
#[test]
fn a_thread_waits_no_longer_than_it_said() {
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(TWO).max_wait(LONG).clock(time.clock()).build().unwrap();
    limiter.check_n(2).unwrap();
    let no = limiter.blocking_acquire_timeout(Duration::from_secs(60)).unwrap_err();
    assert_eq!(no.reason(), Reason::Throttled, "half an hour is longer than a minute");
    assert_eq!(limiter.queued(), 0);
}
