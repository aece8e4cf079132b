//! Requests do not allocate.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_core::Outcome;
use plimsoll_dispatch::{Dispatch, SlotPick, Workers};
use tokio_test::{assert_ready, task};

#[test]
fn checkout_rejection_and_permit_allocate_nothing() {
    for pick in [SlotPick::Random, SlotPick::RoundRobin, SlotPick::Lowest] {
        let pool = Dispatch::<[u64; 100]>::builder().slots(1).pick(pick).build().unwrap();
        pool.checkout().or_make(|| [0; 100]).unwrap().put_back();
        let made = measure(|| {
            for _ in 0..100 {
                pool.checkout().or_make(|| [0; 100]).unwrap().put_back();
                pool.checkout_owned().or_make(|| [0; 100]).unwrap().put_back();
                pool.checkout_for("key").or_make(|| [0; 100]).unwrap().put_back();
                let permit = pool.try_acquire().unwrap();
                assert!(pool.checkout().is_busy() && pool.try_acquire().is_err());
                permit.done(Outcome::Success);
            }
        });
        assert_eq!(made.count_total, 0, "{pick:?}");
    }
}

#[test]
fn hand_off_allocates_nothing() {
    let (workers, mut all) = Workers::new(1).unwrap();
    let worker = &mut all[0];
    let mut next = task::spawn(worker.next());
    assert!(next.poll().is_pending());
    let made = measure(|| {
        workers.submit(1).unwrap();
        assert!(workers.submit(2).is_err());
    });
    assert_eq!(made.count_total, 0);
    assert_eq!(assert_ready!(next.poll()), Some(1));
}
