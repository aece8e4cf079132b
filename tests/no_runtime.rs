//! Everything works on plain threads, with no runtime anywhere.
#![allow(missing_docs, clippy::unwrap_used)]

use plimsoll::prelude::*;
use plimsoll::{Clock, Gate, ManualTime};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

#[test]
fn threads_wait_in_line_and_all_get_through() {
    let valve = Valve::builder().inside(2).room(16).longest_wait(Duration::from_secs(3600)).build().unwrap();
    let (now, most, done) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                for _ in 0..500 {
                    let _permit = valve.acquire_timeout(Duration::from_secs(3600)).unwrap();
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    now.fetch_sub(1, SeqCst);
                    done.fetch_add(1, SeqCst);
                }
            });
        }
    });
    assert_eq!(done.load(SeqCst), 4_000);
    assert!(most.load(SeqCst) <= 2);
}

#[test]
fn an_async_wait_runs_on_a_thread_and_expires_by_its_clock() {
    let time = ManualTime::new();
    let valve =
        Valve::builder().room(1).longest_wait(Duration::from_secs(60)).clock(time.clock()).build().unwrap();
    let _held = valve.ask().unwrap();
    std::thread::scope(|s| {
        let waits = s.spawn(|| Clock::system().block_until(None, valve.acquire()).unwrap().map(|_| ()));
        while !waits.is_finished() {
            if valve.waiting() == 1 {
                time.advance(Duration::from_secs(60));
            }
            std::thread::yield_now();
        }
        assert_eq!(waits.join().unwrap().unwrap_err().reason(), Reason::Expired);
    });
}

#[test]
fn a_tuple_is_a_gate_on_a_thread_too() {
    let (shed, valve) = (RandomDrop::new(1.0).unwrap(), Valve::new(1).unwrap());
    let gates = (&shed, &valve);
    let token = gates.admit("job").unwrap();
    let permit = Permit::new(gates, token);
    assert_eq!(gates.admit("job").unwrap_err().reason(), Reason::Full);
    permit.done(Outcome::Success);
    assert_eq!(valve.inside(), 0);
}

#[test]
fn a_mailbox_carries_items_between_threads_and_tells_what_it_lost() {
    const EACH: u64 = 20_000;
    let mailbox = Mailbox::new(64).unwrap();
    let mut inbox = mailbox.inbox();
    let (mut taken, mut lost) = (0, 0);
    std::thread::scope(|s| {
        for _ in 0..2 {
            let mailbox = mailbox.clone();
            s.spawn(move || (0..EACH).for_each(|n| drop(mailbox.offer(n))));
        }
        drop(mailbox);
        while let Some(mail) = inbox.mail_timeout(Duration::from_secs(60)) {
            taken += mail.items.len() as u64;
            lost += mail.lost.total();
        }
    });
    assert_eq!(taken + lost, 2 * EACH);
}

#[test]
fn slots_and_workers_serve_threads() {
    let pool = Dispatch::<u32>::new(4).unwrap();
    let (hands, workers) = plimsoll::Workers::<u32>::new(2).unwrap();
    let done = AtomicU32::new(0);
    std::thread::scope(|s| {
        for mut worker in workers {
            let (pool, done) = (&pool, &done);
            s.spawn(move || {
                while let Some(job) = worker.next_blocking() {
                    // A slot for each, and two to spare: nobody is busy.
                    *pool.checkout().or_make(|| 0).unwrap() += 1;
                    done.fetch_add(job, SeqCst);
                }
            });
        }
        for _ in 0..1_000 {
            let mut job = 1;
            while let Err(busy) = hands.give(job) {
                job = busy.job;
                std::thread::yield_now();
            }
        }
        hands.close();
    });
    assert_eq!((done.into_inner(), pool.taken()), (1_000, 0));
    assert_eq!(pool.close().into_iter().sum::<u32>(), 1_000, "each was counted in one of them");
}
