//! Nothing on the way of a request allocates.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_core::Outcome;
use plimsoll_dispatch::{Dispatch, SlotPick, Workers};
use tokio_test::{assert_ready, task};

#[test]
fn neither_a_checkout_nor_a_refusal_nor_a_seat_allocates() {
    for pick in [SlotPick::Random, SlotPick::RoundRobin, SlotPick::TwoChoices, SlotPick::Lowest] {
        let pool = Dispatch::<[u64; 100]>::builder().slots(1).pick(pick).build().unwrap();
        pool.checkout().or_make(|| [0; 100]).unwrap().put_back();
        let made = measure(|| {
            for _ in 0..100 {
                pool.checkout().or_make(|| [0; 100]).unwrap().put_back();
                drop(pool.checkout_owned().or_make(|| [0; 100]).unwrap());
                drop(pool.checkout_for("key").or_make(|| [0; 100]).unwrap());
                let seat = pool.try_acquire().unwrap();
                assert!(pool.checkout().is_busy() && pool.try_acquire().is_err());
                seat.done(Outcome::Success);
            }
        });
        assert_eq!(made.count_total, 0, "{pick:?}");
    }
}

#[test]
fn a_hand_off_allocates_nothing() {
    let (hands, mut workers) = Workers::new(1).unwrap();
    let worker = &mut workers[0];
    let mut next = task::spawn(worker.next());
    assert!(next.poll().is_pending());
    let made = measure(|| {
        hands.submit(1).unwrap();
        assert!(hands.submit(2).is_err());
    });
    assert_eq!(made.count_total, 0);
    assert_eq!(assert_ready!(next.poll()), Some(1));
}
