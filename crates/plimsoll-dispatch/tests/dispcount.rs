//! The properties that dispcount's own test suites check, and those that lhttpc's load balancer and
//! redo's block promise.
//!
//! A watcher of dispcount is a slot here, and its callback module is the caller's code. Starting a
//! dispatcher is building a pool. A worker that dies is a lease dropped by a panic.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, ManualTime, Reason};
use plimsoll_dispatch::{Checkout, Dispatch, DispatchBuilder, Lease, SlotPick};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready, task};

const PICKS: [SlotPick; 3] = [SlotPick::Random, SlotPick::RoundRobin, SlotPick::Lowest];
const MS: Duration = Duration::from_millis(1);

fn builder(slots: u32, pick: SlotPick) -> DispatchBuilder<u32> {
    Dispatch::builder().slots(slots).pick(pick).dice(Dice::seeded(1))
}

fn each(test: impl Fn(SlotPick)) {
    PICKS.into_iter().for_each(test);
}

fn take(pool: &Dispatch<u32>) -> Lease<u32, Dispatch<u32>> {
    pool.checkout_owned().or_make(|| 7).unwrap()
}

/// Two pools share nothing, even if they have the same name.
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

/// A closed pool grants nothing, and another can be built in its place. It cannot be opened again.
#[test]
fn closed_pool_grants_nothing_and_can_be_replaced() {
    each(|pick| {
        let pool = builder(2, pick).build().unwrap();
        let both = [take(&pool), take(&pool)];
        both.into_iter().for_each(Lease::put_back);
        let clone = pool.clone();
        assert_eq!(pool.close(), [7, 7]);
        assert!(clone.close().is_empty() && clone.is_closed());
        let Checkout::Busy(rejected) = clone.checkout() else { panic!("the pool is closed") };
        assert_eq!(rejected.reason(), Reason::Closed);
        drop(take(&builder(2, pick).build().unwrap()));
    });
}

/// Of any number of requests, exactly as many as there are slots are granted. After the slots are
/// released, the same holds again.
#[test]
fn exactly_as_many_requests_as_slots_are_granted() {
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

/// A thread that panics while it holds a slot releases it.
#[test]
fn panic_of_the_holder_releases_the_slot() {
    each(|pick| {
        let pool = builder(1, pick).build().unwrap();
        let dies = pool.clone();
        std::thread::spawn(move || {
            let _lease = take(&dies);
            std::panic::resume_unwind(Box::new("the holder"));
        })
        .join()
        .unwrap_err();
        assert_eq!(pool.in_use(), 0);
        assert!(matches!(pool.checkout(), Checkout::Make(_)), "the resource that was in use is gone");
    });
}

/// An error of `make` leaves the slot free. The second caller gets the error, too, and not `Busy`.
#[test]
fn error_of_make_releases_the_slot() {
    each(|pick| {
        let pool = builder(1, pick).build().unwrap();
        for _ in 0..2 {
            let Checkout::Make(vacant) = pool.checkout() else { panic!("the slot is empty") };
            let made = task::spawn(vacant.make(async { Err("no") })).poll();
            assert_eq!(assert_ready!(made).map(drop), Err("no"));
        }
        assert_eq!(pool.in_use(), 0);
    });
}

/// A panic of `make` leaves the pool usable, with every pick.
#[test]
fn panic_of_make_releases_the_slot() {
    each(|pick| {
        let pool = builder(1, pick).build().unwrap();
        let panics = || drop(pool.checkout().or_make(|| std::panic::resume_unwind(Box::new("make"))));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        take(&pool).put_back();
        assert_eq!((pool.in_use(), pool.idle()), (0, 1));
    });
}

/// A caller that waits for a slot waits no longer than its timeout.
#[test]
fn checkout_within_rejects_after_its_timeout() {
    each(|pick| {
        let time = ManualTime::new();
        let pool = builder(1, pick).clock(time.clock()).build().unwrap();
        let _held = take(&pool);
        let mut waits = task::spawn(pool.checkout_within(200 * MS));
        assert_pending!(waits.poll());
        time.advance(199 * MS);
        assert_pending!(waits.poll());
        time.advance(MS);
        let Checkout::Busy(rejected) = assert_ready!(waits.poll()) else { panic!("the slot is in use") };
        assert_eq!((rejected.reason(), rejected.window()), (Reason::Expired, Some(200 * MS)));
        assert_eq!(pool.queued(), 0);
    });
}

proptest! {
    /// A resource never has two holders. A request is busy only if all slots are in use.
    #[test]
    fn resource_never_has_two_holders(
        pick in prop::sample::select(PICKS.to_vec()), slots in 1u32..12,
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200),
    ) {
        let pool = builder(slots, pick).build().unwrap();
        let (mut held, mut made) = (vec![], 0);
        for (take, which) in steps {
            if take {
                let result = pool.checkout_owned().or_make(|| { made += 1; made });
                match result {
                    Ok(lease) => {
                        prop_assert!(held.iter().all(|other: &Lease<_, _>| **other != *lease));
                        held.push(lease);
                    }
                    Err(_) => prop_assert_eq!(held.len() as u32, slots),
                }
            } else if !held.is_empty() {
                held.swap_remove(which.index(held.len())).put_back();
            }
            prop_assert_eq!(pool.in_use() as usize, held.len());
            prop_assert!(made <= slots);
        }
    }
}

/// In lhttpc, `no_socket` permits the caller to connect by itself. The slot counts as in use, and a
/// slow connect delays no other caller.
#[test]
fn slow_connect_delays_no_other_caller() {
    let pool = builder(2, SlotPick::Lowest).build().unwrap();
    let Checkout::Make(slow) = pool.checkout() else { panic!("the slot is empty") };
    let mut connects = task::spawn(slow.make(std::future::pending::<Result<u32, ()>>()));
    assert_pending!(connects.poll());
    take(&pool).put_back();
    let Checkout::Reuse(_other) = pool.checkout() else { panic!("the other slot has a resource") };
    assert!(pool.checkout().is_busy(), "the slot that connects is in use");
    drop(connects);
    assert!(!pool.checkout().is_busy());
}

/// In lhttpc, a warm connection is reused, and one that is idle for too long is closed.
#[test]
fn connection_is_reused_until_idle_for_too_long() {
    let time = ManualTime::new();
    let pool = builder(4, SlotPick::Lowest).max_idle(100 * MS).clock(time.clock()).build().unwrap();
    take(&pool).put_back();
    for _ in 0..3 {
        time.advance(100 * MS);
        let Checkout::Reuse(lease) = pool.checkout() else { panic!("it is not too old") };
        lease.put_back();
    }
    time.advance(101 * MS);
    assert!(matches!(pool.checkout(), Checkout::Make(_)));
    assert_eq!((pool.idle(), pool.in_use()), (0, 0));
}

/// In redo, a timeout of the running command replaces the connection. So no caller reads the reply
/// to another's command.
#[test]
fn timed_out_call_replaces_its_connection() {
    let time = ManualTime::new();
    let pool = builder(1, SlotPick::Lowest).clock(time.clock()).build().unwrap();
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
    assert!(matches!(pool.checkout(), Checkout::Make(_)), "half a reply may be in it");
}
