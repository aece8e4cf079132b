//! The cells of `Mailbox`, and of the request buffer that is built on it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll::{Buffer, Discipline, Mailbox};
use tower_layer::Layer;

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row};
use crate::trouble::scenes::{Lengths, SLOTS, SYSTEM, bounded, judge, permits_of_lost_calls, scenes};

const GUARD: Guard = Guard::Mailbox;
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let measured = SYSTEM.into_iter().filter(|trouble| *trouble != Trouble::T6);
    let mut cells: Vec<_> = measured.map(|trouble| Cell::of(GUARD, trouble, system)).collect();
    cells.push(Cell::new(GUARD, Trouble::T9, changed_capacity));
    cells.push(Cell::new(GUARD, Trouble::T11, waiting_producers));
    cells.push(Cell::new(GUARD, Trouble::T14, slow_consumer));
    cells.push(Cell::new(GUARD, Trouble::T19, sleeping_machine));
    cells.push(Cell::new(GUARD, Trouble::T22, threads));
    cells
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T6, "It does not read how calls end."),
    (Trouble::T8, "It keeps no history, so idle time changes nothing."),
    (Trouble::T10, "It has no keys."),
    (Trouble::T12, "How fast items are taken is unknown on arrival, and it sets no longest wait."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The queue of a request buffer, by default.
const QUEUE: u64 = 1_024;

/// A request buffer in its default discipline and as a stack, and where consumers stall or load
/// changes, a mailbox between producers and a consumer.
fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let all = scenes(trouble, size, Lengths::new(size));
    let mut rows = Vec::new();
    for discipline in [Discipline::Fifo, Discipline::Lifo].into_iter().take(size.pick(1, 2)) {
        let settings = format!("request buffer, {}", discipline.as_str());
        rows.extend(judge(
            &all,
            seed,
            &settings,
            |scene, _| bounded(scene, QUEUE),
            |bench| {
                let buffer = Buffer::builder().concurrency(SLOTS).discipline(discipline);
                let buffer = buffer.clock(bench.clock()).build()?;
                let (queued, held) = (buffer.clone(), buffer.clone());
                bench.gauge(move || queued.queued().into());
                bench.held(move || held.in_flight().into());
                Ok(buffer.layer().layer(bench.far()))
            },
        ));
    }
    permits_of_lost_calls(&mut rows);
    let after = size.pick(15 * S, 600 * S);
    match trouble {
        Trouble::T1 => {
            rows.extend(mailbox("the consumer stalls", seed, size.pick(10 * S, 60 * S), after, 0.0, 0.7))
        }
        Trouble::T7 => {
            rows.extend(mailbox("half the speed", seed, size.pick(10 * S, 60 * S), after, 0.5, 0.7))
        }
        Trouble::T18 => rows.extend(mailbox("20 times the load for 1 s", seed, S, after, 1.0, 20.0)),
        _ => {}
    }
    rows
}

/// The capacity of the mailbox: half of what the consumer takes in a second.
const CAPACITY: usize = 800;
/// Items that the consumer takes in each 10 ms at full speed.
const TAKES: f64 = 16.0;

/// Producers offer 0.7 of what the consumer can take, and during the trouble `load` times as much
/// as that, while the consumer has `speed`. An item is good if it is taken within a second.
fn mailbox(case: &str, seed: u64, lasts: Duration, after: Duration, speed: f64, load: f64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let mailbox =
        Mailbox::builder().capacity(CAPACITY).clock(alone.clock()).dice(alone.guard_dice(0)).build();
    let mailbox = mailbox.unwrap_or_else(|error| unreachable!("{error}"));
    let mut inbox = mailbox.inbox();
    let (mut offered, mut taken, mut lost, mut most) = (0_u64, 0_u64, 0_u64, 0_usize);
    let (mut owed, mut able) = (0.0, 0.0);
    // Runs one phase. Returns good items per second, and the seconds until all that is taken is
    // good.
    let mut phase = |lasts: Duration, speed: f64, load: f64| {
        let (start, mut good, mut back) = (alone.now(), 0_u64, 0.0);
        alone.calls(100.0, lasts, || {
            owed += TAKES * load;
            while owed >= 1.0 {
                owed -= 1.0;
                offered += 1;
                let displaced = mailbox.offer(alone.now());
                lost += displaced.map_or(1, |displaced| displaced.count() as u64);
            }
            most = most.max(mailbox.usage().len);
            able = f64::min(able + TAKES * speed, TAKES);
            let mail = inbox.take_up_to(able as usize);
            able -= mail.items.len() as f64;
            taken += mail.items.len() as u64;
            let now = alone.now();
            let age = |at: &plimsoll::Instant| Duration::from_nanos(now.as_nanos() - at.as_nanos());
            let fresh = mail.items.iter().filter(|at| age(at) <= S).count();
            good += fresh as u64;
            if fresh < mail.items.len() || mailbox.usage().len >= TAKES as usize {
                back = (now.as_nanos() - start.as_nanos()) as f64 / 1e9;
            }
            true
        });
        (good as f64 / lasts.as_secs_f64(), back)
    };
    let before = phase(5 * S, 1.0, 0.7).0;
    let during = phase(lasts, speed, load).0;
    let (then, back) = phase(after, 1.0, 0.7);
    let rest = inbox.take_up_to(usize::MAX).items.len() as u64;
    let able = 100.0 * TAKES;
    let possible = 0.9 * f64::min(speed * able, load * able);
    let name = |what: &str| format!("mailbox of {CAPACITY}, {case}: {what}");
    vec![
        Row::at_least(name("goodput"), before, 0.98 * 0.7 * able, "/s").phase(Phase::Before),
        Row::at_least(name("goodput"), during, possible, "/s").phase(Phase::During),
        Row::at_least(name("goodput"), then, 0.98 * 0.7 * able, "/s").phase(Phase::After),
        Row::at_most(name("time until the backlog is gone"), back, 2.0, "s").phase(Phase::After),
        Row::at_most(name("items held"), most as f64, CAPACITY as f64, "items"),
        Row::at_most(
            name("items unaccounted for"),
            offered.abs_diff(taken + lost + rest) as f64,
            0.0,
            "items",
        ),
    ]
}

/// The disciplines in which a queue, a stack and a queue that evicts nothing differ.
const ORDERS: [Discipline; 3] = [Discipline::Fifo, Discipline::Lifo, Discipline::KeepOldest];

/// Polls once, as a task that is woken does.
fn accepted<F: Future<Output = Result<(), E>>, E>(offer: std::pin::Pin<&mut F>) -> bool {
    matches!(offer.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
}

/// A producer waits for room while another offers all the time, and a heavy item waits before light
/// ones.
fn waiting_producers(_: Size, _: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for discipline in ORDERS {
        let mailbox = Mailbox::builder().capacity(100).discipline(discipline).build();
        let mailbox = mailbox.unwrap_or_else(|error| unreachable!("{error}"));
        let flood = || (0..100).for_each(|n| drop(mailbox.offer(n)));
        flood();
        let (mut inbox, mut waiter, mut takes) = (mailbox.inbox(), pin!(mailbox.offer_wait(7)), 0);
        while !accepted(waiter.as_mut()) && takes < 10_000 {
            inbox.take();
            takes += 1;
            flood();
        }
        let case = format!("one waits, others offer, {}: takes until it has its place", discipline.as_str());
        rows.push(Row::at_most(case, takes.into(), 1.0, "takes"));

        let mailbox =
            Mailbox::builder().discipline(discipline).max_weight(100, |weight: &u32| *weight).build();
        let mailbox = mailbox.unwrap_or_else(|error| unreachable!("{error}"));
        let flood = || (0..100).for_each(|_| drop(mailbox.offer(1)));
        flood();
        let mut heavy = pin!(mailbox.offer_wait(50));
        let _ = accepted(heavy.as_mut());
        let mut light = pin!(mailbox.offer_wait(1));
        let _ = accepted(light.as_mut());
        let (mut inbox, mut until_heavy, mut until_light) = (mailbox.inbox(), 0, 0);
        while !accepted(heavy.as_mut()) && until_heavy < 10_000 {
            inbox.take();
            until_heavy += 1;
            flood();
        }
        while !accepted(light.as_mut()) && until_light < 10_000 {
            inbox.take();
            until_light += 1;
            flood();
        }
        let case = format!("a weight of 50 waits, others offer, {}", discipline.as_str());
        rows.push(Row::at_most(
            format!("{case}: takes of 1 until it is in"),
            until_heavy.into(),
            50.0,
            "takes",
        ));
        rows.push(Row::at_most(format!("{case}: then until the next is"), until_light.into(), 1.0, "takes"));
    }
    rows
}

/// The capacity is lowered a hundred times while the mailbox is full, and raised again.
fn changed_capacity(_: Size, _: u64) -> Vec<Row> {
    let rows = ORDERS.map(|discipline| {
        let mailbox = Mailbox::builder().capacity(CAPACITY).discipline(discipline).build();
        let mailbox = mailbox.unwrap_or_else(|error| unreachable!("{error}"));
        let (mut inbox, mut taken) = (mailbox.inbox(), 0);
        let set = |capacity| mailbox.set_capacity(capacity).unwrap_or_else(|error| unreachable!("{error}"));
        let flood = || (0..2 * CAPACITY).for_each(|n| drop(mailbox.offer(n)));
        flood();
        set(CAPACITY / 100);
        // What a discipline that evicts nothing holds already must be taken first.
        for _ in 0..CAPACITY {
            taken += usize::from(inbox.take().is_some());
        }
        flood();
        let (low, case) =
            (mailbox.usage().len, format!("capacity {CAPACITY} / 100 × 100, {}", discipline.as_str()));
        set(CAPACITY);
        flood();
        [
            Row::at_most(format!("{case}: items beyond the lower one"), low as f64, 8.0, "items"),
            Row::at_least(
                format!("{case}: items after it was raised"),
                mailbox.usage().len as f64,
                CAPACITY as f64,
                "items",
            ),
            Row::at_most(
                format!("{case}: items taken that nobody offered"),
                taken.saturating_sub(CAPACITY) as f64,
                0.0,
                "items",
            ),
        ]
    });
    rows.into_iter().flatten().collect()
}

/// The machine sleeps while items with an age limit lie in the mailbox.
fn sleeping_machine(_: Size, seed: u64) -> Vec<Row> {
    let rows = ORDERS.map(|discipline| {
        let alone = Alone::new(seed);
        let mailbox = Mailbox::builder().capacity(CAPACITY).discipline(discipline).max_age(S);
        let mailbox = mailbox.clock(alone.clock()).build().unwrap_or_else(|error| unreachable!("{error}"));
        let mut inbox = mailbox.inbox();
        (0..CAPACITY).for_each(|_| drop(mailbox.offer(true)));
        alone.time().advance(30 * S);
        let new = mailbox.offer(false).is_ok();
        let mail = inbox.take_up_to(usize::MAX);
        let (late, all) = (mail.items.iter().filter(|old| **old).count(), mail.items.len());
        let case = discipline.as_str();
        [
            Row::at_most(format!("{case}: items taken 30 s late"), late as f64, 0.0, "items"),
            Row::at_least(
                format!("{case}: new items taken"),
                f64::from(u8::from(new && all > late)),
                1.0,
                "item",
            ),
        ]
    });
    rows.into_iter().flatten().collect()
}

/// One of two consumers works on its item for minutes.
fn slow_consumer(size: Size, seed: u64) -> Vec<Row> {
    let rows = ORDERS.map(|discipline| {
        let alone = Alone::new(seed);
        let mailbox =
            Mailbox::builder().capacity(CAPACITY).discipline(discipline).clock(alone.clock()).build();
        let mailbox = mailbox.unwrap_or_else(|error| unreachable!("{error}"));
        let (mut slow, mut normal) = (mailbox.inbox(), mailbox.inbox());
        let _ = mailbox.offer(());
        let _held = slow.take();
        let taken = alone.calls(100.0, size.pick(10 * S, 120 * S), || {
            let _ = mailbox.offer(());
            normal.take().is_some()
        });
        let case = format!("one of two consumers is busy for minutes, {}: items taken", discipline.as_str());
        Row::at_least(case, taken, 0.9, "of them")
    });
    rows.into()
}

/// Producers on threads, and one consumer. Each item is taken or reported as lost, exactly once.
fn threads(size: Size, seed: u64) -> Vec<Row> {
    let each = size.pick(500, 50_000);
    let mut rows = Vec::new();
    for threads in [1, 2, 8, 64] {
        for (discipline, shards) in
            [(Discipline::Fifo, 1), (Discipline::KeepOldest, 1), (Discipline::Lifo, 8)]
        {
            let dice = Alone::new(seed).guard_dice(0);
            let mailbox =
                Mailbox::builder().capacity(64).discipline(discipline).shards(shards).dice(dice).build();
            let mailbox = mailbox.unwrap_or_else(|error| unreachable!("{error}"));
            let mut inbox = mailbox.inbox();
            let found = std::thread::scope(|scope| {
                let consumer = scope.spawn(move || {
                    let mut found = 0;
                    while let Some(mail) = inbox.blocking_mail() {
                        found += mail.items.len() as u64 + mail.lost.total();
                    }
                    found
                });
                for _ in 0..threads {
                    let mailbox = mailbox.clone();
                    scope.spawn(move || (0..each).for_each(|n| drop(mailbox.offer(n))));
                }
                drop(mailbox);
                consumer.join().unwrap_or(0)
            });
            let settings = format!("{threads} producers, {}, {shards} shards", discipline.as_str());
            let missing = found.abs_diff(threads * each) as f64;
            rows.push(Row::at_most(format!("{settings}: neither taken nor reported"), missing, 0.0, "items"));
        }
    }
    rows
}
