//! The cells of `LoadShedder`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use plimsoll::drop::{Control, Curve, SignalReading};
use plimsoll::{ConfigError, ControlError, Instant, LoadShedder, Outcome, Permit, Priority};
use tower_layer::Layer;

use crate::trouble::alone::Alone;
use crate::trouble::callers::Callers;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::course::Limits;
use crate::trouble::day::{Bench, Day};
use crate::trouble::far::Far;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::phases::Phases;
use crate::trouble::row::{Phase, Row};

const GUARD: Guard = Guard::LoadShedder;
const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell::new(GUARD, Trouble::T1, long_stall),
        Cell::new(GUARD, Trouble::T2, hang_that_forgets),
        Cell::new(GUARD, Trouble::T3, short_stalls),
        Cell::new(GUARD, Trouble::T8, little_traffic),
        Cell::new(GUARD, Trouble::T9, changed_settings),
        Cell::new(GUARD, Trouble::T13, stuck_signals),
        Cell::new(GUARD, Trouble::T14, held_permits),
        Cell::new(GUARD, Trouble::T15, leaving_callers),
        Cell::new(GUARD, Trouble::T18, spike),
        Cell::new(GUARD, Trouble::T19, sleep),
        Cell::new(GUARD, Trouble::T20, cold_start),
        Cell::new(GUARD, Trouble::T22, many_threads),
    ]
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T10, "It has no table of keys: accounts are hashed into 128 cohorts."),
    (Trouble::T11, "It has no queue of its own, and drops accounts by cohorts."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The far side hangs for ten seconds and loses its calls: the shedder must not take the silence
/// for spare capacity, nor the calls that were lost for a queue.
fn hang_that_forgets(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, 10 * S, size.pick(30 * S, 600 * S));
    let cases = [
        ("deadline 1 s, 0.7 of the capacity", 0.7, S),
        ("deadline 1 s, twice the capacity", 2.0, S),
        ("deadline 10 s, 0.7 of the capacity", 0.7, 10 * S),
        ("deadline 10 s, twice the capacity", 2.0, 10 * S),
    ];
    let mut rows = Vec::new();
    for (case, load, deadline) in cases.into_iter().take(size.pick(2, 4)) {
        let far = Far::slots(16, 10 * MS).hangs(phases.begins(), phases.lasts());
        let day = Day::new(far, Callers::load(load).deadline(deadline), phases);
        let course = day.run(seed, |bench| {
            let shedder = LoadShedder::builder().workers(16).clock(bench.clock()).dice(bench.dice(0));
            Ok(shedder.build()?.layer().layer(bench.far()))
        });
        rows.extend(course.rows(case, &day.bare(seed), Limits::back(2 * S)));
    }
    rows
}

/// The controls. The curve of RED is that of the comparison of controllers.
const CONTROLS: [(&str, Control); 3] =
    [("rate", Control::Rate), ("PIE", Control::Pie), ("RED", Control::Red(Curve::linear(16.0, 48.0)))];

/// Returns a shedder in front of the 16 slots, and lets the day read its queue.
fn shedder(bench: &Bench, control: Control) -> Result<LoadShedder, ConfigError> {
    let shedder = LoadShedder::builder().workers(16).control(control);
    let shedder = shedder.clock(bench.clock()).dice(bench.dice(0)).build()?;
    let watched = shedder.clone();
    bench.gauge(move || watched.in_flight().saturating_sub(16));
    Ok(shedder)
}

/// The far side stops for a minute and callers are patient: a server that answers nothing is no
/// server of unknown capacity.
fn long_stall(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, size.pick(20 * S, 60 * S), size.pick(20 * S, 600 * S));
    let mut rows = Vec::new();
    for (name, control) in CONTROLS {
        for load in [0.5, 2.0].into_iter().take(size.pick(1, 2)) {
            let far = Far::slots(16, 10 * MS).stalls(phases.begins(), phases.lasts());
            let day = Day::new(far, Callers::load(load), phases);
            let course = day.run(seed, |bench| Ok(shedder(bench, control)?.layer().layer(bench.far())));
            // The rate holds four targets. The others have no ceiling: PIE closes within a second,
            // and RED as fast as the mean of the queue follows it.
            let queue = match control {
                Control::Rate => 64,
                Control::Pie => 800,
                _ => 300,
            };
            let case = format!("{name}, patient callers, {load} of the capacity");
            rows.extend(course.rows(&case, &day.bare(seed), Limits::back(2 * S).queue(queue)));
        }
    }
    rows
}

/// The far side stops for 0.2 s of every ten seconds.
fn short_stalls(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, size.pick(20 * S, 60 * S), size.pick(20 * S, 60 * S));
    let far = Far::slots(16, 10 * MS);
    let far = far.stalls_every(10 * S, 200 * MS, phases.begins(), phases.begins() + phases.lasts());
    let day = Day::new(far, Callers::load(2.0).deadline(200 * MS), phases);
    let course = day.run(seed, |bench| Ok(shedder(bench, Control::Rate)?.layer().layer(bench.far())));
    // The stalls leave 98 % of 1,600 requests a second, of which an oracle loses none.
    let limits = Limits::back(2 * S).useful(0.95 * 0.98 * 1_600.0);
    course.rows("0.2 s of every 10 s, twice the capacity", &day.bare(seed), limits)
}

/// A tenth of the callers leaves early, which is not the capacity.
fn leaving_callers(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, 10 * S, size.pick(20 * S, 60 * S));
    let callers = Callers::load(2.0).leaving(phases.during(), 0.1).deadline(200 * MS);
    let day = Day::new(Far::slots(16, 10 * MS), callers, phases);
    let course = day.run(seed, |bench| Ok(shedder(bench, Control::Rate)?.layer().layer(bench.far())));
    let limits = Limits::back(2 * S).useful(0.85 * 1_600.0);
    course.rows("10 % leave, twice the capacity", &day.bare(seed), limits)
}

/// Twenty times the capacity for a second, before the capacity is known.
fn spike(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, S, size.pick(20 * S, 60 * S));
    let spell = phases.during();
    let callers = Callers::load(0.7).deadline(200 * MS).load_during(spell, 20.0);
    let day = Day::new(Far::slots(16, 10 * MS), callers, phases);
    let course = day.run(seed, |bench| Ok(shedder(bench, Control::Rate)?.layer().layer(bench.far())));
    let limits = Limits::back(2 * S).useful(0.95 * 1_600.0).queue(128);
    course.rows("20 times the capacity for 1 s", &day.bare(seed), limits)
}

/// A cold start straight into ten times the capacity.
fn cold_start(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(5 * S, S, size.pick(10 * S, 60 * S));
    let callers = Callers::load(10.0).deadline(200 * MS);
    let day = Day::new(Far::slots(16, 10 * MS), callers, phases);
    let course = day.run(seed, |bench| Ok(shedder(bench, Control::Rate)?.layer().layer(bench.far())));
    let limits = Limits::back(2 * S).useful(0.95 * 1_600.0).queue(128);
    course.rows("ten times the capacity", &day.bare(seed), limits)
}

/// A signal that does not move, at a load that needs no shedding.
fn stuck_signals(size: Size, seed: u64) -> Vec<Row> {
    let stuck: [(&str, SignalReading); 4] = [
        ("a depth below the target", SignalReading::new().depth(3)),
        ("a depth far above the target", SignalReading::new().depth(1_000)),
        ("a delay far above the target", SignalReading::new().delay(60 * MS)),
        ("nothing at all", SignalReading::new()),
    ];
    let mut rows = Vec::new();
    for (name, control) in CONTROLS {
        for (case, reading) in stuck {
            let alone = Alone::new(seed);
            let shedder = LoadShedder::builder().control(control).signal(move || reading);
            let shedder = shedder.clock(alone.clock()).dice(alone.guard_dice(0)).build();
            let shedder = shedder.unwrap_or_else(|error| unreachable!("{error}"));
            let kept = alone.calls(800.0, size.pick(20 * S, 600 * S), || shedder.keep(Priority::NORMAL));
            let case = format!("{name}, kept while the signal states {case}");
            rows.push(Row::at_least(case, kept * 100.0, 90.0, "%"));
        }
    }
    rows
}

/// Twenty permits are held and need no worker. Each other call ends at once.
fn held_permits(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let shedder = LoadShedder::builder().workers(16).clock(alone.clock()).dice(alone.guard_dice(0)).build();
    let shedder = shedder.unwrap_or_else(|error| unreachable!("{error}"));
    let held: Vec<_> = (0..20).map(|_| shedder.try_acquire_owned(Priority::NORMAL)).collect();
    let kept = alone.calls(800.0, size.pick(60 * S, 600 * S), || {
        shedder.try_acquire(Priority::NORMAL).map(|permit| permit.done(Outcome::Success)).is_ok()
    });
    drop(held);
    let case = "admitted beside 20 permits that are held from the start";
    vec![Row::at_least(case, kept * 100.0, 90.0, "%").phase(Phase::Whole)]
}

/// A shedder in front of 16 workers of 10 ms, in a plain loop.
struct Plant {
    alone: Alone,
    shedder: LoadShedder,
    // The ends of the calls in flight, in order, and when each worker is free.
    ends: VecDeque<(Instant, Permit<LoadShedder>)>,
    free: VecDeque<Instant>,
}

impl Plant {
    fn new(seed: u64) -> Self {
        let alone = Alone::new(seed);
        let shedder =
            LoadShedder::builder().workers(16).clock(alone.clock()).dice(alone.guard_dice(0)).build();
        let shedder = shedder.unwrap_or_else(|error| unreachable!("{error}"));
        let free = [alone.now(); 16].into();
        Plant { alone, shedder, ends: VecDeque::new(), free }
    }

    /// Returns the rate of the answers within 200 ms, in calls a second.
    fn goodput(&mut self, rate: f64, lasts: Duration) -> f64 {
        self.answers(rate, lasts, 200 * MS)
    }

    /// Returns the rate of the answers within `deadline`, in calls a second.
    fn answers(&mut self, rate: f64, lasts: Duration, deadline: Duration) -> f64 {
        let (alone, shedder, ends, free) = (&self.alone, &self.shedder, &mut self.ends, &mut self.free);
        let good = alone.calls(rate, lasts, || {
            let now = alone.now();
            while ends.front().is_some_and(|(end, _)| *end <= now) {
                ends.pop_front().into_iter().for_each(|(_, permit)| permit.done(Outcome::Success));
            }
            let Ok(permit) = shedder.try_acquire_owned(Priority::NORMAL) else { return false };
            // The worker that was busy first is free first.
            let end = free.pop_front().map_or(now, |free| free.max(now)) + 10 * MS;
            free.push_back(end);
            ends.push_back((end, permit));
            end <= now + deadline
        });
        good * rate
    }
}

/// One call a second, or one an hour.
fn little_traffic(size: Size, seed: u64) -> Vec<Row> {
    let each = [("second", 1.0), ("hour", 1.0 / 3_600.0)].map(|(name, rate)| {
        let good = Plant::new(seed).goodput(rate, Duration::from_secs_f64(size.pick(600.0, 6_000.0) / rate));
        Row::at_least(format!("served, one call a {name}"), good / rate * 100.0, 99.0, "%").without(100.0)
    });
    each.into()
}

/// The machine sleeps for 30 s with calls in flight.
fn sleep(size: Size, seed: u64) -> Vec<Row> {
    let each = [(0.7, 0.99 * 1_120.0), (2.0, 0.95 * 1_600.0)].map(|(load, least)| {
        let mut plant = Plant::new(seed);
        plant.goodput(load * 1_600.0, 10 * S);
        plant.alone.time().advance(30 * S);
        let good = plant.goodput(load * 1_600.0, size.pick(10 * S, 600 * S));
        let case = format!("goodput after 30 s of sleep, {load} of the capacity");
        Row::at_least(case, good, least, "/s").phase(Phase::After)
    });
    each.into()
}

/// A setting is lowered and raised a hundredfold at twice the capacity, and later returns.
fn changed_settings(size: Size, seed: u64) -> Vec<Row> {
    type Change = fn(&LoadShedder) -> Result<(), ControlError>;
    // With the least share of the capacity that is answered within a time.
    let changes: [(&str, f64, Duration, Change); 7] = [
        ("target lowered a hundredfold", 0.9, 200 * MS, |shedder| shedder.set_target(50 * MS / 1_000)),
        ("target raised a hundredfold", 0.9, S, |shedder| shedder.set_target(500 * MS)),
        ("capacity_hint of a hundredth", 0.9, 200 * MS, |shedder| shedder.set_capacity_hint(Some(16.0))),
        ("capacity_hint of a hundred times", 0.9, 200 * MS, |shedder| {
            shedder.set_capacity_hint(Some(160_000.0))
        }),
        ("reshuffle_every at its minimum", 0.9, 200 * MS, |shedder| shedder.set_reshuffle_every(S)),
        // At least what one worker can do.
        ("workers lowered to one", 1.0 / 16.0, 200 * MS, |shedder| shedder.set_workers(1)),
        // As many are in flight before one counts as waiting.
        ("workers raised a hundredfold", 0.9, 2 * S, |shedder| shedder.set_workers(1_600)),
    ];
    let mut rows = Vec::new();
    for (case, least, deadline, change) in changes {
        let mut plant = Plant::new(seed);
        plant.goodput(3_200.0, 10 * S);
        let target = plant.shedder.target();
        change(&plant.shedder).unwrap_or_else(|error| unreachable!("{error}"));
        plant.goodput(3_200.0, 2 * S);
        let good = plant.answers(3_200.0, 10 * S, deadline);
        let case = format!("answers within {deadline:?} at twice the capacity, {case}");
        rows.push(Row::at_least(&case, good, least * 1_600.0, "/s").phase(Phase::During));
        let undone = plant.shedder.set_target(target).and_then(|()| plant.shedder.set_workers(16));
        undone.unwrap_or_else(|error| unreachable!("{error}"));
        plant.goodput(3_200.0, 2 * S);
        let good = plant.goodput(3_200.0, size.pick(10 * S, 600 * S));
        let row = Row::at_least(format!("{case}, two seconds after it returned"), good, 0.95 * 1_600.0, "/s");
        rows.push(row.phase(Phase::After));
    }
    rows
}

/// Threads share one shedder: when all permits have ended, none is in flight.
fn many_threads(size: Size, seed: u64) -> Vec<Row> {
    let calls: u64 = size.pick(51_200, 1_024_000);
    let each = [1, 2, 8, 64].map(|threads| {
        let plant = Plant::new(seed);
        let shedder = &plant.shedder;
        let admitted = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let permits = (0..calls / threads).filter_map(|_| {
                        shedder.try_acquire(Priority::NORMAL).map(|permit| permit.done(Outcome::Success)).ok()
                    });
                    admitted.fetch_add(permits.count() as u64, Ordering::Relaxed);
                });
            }
        });
        let left = shedder.in_flight() as f64;
        let row = Row::at_most(format!("{threads} threads: in flight at the end"), left, 0.0, "");
        let kept = admitted.load(Ordering::Relaxed) as f64 / calls as f64;
        [row, Row::at_least(format!("{threads} threads: admitted beside no queue"), kept * 100.0, 99.0, "%")]
    });
    each.into_iter().flatten().collect()
}
