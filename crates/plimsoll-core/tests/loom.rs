//! The semaphore under every interleaving with at most three preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll-core --no-default-features --release \
//!     --test loom
//! ```
#![cfg(plimsoll_loom)]

use loom::future::block_on;
use loom::thread;
use plimsoll_core::parts::{Acquire, FixedCapacity, Place, Semaphore};
use plimsoll_core::{Discipline, ManualTime, Outcome, Reason, Rejected};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn semaphore(concurrency: u32, queue: u32) -> Arc<Semaphore<FixedCapacity>> {
    // Time never advances, so a waiter that is not woken waits for ever.
    let clock = ManualTime::new().clock();
    let capacity = FixedCapacity::new(concurrency);
    Arc::new(Semaphore::new("loom", capacity, clock, queue, Duration::from_secs(1)))
}

fn explore(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

/// A place is released while another thread begins to wait. A lost wake-up would be a deadlock,
/// which loom reports.
#[test]
fn a_release_that_meets_an_enqueue_wakes_the_waiter() {
    explore(|| {
        let semaphore = semaphore(1, 2);
        let held = semaphore.try_acquire().unwrap();
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.settle(block_on(semaphore.acquire()).unwrap(), Outcome::Success))
        };
        semaphore.settle(held, Outcome::Success);
        waiter.join().unwrap();
        assert_eq!((semaphore.capacity().in_flight(), semaphore.queued()), (0, 0));
    });
}

#[test]
fn two_waiters_are_both_admitted() {
    explore(|| {
        let semaphore = semaphore(1, 2);
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    semaphore.settle(block_on(semaphore.acquire()).unwrap(), Outcome::Success)
                })
            })
            .collect();
        waiters.into_iter().for_each(|w| w.join().unwrap());
        assert_eq!((semaphore.capacity().in_flight(), semaphore.queued()), (0, 0));
    });
}

/// A waiter is dropped at the moment at which it is granted a place. The place must not be lost.
#[test]
fn a_cancelled_waiter_loses_no_place() {
    explore(|| {
        let semaphore = semaphore(1, 2);
        let held = semaphore.try_acquire().unwrap();
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                let mut acquire = pin!(semaphore.acquire());
                if let Poll::Ready(place) = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    semaphore.refund(place.unwrap());
                }
            })
        };
        semaphore.settle(held, Outcome::Success);
        waiter.join().unwrap();
        assert_eq!((semaphore.capacity().in_flight(), semaphore.queued()), (0, 0));
        semaphore.refund(semaphore.try_acquire().unwrap());
    });
}

#[test]
fn in_flight_never_exceeds_the_limit() {
    explore(|| {
        let semaphore = semaphore(1, 0);
        let other = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.try_acquire().ok())
        };
        let first = semaphore.try_acquire().ok();
        let second = other.join().unwrap();
        assert!(first.is_some() != second.is_some(), "one of the two takes the only place");
        first.into_iter().chain(second).for_each(|place| semaphore.refund(place));
        assert_eq!(semaphore.capacity().in_flight(), 0);
    });
}

#[test]
fn closing_rejects_every_waiter() {
    explore(|| {
        let semaphore = semaphore(1, 2);
        let held = semaphore.try_acquire().unwrap();
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || block_on(semaphore.acquire()).map(|_| ()).unwrap_err().reason())
        };
        semaphore.close();
        assert_eq!(waiter.join().unwrap(), Reason::Closed);
        semaphore.settle(held, Outcome::Success);
        assert_eq!((semaphore.capacity().in_flight(), semaphore.queued()), (0, 0));
    });
}

#[test]
fn a_raised_limit_admits_a_caller_that_begins_to_wait() {
    explore(|| {
        let semaphore = semaphore(1, 2);
        let held = semaphore.try_acquire().unwrap();
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.settle(block_on(semaphore.acquire()).unwrap(), Outcome::Success))
        };
        if semaphore.capacity().set_limit(2) {
            semaphore.admit_waiters();
        }
        waiter.join().unwrap();
        semaphore.settle(held, Outcome::Success);
        assert_eq!((semaphore.capacity().in_flight(), semaphore.queued()), (0, 0));
    });
}

/// Returns a waiter that is in the queue.
fn queued(semaphore: &Arc<Semaphore<FixedCapacity>>) -> Pin<Box<Acquire<FixedCapacity>>> {
    let mut acquire = Box::pin(semaphore.acquire());
    assert!(acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    acquire
}

/// Waits for the result and settles the place, if one was granted. Returns the reason otherwise.
fn acquire_and_settle(
    semaphore: &Semaphore<FixedCapacity>,
    acquire: impl Future<Output = Result<Place, Rejected>>,
) -> Option<Reason> {
    match block_on(acquire) {
        Ok(place) => {
            semaphore.settle(place, Outcome::Success);
            None
        }
        Err(rejected) => Some(rejected.reason()),
    }
}

/// The queue holds one waiter. A newcomer evicts it, unless a place is released to it first. Then
/// the newcomer is admitted.
#[test]
fn a_waiter_between_release_and_eviction_gets_one_result() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let record = seen.clone();
    explore(move || {
        let semaphore = semaphore(1, 1);
        semaphore.set_discipline(Discipline::Lifo);
        let held = semaphore.try_acquire().unwrap();
        let waiter = queued(&semaphore);
        let newcomer = {
            let semaphore = semaphore.clone();
            thread::spawn(move || acquire_and_settle(&semaphore, semaphore.acquire()))
        };
        semaphore.settle(held, Outcome::Success);
        let result = acquire_and_settle(&semaphore, waiter);
        assert!(matches!(result, None | Some(Reason::Evicted)), "{result:?}");
        record[usize::from(result.is_none())].store(true, Relaxed);
        assert_eq!(newcomer.join().unwrap(), None);
        assert_eq!((semaphore.capacity().in_flight(), semaphore.queued()), (0, 0));
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "both results occurred");
}

/// The queue is full, and a change of discipline makes it evict instead of reject. The newcomer
/// meets the old discipline or the new one.
#[test]
fn a_newcomer_meets_the_old_discipline_or_the_new_one() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 3]);
    let record = seen.clone();
    explore(move || {
        let semaphore = semaphore(1, 1);
        let held = semaphore.try_acquire().unwrap();
        let waiter = queued(&semaphore);
        let newcomer = {
            let semaphore = semaphore.clone();
            thread::spawn(move || acquire_and_settle(&semaphore, semaphore.acquire()))
        };
        semaphore.set_discipline(Discipline::Lifo);
        semaphore.settle(held, Outcome::Success);
        let (result, newcomer) = (acquire_and_settle(&semaphore, waiter), newcomer.join().unwrap());
        let which = match (result, newcomer) {
            (None, Some(Reason::Full)) => 0,
            (Some(Reason::Evicted), None) => 1,
            (None, None) => 2, // it arrived after the waiter was admitted
            other => panic!("{other:?}"),
        };
        record[which].store(true, Relaxed);
        assert_eq!((semaphore.capacity().in_flight(), semaphore.queued()), (0, 0));
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "all three results occurred");
}

/// A change of discipline takes the wakers of all waiters and wakes them. A waiter that is admitted
/// before its next poll has no waker in the queue, and must find its place at that poll.
#[test]
fn a_change_of_discipline_loses_no_admission() {
    explore(|| {
        let semaphore = semaphore(1, 1);
        let held = semaphore.try_acquire().unwrap();
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || acquire_and_settle(&semaphore, semaphore.acquire()))
        };
        semaphore.set_discipline(Discipline::Lifo);
        semaphore.settle(held, Outcome::Success);
        assert_eq!(waiter.join().unwrap(), None);
        assert_eq!((semaphore.capacity().in_flight(), semaphore.queued()), (0, 0));
    });
}

/// A longest wait of zero is valid without a queue, and a queue with a longest wait above zero. Two
/// changes that are valid one by one must not leave a queue in which no request may wait.
#[test]
fn limits_of_a_queue_are_valid_together() {
    explore(|| {
        let semaphore = semaphore(1, 0);
        let longer = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.set_queue(1).is_ok())
        };
        let without_wait = semaphore.set_max_wait(Duration::ZERO).is_ok();
        let longer = longer.join().unwrap();
        assert!(!(longer && without_wait));
        assert_eq!(semaphore.queue_limit() == 1, longer);
        assert_eq!(semaphore.max_wait().is_zero(), without_wait);
    });
}
