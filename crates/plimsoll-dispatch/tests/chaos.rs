//! Drops, panics and cancellations at random points where a task may stop. In the end no slot is in
//! use.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, ManualTime};
use plimsoll_dispatch::{Checkout, Dispatch, SlotPick, Workers};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A point where a task may be suspended, be cancelled, or panic.
async fn point(dice: &Dice) {
    let mut stops = dice.below(3);
    std::future::poll_fn(|cx| {
        if stops == 0 {
            return Poll::Ready(());
        }
        stops -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    if dice.chance(0.1) {
        std::panic::resume_unwind(Box::new("chaos"));
    }
}

async fn visit(pool: Dispatch<u32>, dice: Dice) {
    point(&dice).await;
    let checkout = match dice.below(3) {
        0 => pool.checkout(),
        1 => pool.checkout_for(&dice.below(5)),
        _ => pool.checkout_within(Duration::from_millis(3)).await,
    };
    let mut lease = match checkout {
        Checkout::Busy(_) => return,
        Checkout::Reuse(lease) => lease,
        Checkout::Make(vacant) => {
            let make = async {
                point(&dice).await;
                if dice.chance(0.2) { Err("no") } else { Ok(1) }
            };
            match vacant.make(make).await {
                Ok(lease) => lease,
                Err(_) => return,
            }
        }
    };
    point(&dice).await;
    *lease += 1;
    match dice.below(5) {
        0 => lease.discard(),
        1 => {
            let vacant = lease.remake();
            point(&dice).await;
            vacant.fill(9).put_back();
        }
        2 => drop(lease),
        3 => std::mem::drop(pool.try_acquire_owned()),
        _ => lease.put_back(),
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Polls the tasks in random order, and drops one now and then. Calls `aside` between two polls.
fn stir(mut tasks: Vec<Task>, dice: &Dice, mut aside: impl FnMut()) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut turns = 0;
    while !tasks.is_empty() {
        turns += 1;
        assert!(turns < 1_000_000, "a task never ends");
        let at = dice.below(tasks.len() as u64) as usize;
        if dice.chance(0.05) {
            drop(tasks.swap_remove(at));
            continue;
        }
        let polled = catch_unwind(AssertUnwindSafe(|| tasks[at].as_mut().poll(&mut cx)));
        if !matches!(polled, Ok(Poll::Pending)) {
            drop(tasks.swap_remove(at));
        }
        aside();
    }
}

#[test]
fn cancellations_and_panics_leak_no_slot() {
    let picks = [SlotPick::Random, SlotPick::RoundRobin, SlotPick::Lowest];
    for (seed, pick) in (0..200).zip(picks.into_iter().cycle()) {
        let (dice, time) = (Dice::seeded(seed), ManualTime::new());
        let pool = Dispatch::builder().slots(3).pick(pick).dice(dice.clone()).clock(time.clock());
        let pool = pool.max_idle(Duration::from_millis(20)).reuse_dropped(seed % 2 == 0).build().unwrap();
        let tasks = (0..40).map(|_| Box::pin(visit(pool.clone(), dice.clone())) as Task).collect();
        stir(tasks, &dice, || {
            time.advance(Duration::from_micros(dice.below(500)));
            match dice.below(200) {
                0 => pool.set_slots(1 + dice.below(5) as u32).unwrap(),
                1 => drop(pool.sweep()),
                _ => {}
            }
            assert!(pool.in_use() <= 5);
        });
        assert_eq!(pool.in_use(), 0, "seed {seed}");
        let slots = pool.slots();
        let all: Vec<_> = (0..200).filter_map(|_| pool.checkout().or_make(|| 1).ok()).collect();
        assert_eq!(all.len() as u32, slots, "seed {seed}");
    }
}

/// Workers that panic and are replaced, and a submitter. Each job reached a worker or was returned.
#[test]
fn cancellations_and_panics_lose_no_job() {
    for seed in 0..200 {
        let dice = Dice::seeded(seed);
        let (workers, all) = Workers::builder().workers(3).dice(dice.clone()).build().unwrap();
        let begun = Arc::new(AtomicU64::new(0));
        let mut submitted = 0;
        let serve = |mut worker: plimsoll_dispatch::Worker<u64>| {
            let (begun, dice) = (begun.clone(), dice.clone());
            Box::pin(async move {
                while let Some(_job) = worker.next().await {
                    begun.fetch_add(1, SeqCst);
                    point(&dice).await;
                }
            }) as Task
        };
        let mut tasks: Vec<Task> = all.into_iter().map(serve).collect();
        let mut cx = Context::from_waker(Waker::noop());
        for n in 0..500 {
            submitted += u64::from(workers.submit(n).is_ok());
            let at = dice.below(tasks.len() as u64) as usize;
            let polled = catch_unwind(AssertUnwindSafe(|| tasks[at].as_mut().poll(&mut cx)));
            if !matches!(polled, Ok(Poll::Pending)) || dice.chance(0.02) {
                drop(tasks.swap_remove(at));
                assert_eq!(workers.missing(), 1);
                tasks.push(serve(workers.replace().unwrap()));
            }
        }
        workers.close();
        for turn in 0.. {
            assert!(turn < 10_000, "a worker never ends");
            let Some(mut task) = tasks.pop() else { break };
            match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut cx))) {
                Ok(Poll::Pending) => tasks.insert(0, task),
                Ok(Poll::Ready(())) => {}
                Err(_) => {
                    drop(task);
                    tasks.insert(0, serve(workers.replace().unwrap()));
                }
            }
        }
        assert_eq!(begun.load(SeqCst), submitted, "seed {seed}");
        assert_eq!(workers.idle(), 0, "seed {seed}");
    }
}
