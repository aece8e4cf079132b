//! Dispatch pools: a slot checked out with its resource and put back, and a rejection by an
//! exhausted pool.

use crate::side::{Case, Peer, Side, Target};
use bb8::ManageConnection;
use crossbeam_queue::ArrayQueue;
use deadpool::managed::{Manager, Metrics, RecycleResult, Timeouts};
use plimsoll::Dispatch;
use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};

/// The size of a typical connection pool.
const SLOTS: u32 = 16;

pub(crate) fn checkout() -> Vec<Case> {
    let peers = vec![
        Peer::new("deadpool", "unmanaged try_get", unmanaged_checkout())
            .target(1, Target::Ratio(0.35))
            .target(2, Target::Ratio(0.25)),
        Peer::new("deadpool", "managed get", deadpool_checkout()),
        Peer::new("bb8", "get", bb8_checkout()),
        Peer::new("crossbeam-queue", "ArrayQueue pop, push", array_checkout()),
    ];
    let slot = Side::new(sized(SLOTS, 8), |pool| {
        black_box(&black_box(&*pool).try_acquire());
    });
    let peer = vec![Peer::new("deadpool", "unmanaged try_get", unmanaged_checkout())];
    vec![Case::new("with its resource", checked_out(), peers), Case::new("a slot alone", slot, peer)]
}

pub(crate) fn busy() -> Vec<Case> {
    let peers = || {
        vec![
            Peer::new("deadpool", "unmanaged try_get", unmanaged_busy())
                .target(1, Target::Ratio(1.50))
                .target(2, Target::Ratio(1.50)),
            Peer::new("deadpool", "managed timeout_get of zero", deadpool_busy()),
            Peer::new("bb8", "get, polled once", bb8_busy()),
            Peer::new("crossbeam-queue", "ArrayQueue pop", array_busy()),
            Peer::new("tokio", "mpsc of idle workers, try_recv", channel_busy()),
        ]
    };
    vec![
        Case::new("one probe", exhausted(1), peers()),
        Case::new("eight probes, the default", exhausted(8), peers()),
    ]
}

fn pool(slots: u32, probes: u32) -> Dispatch<u64> {
    Dispatch::builder().slots(slots).probes(probes).build().expect("a valid size")
}

fn sized(slots: u32, probes: u32) -> impl Fn() -> Dispatch<u64> + Sync {
    let pool = pool(slots, probes);
    move || pool.clone()
}

/// A pool in which every slot has its resource.
fn checked_out() -> Side {
    let pool = pool(SLOTS, 8);
    let mut all = vec![];
    while pool.in_use() < SLOTS {
        all.extend(pool.checkout().or_make(|| 0));
    }
    drop(all);
    Side::new(
        move || pool.clone(),
        |pool| {
            if let Ok(lease) = black_box(&black_box(&*pool).checkout().or_make(|| 0)) {
                black_box(&**lease);
            }
        },
    )
}

fn exhausted(probes: u32) -> Side {
    // Checked out until the pool is full. The measured calls try `probes` slots.
    let pool = pool(SLOTS, probes);
    let mut held = vec![];
    while pool.in_use() < SLOTS {
        held.extend(pool.checkout_owned().or_make(|| 0));
    }
    let held = Mutex::new(held);
    Side::new(
        move || {
            black_box(&held);
            pool.clone()
        },
        |pool| {
            // The whole result is used, so that a rejection must be written in full.
            black_box(&black_box(&*pool).checkout());
        },
    )
}

/// Polls once. Nothing here has to wait.
fn poll_now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn unmanaged() -> deadpool::unmanaged::Pool<u64> {
    deadpool::unmanaged::Pool::from((0..u64::from(SLOTS)).collect::<Vec<_>>())
}

fn unmanaged_checkout() -> Side {
    let pool = unmanaged();
    Side::new(
        move || pool.clone(),
        |pool| {
            black_box(&black_box(&*pool).try_get());
        },
    )
}

fn unmanaged_busy() -> Side {
    let pool = unmanaged();
    let all: Vec<_> = (0..SLOTS).map(|_| pool.try_get()).collect();
    let all = Mutex::new(all);
    Side::new(
        move || {
            black_box(&all);
            pool.clone()
        },
        |pool| {
            black_box(&black_box(&*pool).try_get());
        },
    )
}

struct Numbers;

impl Manager for Numbers {
    type Type = u64;
    type Error = Infallible;
    async fn create(&self) -> Result<u64, Infallible> {
        Ok(0)
    }
    async fn recycle(&self, _: &mut u64, _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

fn deadpool() -> deadpool::managed::Pool<Numbers> {
    deadpool::managed::Pool::builder(Numbers).max_size(SLOTS as usize).build().expect("a valid size")
}

fn deadpool_checkout() -> Side {
    let pool = deadpool();
    let all: Vec<_> = (0..SLOTS).map(|_| poll_now(pool.get())).collect();
    drop(all);
    Side::new(
        move || pool.clone(),
        |pool| {
            black_box(&poll_now(black_box(&*pool).get()));
        },
    )
}

fn deadpool_busy() -> Side {
    let pool = deadpool();
    let all: Vec<_> = (0..SLOTS).map(|_| poll_now(pool.get())).collect();
    let all = Mutex::new(all);
    Side::new(
        move || {
            black_box(&all);
            (pool.clone(), Timeouts { wait: Some(Duration::ZERO), ..Timeouts::default() })
        },
        |(pool, timeouts)| {
            black_box(&poll_now(black_box(&*pool).timeout_get(timeouts)));
        },
    )
}

impl ManageConnection for Numbers {
    type Connection = u64;
    type Error = Infallible;
    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }
    async fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }
    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

/// A pool with all its connections, and the runtime whose timer it needs.
fn bb8() -> (bb8::Pool<Numbers>, Arc<tokio::runtime::Runtime>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let pool = runtime.block_on(async {
        let builder = bb8::Pool::builder().max_size(SLOTS).min_idle(SLOTS).test_on_check_out(false);
        builder.max_lifetime(None).idle_timeout(None).build(Numbers).await.expect("no connection fails")
    });
    (pool, Arc::new(runtime))
}

type Bb8 = (tokio::runtime::EnterGuard<'static>, bb8::Pool<Numbers>);

/// Enters the runtime on each thread. The runtime lives as long as the program.
fn entered(pool: &bb8::Pool<Numbers>, runtime: &Arc<tokio::runtime::Runtime>) -> Bb8 {
    let runtime: &'static _ = Box::leak(Box::new(runtime.clone()));
    (runtime.enter(), pool.clone())
}

fn bb8_checkout() -> Side {
    let (pool, runtime) = bb8();
    Side::new(
        move || entered(&pool, &runtime),
        |(_, pool): &mut Bb8| {
            black_box(&poll_now(black_box(&*pool).get()));
        },
    )
}

fn bb8_busy() -> Side {
    let (pool, runtime) = bb8();
    let all: Vec<_> = {
        let _entered = runtime.enter();
        (0..SLOTS).map(|_| poll_now(pool.get_owned())).collect()
    };
    let all = Mutex::new(all);
    Side::new(
        move || {
            black_box(&all);
            entered(&pool, &runtime)
        },
        |(_, pool): &mut Bb8| {
            black_box(&poll_now(black_box(&*pool).get()).is_none());
        },
    )
}

fn array_checkout() -> Side {
    let queue = Arc::new(ArrayQueue::new(SLOTS as usize));
    (0..u64::from(SLOTS)).for_each(|n| queue.push(n).expect("there is room"));
    Side::new(
        move || queue.clone(),
        |queue| {
            let queue = black_box(&**queue);
            if let Some(n) = black_box(queue.pop()) {
                black_box(&queue.push(n));
            }
        },
    )
}

fn array_busy() -> Side {
    let queue = Arc::new(ArrayQueue::<u64>::new(SLOTS as usize));
    Side::new(
        move || queue.clone(),
        |queue| {
            black_box(black_box(&**queue).pop());
        },
    )
}

/// Idle workers wait in a channel, and a caller with a job takes one out.
fn channel_busy() -> Side {
    let (idle, workers) = channel::<u64>(SLOTS as usize);
    let workers: Arc<Mutex<Receiver<u64>>> = Arc::new(Mutex::new(workers));
    Side::new(
        move || {
            black_box(&idle);
            workers.clone()
        },
        |workers| {
            let mut workers = black_box(&**workers).lock().unwrap_or_else(PoisonError::into_inner);
            black_box(&workers.try_recv());
        },
    )
}
