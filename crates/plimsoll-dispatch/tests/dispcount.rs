//! What dispcount checks in suites of its own, and what lhttpc's load balancer and redo's block promise, in our
//! words.
//!
//! dispcount's watchers are our slots, its callback module is the code of whoever checks out. To start is to build;
//! a worker that dies is a lease dropped by a panic.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, ManualTime, Reason};
use plimsoll_dispatch::{Checkout, Dispatch, DispatchBuilder, SlotPick};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready, task};

const PICKS: [SlotPick; 4] = [SlotPick::Random, SlotPick::RoundRobin, SlotPick::TwoChoices, SlotPick::Lowest];
const MS: Duration = Duration::from_millis(1);

fn builder(slots: u32, pick: SlotPick) -> DispatchBuilder<u32> {
    Dispatch::builder().slots(slots).pick(pick).probes(slots).dice(Dice::seeded(1))
}

fn each(test: impl Fn(SlotPick)) {
    PICKS.into_iter().for_each(test);
}

fn take(pool: &Dispatch<u32>) -> plimsoll_dispatch::Lease<u32, Dispatch<u32>> {
    pool.checkout_owned().or_make(|| 7).unwrap()
}

/// D1: two of them, of the same name, too, have nothing to do with each other.
#[test]
fn two_pools_are_independent() {
    each(|pick| {
        let (one, other) = (builder(1, pick).build().unwrap(), builder(1, pick).build().unwrap());
        let held = take(&one);
        assert!(one.checkout().is_busy());
        drop(take(&other));
        drop(held);
        assert_eq!((one.in_use(), other.in_use()), (0, 0));
    });
}

/// D2: stopped, it grants nothing; another can be built in its place. There is no second start of the same one.
#[test]
fn a_stopped_one_is_stopped_and_another_can_be_built() {
    each(|pick| {
        let pool = builder(2, pick).build().unwrap();
        drop((take(&pool), take(&pool)));
        let clone = pool.clone();
        assert_eq!(pool.close(), [7, 7]);
        assert!(clone.close().is_empty() && clone.is_closed());
        let Checkout::Busy(no) = clone.checkout() else { panic!("it is closed") };
        assert_eq!(no.reason(), Reason::Closed);
        drop(take(&builder(2, pick).build().unwrap()));
    });
}

/// D3: as many as there are resources are granted, exactly, out of any number of tries; and again after a return.
#[test]
fn exactly_so_many_are_granted() {
    each(|pick| {
        let pool = builder(2, pick).build().unwrap();
        for _ in 0..3 {
            let held: Vec<_> = (0..20).filter_map(|_| pool.checkout().or_make(|| 7).ok()).collect();
            assert_eq!(held.len(), 2, "{pick:?}");
            assert!((0..100).all(|_| pool.checkout().is_busy()));
            drop(held);
        }
    });
}

/// D4: whoever dies with a slot frees it.
#[test]
fn the_death_of_the_borrower_frees_the_slot() {
    each(|pick| {
        let pool = builder(1, pick).build().unwrap();
        let dies = pool.clone();
        std::thread::spawn(move || {
            let _lease = take(&dies);
            std::panic::resume_unwind(Box::new("the borrower"));
        })
        .join()
        .unwrap_err();
        assert_eq!(pool.in_use(), 0);
        assert!(matches!(pool.checkout(), Checkout::Make(_)), "what it was in the middle of using is gone");
    });
}

/// D5: an error in making it leaves the slot free: the second one gets the error, too, and not "busy".
#[test]
fn an_error_in_making_frees_the_slot() {
    each(|pick| {
        let pool = builder(1, pick).build().unwrap();
        for _ in 0..2 {
            let Checkout::Make(vacant) = pool.checkout() else { panic!("nothing is in it") };
            let made = task::spawn(vacant.make(async { Err("no") })).poll();
            assert_eq!(assert_ready!(made).map(drop), Err("no"));
        }
        assert_eq!(pool.in_use(), 0);
    });
}

/// D6, Q5: a crash in the code that makes it leaves it usable, in every way of picking.
#[test]
fn a_crash_in_making_leaves_it_usable() {
    each(|pick| {
        let pool = builder(1, pick).build().unwrap();
        let crash = || drop(pool.checkout().or_make(|| std::panic::resume_unwind(Box::new("crash"))));
        assert!(catch_unwind(AssertUnwindSafe(crash)).is_err());
        drop(take(&pool));
        assert_eq!((pool.in_use(), pool.idle()), (0, 1));
    });
}

/// D7: whoever waits for a slot waits no longer than he said.
#[test]
fn a_checkout_with_a_time_out_keeps_to_it() {
    each(|pick| {
        let time = ManualTime::new();
        let pool = builder(1, pick).clock(time.clock()).build().unwrap();
        let _held = take(&pool);
        let mut waits = task::spawn(pool.checkout_within(200 * MS));
        assert_pending!(waits.poll());
        time.advance(199 * MS);
        assert_pending!(waits.poll());
        time.advance(MS);
        let Checkout::Busy(no) = assert_ready!(waits.poll()) else { panic!("it is out") };
        assert_eq!(no.reason(), Reason::Busy);
    });
}

proptest! {
    /// D8: never the same resource in two hands; busy only if something is out, and if all are tried, only if all are.
    #[test]
    fn never_the_same_one_twice(
        pick in prop::sample::select(PICKS.to_vec()), slots in 1u32..12, probes in 1u32..12,
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200),
    ) {
        let pool = builder(slots, pick).probes(probes).build().unwrap();
        let (mut held, mut made) = (vec![], 0);
        for (take, which) in steps {
            if take {
                let answer = pool.checkout_owned().or_make(|| { made += 1; made });
                match answer {
                    Ok(lease) => {
                        prop_assert!(held.iter().all(|other: &plimsoll_dispatch::Lease<_, _>| **other != *lease));
                        held.push(lease);
                    }
                    Err(_) if probes >= slots => prop_assert_eq!(held.len() as u32, slots),
                    Err(_) => prop_assert!(!held.is_empty()),
                }
            } else if !held.is_empty() {
                held.swap_remove(which.index(held.len())).put_back();
            }
            prop_assert_eq!(pool.in_use() as usize, held.len());
            prop_assert!(made <= slots);
        }
    }
}

/// lhttpc: `no_socket` is "you may connect yourself": the slot is counted, and a slow connect holds up nobody.
#[test]
fn a_slow_connect_holds_up_nobody() {
    let pool = builder(2, SlotPick::Lowest).build().unwrap();
    let Checkout::Make(slow) = pool.checkout() else { panic!("nothing is in it") };
    let mut connects = task::spawn(slow.make(std::future::pending::<Result<u32, ()>>()));
    assert_pending!(connects.poll());
    drop(take(&pool));
    let Checkout::Reuse(_other) = pool.checkout() else { panic!("there is another") };
    assert!(pool.checkout().is_busy(), "the one that connects is counted");
    drop(connects);
    assert!(!pool.checkout().is_busy());
}

/// lhttpc: what is warm is used again, and a socket that lies idle for too long is closed.
#[test]
fn a_connection_is_used_again_until_it_has_been_idle_for_too_long() {
    let time = ManualTime::new();
    let pool = builder(4, SlotPick::Lowest).max_idle(100 * MS).clock(time.clock()).build().unwrap();
    drop(take(&pool));
    for _ in 0..3 {
        time.advance(100 * MS);
        assert!(matches!(pool.checkout(), Checkout::Reuse(_)));
    }
    time.advance(101 * MS);
    assert!(matches!(pool.checkout(), Checkout::Make(_)));
    assert_eq!((pool.idle(), pool.in_use()), (0, 0));
}

/// redo's block: a time-out of the command that runs replaces the connection; nobody reads another's answer from it.
#[test]
fn a_timed_out_call_replaces_its_connection() {
    let time = ManualTime::new();
    let pool = builder(1, SlotPick::Lowest).keep_dropped(false).clock(time.clock()).build().unwrap();
    let clock = time.clock();
    let call = {
        let pool = pool.clone();
        async move {
            let _lease = take(&pool);
            std::future::pending::<()>().await;
        }
    };
    let mut call = Box::pin(call);
    let mut timed = task::spawn(std::future::poll_fn(move |cx| call.as_mut().poll(cx)));
    assert_pending!(timed.poll());
    let mut timer = task::spawn(clock.sleep_until(clock.now() + 5 * MS));
    assert_pending!(timer.poll());
    time.advance(5 * MS);
    assert_ready!(timer.poll());
    drop(timed);
    assert!(matches!(pool.checkout(), Checkout::Make(_)), "half an answer may be in it");
}
