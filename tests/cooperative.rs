//! A task that never has to wait shares its thread with the others.
//!
//! Waiting calls that were ready at once never yielded to tokio. A worker that looped over
//! `valve.acquire()` kept its thread for itself: its own time-out never fired, and timers, health
//! checks and shutdown signals on that thread starved. That is overload, for which the calls exist.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use plimsoll::Clock;
use plimsoll::buffer::{Filter, Orphaned};
use plimsoll::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

/// Far more calls than a task makes in one turn.
const CALLS: u32 = 100_000;
const HOUR: Duration = Duration::from_secs(3600);

/// Repeats `call` beside another task and within a time-out that has passed already.
///
/// Asserts that the other task gets its turns, and that the time-out fires.
fn assert_shares_its_thread(call: impl AsyncFn()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let turns = Arc::new(AtomicU32::new(0));
        let count = turns.clone();
        let other = tokio::spawn(async move {
            loop {
                count.fetch_add(1, SeqCst);
                tokio::task::yield_now().await;
            }
        });
        let mut calls = 0;
        while turns.load(SeqCst) < 3 {
            call().await;
            calls += 1;
            assert!(calls < CALLS, "the other task never ran");
        }
        other.abort();
        let endless = async {
            for _ in 0..CALLS {
                call().await;
            }
        };
        assert!(tokio::time::timeout(Duration::ZERO, endless).await.is_err(), "the time-out never fired");
    });
}

#[test]
fn valve_that_has_room_yields() {
    let valve = Valve::builder().concurrency(2).queue(8).build().unwrap();
    assert_shares_its_thread(async || drop(valve.acquire().await.unwrap()));
    assert_shares_its_thread(async || drop(valve.acquire_owned().await.unwrap()));
    assert_shares_its_thread(async || valve.run(async { Ok::<_, BoxError>(()) }).await.unwrap());
}

#[test]
fn valve_that_rejects_yields() {
    let valve = Valve::new(1).unwrap();
    let _held = valve.try_acquire().unwrap();
    assert_shares_its_thread(async || assert!(valve.acquire().await.is_err()));
}

#[test]
fn layer_that_has_room_yields() {
    let valve = Valve::builder().concurrency(2).queue(8).build().unwrap();
    let service = ServiceBuilder::new()
        .layer(valve.wait_layer())
        .service(service_fn(async |_: ()| Ok::<_, BoxError>(())));
    assert_shares_its_thread(async || service.clone().oneshot(()).await.unwrap());
}

#[test]
fn inbox_of_a_flooded_mailbox_yields() {
    let mailbox = Mailbox::new(8).unwrap();
    // The producer is faster: there is always an item.
    let flood = || drop(mailbox.offer(1));
    let inbox = || {
        flood();
        mailbox.inbox()
    };
    assert_shares_its_thread(async || assert!(inbox().take_wait().await.is_some()));
    assert_shares_its_thread(async || assert!(inbox().mail().await.is_some()));
    assert_shares_its_thread(async || assert!(inbox().mail_up_to(1).await.is_some()));
    assert_shares_its_thread(async || assert!(inbox().mail_into(&mut vec![]).await.is_some()));
    assert_shares_its_thread(async || assert!(inbox().mail_with(|_| Filter::Take).await.is_some()));
    assert_shares_its_thread(async || assert!(inbox().notified().await));
    assert_shares_its_thread(async || assert!(inbox().into_stream().next().await.is_some()));
}

#[test]
fn producer_that_finds_room_yields() {
    let mailbox = Mailbox::new(8).unwrap();
    assert_shares_its_thread(async || {
        mailbox.offer_wait(1).await.unwrap();
        assert_eq!(mailbox.inbox().take(), Some(1));
    });
    assert_shares_its_thread(async || assert_eq!(mailbox.orphaned().await, Orphaned::Dropped));
}

#[test]
fn rate_limiters_that_have_units_yield() {
    let quota = Quota::per_second(1_000_000);
    let limiter = RateLimiter::new(quota).unwrap();
    assert_shares_its_thread(async || drop(limiter.acquire().await.unwrap()));
    let keyed = KeyedRateLimiter::<&str>::new(quota).unwrap();
    assert_shares_its_thread(async || drop(keyed.acquire(&"key").await.unwrap()));
}

#[test]
fn pools_that_are_ready_yield() {
    let pool: Dispatch<u32> = Dispatch::new(2).unwrap();
    assert_shares_its_thread(async || drop(pool.checkout_within(HOUR).await.or_make(|| 7).unwrap()));
    pool.close();
    assert_shares_its_thread(async || pool.drained().await);
}

#[test]
fn sleep_that_is_over_yields() {
    let clock = Clock::system();
    assert_shares_its_thread(async || clock.sleep_until(clock.now()).await);
}

/// A thread that blocks inside a task must not wait for the task's next turn, which it prevents.
#[test]
fn blocking_call_inside_a_task_never_waits_for_budget() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let valve = Valve::builder().concurrency(2).queue(8).build().unwrap();
    let mailbox = Mailbox::new(8).unwrap();
    runtime.block_on(async {
        let mut inbox = mailbox.inbox();
        for n in 0..1_000 {
            drop(valve.blocking_acquire().unwrap());
            mailbox.blocking_offer(n).unwrap();
            assert_eq!(inbox.blocking_take(), Some(n));
        }
    });
}
