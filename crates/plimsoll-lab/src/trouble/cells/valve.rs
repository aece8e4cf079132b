//! The cells of `Valve`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll::{Discipline, Event, Instant, Observe, Permit, Rejected, Valve};
use tower_layer::Layer;

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::day::Bench;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::Row;
use crate::trouble::scenes::{Lengths, SLOTS, SYSTEM, bounded, judge, permits_of_lost_calls, scenes};

const GUARD: Guard = Guard::Valve;
const MS: Duration = Duration::from_millis(1);
/// The queue of the README.
const QUEUE: u32 = 32;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::from(SYSTEM.map(|trouble| Cell::of(GUARD, trouble, system)));
    cells.push(Cell::new(GUARD, Trouble::T9, changed_settings));
    cells.push(Cell::new(GUARD, Trouble::T14, held_permits));
    cells.push(Cell::new(GUARD, Trouble::T19, sleeping_machine));
    cells.push(Cell::new(GUARD, Trouble::T22, threads));
    cells
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T8, "It keeps no history, so idle time changes nothing."),
    (Trouble::T10, "It has no keys."),
    (Trouble::T11, "It has neither accounts nor weights. Shares of accounts are a fair rate limiter's."),
    (Trouble::T12, "How long permits are held is unknown on arrival: it predicts no wait."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T21, "A valve without a queue is such a pool, and is measured as Dispatch."),
];

/// Every discipline, the default one first. Targets are above the time of one call.
const DISCIPLINES: [Discipline; 7] = [
    Discipline::KeepOldest,
    Discipline::Lifo,
    Discipline::Fifo,
    Discipline::LifoWithAge { max_age: Duration::from_millis(100) },
    Discipline::CoDel { target: Duration::from_millis(20), interval: Duration::from_millis(100) },
    Discipline::AdaptiveLifo { target: Duration::from_millis(20), interval: Duration::from_millis(100) },
    Discipline::TimeBuckets { slice: Duration::from_millis(25), slices: 4 },
];

/// A valve of as many permits as the far side has slots: without a queue, and with the queue of the
/// README in every discipline.
fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size));
    let watch = |bench: &Bench, valve: &Valve| {
        let (queued, held) = (valve.clone(), valve.clone());
        bench.gauge(move || queued.queued().into());
        bench.held(move || held.in_flight().into());
    };
    let mut rows = judge(
        &scenes,
        seed,
        "no queue",
        |scene, _| bounded(scene, 0),
        |bench| {
            let valve = Valve::builder().concurrency(SLOTS).clock(bench.clock()).build()?;
            watch(bench, &valve);
            Ok(valve.layer().layer(bench.far()))
        },
    );
    for discipline in DISCIPLINES.into_iter().take(size.pick(1, 7)) {
        let settings = format!("queue {QUEUE}, {}", discipline.as_str());
        let limits = |scene: &_, _: &_| bounded(scene, QUEUE.into());
        rows.extend(judge(&scenes, seed, &settings, limits, |bench| {
            let valve = Valve::builder().concurrency(SLOTS).queue(QUEUE).max_wait(100 * MS);
            let valve = valve.discipline(discipline).clock(bench.clock()).build()?;
            watch(bench, &valve);
            Ok(valve.wait_layer().layer(bench.far()))
        }));
    }
    permits_of_lost_calls(&mut rows);
    rows
}

/// Most permits are held for minutes. Normal work of 10 ms gets 0.7 of what the rest can do.
fn held_permits(size: Size, seed: u64) -> Vec<Row> {
    let (lasts, held) = (size.pick(5, 120) * 1_000, SLOTS - 4);
    let rows = DISCIPLINES.into_iter().map(|discipline| {
        let alone = Alone::new(seed);
        let valve = Valve::builder().concurrency(SLOTS).queue(QUEUE).max_wait(100 * MS);
        let valve = valve.discipline(discipline).clock(alone.clock()).build();
        let valve = valve.unwrap_or_else(|error| unreachable!("{error}"));
        let _held: Vec<_> = (0..held).map(|_| valve.try_acquire()).collect();
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut working: Vec<(Instant, Permit<Valve>)> = Vec::new();
        let (mut arrived, mut served, mut longest) = (0_u32, 0_u32, Duration::ZERO);
        for _ in 0..lasts {
            alone.time().advance(MS);
            let now = alone.now();
            working.retain(|(until, _)| *until > now);
            // 280 a second, of the 400 that four permits can serve.
            if alone.chance(0.28) {
                arrived += 1;
                waiting.push((now, Box::pin(valve.acquire_owned())));
            }
            waiting.retain_mut(|(since, permit)| {
                match permit.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Pending => true,
                    Poll::Ready(decision) => {
                        longest = longest.max(now.since(*since));
                        served += u32::from(decision.is_ok());
                        working.extend(decision.map(|permit| (now + 10 * MS, permit)));
                        false
                    }
                }
            });
        }
        let share = f64::from(served) / f64::from(arrived.max(1));
        let case = format!("12 of {SLOTS} permits held, {}", discipline.as_str());
        [
            Row::at_least(format!("{case}: normal work served"), share, 0.9, "of it"),
            Row::at_most(format!("{case}: longest wait"), longest.as_secs_f64() * 1e3, 100.0, "ms"),
        ]
    });
    rows.flatten().collect()
}

/// A request that waits, and since when.
type Waiting = (Instant, Pin<Box<dyn Future<Output = Result<Permit<Valve>, Rejected>>>>);

/// The concurrency is lowered a hundred times, and raised again, at full load.
fn changed_settings(_: Size, seed: u64) -> Vec<Row> {
    const MANY: u32 = 100;
    let alone = Alone::new(seed);
    let valve = Valve::builder().concurrency(MANY).queue(QUEUE).max_wait(100 * MS).clock(alone.clock());
    let valve = valve.build().unwrap_or_else(|error| unreachable!("{error}"));
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut working: Vec<(Instant, Permit<Valve>)> = Vec::new();
    let (mut over, mut longest, mut served) = (0_usize, Duration::ZERO, 0_u32);
    for n in 0..3_000 {
        let concurrency = if (1_000..2_000).contains(&n) { MANY / 100 } else { MANY };
        if n % 1_000 == 0 {
            valve.set_concurrency(concurrency).unwrap_or_else(|error| unreachable!("{error}"));
        }
        alone.time().advance(MS);
        let now = alone.now();
        working.retain(|(until, _)| *until > now);
        // 10 a millisecond, which is as much as a hundred permits can serve.
        waiting.extend((0..10).map(|_| -> Waiting { (now, Box::pin(valve.acquire_owned())) }));
        let before = working.len();
        waiting.retain_mut(|(since, permit)| {
            match permit.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => true,
                Poll::Ready(decision) => {
                    longest = longest.max(now.since(*since));
                    working.extend(decision.map(|permit| (now + 10 * MS, permit)));
                    false
                }
            }
        });
        if working.len() > before {
            over = over.max(working.len().saturating_sub(concurrency as usize));
        }
        served += if n >= 2_000 { (working.len() - before) as u32 } else { 0 };
    }
    vec![
        Row::at_most("concurrency 100, 1, 100: permits beyond the limit", over as f64, 0.0, "permits"),
        Row::at_most("concurrency 100, 1, 100: longest wait", longest.as_secs_f64() * 1e3, 100.0, "ms"),
        Row::at_least("raised again: served of 10,000", f64::from(served), 9_800.0, "requests"),
    ]
}

/// The machine sleeps while the queue is full. It wakes, and a permit is released.
fn sleeping_machine(_: Size, seed: u64) -> Vec<Row> {
    let rows = DISCIPLINES.into_iter().map(|discipline| {
        let alone = Alone::new(seed);
        let valve = Valve::builder().concurrency(1).queue(QUEUE).max_wait(100 * MS);
        let valve = valve.discipline(discipline).clock(alone.clock()).build();
        let valve = valve.unwrap_or_else(|error| unreachable!("{error}"));
        let mut cx = Context::from_waker(Waker::noop());
        let held = valve.try_acquire();
        let mut waiting: Vec<_> = (0..QUEUE).map(|_| Box::pin(valve.acquire_owned())).collect();
        waiting.iter_mut().for_each(|permit| drop(permit.as_mut().poll(&mut cx)));
        alone.time().advance(30_000 * MS);
        // Before any of those that waited is polled.
        let mut newcomer = Box::pin(valve.acquire_owned());
        let rejected = matches!(newcomer.as_mut().poll(&mut cx), Poll::Ready(Err(_)));
        drop(held);
        let late = waiting.iter_mut().map(|permit| permit.as_mut().poll(&mut cx));
        let late = late.filter(|decision| matches!(decision, Poll::Ready(Ok(_)))).count();
        let served = matches!(newcomer.as_mut().poll(&mut cx), Poll::Ready(Ok(_)));
        let case = discipline.as_str();
        [
            Row::at_most(format!("{case}: admitted 30 s late"), late as f64, 0.0, "requests"),
            Row::at_most(format!("{case}: newcomers rejected"), f64::from(rejected || !served), 0.0, ""),
        ]
    });
    rows.flatten().collect()
}

/// Counts the events of a valve: what was decided, and what was completed.
#[derive(Default)]
struct Books {
    admitted: AtomicU64,
    rejected: AtomicU64,
    completed: AtomicU64,
}

impl Observe for Books {
    fn event(&self, event: Event) {
        let cell = match event {
            Event::Admitted { .. } => &self.admitted,
            Event::Rejected { .. } => &self.rejected,
            Event::Completed { .. } => &self.completed,
            _ => return,
        };
        cell.fetch_add(1, Ordering::Relaxed);
    }
}

/// Threads that do not wait and threads that do, at one valve. Its books must be exact.
fn threads(size: Size, _: u64) -> Vec<Row> {
    const PERMITS: u32 = 4;
    let rounds = size.pick(200, 5_000);
    let rows = [1_u64, 2, 8, 64].into_iter().flat_map(|threads| {
        let books = Arc::new(Books::default());
        let valve = Valve::builder().concurrency(PERMITS).queue(QUEUE).observe(books.clone()).build();
        let valve = valve.unwrap_or_else(|error| unreachable!("{error}"));
        let (inside, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (valve, inside, most) = (&valve, &inside, &most);
                scope.spawn(move || {
                    for _ in 0..rounds {
                        let permit = match thread % 2 {
                            0 => valve.try_acquire(),
                            _ => valve.blocking_acquire(),
                        };
                        if permit.is_ok() {
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        let [admitted, rejected, completed] =
            [&books.admitted, &books.rejected, &books.completed].map(|n| n.load(Ordering::SeqCst));
        let beyond = most.into_inner().saturating_sub(PERMITS.into());
        let unbalanced = (threads * rounds).abs_diff(admitted + rejected) + admitted.abs_diff(completed);
        let left = u64::from(valve.in_flight() + valve.queued());
        let case = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        [
            Row::at_most(format!("{case}: permits beyond the limit"), beyond as f64, 0.0, "permits"),
            Row::at_most(format!("{case}: in no book"), unbalanced as f64, 0.0, "requests"),
            Row::at_most(format!("{case}: permits and waiters left"), left as f64, 0.0, ""),
        ]
    });
    rows.collect()
}
