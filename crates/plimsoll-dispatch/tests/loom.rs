//! The slots and the hand-off under every interleaving with at most three preemptions:
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll-dispatch --no-default-features --release --test loom`
#![cfg(plimsoll_loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use loom::future::block_on;
use loom::thread;
use plimsoll_core::{Dice, ManualTime, Reason};
use plimsoll_dispatch::{Checkout, Dispatch, SlotPick, Workers};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

fn explore(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

/// A resource that nobody else may have at the same time. What it is told is not loom's, on purpose: it sees
/// the order in which things were done, and has no say in it.
#[derive(Clone, Default)]
struct Thing(Arc<AtomicBool>);

impl Thing {
    fn using<R>(&self, work: impl FnOnce() -> R) -> R {
        assert!(!self.0.swap(true, SeqCst), "two have the same resource");
        thread::yield_now();
        let done = work();
        self.0.store(false, SeqCst);
        done
    }
}

fn pool(slots: u32) -> Dispatch<Thing> {
    let builder = Dispatch::builder().slots(slots).pick(SlotPick::Lowest).dice(Dice::seeded(1));
    builder.clock(ManualTime::new().clock()).build().unwrap()
}

/// Checks out and puts back; answers whether it had a slot.
fn once(pool: &Dispatch<Thing>) -> bool {
    match pool.checkout() {
        Checkout::Busy(_) => false,
        Checkout::Reuse(lease) => {
            lease.using(|| ());
            lease.put_back();
            true
        }
        Checkout::Make(vacant) => {
            let lease = vacant.fill(Thing::default());
            lease.using(|| ());
            lease.put_back();
            true
        }
    }
}

/// Every slot can be had, all at once, and not one more.
fn whole(pool: &Dispatch<Thing>) {
    assert_eq!(pool.in_use(), 0);
    let all: Vec<_> = (0..pool.slots()).map(|_| pool.checkout().or_make(Thing::default).unwrap()).collect();
    assert!(pool.checkout().is_busy());
    drop(all);
    assert_eq!(pool.in_use(), 0);
}

fn spawn(pool: &Dispatch<Thing>, work: impl FnOnce(&Dispatch<Thing>) + 'static) -> thread::JoinHandle<()> {
    let pool = pool.clone();
    thread::spawn(move || work(&pool))
}

/// Two, and three, want what there is one of; who has it has it alone, and who puts it back can have it again.
#[test]
fn one_slot_has_one_holder() {
    for others in [1, 2] {
        explore(move || {
            let pool = pool(1);
            let threads: Vec<_> = (0..others)
                .map(|_| {
                    spawn(&pool, |pool| {
                        once(pool);
                    })
                })
                .collect();
            once(&pool);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(once(&pool));
            whole(&pool);
        });
    }
}

/// Two threads with two slots: neither is told "busy" while the other has only one of them.
#[test]
fn with_a_slot_for_each_nobody_is_busy() {
    explore(|| {
        let pool = pool(2);
        let other = spawn(&pool, |pool| assert!(once(pool)));
        assert!(once(&pool));
        other.join().unwrap();
        whole(&pool);
    });
}

/// Two on one slot, one seat's worth of each: a seat and a lease do not have it at once.
#[test]
fn a_seat_and_a_lease_exclude_each_other() {
    explore(|| {
        let (pool, inside) = (pool(1), Arc::new(AtomicU32::new(0)));
        let (asks, its) = (pool.clone(), inside.clone());
        let other = thread::spawn(move || {
            if let Ok(_permit) = asks.try_acquire() {
                assert_eq!(its.fetch_add(1, SeqCst), 0);
                thread::yield_now();
                its.fetch_sub(1, SeqCst);
            }
        });
        if let Ok(_lease) = pool.checkout().or_make(Thing::default) {
            assert_eq!(inside.fetch_add(1, SeqCst), 0);
            thread::yield_now();
            inside.fetch_sub(1, SeqCst);
        }
        other.join().unwrap();
        whole(&pool);
    });
}

/// A seat that comes back twice, at the same time, frees it once: whoever has it next is not thrown out.
#[test]
fn a_seat_that_comes_back_twice_at_once_frees_nobody_elses() {
    use plimsoll_core::{Gate, Pack, Settle};
    explore(|| {
        let pool = pool(1);
        let words = pool.admit(&()).unwrap().pack();
        let other = spawn(&pool, move |pool| pool.refund(Pack::unpack(words)));
        pool.refund(Pack::unpack(words));
        let next = pool.checkout().or_make(Thing::default).unwrap();
        other.join().unwrap();
        assert!(pool.checkout().is_busy(), "it is out");
        drop(next);
        whole(&pool);
    });
}

/// One checks out while it is made smaller: in the end nothing lies in what was taken away, and nothing is lost
/// when it is made larger again.
#[test]
fn made_smaller_meanwhile_it_keeps_nothing_beyond() {
    explore(|| {
        let pool = pool(2);
        let held = pool.checkout().or_make(Thing::default).unwrap();
        let other = spawn(&pool, |pool| {
            once(pool);
        });
        pool.set_slots(1).unwrap();
        other.join().unwrap();
        drop(held);
        assert_eq!((pool.in_use(), pool.idle()), (0, 1));
        whole(&pool);
        pool.set_slots(2).unwrap();
        whole(&pool);
    });
}

/// The same, with a resize down and one up at once, and one at work.
#[test]
fn two_that_resize_it_lose_no_slot() {
    explore(|| {
        let pool = pool(1);
        let grows = spawn(&pool, |pool| pool.set_slots(2).unwrap());
        let works = spawn(&pool, |pool| {
            once(pool);
        });
        pool.set_slots(1).unwrap();
        grows.join().unwrap();
        works.join().unwrap();
        assert!(pool.idle() <= pool.slots() as usize);
        whole(&pool);
    });
}

/// One gives back while it is closed, another asks: in the end nothing is kept, and who waits for the end is told.
#[test]
fn closed_meanwhile_it_keeps_nothing_and_tells_who_waits() {
    explore(|| {
        let pool = pool(1);
        let lease = pool.checkout_owned().or_make(Thing::default).unwrap();
        let back = thread::spawn(move || drop(lease));
        let closes = spawn(&pool, |pool| drop(pool.close()));
        block_on(pool.drained());
        back.join().unwrap();
        closes.join().unwrap();
        assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    });
}

/// Who asks in the moment of closing has the slot for a moment, and gives it back when it sees that. Who waits
/// for the end must not miss that.
#[test]
fn who_asks_while_it_is_closed_holds_up_nobody() {
    explore(|| {
        let pool = pool(1);
        let over = Arc::new(AtomicBool::new(false));
        let its = over.clone();
        let asks = spawn(&pool, move |pool| {
            if let Ok(_lease) = pool.checkout().or_make(Thing::default) {
                thread::yield_now();
                assert!(!its.load(SeqCst), "it was drained, and somebody has a slot");
            }
        });
        let closes = spawn(&pool, |pool| drop(pool.close()));
        block_on(pool.drained());
        over.store(true, SeqCst);
        asks.join().unwrap();
        closes.join().unwrap();
        assert_eq!((pool.in_use(), pool.idle()), (0, 0));
        let Checkout::Busy(no) = pool.checkout() else { panic!("it is closed") };
        assert_eq!(no.reason(), Reason::Closed);
    });
}

/// The time of a resource that was put back without a limit counts from the change of the limit. A
/// checkout that sees the new limit must see that time, too.
///
/// Both run in threads of their own: loom finds the broken ordering only if the change can come first.
#[test]
fn new_idle_limit_drops_no_fresh_resource() {
    explore(|| {
        let time = ManualTime::new();
        let pool = Dispatch::builder().slots(1).dice(Dice::seeded(1)).clock(time.clock()).build().unwrap();
        assert!(once(&pool));
        time.advance(Duration::from_secs(3_600));
        let sets = spawn(&pool, |pool| pool.set_max_idle(Duration::from_secs(1)));
        let works = spawn(&pool, |pool| {
            let Checkout::Reuse(lease) = pool.checkout() else { panic!("a fresh resource was dropped") };
            lease.put_back();
        });
        sets.join().unwrap();
        works.join().unwrap();
        assert!(matches!(pool.checkout(), Checkout::Reuse(_)));
    });
}

/// A broken one goes, while another comes: in the end there is a slot, and at most one resource in it.
#[test]
fn a_broken_one_frees_its_slot() {
    explore(|| {
        let pool = pool(1);
        let lease = pool.checkout_owned().or_make(Thing::default).unwrap();
        let breaks = thread::spawn(move || lease.discard());
        once(&pool);
        breaks.join().unwrap();
        whole(&pool);
    });
}

/// Two who sweep, or take out, while one works.
#[test]
fn what_is_cleared_out_is_cleared_out_once() {
    explore(|| {
        let pool = pool(1);
        assert!(once(&pool));
        let works = spawn(&pool, |pool| {
            once(pool);
        });
        let out = pool.close().len();
        works.join().unwrap();
        assert!(out <= 1);
        assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    });
}

fn workers(n: u32) -> (Workers<u32>, Vec<plimsoll_dispatch::Worker<u32>>) {
    Workers::builder().workers(n).dice(Dice::seeded(1)).build().unwrap()
}

/// What was done, a bit for each job.
fn works(mut worker: plimsoll_dispatch::Worker<u32>, done: &Arc<AtomicU32>) -> thread::JoinHandle<()> {
    let done = done.clone();
    thread::spawn(move || {
        block_on(async {
            while let Some(job) = worker.next().await {
                assert_eq!(done.fetch_or(1 << job, SeqCst) & (1 << job), 0, "job {job} was done twice");
            }
        });
    })
}

/// Given is done: neither lost when it is closed in the same moment, nor done twice.
#[test]
fn what_was_given_is_done_once_though_it_is_closed() {
    explore(|| {
        let (hands, mut all) = workers(1);
        let done = Arc::new(AtomicU32::new(0));
        let worker = works(all.remove(0), &done);
        let gives = {
            let hands = hands.clone();
            thread::spawn(move || hands.submit(0).is_ok())
        };
        hands.close();
        let given = gives.join().unwrap();
        worker.join().unwrap();
        assert_eq!(done.load(SeqCst), u32::from(given));
        assert_eq!(hands.submit(1).unwrap_err().rejected.reason(), Reason::Closed);
    });
}

/// Two hands and one worker: each job is done, or comes back.
#[test]
fn two_hands_and_one_worker_lose_no_job() {
    explore(|| {
        let (hands, mut all) = workers(1);
        let done = Arc::new(AtomicU32::new(0));
        let worker = works(all.remove(0), &done);
        let gives = {
            let hands = hands.clone();
            thread::spawn(move || hands.submit(0).is_ok())
        };
        let mine = hands.submit(1).is_ok();
        let given = u32::from(gives.join().unwrap()) | u32::from(mine) << 1;
        hands.close();
        worker.join().unwrap();
        assert_eq!(done.load(SeqCst), given);
    });
}

/// A wait that is cancelled in the moment in which a job comes: it is there at the next call.
#[test]
fn a_cancelled_wait_loses_no_job() {
    explore(|| {
        let (hands, mut all) = workers(1);
        let mut worker = all.remove(0);
        let gives = {
            let hands = hands.clone();
            thread::spawn(move || hands.submit(0).is_ok())
        };
        let mut got = 0;
        {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let mut next = std::pin::pin!(worker.next());
            if next.as_mut().poll(&mut cx).is_ready() {
                got += 1;
            }
        }
        let given = gives.join().unwrap();
        assert!(hands.submit(1).is_err(), "it is not idle any more");
        hands.close();
        block_on(async {
            while worker.next().await.is_some() {
                got += 1;
            }
        });
        assert_eq!(got, u32::from(given));
    });
}

/// A worker that goes in the moment in which a job comes: who replaces it has the job, and after it the next.
#[test]
fn who_replaces_a_worker_has_its_job() {
    explore(|| {
        let (hands, mut all) = workers(1);
        let mut worker = all.remove(0);
        let gives = {
            let hands = hands.clone();
            thread::spawn(move || hands.submit(0).is_ok())
        };
        let mut got = 0;
        {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let mut next = std::pin::pin!(worker.next());
            if next.as_mut().poll(&mut cx).is_ready() {
                got += 1;
            }
        }
        drop(worker);
        let mut next = hands.replace().unwrap();
        let given = gives.join().unwrap();
        let done = {
            let hands = hands.clone();
            thread::spawn(move || hands.close())
        };
        block_on(async {
            while next.next().await.is_some() {
                got += 1;
            }
        });
        done.join().unwrap();
        assert_eq!(got, u32::from(given));
        assert_eq!(hands.missing(), 0);
    });
}
