//! A permit acquired and released, and a rejection.

use crate::side::{Case, Peer, Side, Target};
use parking_lot::Mutex;
use plimsoll::Valve;
use std::hint::black_box;
use std::sync::Arc;

/// More places than threads, so that none is rejected.
const PLENTY: u32 = 1_024;

pub(crate) fn permit() -> Vec<Case> {
    let acquired = vec![
        Peer::new("tokio", "Semaphore", tokio_semaphore(PLENTY)).target(1, Target::ratio(0.70, 0.60)),
        Peer::new("async-lock", "Semaphore", async_semaphore(PLENTY)),
        Peer::new("parking_lot", "Mutex<count>", counted(PLENTY)),
    ];
    let rejected = vec![
        Peer::new("async-lock", "Semaphore", async_semaphore(0))
            .target(1, Target::Nanos(2.0))
            .target(2, Target::Nanos(2.0)),
        Peer::new("tokio", "Semaphore", tokio_semaphore(0)),
        Peer::new("parking_lot", "Mutex<count>", counted(0)),
    ];
    vec![
        Case::new("acquired and released", valve(PLENTY), acquired),
        Case::new("rejected", full_valve(), rejected),
    ]
}

/// The cost of an observer: the same permit with its decisions and outcomes counted. The peer is
/// our own valve without an observer, so the difference of the two times is what counting adds.
pub(crate) fn metrics() -> Vec<Case> {
    let peer = |side| vec![Peer::new("plimsoll-valve", "without an observer", side)];
    let full = |counted: Valve| {
        let held = counted.try_acquire_owned().expect("the only place");
        Side::new(
            move || {
                black_box(&held);
                counted.clone()
            },
            try_acquire,
        )
    };
    let counted_valve = |concurrency| {
        let metrics = Arc::new(plimsoll::Metrics::new());
        Valve::builder().concurrency(concurrency).observe(metrics).build().expect("a valid size")
    };
    let plenty = counted_valve(PLENTY);
    vec![
        Case::new(
            "acquired and released, counted",
            Side::new(move || plenty.clone(), try_acquire),
            peer(valve(PLENTY)),
        ),
        Case::new("rejected, counted", full(counted_valve(1)), peer(full_valve())),
    ]
}

fn valve(concurrency: u32) -> Side {
    let valve = Valve::new(concurrency).expect("a valid size");
    Side::new(move || valve.clone(), try_acquire)
}

fn full_valve() -> Side {
    let valve = Valve::new(1).expect("a valid size");
    let held = valve.try_acquire_owned().expect("the only place");
    Side::new(
        move || {
            black_box(&held);
            valve.clone()
        },
        try_acquire,
    )
}

fn try_acquire(valve: &mut Valve) {
    // The whole result is used, so that a rejection must be written in full.
    black_box(&black_box(&*valve).try_acquire());
}

fn tokio_semaphore(places: u32) -> Side {
    let semaphore = Arc::new(tokio::sync::Semaphore::new(places as usize));
    Side::new(
        move || semaphore.clone(),
        |semaphore| {
            black_box(&black_box(&*semaphore).try_acquire());
        },
    )
}

fn async_semaphore(places: u32) -> Side {
    let semaphore = Arc::new(async_lock::Semaphore::new(places as usize));
    Side::new(
        move || semaphore.clone(),
        |semaphore| {
            black_box(&black_box(&*semaphore).try_acquire());
        },
    )
}

/// The hand-written alternative: a count under a lock, and a guard that decrements it.
struct Counted(Mutex<u32>, u32);

struct CountGuard<'a>(&'a Counted);

impl Counted {
    fn take(&self) -> Option<CountGuard<'_>> {
        let mut acquired = self.0.lock();
        (*acquired < self.1).then(|| {
            *acquired += 1;
            CountGuard(self)
        })
    }
}

impl Drop for CountGuard<'_> {
    fn drop(&mut self) {
        *self.0.0.lock() -= 1;
    }
}

fn counted(places: u32) -> Side {
    let counted = Arc::new(Counted(Mutex::new(0), places));
    Side::new(
        move || counted.clone(),
        |counted| {
            black_box(&black_box(&*counted).take());
        },
    )
}
