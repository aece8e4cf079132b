//! The room under every interleaving with at most three preemptions:
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll-core --no-default-features --release --test loom`
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

fn room(inside: u32, size: u32) -> Arc<Semaphore<FixedCapacity>> {
    let clock = ManualTime::new().clock(); // nobody moves it: whoever is not called waits for ever
    Arc::new(Semaphore::new("loom", FixedCapacity::new(inside), clock, size, Duration::from_secs(1)))
}

fn explore(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

/// The place is freed while the other begins to wait: a lost wake-up is a deadlock, which loom reports.
#[test]
fn a_waiter_is_called_however_release_and_enqueue_meet() {
    explore(|| {
        let room = room(1, 2);
        let held = room.try_acquire().unwrap();
        let waits = {
            let room = room.clone();
            thread::spawn(move || room.settle(block_on(room.acquire()).unwrap(), Outcome::Success))
        };
        room.settle(held, Outcome::Success);
        waits.join().unwrap();
        assert_eq!((room.capacity().in_flight(), room.queued()), (0, 0));
    });
}

#[test]
fn two_waiters_both_get_their_turn() {
    explore(|| {
        let room = room(1, 2);
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let room = room.clone();
                thread::spawn(move || room.settle(block_on(room.acquire()).unwrap(), Outcome::Success))
            })
            .collect();
        waiters.into_iter().for_each(|w| w.join().unwrap());
        assert_eq!((room.capacity().in_flight(), room.queued()), (0, 0));
    });
}

/// A waiter goes away in the moment in which it is called: the place must not go with it.
#[test]
fn a_cancelled_waiter_takes_no_place_with_it() {
    explore(|| {
        let room = room(1, 2);
        let held = room.try_acquire().unwrap();
        let gives_up = {
            let room = room.clone();
            thread::spawn(move || {
                let mut turn = pin!(room.acquire());
                if let Poll::Ready(place) = turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    room.refund(place.unwrap());
                }
            })
        };
        room.settle(held, Outcome::Success);
        gives_up.join().unwrap();
        assert_eq!((room.capacity().in_flight(), room.queued()), (0, 0));
        room.refund(room.try_acquire().unwrap());
    });
}

#[test]
fn never_more_inside_than_the_limit() {
    explore(|| {
        let room = room(1, 0);
        let other = {
            let room = room.clone();
            thread::spawn(move || room.try_acquire().ok())
        };
        let mine = room.try_acquire().ok();
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one of two gets the one place");
        mine.into_iter().chain(theirs).for_each(|place| room.refund(place));
        assert_eq!(room.capacity().in_flight(), 0);
    });
}

#[test]
fn closing_reaches_everyone() {
    explore(|| {
        let room = room(1, 2);
        let held = room.try_acquire().unwrap();
        let waits = {
            let room = room.clone();
            thread::spawn(move || block_on(room.acquire()).map(|_| ()).unwrap_err().reason())
        };
        room.close();
        assert_eq!(waits.join().unwrap(), Reason::Closed);
        room.settle(held, Outcome::Success);
        assert_eq!((room.capacity().in_flight(), room.queued()), (0, 0));
    });
}

#[test]
fn a_raised_limit_is_seen_by_who_begins_to_wait() {
    explore(|| {
        let room = room(1, 2);
        let held = room.try_acquire().unwrap();
        let waits = {
            let room = room.clone();
            thread::spawn(move || room.settle(block_on(room.acquire()).unwrap(), Outcome::Success))
        };
        if room.capacity().set_limit(2) {
            room.admit_waiters();
        }
        waits.join().unwrap();
        room.settle(held, Outcome::Success);
        assert_eq!((room.capacity().in_flight(), room.queued()), (0, 0));
    });
}

/// Waits from here on, unless it is told at once.
fn begin(room: &Arc<Semaphore<FixedCapacity>>) -> Pin<Box<Acquire<FixedCapacity>>> {
    let mut turn = Box::pin(room.acquire());
    assert!(turn.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    turn
}

/// Waits to the end, and leaves at once if it was let in.
fn visit(
    room: &Semaphore<FixedCapacity>,
    turn: impl Future<Output = Result<Place, Rejected>>,
) -> Option<Reason> {
    match block_on(turn) {
        Ok(place) => {
            room.settle(place, Outcome::Success);
            None
        }
        Err(no) => Some(no.reason()),
    }
}

/// One waits in a room for one, and another comes, who takes its place in the line unless a place
/// inside is freed for it before. Whoever is displaced is told so, and the other is called.
#[test]
fn who_is_evicted_while_a_release_calls_is_told_one_of_the_two() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let room = room(1, 1);
        room.set_discipline(Discipline::Lifo);
        let held = room.try_acquire().unwrap();
        let waits = begin(&room);
        let newcomer = {
            let room = room.clone();
            thread::spawn(move || visit(&room, room.acquire()))
        };
        room.settle(held, Outcome::Success);
        let told = visit(&room, waits);
        assert!(matches!(told, None | Some(Reason::Evicted)), "{told:?}");
        saw[usize::from(told.is_none())].store(true, Relaxed);
        assert_eq!(newcomer.join().unwrap(), None);
        assert_eq!((room.capacity().in_flight(), room.queued()), (0, 0));
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "it went either way");
}

/// The room is full and refuses, or evicts from now on: the newcomer meets the one or the other.
#[test]
fn a_discipline_that_changes_while_another_comes_leaves_nobody_untold() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 3]);
    let saw = seen.clone();
    explore(move || {
        let room = room(1, 1);
        let held = room.try_acquire().unwrap();
        let waits = begin(&room);
        let newcomer = {
            let room = room.clone();
            thread::spawn(move || visit(&room, room.acquire()))
        };
        room.set_discipline(Discipline::Lifo);
        room.settle(held, Outcome::Success);
        let (told, came) = (visit(&room, waits), newcomer.join().unwrap());
        let which = match (told, came) {
            (None, Some(Reason::Full)) => 0,
            (Some(Reason::Evicted), None) => 1,
            (None, None) => 2, // it came when the other had been called
            other => panic!("{other:?}"),
        };
        saw[which].store(true, Relaxed);
        assert_eq!((room.capacity().in_flight(), room.queued()), (0, 0));
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "it went every way");
}

/// A change of discipline wakes everyone, to look at the clock once more: who is called meanwhile has
/// no waker in the line, and must find it when it looks.
#[test]
fn a_change_of_discipline_takes_no_call_along() {
    explore(|| {
        let room = room(1, 1);
        let held = room.try_acquire().unwrap();
        let waits = {
            let room = room.clone();
            thread::spawn(move || visit(&room, room.acquire()))
        };
        room.set_discipline(Discipline::Lifo);
        room.settle(held, Outcome::Success);
        assert_eq!(waits.join().unwrap(), None);
        assert_eq!((room.capacity().in_flight(), room.queued()), (0, 0));
    });
}
