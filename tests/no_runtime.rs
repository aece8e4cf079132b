//! Every guard works on plain threads, without a runtime.
#![allow(missing_docs, clippy::unwrap_used)]

use plimsoll::limit::Class;
use plimsoll::prelude::*;
use plimsoll::{Clock, Gate, ManualTime, Workers};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn waiting_threads_are_all_admitted_within_the_limit() {
    let valve = Valve::builder().concurrency(2).queue(16).max_wait(HOUR).build().unwrap();
    let (in_flight, max, done) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                for _ in 0..500 {
                    let _permit = valve.blocking_acquire_timeout(HOUR).unwrap();
                    max.fetch_max(in_flight.fetch_add(1, SeqCst) + 1, SeqCst);
                    in_flight.fetch_sub(1, SeqCst);
                    done.fetch_add(1, SeqCst);
                }
            });
        }
    });
    assert_eq!(done.load(SeqCst), 4_000);
    assert!(max.load(SeqCst) <= 2);
}

#[test]
fn async_wait_on_a_thread_expires_by_its_clock() {
    let time = ManualTime::new();
    let minute = Duration::from_secs(60);
    let valve = Valve::builder().queue(1).max_wait(minute).clock(time.clock()).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    thread::scope(|s| {
        let waiter = s.spawn(|| Clock::system().block_on(valve.acquire()).map(|_| ()));
        while !waiter.is_finished() {
            if valve.queued() == 1 {
                time.advance(minute);
            }
            thread::yield_now();
        }
        assert_eq!(waiter.join().unwrap().unwrap_err().reason(), Reason::Expired);
    });
}

#[test]
fn tuple_is_a_gate_on_a_thread() {
    let (shed, valve) = (RandomDrop::new(1.0).unwrap(), Valve::new(1).unwrap());
    let gates = (&shed, &valve);
    let token = gates.admit("job").unwrap();
    let permit = Permit::new(gates, token);
    assert_eq!(gates.admit("job").unwrap_err().reason(), Reason::Full);
    permit.done(Outcome::Success);
    assert_eq!(valve.in_flight(), 0);
}

#[test]
fn mailbox_between_threads_counts_what_it_lost() {
    const ITEMS: u64 = 20_000;
    let mailbox = Mailbox::new(64).unwrap();
    let mut inbox = mailbox.inbox();
    let (mut taken, mut lost) = (0, 0);
    thread::scope(|s| {
        for _ in 0..2 {
            let mailbox = mailbox.clone();
            s.spawn(move || (0..ITEMS).for_each(|n| drop(mailbox.offer(n))));
        }
        drop(mailbox);
        while let Some(mail) = inbox.blocking_mail_timeout(Duration::from_secs(60)) {
            taken += mail.items.len() as u64;
            lost += mail.lost.total();
        }
    });
    assert_eq!(taken + lost, 2 * ITEMS);
}

#[test]
fn slots_and_workers_serve_threads() {
    let pool = Dispatch::<u32>::new(4).unwrap();
    let (handle, workers) = Workers::<u32>::new(2).unwrap();
    let done = AtomicU32::new(0);
    thread::scope(|s| {
        for mut worker in workers {
            let (pool, done) = (&pool, &done);
            s.spawn(move || {
                while let Some(job) = worker.blocking_next() {
                    // Four slots for two workers: a checkout is never rejected.
                    let mut count = pool.checkout().or_make(|| 0).unwrap();
                    *count += 1;
                    count.put_back();
                    done.fetch_add(job, SeqCst);
                }
            });
        }
        for _ in 0..1_000 {
            let mut job = 1;
            while let Err(busy) = handle.submit(job) {
                job = busy.job;
                thread::yield_now();
            }
        }
        handle.close();
    });
    assert_eq!((done.into_inner(), pool.in_use()), (1_000, 0));
    assert_eq!(pool.close().into_iter().sum::<u32>(), 1_000, "each job was counted in one slot");
}

/// Uses up a limiter, then lets two threads wait for it while time is advanced.
fn use_up_and_wait<T: Send>(
    time: &ManualTime,
    try_acquire: impl Fn() -> Result<T, Rejected>,
    acquire: impl Fn() -> Result<T, Rejected> + Sync,
    (queued, close): (impl Fn() -> u32, impl Fn()),
    expected: RangeInclusive<usize>,
) {
    let admitted = (0..1_000).take_while(|_| try_acquire().is_ok()).count();
    assert!(expected.contains(&admitted), "{admitted}");
    let rejected = try_acquire().map(|_| ()).unwrap_err();
    assert!(matches!(rejected.reason(), Reason::Limited | Reason::Throttled));
    assert!(rejected.retry_after().is_some());
    thread::scope(|s| {
        let waiters = [s.spawn(|| acquire().map(|_| ())), s.spawn(|| acquire().map(|_| ()))];
        for _ in 0..20_000_000 {
            if waiters.iter().all(|waiter| waiter.is_finished()) {
                break;
            }
            if queued() > 0 {
                time.advance(Duration::from_secs(1));
            }
            thread::yield_now();
        }
        close(); // Rejects a thread that would wait for ever.
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap().unwrap());
    });
    assert_eq!(queued(), 0);
    assert_eq!(try_acquire().map(|_| ()).unwrap_err().reason(), Reason::Closed);
    assert_eq!(acquire().map(|_| ()).unwrap_err().reason(), Reason::Closed);
}

const TWO: Quota = Quota::per_hour(2);
const LONG: Duration = Duration::from_secs(100_000_000);

#[test]
fn threads_wait_for_a_rate_limiter() {
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(TWO).max_wait(LONG).clock(time.clock()).build().unwrap();
    let acquire = || limiter.blocking_acquire_timeout(LONG);
    use_up_and_wait(
        &time,
        || limiter.try_acquire(),
        acquire,
        (|| limiter.queued(), || limiter.close()),
        2..=2,
    );
}

#[test]
fn threads_wait_for_a_keyed_rate_limiter() {
    let time = ManualTime::new();
    let limiter = KeyedRateLimiter::<str>::builder().quota(TWO).max_wait(LONG);
    let limiter = limiter.clock(time.clock()).build().unwrap();
    let (try_acquire, acquire) =
        (|| limiter.try_acquire("ann"), || limiter.blocking_acquire_timeout("ann", LONG));
    use_up_and_wait(&time, try_acquire, acquire, (|| limiter.queued(), || limiter.close()), 2..=2);
}

#[test]
fn threads_wait_for_a_tiered_rate_limiter() {
    let time = ManualTime::new();
    let limiter = TieredRateLimiter::<str>::builder().global(TWO).class(Class::new("free").each(TWO));
    let limiter = limiter.max_wait(LONG).clock(time.clock()).build().unwrap();
    let (try_acquire, acquire) =
        (|| limiter.try_acquire("ann"), || limiter.blocking_acquire_timeout("ann", LONG));
    use_up_and_wait(&time, try_acquire, acquire, (|| limiter.queued(), || limiter.close()), 2..=2);
}

#[test]
fn threads_wait_for_a_fair_rate_limiter() {
    let time = ManualTime::new();
    let limiter = FairRateLimiter::<str>::builder().quota(Quota::per_second(100)).max_wait(LONG);
    let limiter = limiter.clock(time.clock()).build().unwrap();
    let (try_acquire, acquire) =
        (|| limiter.try_acquire("ann"), || limiter.blocking_acquire_timeout("ann", LONG));
    use_up_and_wait(&time, try_acquire, acquire, (|| limiter.queued(), || limiter.close()), 20..=100);
}

/// The wait would be longer than the caller accepts, so it is rejected at once and charged nothing.
#[test]
fn wait_beyond_the_time_out_is_rejected_at_once() {
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(TWO).max_wait(LONG).clock(time.clock()).build().unwrap();
    limiter.check_n(2).unwrap();
    let rejected = limiter.blocking_acquire_timeout(Duration::from_secs(60)).unwrap_err();
    assert_eq!(rejected.reason(), Reason::Throttled, "half an hour is longer than a minute");
    assert_eq!(limiter.queued(), 0);
}
