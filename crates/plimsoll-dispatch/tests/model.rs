//! The pool compared with a model, and used by several threads.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::Dice;
use plimsoll_dispatch::{Checkout, Dispatch, Lease, SlotPick, Vacant};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

fn picks() -> impl Strategy<Value = SlotPick> {
    prop::sample::select(vec![SlotPick::Random, SlotPick::RoundRobin, SlotPick::Lowest])
}

#[derive(Clone, Debug)]
enum Step {
    Checkout,
    Fill(Index),
    Cancel(Index),
    PutBack(Index),
    Discard(Index),
    Remake(Index),
    Resize(u32),
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = any::<Index>;
    let step = prop_oneof![
        6 => Just(Step::Checkout),
        4 => at().prop_map(Step::Fill),
        2 => at().prop_map(Step::Cancel),
        4 => at().prop_map(Step::PutBack),
        2 => at().prop_map(Step::Discard),
        1 => at().prop_map(Step::Remake),
        1 => (1u32..100).prop_map(Step::Resize),
        1 => Just(Step::Close),
    ];
    // Close at most once, because little happens after it.
    prop::collection::vec(step, 1..150).prop_map(|mut steps| {
        let close = steps.iter().rposition(|step| matches!(step, Step::Close)).unwrap_or(steps.len());
        let mut n = 0;
        steps.retain(|step| {
            n += 1;
            !matches!(step, Step::Close) || n - 1 == close
        });
        steps
    })
}

/// A resource with a number of its own, which is in the set as long as the resource is alive.
struct Thing(u64, Arc<Mutex<HashSet<u64>>>);
impl Drop for Thing {
    fn drop(&mut self) {
        assert!(self.1.lock().unwrap().remove(&self.0));
    }
}

fn pick_one<T>(all: &mut Vec<T>, at: &Index) -> Option<T> {
    if all.is_empty() { None } else { Some(all.swap_remove(at.index(all.len()))) }
}

proptest! {
    #[test]
    fn pool_matches_its_model(pick in picks(), slots in 1u32..80, all in steps()) {
        let pool = Dispatch::<Thing>::builder().slots(slots).pick(pick).dice(Dice::seeded(1)).build().unwrap();
        let alive = Arc::new(Mutex::new(HashSet::new()));
        let mut vacant: Vec<Vacant<Thing, Dispatch<Thing>>> = vec![];
        let mut leases: Vec<Lease<Thing, Dispatch<Thing>>> = vec![];
        let (mut made, mut limit, mut closed, mut resized) = (0, slots, false, false);
        for step in all {
            match step {
                Step::Checkout => match pool.checkout_owned() {
                    Checkout::Reuse(lease) => {
                        prop_assert!(!closed && alive.lock().unwrap().contains(&lease.0));
                        prop_assert!(leases.iter().all(|other| other.0 != lease.0), "the resource has two holders");
                        leases.push(lease);
                    }
                    Checkout::Make(free) => {
                        prop_assert!(!closed);
                        vacant.push(free);
                    }
                    Checkout::Busy(rejected) => {
                        prop_assert_eq!(rejected.reason(), if closed { plimsoll_core::Reason::Closed } else { plimsoll_core::Reason::Busy });
                        let out = (vacant.len() + leases.len()) as u32;
                        // Some slots in use may be beyond a limit that was lowered.
                        prop_assert!(closed || out >= limit, "{out} of {limit} are in use");
                    }
                },
                Step::Fill(at) => if let Some(free) = pick_one(&mut vacant, &at) {
                    made += 1;
                    alive.lock().unwrap().insert(made);
                    leases.push(free.fill(Thing(made, alive.clone())));
                },
                Step::Cancel(at) => drop(pick_one(&mut vacant, &at)),
                Step::PutBack(at) => if let Some(lease) = pick_one(&mut leases, &at) { lease.put_back() },
                Step::Discard(at) => if let Some(lease) = pick_one(&mut leases, &at) { lease.discard() },
                Step::Remake(at) => if let Some(lease) = pick_one(&mut leases, &at) { vacant.push(lease.remake()) },
                Step::Resize(to) => {
                    pool.set_slots(to).unwrap();
                    limit = to;
                    resized = true;
                }
                Step::Close => {
                    closed = true;
                    drop(pool.close());
                }
            }
            let out = vacant.len() + leases.len();
            prop_assert_eq!(pool.in_use() as usize, out);
            prop_assert_eq!(pool.slots(), limit);
            prop_assert!(resized || out <= limit as usize);
            // A resource that is alive is leased or idle.
            prop_assert_eq!(alive.lock().unwrap().len(), leases.len() + pool.idle());
            prop_assert!(pool.idle() <= limit as usize && (!closed || pool.idle() == 0));
        }
        drop((vacant, leases, pool));
        prop_assert!(alive.lock().unwrap().is_empty());
    }
}

/// The state that the threads of one run share.
struct Run {
    pool: Dispatch<Used>,
    // The threads that may hold a slot, counted from before the request until after the release.
    active: AtomicI64,
    // The number of requests begun, as a clock that shows whether another request came meanwhile.
    requests: AtomicU64,
    made: AtomicU64,
    granted: AtomicU64,
    resizes: bool,
}

/// A resource that only one thread may use at a time, with a number that is not atomic.
struct Used(Arc<AtomicBool>, u64);

#[derive(Clone, Debug)]
struct Job {
    yields: u8,
    end: u8,
}

fn work(run: &Run, jobs: &[Job]) {
    for job in jobs {
        // `Busy` is wrong if no other thread was active before, and none came meanwhile.
        let others = run.active.fetch_add(1, SeqCst);
        let request = run.requests.fetch_add(1, SeqCst) + 1;
        match run.pool.checkout() {
            Checkout::Busy(rejected) => {
                assert_eq!(rejected.reason(), plimsoll_core::Reason::Busy);
                assert!(others > 0 || run.requests.load(SeqCst) != request, "busy without another thread");
                run.active.fetch_sub(1, SeqCst);
            }
            granted => {
                run.granted.fetch_add(1, SeqCst);
                let mut lease = granted
                    .or_make(|| {
                        run.made.fetch_add(1, SeqCst);
                        Used(Arc::default(), 0)
                    })
                    .unwrap();
                assert!(!lease.0.swap(true, SeqCst), "the resource has two holders");
                let seen = lease.1;
                (0..job.yields).for_each(|_| std::thread::yield_now());
                lease.1 = seen + 1;
                assert!(lease.0.swap(false, SeqCst));
                match job.end {
                    0 => lease.discard(),
                    1 => drop(lease.remake()),
                    2 if run.resizes => {
                        run.pool.set_slots(1 + u32::from(job.yields)).unwrap();
                        lease.put_back();
                    }
                    _ => lease.put_back(),
                }
                run.active.fetch_sub(1, SeqCst);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Threads with random schedules: no resource has two holders, and every slot is free in the
    /// end.
    #[test]
    fn resource_never_has_two_holders_in_parallel(
        // The first 20 slots are in one word with the count, the others are not.
        pick in picks(), slots in prop_oneof![1u32..6, 15u32..30], resizes in any::<bool>(),
        schedules in prop::collection::vec(
            prop::collection::vec((0u8..4, 0u8..10).prop_map(|(yields, end)| Job { yields, end }), 1..120), 2..5),
    ) {
        let pool = Dispatch::builder().slots(slots).pick(pick).build().unwrap();
        let run = Run { pool, active: AtomicI64::new(0), requests: 0.into(), made: 0.into(), granted: 0.into(), resizes };
        let requests: usize = schedules.iter().map(Vec::len).sum();
        std::thread::scope(|scope| {
            let threads: Vec<_> = schedules.iter().map(|jobs| scope.spawn(|| work(&run, jobs))).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        let granted = run.granted.into_inner();
        prop_assert!(granted >= 1 && granted <= requests as u64);
        prop_assert_eq!((run.pool.in_use(), run.active.into_inner()), (0, 0));
        let slots = run.pool.slots();
        prop_assert!(run.pool.idle() <= slots as usize);
        // No slot was lost: all can be taken, each once, and not one more.
        let mut all = vec![];
        for _ in 0..slots * 100 {
            all.extend(run.pool.checkout().or_make(|| Used(Arc::default(), 0)));
        }
        prop_assert_eq!(all.len() as u32, slots);
        prop_assert!(all.iter().all(|lease| !lease.0.swap(true, SeqCst)));
    }

    /// With a slot for each thread, no request is busy.
    #[test]
    fn no_request_is_busy_with_enough_slots(pick in picks(), threads in 1u32..5) {
        let pool = Dispatch::builder().slots(threads).pick(pick).build().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..200).for_each(|n| pool.checkout().or_make(|| n).unwrap().put_back()));
            }
        });
        prop_assert_eq!(pool.in_use(), 0);
    }
}
