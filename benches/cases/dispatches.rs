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
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};

/// The size of a typical connection pool.
const SLOTS: u32 = 16;

/// Slots that stay checked out while the others are measured.
const HELD: [(&str, u32); 3] =
    [("none of 16 in use", 0), ("8 of 16 in use", SLOTS / 2), ("15 of 16 in use", SLOTS - 1)];

pub(crate) fn checkout() -> Vec<Case> {
    let with_resource = HELD.map(|(subject, held)| {
        let peers = vec![
            Peer::new("deadpool", "unmanaged try_get", unmanaged_checkout(held))
                .target(1, Target::ratio(0.35, 0.40))
                .target(2, Target::Ratio(0.25)),
            Peer::new("deadpool", "managed get", deadpool_checkout(held)),
            Peer::new("bb8", "get", bb8_checkout(held)),
            Peer::new("crossbeam-queue", "ArrayQueue pop, push", array_checkout(held)),
            Peer::new("crossbeam-queue", "ArrayQueue, a count and a lease", leased_checkout(held)),
        ];
        Case::new(subject, checked_out(held), peers)
    });
    let alone = Side::new(shared(pool()), |pool| {
        black_box(&black_box(&*pool).try_acquire());
    });
    let peer = vec![Peer::new("deadpool", "unmanaged try_get", unmanaged_checkout(0))];
    with_resource.into_iter().chain([Case::new("a slot alone", alone, peer)]).collect()
}

pub(crate) fn busy() -> Vec<Case> {
    let peers = vec![
        Peer::new("deadpool", "unmanaged try_get", unmanaged_busy())
            .target(1, Target::ratio(1.50, 1.60))
            .target(2, Target::Ratio(1.50)),
        Peer::new("deadpool", "managed timeout_get of zero", deadpool_busy()),
        Peer::new("bb8", "get, polled once", bb8_busy()),
        Peer::new("crossbeam-queue", "ArrayQueue pop", array_busy()),
        Peer::new("tokio", "mpsc of idle workers, try_recv", channel_busy()),
    ];
    vec![Case::new("all of 16 in use", exhausted(), peers)]
}

fn pool() -> Dispatch<u64> {
    Dispatch::new(SLOTS).expect("a valid size")
}

fn shared(pool: Dispatch<u64>) -> impl Fn() -> Dispatch<u64> + Sync {
    move || pool.clone()
}

/// Returns what is held, so that it lives as long as the closure that reads it.
fn holding<H: Send + 'static>(held: Vec<H>) -> impl Fn() + Sync {
    let held = Mutex::new(held);
    move || {
        black_box(&held);
    }
}

/// A pool in which every slot has its resource, and `held` of them are in use.
fn checked_out(held: u32) -> Side {
    let pool = pool();
    let mut all: Vec<_> = (0..SLOTS).filter_map(|_| pool.checkout_owned().or_make(|| 0).ok()).collect();
    all.drain(held as usize..).for_each(|lease| lease.put_back());
    let hold = holding(all);
    Side::new(
        move || {
            hold();
            pool.clone()
        },
        |pool| {
            if let Ok(lease) = black_box(&*pool).checkout().or_make(|| 0) {
                black_box(&*lease);
                lease.put_back();
            }
        },
    )
}

fn exhausted() -> Side {
    let pool = pool();
    let held: Vec<_> = (0..SLOTS).map(|_| pool.checkout_owned().or_make(|| 0)).collect();
    let hold = holding(held);
    Side::new(
        move || {
            hold();
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

fn unmanaged_checkout(held: u32) -> Side {
    let pool = unmanaged();
    let hold = holding((0..held).map(|_| pool.try_get()).collect());
    Side::new(
        move || {
            hold();
            pool.clone()
        },
        |pool| {
            black_box(&black_box(&*pool).try_get());
        },
    )
}

fn unmanaged_busy() -> Side {
    let pool = unmanaged();
    let hold = holding((0..SLOTS).map(|_| pool.try_get()).collect());
    Side::new(
        move || {
            hold();
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

fn deadpool_checkout(held: u32) -> Side {
    let pool = deadpool();
    let mut all: Vec<_> = (0..SLOTS).map(|_| poll_now(pool.get())).collect();
    all.truncate(held as usize);
    let hold = holding(all);
    Side::new(
        move || {
            hold();
            pool.clone()
        },
        |pool| {
            black_box(&poll_now(black_box(&*pool).get()));
        },
    )
}

fn deadpool_busy() -> Side {
    let pool = deadpool();
    let hold = holding((0..SLOTS).map(|_| poll_now(pool.get())).collect());
    Side::new(
        move || {
            hold();
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

fn bb8_held(
    pool: &bb8::Pool<Numbers>,
    runtime: &tokio::runtime::Runtime,
    held: u32,
) -> impl Fn() + Sync + use<> {
    let _entered = runtime.enter();
    holding((0..held).map(|_| poll_now(pool.get_owned())).collect())
}

fn bb8_checkout(held: u32) -> Side {
    let (pool, runtime) = bb8();
    let hold = bb8_held(&pool, &runtime, held);
    Side::new(
        move || {
            hold();
            entered(&pool, &runtime)
        },
        |(_, pool): &mut Bb8| {
            black_box(&poll_now(black_box(&*pool).get()));
        },
    )
}

fn bb8_busy() -> Side {
    let (pool, runtime) = bb8();
    let hold = bb8_held(&pool, &runtime, SLOTS);
    Side::new(
        move || {
            hold();
            entered(&pool, &runtime)
        },
        |(_, pool): &mut Bb8| {
            black_box(&poll_now(black_box(&*pool).get()).is_none());
        },
    )
}

fn array_checkout(held: u32) -> Side {
    let queue = Arc::new(ArrayQueue::new(SLOTS as usize));
    (u64::from(held)..u64::from(SLOTS)).for_each(|n| queue.push(n).expect("there is room"));
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

/// The hand-written alternative with more of our guarantees: what is in use is counted, no more
/// than that is made, and a lease that is dropped does not hand on a resource that is half-used.
struct Leased {
    idle: ArrayQueue<u64>,
    in_use: AtomicU32,
}

struct Lease<'a> {
    pool: &'a Leased,
    resource: Option<u64>,
}

impl Leased {
    fn checkout(&self) -> Option<Lease<'_>> {
        let free = |in_use| (in_use < SLOTS).then_some(in_use + 1);
        self.in_use.fetch_update(Ordering::AcqRel, Ordering::Relaxed, free).ok()?;
        Some(Lease { pool: self, resource: Some(self.idle.pop().unwrap_or(0)) })
    }
}

impl Lease<'_> {
    fn put_back(mut self) {
        if let Some(resource) = self.resource.take() {
            let _ = self.pool.idle.push(resource);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.in_use.fetch_sub(1, Ordering::AcqRel);
    }
}

fn leased_checkout(held: u32) -> Side {
    let idle = ArrayQueue::new(SLOTS as usize);
    (u64::from(held)..u64::from(SLOTS)).for_each(|n| idle.push(n).expect("there is room"));
    let pool = Arc::new(Leased { idle, in_use: AtomicU32::new(held) });
    Side::new(
        move || pool.clone(),
        |pool| {
            if let Some(lease) = black_box(&**pool).checkout() {
                black_box(&lease.resource);
                lease.put_back();
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
