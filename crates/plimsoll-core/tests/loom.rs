//! The room under every interleaving with at most three preemptions:
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll-core --no-default-features --release --test loom`
#![cfg(plimsoll_loom)]

use loom::future::block_on;
use loom::thread;
use plimsoll_core::{ManualTime, Outcome, Places, Reason, Room};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn room(inside: u32, size: u32) -> Arc<Room<Places>> {
    let clock = ManualTime::new().clock(); // nobody moves it: whoever is not called waits for ever
    Arc::new(Room::new("loom", Places::new(inside), clock, size, Duration::from_secs(1)))
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
        let held = room.try_start().unwrap();
        let waits = {
            let room = room.clone();
            thread::spawn(move || room.settle(block_on(room.wait()).unwrap(), Outcome::Success))
        };
        room.settle(held, Outcome::Success);
        waits.join().unwrap();
        assert_eq!((room.source().taken(), room.waiting()), (0, 0));
    });
}

#[test]
fn two_waiters_both_get_their_turn() {
    explore(|| {
        let room = room(1, 2);
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let room = room.clone();
                thread::spawn(move || room.settle(block_on(room.wait()).unwrap(), Outcome::Success))
            })
            .collect();
        waiters.into_iter().for_each(|w| w.join().unwrap());
        assert_eq!((room.source().taken(), room.waiting()), (0, 0));
    });
}

/// A waiter goes away in the moment in which it is called: the place must not go with it.
#[test]
fn a_cancelled_waiter_takes_no_place_with_it() {
    explore(|| {
        let room = room(1, 2);
        let held = room.try_start().unwrap();
        let gives_up = {
            let room = room.clone();
            thread::spawn(move || {
                let mut turn = pin!(room.wait());
                if let Poll::Ready(place) = turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    room.give_back(place.unwrap());
                }
            })
        };
        room.settle(held, Outcome::Success);
        gives_up.join().unwrap();
        assert_eq!((room.source().taken(), room.waiting()), (0, 0));
        room.give_back(room.try_start().unwrap());
    });
}

#[test]
fn never_more_inside_than_the_limit() {
    explore(|| {
        let room = room(1, 0);
        let other = {
            let room = room.clone();
            thread::spawn(move || room.try_start().ok())
        };
        let mine = room.try_start().ok();
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one of two gets the one place");
        mine.into_iter().chain(theirs).for_each(|place| room.give_back(place));
        assert_eq!(room.source().taken(), 0);
    });
}

#[test]
fn closing_reaches_everyone() {
    explore(|| {
        let room = room(1, 2);
        let held = room.try_start().unwrap();
        let waits = {
            let room = room.clone();
            thread::spawn(move || block_on(room.wait()).map(|_| ()).unwrap_err().reason())
        };
        room.close();
        assert_eq!(waits.join().unwrap(), Reason::Closed);
        room.settle(held, Outcome::Success);
        assert_eq!((room.source().taken(), room.waiting()), (0, 0));
    });
}

#[test]
fn a_raised_limit_is_seen_by_who_begins_to_wait() {
    explore(|| {
        let room = room(1, 2);
        let held = room.try_start().unwrap();
        let waits = {
            let room = room.clone();
            thread::spawn(move || room.settle(block_on(room.wait()).unwrap(), Outcome::Success))
        };
        if room.source().set_limit(2) {
            room.pump();
        }
        waits.join().unwrap();
        room.settle(held, Outcome::Success);
        assert_eq!((room.source().taken(), room.waiting()), (0, 0));
    });
}
