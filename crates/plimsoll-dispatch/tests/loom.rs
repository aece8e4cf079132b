//! The slots and the hand-off in every interleaving with at most three preemptions:
//!
//! ```text
//! RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll-dispatch --no-default-features \
//!     --release --test loom
//! ```
#![cfg(plimsoll_loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use loom::future::block_on;
use loom::thread;
use plimsoll_core::{Dice, ManualTime, Reason};
use plimsoll_dispatch::{Checkout, Dispatch, SlotPick, Workers};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

fn explore(test: impl Fn() + Sync + Send + 'static) {
    explore_up_to(3, test);
}

/// Three threads that take locks need fewer preemptions, or the test takes minutes.
fn explore_up_to(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(test);
}

/// A resource that checks that it has one holder at a time.
///
/// Its flag is not loom's on purpose: it observes the order of events without adding to it.
#[derive(Clone, Default)]
struct Thing(Arc<AtomicBool>);

impl Thing {
    fn using<R>(&self, work: impl FnOnce() -> R) -> R {
        assert!(!self.0.swap(true, SeqCst), "the resource has two holders");
        thread::yield_now();
        let result = work();
        self.0.store(false, SeqCst);
        result
    }
}

const PICKS: [SlotPick; 3] = [SlotPick::Random, SlotPick::RoundRobin, SlotPick::Lowest];

fn pool(slots: u32) -> Dispatch<Thing> {
    picking(slots, SlotPick::Lowest)
}

fn picking(slots: u32, pick: SlotPick) -> Dispatch<Thing> {
    let builder = Dispatch::builder().slots(slots).pick(pick).dice(Dice::seeded(1));
    builder.clock(ManualTime::new().clock()).build().unwrap()
}

/// Checks out a slot and puts it back. Returns whether there was a slot.
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

/// Asserts that every slot can be taken, all at once, and not one more.
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

/// Two threads, then three, request the only slot. It has one holder at a time, and a thread that
/// released it can take it again.
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

/// Two threads share two slots: neither request is busy, because the other holds only one slot.
#[test]
fn no_request_is_busy_with_a_slot_per_thread() {
    for pick in PICKS {
        explore(move || {
            let pool = picking(2, pick);
            let other = spawn(&pool, |pool| assert!(once(pool)));
            assert!(once(&pool));
            other.join().unwrap();
            whole(&pool);
        });
    }
}

/// The same with one slot in use and three slots, which lie in two words of the bitmap.
#[test]
fn no_request_is_busy_with_slots_in_two_words() {
    for pick in PICKS {
        explore(move || {
            let pool = picking(3, pick);
            let held = pool.checkout().or_make(Thing::default).unwrap();
            let other = spawn(&pool, |pool| assert!(once(pool)));
            assert!(once(&pool));
            other.join().unwrap();
            held.put_back();
            whole(&pool);
        });
    }
}

/// Each of two threads checks out by key. The same key finds another slot if its own is in use.
#[test]
fn two_checkouts_by_key_get_two_slots() {
    explore(|| {
        let pool = pool(2);
        let other = spawn(&pool, |pool| {
            pool.checkout_for(&1).or_make(Thing::default).unwrap().using(|| ());
        });
        pool.checkout_for(&1).or_make(Thing::default).unwrap().using(|| ());
        other.join().unwrap();
        whole(&pool);
    });
}

/// Two threads sweep while a third checks out. A resource is dropped or used, and only once.
#[test]
fn concurrent_sweeps_drop_a_resource_once() {
    explore(|| {
        let time = ManualTime::new();
        let pool = Dispatch::builder().slots(1).dice(Dice::seeded(1)).clock(time.clock());
        let pool = pool.max_idle(Duration::from_secs(1)).build().unwrap();
        assert!(once(&pool));
        time.advance(Duration::from_secs(2));
        let swept = Arc::new(AtomicU32::new(0));
        let sweeps = {
            let swept = swept.clone();
            spawn(&pool, move |pool| {
                swept.fetch_add(pool.sweep() as u32, SeqCst);
            })
        };
        let works = spawn(&pool, |pool| {
            assert!(!matches!(pool.checkout(), Checkout::Reuse(_)), "it was idle for too long");
        });
        swept.fetch_add(pool.sweep() as u32, SeqCst);
        sweeps.join().unwrap();
        works.join().unwrap();
        assert!(swept.load(SeqCst) <= 1);
        assert_eq!((pool.in_use(), pool.idle()), (0, 0));
        whole(&pool);
    });
}

const SECOND: Duration = Duration::from_secs(1);

/// Waits for a slot and puts it back. Returns whether there was one.
fn wait(pool: &Dispatch<Thing>) -> bool {
    match block_on(pool.checkout_within(SECOND)).or_make(Thing::default) {
        Ok(lease) => {
            lease.using(|| ());
            lease.put_back();
            true
        }
        Err(_) => false,
    }
}

/// Polls a wait once and drops it. Returns whether it had a slot.
fn wait_briefly(pool: &Dispatch<Thing>) -> bool {
    use std::task::{Context, Poll, Waker};
    let mut wait = std::pin::pin!(pool.checkout_within(SECOND));
    matches!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
}

/// A slot is released while a caller begins to wait. The caller gets it.
#[test]
fn release_during_wait_reaches_the_waiting_caller() {
    explore(|| {
        let pool = pool(1);
        let held = pool.checkout().or_make(Thing::default).unwrap();
        let waits = spawn(&pool, |pool| assert!(wait(pool)));
        held.put_back();
        waits.join().unwrap();
        assert_eq!((pool.queued(), pool.idle()), (0, 1));
        whole(&pool);
    });
}

/// A caller is cancelled while the slot is handed to it. The slot passes on to the next caller.
#[test]
fn cancelled_wait_passes_the_slot_on() {
    explore_up_to(2, || {
        let pool = pool(1);
        let held = pool.checkout().or_make(Thing::default).unwrap();
        let cancelled = spawn(&pool, |pool| {
            wait_briefly(pool);
        });
        let waits = spawn(&pool, |pool| assert!(wait(pool)));
        held.put_back();
        cancelled.join().unwrap();
        waits.join().unwrap();
        assert_eq!(pool.queued(), 0);
        whole(&pool);
    });
}

/// The sweep holds the only slot for a moment, while a caller begins to wait for it.
#[test]
fn sweep_passes_its_slot_on_to_a_waiting_caller() {
    explore(|| {
        let time = ManualTime::new();
        let pool = Dispatch::builder().slots(1).dice(Dice::seeded(1)).clock(time.clock());
        let pool = pool.max_idle(SECOND).build().unwrap();
        assert!(once(&pool));
        time.advance(2 * SECOND);
        let waits = spawn(&pool, |pool| assert!(wait(pool)));
        pool.sweep();
        waits.join().unwrap();
        whole(&pool);
    });
}

/// The pool is made larger while a caller begins to wait. The caller gets the new slot.
#[test]
fn new_slot_reaches_the_waiting_caller() {
    explore(|| {
        let pool = pool(1);
        let held = pool.checkout().or_make(Thing::default).unwrap();
        let waits = spawn(&pool, |pool| assert!(wait(pool)));
        pool.set_slots(2).unwrap();
        waits.join().unwrap();
        held.put_back();
        whole(&pool);
    });
}

/// The pool is made smaller while slots are released and a caller waits. The caller gets a slot as
/// soon as fewer than the new number are in use.
#[test]
fn shrink_during_wait_leaves_a_slot_for_the_caller() {
    explore_up_to(2, || {
        let pool = pool(2);
        let (one, other) = (pool.checkout().or_make(Thing::default), pool.checkout().or_make(Thing::default));
        let waits = spawn(&pool, |pool| assert!(wait(pool)));
        let shrinks = spawn(&pool, |pool| pool.set_slots(1).unwrap());
        one.unwrap().put_back();
        other.unwrap().put_back();
        waits.join().unwrap();
        shrinks.join().unwrap();
        assert!(pool.idle() <= 1);
        whole(&pool);
    });
}

/// The pool is closed while a slot is released and a caller waits. The caller gets the slot or is
/// rejected, and `drained` returns.
#[test]
fn close_during_wait_rejects_or_serves_the_caller() {
    explore(|| {
        let pool = pool(1);
        let held = pool.checkout_owned().or_make(Thing::default).unwrap();
        let waits = spawn(&pool, |pool| {
            wait(pool);
        });
        let back = thread::spawn(move || held.put_back());
        drop(pool.close());
        block_on(pool.drained());
        waits.join().unwrap();
        back.join().unwrap();
        assert_eq!((pool.in_use(), pool.idle(), pool.queued()), (0, 0, 0));
    });
}

/// A permit and a lease never hold the same slot at once.
#[test]
fn permit_and_lease_exclude_each_other() {
    explore(|| {
        let (pool, holders) = (pool(1), Arc::new(AtomicU32::new(0)));
        let (other_pool, other_holders) = (pool.clone(), holders.clone());
        let other = thread::spawn(move || {
            if let Ok(_permit) = other_pool.try_acquire() {
                assert_eq!(other_holders.fetch_add(1, SeqCst), 0);
                thread::yield_now();
                other_holders.fetch_sub(1, SeqCst);
            }
        });
        if let Ok(_lease) = pool.checkout().or_make(Thing::default) {
            assert_eq!(holders.fetch_add(1, SeqCst), 0);
            thread::yield_now();
            holders.fetch_sub(1, SeqCst);
        }
        other.join().unwrap();
        whole(&pool);
    });
}

/// A token that is released twice at the same time releases the slot once. The next holder keeps
/// it.
#[test]
fn concurrent_second_release_has_no_effect() {
    use plimsoll_core::{Gate, Pack, Settle};
    explore(|| {
        let pool = pool(1);
        let words = pool.admit(&()).unwrap().pack();
        let other = spawn(&pool, move |pool| pool.refund(Pack::unpack(words)));
        pool.refund(Pack::unpack(words));
        // The other thread may be in the middle of its release.
        let next = pool.checkout().or_make(Thing::default);
        other.join().unwrap();
        let next = next.or_else(|_| pool.checkout().or_make(Thing::default)).unwrap();
        assert!(pool.checkout().is_busy(), "the slot is in use");
        drop(next);
        whole(&pool);
    });
}

/// The pool is made smaller during a checkout. In the end no resource lies beyond the limit, and no
/// slot is lost when the pool is made larger again.
#[test]
fn shrink_during_use_leaves_nothing_beyond_the_limit() {
    explore(|| {
        let pool = pool(2);
        let held = pool.checkout().or_make(Thing::default).unwrap();
        let surplus = Thing::default();
        let copy = surplus.clone();
        let other = spawn(&pool, |pool| {
            if let Ok(lease) = pool.checkout().or_make(|| copy) {
                lease.put_back();
            }
        });
        pool.set_slots(1).unwrap();
        other.join().unwrap();
        held.put_back();
        assert_eq!((pool.in_use(), pool.idle()), (0, 1));
        assert_eq!(Arc::strong_count(&surplus.0), 1, "it is dropped");
        whole(&pool);
        pool.set_slots(2).unwrap();
        whole(&pool);
    });
}

/// The same with one change to fewer slots and one to more, both during a checkout.
#[test]
fn concurrent_resizes_lose_no_slot() {
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

/// A lease is released while the pool is closed. In the end no resource is kept, and `drained`
/// returns.
#[test]
fn close_during_release_keeps_nothing_and_drains() {
    explore(|| {
        let pool = pool(1);
        let thing = Thing::default();
        let copy = thing.clone();
        let lease = pool.checkout_owned().or_make(|| copy).unwrap();
        let back = thread::spawn(move || lease.put_back());
        let closes = spawn(&pool, |pool| drop(pool.close()));
        block_on(pool.drained());
        back.join().unwrap();
        closes.join().unwrap();
        assert_eq!((pool.in_use(), pool.idle()), (0, 0));
        assert_eq!(Arc::strong_count(&thing.0), 1, "it was returned or dropped");
    });
}

/// A request during the close may hold the slot for a moment, and releases it when it sees the
/// close. `drained` must not miss that release.
#[test]
fn checkout_during_close_does_not_hold_up_drained() {
    explore(|| {
        let pool = pool(1);
        let over = Arc::new(AtomicBool::new(false));
        let drained = over.clone();
        let requests = spawn(&pool, move |pool| {
            if let Ok(_lease) = pool.checkout().or_make(Thing::default) {
                thread::yield_now();
                assert!(!drained.load(SeqCst), "drained, but a slot is in use");
            }
        });
        let closes = spawn(&pool, |pool| drop(pool.close()));
        block_on(pool.drained());
        over.store(true, SeqCst);
        requests.join().unwrap();
        closes.join().unwrap();
        assert_eq!((pool.in_use(), pool.idle()), (0, 0));
        let Checkout::Busy(rejected) = pool.checkout() else { panic!("the pool is closed") };
        assert_eq!(rejected.reason(), Reason::Closed);
    });
}

/// The pool is closed while a sweep and a checkout want the same slot. The sweep ends its request
/// last, and `drained` must not miss that.
#[test]
fn sweep_in_vain_does_not_hold_up_drained() {
    for far in [0, 2] {
        explore_up_to(2, move || {
            let time = ManualTime::new();
            let pool = Dispatch::builder().slots(far + 2).pick(SlotPick::Lowest).clock(time.clock());
            let pool = pool.max_idle(SECOND).build().unwrap();
            let held: Vec<_> = (0..far).map(|_| pool.checkout().or_make(Thing::default)).collect();
            assert!(once(&pool));
            time.advance(2 * SECOND);
            drop(held);
            let sweeps = spawn(&pool, |pool| {
                pool.sweep();
            });
            let works = spawn(&pool, |pool| drop(pool.checkout()));
            drop(pool.close());
            block_on(pool.drained());
            sweeps.join().unwrap();
            works.join().unwrap();
            assert_eq!((pool.in_use(), pool.idle()), (0, 0));
        });
    }
}

/// A permit is granted for a slot into which a resource is put meanwhile. In the end the resource
/// counts as idle. The first two of three slots are near ones.
#[test]
fn permit_does_not_hide_a_resource_put_meanwhile() {
    explore(|| {
        let pool = pool(3);
        let permits = spawn(&pool, |pool| drop(pool.try_acquire().unwrap()));
        assert!(once(&pool));
        permits.join().unwrap();
        assert_eq!(pool.idle(), 1);
        whole(&pool);
    });
}

/// The resource of a slot is taken for good while a permit is granted for the slot. In the end it
/// does not count as idle.
#[test]
fn permit_does_not_show_a_resource_taken_meanwhile() {
    explore(|| {
        let pool = pool(3);
        assert!(once(&pool));
        let permits = spawn(&pool, |pool| drop(pool.try_acquire().unwrap()));
        let gone = match pool.checkout() {
            Checkout::Reuse(lease) => {
                lease.discard();
                true
            }
            vacant => {
                drop(vacant);
                false
            }
        };
        permits.join().unwrap();
        assert_eq!(pool.idle(), usize::from(!gone));
        whole(&pool);
    });
}

/// The time of a resource that was put back without a limit counts from the change of the limit. A
/// checkout that sees the new limit must see that time, too.
///
/// Both run in threads of their own: loom finds the broken ordering only if the change can come
/// first.
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

/// A lease is discarded during a checkout. In the end the slot is free.
#[test]
fn discard_during_checkout_frees_the_slot() {
    explore(|| {
        let pool = pool(1);
        let lease = pool.checkout_owned().or_make(Thing::default).unwrap();
        let discards = thread::spawn(move || lease.discard());
        once(&pool);
        discards.join().unwrap();
        whole(&pool);
    });
}

/// The pool is closed during a checkout: the resource is returned at most once, and none is kept.
#[test]
fn close_during_checkout_returns_a_resource_once() {
    explore(|| {
        let pool = pool(1);
        assert!(once(&pool));
        let works = spawn(&pool, |pool| {
            once(pool);
        });
        let returned = pool.close().len();
        works.join().unwrap();
        assert!(returned <= 1);
        assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    });
}

fn workers(n: u32) -> (Workers<u32>, Vec<plimsoll_dispatch::Worker<u32>>) {
    Workers::builder().workers(n).dice(Dice::seeded(1)).build().unwrap()
}

/// Runs a worker that sets one bit for each job.
fn serve(mut worker: plimsoll_dispatch::Worker<u32>, done: &Arc<AtomicU32>) -> thread::JoinHandle<()> {
    let done = done.clone();
    thread::spawn(move || {
        block_on(async {
            while let Some(job) = worker.next().await {
                assert_eq!(done.fetch_or(1 << job, SeqCst) & (1 << job), 0, "job {job} was done twice");
            }
        });
    })
}

/// A submitted job is done once, even if the workers are closed at the same moment.
#[test]
fn job_submitted_during_close_is_done_or_returned() {
    explore(|| {
        let (workers, mut all) = workers(1);
        let done = Arc::new(AtomicU32::new(0));
        let worker = serve(all.remove(0), &done);
        let submits = {
            let workers = workers.clone();
            thread::spawn(move || workers.submit(0).is_ok())
        };
        workers.close();
        let submitted = submits.join().unwrap();
        worker.join().unwrap();
        assert_eq!(done.load(SeqCst), u32::from(submitted));
        assert_eq!(workers.submit(1).unwrap_err().rejected.reason(), Reason::Closed);
    });
}

/// Two submitters and one worker: each job is done or returned.
#[test]
fn concurrent_submits_lose_no_job() {
    explore(|| {
        let (workers, mut all) = workers(1);
        let done = Arc::new(AtomicU32::new(0));
        let worker = serve(all.remove(0), &done);
        let submits = {
            let workers = workers.clone();
            thread::spawn(move || workers.submit(0).is_ok())
        };
        let mine = workers.submit(1).is_ok();
        let submitted = u32::from(submits.join().unwrap()) | u32::from(mine) << 1;
        workers.close();
        worker.join().unwrap();
        assert_eq!(done.load(SeqCst), submitted);
    });
}

/// A wait is cancelled at the moment a job is handed over. The next call returns the job.
#[test]
fn cancelled_wait_loses_no_job() {
    explore(|| {
        let (workers, mut all) = workers(1);
        let mut worker = all.remove(0);
        let submits = {
            let workers = workers.clone();
            thread::spawn(move || workers.submit(0).is_ok())
        };
        let mut got = 0;
        {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let mut next = std::pin::pin!(worker.next());
            if next.as_mut().poll(&mut cx).is_ready() {
                got += 1;
            }
        }
        let submitted = submits.join().unwrap();
        assert!(workers.submit(1).is_err(), "the worker is not idle any more");
        workers.close();
        block_on(async {
            while worker.next().await.is_some() {
                got += 1;
            }
        });
        assert_eq!(got, u32::from(submitted));
    });
}

/// A worker is aborted at the moment a job is handed over, while another begins to wait. One of the
/// two gets the job, without any further call.
#[test]
fn job_of_an_aborted_worker_reaches_another() {
    explore(|| {
        let (workers, mut all) = workers(2);
        let (mut aborted, mut other) = (all.remove(0), all.remove(0));
        let waits = thread::spawn(move || block_on(other.next()));
        let aborts = thread::spawn(move || {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let mut next = Box::pin(aborted.next());
            matches!(next.as_mut().poll(&mut cx), std::task::Poll::Ready(Some(0)))
        });
        let submitted = workers.submit(0).is_ok();
        let taken = aborts.join().unwrap();
        if submitted && !taken {
            assert_eq!(waits.join().unwrap(), Some(0));
        } else {
            workers.close();
            assert_eq!(waits.join().unwrap(), None);
        }
        assert!(workers.reclaim().is_empty());
    });
}

/// A worker is dropped at the moment a job is handed over. Its replacement gets the job.
#[test]
fn replacement_gets_the_job_handed_over() {
    explore(|| {
        let (workers, mut all) = workers(1);
        let mut worker = all.remove(0);
        let submits = {
            let workers = workers.clone();
            thread::spawn(move || workers.submit(0).is_ok())
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
        let mut next = workers.replace().unwrap();
        let submitted = submits.join().unwrap();
        let done = {
            let workers = workers.clone();
            thread::spawn(move || workers.close())
        };
        block_on(async {
            while next.next().await.is_some() {
                got += 1;
            }
        });
        done.join().unwrap();
        assert_eq!(got, u32::from(submitted));
        assert_eq!(workers.missing(), 0);
    });
}
