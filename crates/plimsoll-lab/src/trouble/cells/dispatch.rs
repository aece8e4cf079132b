//! The cells of `Dispatch`.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll::dispatch::{Checkout, SlotPick};
use plimsoll::{Dispatch, Permit, Rejected};
use tower_layer::Layer;
use tower_service::Service;

use super::pools::{Pool, loss_system};
use crate::sim::{CallError, Request, dice};
use crate::trouble::alone::Alone;
use crate::trouble::callers::Callers;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::course::Limits;
use crate::trouble::day::Day;
use crate::trouble::erlang::erlang_b;
use crate::trouble::far::{Far, FarSide};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::phases::Phases;
use crate::trouble::row::{Phase, Row};
use crate::trouble::scenes::{Lengths, SLOTS, SYSTEM, bounded, judge, permits_of_lost_calls, scenes};

const GUARD: Guard = Guard::Dispatch;
const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let troubles = SYSTEM.into_iter().chain([Trouble::T14]);
    let mut cells: Vec<Cell> = troubles.map(|trouble| Cell::of(GUARD, trouble, measure)).collect();
    cells.push(Cell::new(GUARD, Trouble::T9, changed_slots));
    cells.push(Cell::new(GUARD, Trouble::T19, sleeping_machine));
    cells.push(Cell::new(GUARD, Trouble::T21, almost_full));
    cells.push(Cell::new(GUARD, Trouble::T22, many_threads));
    cells
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T8, "It keeps no history, so idle time changes nothing."),
    (Trouble::T10, "Its keys only choose a slot: it has no table."),
    (Trouble::T11, "It knows no accounts; callers that choose to wait are served in order of arrival."),
    (Trouble::T12, "How long slots are held is unknown on arrival, and each caller sets its own wait."),
    (Trouble::T13, "It reads no signal."),
];

/// The scenes of a trouble, and what only a pool can show.
fn measure(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let mut rows = system(trouble, size, seed);
    match trouble {
        Trouble::T1 => rows.extend(waiting_in_a_stall(size, seed)),
        Trouble::T14 => rows.extend(slots_held_for_minutes(seed)),
        Trouble::T15 => rows.extend(calls_dropped_in_the_middle(seed)),
        _ => {}
    }
    rows
}

/// A pool with as many slots as the far side.
fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size));
    let mut rows = judge(
        &scenes,
        seed,
        "",
        |scene, _| bounded(scene, 0),
        |bench| {
            let pool =
                Dispatch::<()>::builder().slots(SLOTS).clock(bench.clock()).dice(bench.dice(0)).build()?;
            let held = pool.clone();
            bench.held(move || held.in_use().into());
            Ok(pool.layer().layer(bench.far()))
        },
    );
    permits_of_lost_calls(&mut rows);
    rows
}

/// Calls that wait for a slot for at most a second.
#[derive(Clone)]
struct Waiting {
    pool: Dispatch<()>,
    far: FarSide,
}

impl Service<Request> for Waiting {
    type Response = ();
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<(), CallError>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (wait, mut far) = (self.pool.checkout_within_owned(S), self.far.clone());
        Box::pin(async move {
            let slot = wait.await.or_make(|| ()).map_err(|_| CallError::Rejected)?;
            let answer = far.call(request).await;
            slot.put_back();
            answer
        })
    }
}

/// The far side stops for a minute. Callers that choose to wait for a second are as many as arrive
/// in one.
fn waiting_in_a_stall(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, size.pick(20 * S, 60 * S), size.pick(20 * S, 600 * S));
    let far = Far::slots(16, 10 * MS).stalls(phases.begins(), phases.lasts());
    let day = Day::new(far, Callers::load(0.5), phases);
    let course = day.run(seed, |bench| {
        let pool = Dispatch::builder().slots(16).clock(bench.clock()).dice(bench.dice(0)).build()?;
        let watched = pool.clone();
        bench.gauge(move || watched.queued().into());
        Ok(Waiting { pool, far: bench.far() })
    });
    // 800 arrivals a second, and what chance adds in a minute.
    let limits = Limits::back(2 * S).queue(920);
    course.rows("checkout_within 1 s, half load", &day.bare(seed), limits)
}

/// A default pool, and the permits that are out.
struct SlotPool {
    pool: Dispatch<()>,
    permits: Vec<Option<Permit<Dispatch<()>>>>,
    free: Vec<usize>,
}

impl SlotPool {
    fn new(slots: u32, pick: SlotPick, seed: u64) -> Self {
        let pool = Dispatch::<()>::builder().slots(slots).pick(pick).dice(dice(seed, 100)).build();
        let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
        SlotPool { pool, permits: Vec::new(), free: Vec::new() }
    }
}

impl Pool for SlotPool {
    fn take(&mut self) -> Result<usize, Rejected> {
        let permit = self.pool.try_acquire_owned()?;
        let number = self.free.pop().unwrap_or_else(|| {
            self.permits.push(None);
            self.permits.len() - 1
        });
        if let Some(place) = self.permits.get_mut(number) {
            *place = Some(permit);
        }
        Ok(number)
    }

    fn release(&mut self, number: usize) {
        if let Some(place) = self.permits.get_mut(number) {
            *place = None;
            self.free.push(number);
        }
    }
}

/// Half of the slots are held for ever. Of the others, normal work gets what a pool of that size
/// would give it.
fn slots_held_for_minutes(seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for (slots, load) in [(16, 4.0), (16, 6.4), (100, 40.0)] {
        let (mut pool, held) = (SlotPool::new(slots, SlotPick::Random, seed), slots / 2);
        let _held: Vec<_> = (0..held).map(|_| pool.pool.try_acquire_owned()).collect();
        let losses = loss_system(&mut pool, slots, held, load, &dice(seed, 31));
        let possible = 1.0 - erlang_b(slots - held, load);
        let share = (1.0 - losses.rejected) / possible * 100.0;
        let case = format!("admitted of what {} free slots of {slots} can do, load {load}", slots - held);
        rows.push(Row::at_least(case, share, 98.0, "%").phase(Phase::During));
    }
    rows
}

/// A tenth of the callers is dropped in the middle of a call. No half-used resource is handed on.
fn calls_dropped_in_the_middle(seed: u64) -> Vec<Row> {
    let pool = Dispatch::<bool>::builder().slots(16).dice(dice(seed, 100)).build();
    let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
    let (dice, mut calls, mut half_used) = (dice(seed, 32), Vec::new(), 0_u32);
    for _ in 0..20_000 {
        let (reused, lease) = match pool.checkout_owned() {
            Checkout::Reuse(lease) => (true, Ok(lease)),
            other => (false, other.or_make(|| false)),
        };
        if let Ok(mut in_the_middle) = lease {
            half_used += u32::from(reused && *in_the_middle);
            *in_the_middle = true;
            calls.push(in_the_middle);
        }
        while calls.len() > dice.below(17) as usize {
            let mut call = calls.swap_remove(dice.below(calls.len() as u64) as usize);
            // Otherwise the caller leaves, and its future is dropped.
            if !dice.chance(0.1) {
                *call = false;
                call.put_back();
            }
        }
    }
    let leaked = f64::from(pool.in_use()) - calls.len() as f64;
    vec![
        Row::at_most("half-used resources handed on", f64::from(half_used), 0.0, "of 20,000"),
        Row::at_most("slots that leaked", leaked, 0.0, "slots"),
    ]
}

/// The number of slots is lowered a hundred times, and raised again, at full load.
fn changed_slots(_: Size, seed: u64) -> Vec<Row> {
    let pool = Dispatch::<()>::builder().slots(100).dice(dice(seed, 100)).build();
    let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
    let (mut held, mut over, mut fewest) = (VecDeque::new(), 0_usize, usize::MAX);
    for n in 0..3_000 {
        let slots = if (1_000..2_000).contains(&n) { 1 } else { 100 };
        if n % 1_000 == 0 {
            pool.set_slots(slots).unwrap_or_else(|error| unreachable!("{error}"));
        }
        // At full load, one is released for each that arrives.
        if held.len() >= slots as usize {
            drop(held.pop_front());
        }
        if let Ok(permit) = pool.try_acquire() {
            held.push_back(permit);
            over = over.max(held.len().saturating_sub(slots as usize));
        }
        if n >= 2_200 {
            fewest = fewest.min(held.len());
        }
    }
    vec![
        Row::at_most("100, 1, 100 slots: granted beyond their number", over as f64, 0.0, "slots"),
        Row::at_least("raised again: slots in use at full load", fewest as f64, 100.0, "slots"),
    ]
}

/// The machine sleeps while callers wait. It wakes, and a slot is released.
fn sleeping_machine(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let pool = Dispatch::<()>::builder().slots(1).clock(alone.clock()).dice(alone.guard_dice(0)).build();
    let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
    let mut cx = Context::from_waker(Waker::noop());
    let held = pool.try_acquire();
    let mut waiting: Vec<_> = (0..32).map(|_| Box::pin(pool.checkout_within(S))).collect();
    waiting.iter_mut().for_each(|wait| drop(wait.as_mut().poll(&mut cx)));
    alone.time().advance(30 * S);
    drop(held);
    let late = waiting.iter_mut().map(|wait| wait.as_mut().poll(&mut cx));
    let late = late.filter(|end| matches!(end, Poll::Ready(checkout) if !checkout.is_busy())).count();
    let locked_out = pool.try_acquire().is_err();
    vec![
        Row::at_most("granted 30 s late", late as f64, 0.0, "slots"),
        Row::at_most("newcomers rejected with a free slot", f64::from(locked_out), 0.0, ""),
    ]
}

/// A pool is busy to 50, 80, 90 or 95 %. It rejects what Erlang's formula B says, and its
/// rejections state true numbers.
fn almost_full(size: Size, seed: u64) -> Vec<Row> {
    let sizes: &[u32] = size.pick(&[16, 100], &[16, 100, 256, 1_000]);
    let (mut rows, mut untrue) = (Vec::new(), 0);
    for pick in [SlotPick::Random, SlotPick::RoundRobin, SlotPick::Lowest] {
        for slots in sizes {
            for offered in [0.5, 0.8, 0.9, 0.95] {
                let load = offered * f64::from(*slots);
                let losses =
                    loss_system(&mut SlotPool::new(*slots, pick, seed), *slots, 0, load, &dice(seed, 33));
                untrue += losses.untrue;
                let (value, limit) = (losses.rejected * 100.0, erlang_b(*slots, load) * 100.0 + 1.0);
                let case = format!("rejected, {pick:?}, {slots} slots at {:.0} %", offered * 100.0);
                rows.push(Row::at_most(case, value, limit, "%").phase(Phase::During));
            }
        }
    }
    rows.push(Row::at_most("rejections with a free slot or untrue numbers", f64::from(untrue), 0.0, ""));
    rows
}

/// More threads than processors use a pool of four slots. No slot is granted twice or lost.
fn many_threads(size: Size, _: u64) -> Vec<Row> {
    const FEW: u32 = 4;
    let (mut over, mut lost) = (0_u32, 0);
    for threads in [1, 2, 8, 64] {
        let pool = Dispatch::<()>::new(FEW).unwrap_or_else(|error| unreachable!("{error}"));
        let (held, peak) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..size.pick(500, 20_000) {
                        if let Ok(_permit) = pool.try_acquire() {
                            peak.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::thread::yield_now();
                            held.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        over += peak.into_inner().saturating_sub(FEW);
        let all: Vec<_> = std::iter::from_fn(|| pool.try_acquire().ok()).take(9).collect();
        lost += (all.len() as u32).abs_diff(FEW);
    }
    vec![
        Row::at_most("slots granted beyond their number", f64::from(over), 0.0, "slots"),
        Row::at_most("slots lost or gained in the end", f64::from(lost), 0.0, "slots"),
    ]
}
