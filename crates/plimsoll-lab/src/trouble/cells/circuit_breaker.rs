//! The cells of `CircuitBreaker`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll::{CircuitBreaker, Event, Observe, Outcome, Trip};
use tower_layer::Layer;

use crate::sim::CallError;
use crate::trouble::alone::Alone;
use crate::trouble::callers::Callers;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::course::Limits;
use crate::trouble::day::Day;
use crate::trouble::far::Far;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::phases::Phases;
use crate::trouble::row::{Phase, Row};

const GUARD: Guard = Guard::CircuitBreaker;
const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell::new(GUARD, Trouble::T1, long_stall),
        Cell::new(GUARD, Trouble::T2, forgetful_hang),
        Cell::new(GUARD, Trouble::T4, background_failures),
        Cell::new(GUARD, Trouble::T5, background_slowness),
        Cell::new(GUARD, Trouble::T6, only_push_back),
        Cell::new(GUARD, Trouble::T7, outer_time_out),
        Cell::new(GUARD, Trouble::T8, hardly_any_traffic),
        Cell::new(GUARD, Trouble::T9, changed_settings),
        Cell::new(GUARD, Trouble::T15, leaving_callers),
        Cell::new(GUARD, Trouble::T19, sleeping_machine),
        Cell::new(GUARD, Trouble::T22, many_threads),
    ]
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T10, "It has no keys."),
    (Trouble::T11, "It has no accounts and no queue."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The day of a default breaker in front of this far side, against the same day without it.
fn day(far: Far, callers: Callers, phases: Phases, seed: u64, case: &str, limits: Limits) -> Vec<Row> {
    let day = Day::new(far, callers, phases);
    let course = day.run(seed, |bench| {
        let breaker = CircuitBreaker::builder().clock(bench.clock()).dice(bench.dice(0)).build()?;
        let layer = breaker.layer().classify(|result: Result<&(), &CallError>| match result {
            Ok(()) => Outcome::Success,
            Err(CallError::Status(429 | 503)) => Outcome::Overloaded,
            Err(CallError::Rejected) => Outcome::Ignored,
            Err(_) => Outcome::Failure,
        });
        Ok(layer.layer(bench.far()))
    });
    course.rows(case, &day.bare(seed), limits)
}

/// What an open breaker may cost once the far side works: the longest open time that has begun
/// during a trouble of 20 s to 60 s, and the ramp.
const OPEN_AND_RAMP: Duration = Duration::from_secs(46);
const WHY: &str = "an open time that began during the trouble ends after it";

/// The far side stops for a minute, and patient callers wait: none is rejected by mistake.
fn long_stall(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, size.pick(20 * S, 60 * S), size.pick(90 * S, 600 * S));
    let far = Far::slots(16, 10 * MS).stalls(phases.begins(), phases.lasts());
    day(
        far,
        Callers::load(0.5),
        phases,
        seed,
        "half load, patient callers",
        Limits::back(OPEN_AND_RAMP).spends(0.05, WHY),
    )
}

/// The far side hangs and forgets, and callers give up after a second or ten.
fn forgetful_hang(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(20 * S, 10 * S, size.pick(90 * S, 600 * S));
    let mut rows = Vec::new();
    for deadline in [S, 10 * S] {
        let far = Far::slots(16, 10 * MS).hangs(phases.begins(), phases.lasts());
        let callers = Callers::load(0.7).deadline(deadline);
        let case = format!("load 0.7, deadline {deadline:?}");
        rows.extend(day(far, callers, phases, seed, &case, Limits::back(OPEN_AND_RAMP).spends(0.05, WHY)));
    }
    rows
}

/// Returns the share of calls that a default breaker admits in the hour after a blip of 15 s, while
/// `share` of all calls fail in the background.
fn admitted_after_blip(size: Size, seed: u64, rate: f64, share: f64) -> f64 {
    let alone = Alone::new(seed);
    let breaker = CircuitBreaker::builder().clock(alone.clock()).dice(alone.guard_dice(0)).build();
    let breaker = breaker.unwrap_or_else(|error| unreachable!("{error}"));
    let call = |failing: f64| match breaker.try_acquire() {
        Ok(permit) => {
            let outcome = if alone.chance(failing) { Outcome::Failure } else { Outcome::Success };
            permit.done(outcome);
            true
        }
        Err(_) => false,
    };
    alone.calls(rate, 60 * S, || call(share));
    alone.calls(rate, 15 * S, || call(1.0));
    // The breaker may need an open time and its ramp before it is judged.
    alone.calls(rate, 120 * S, || call(share));
    alone.calls(rate, size.pick(300 * S, 3_600 * S), || call(share))
}

/// A closed breaker bears a background of failures for ever. One blip must not change that.
fn background_failures(size: Size, seed: u64) -> Vec<Row> {
    let rates: &[f64] = size.pick(&[20.0, 200.0], &[20.0, 200.0, 1_000.0]);
    let shares: &[f64] = size.pick(&[0.12, 0.45], &[0.05, 0.08, 0.10, 0.12, 0.15, 0.20, 0.25, 0.35, 0.45]);
    let mut rows = Vec::new();
    for rate in rates {
        for share in shares {
            let admitted = admitted_after_blip(size, seed, *rate, *share);
            let case = format!("admitted, {rate} calls/s of which {:.0} % always fail", share * 100.0);
            let row = Row::at_least(case, admitted * 100.0, 99.0, "%").phase(Phase::After).without(100.0);
            // A window of 200 calls exceeds half of them by chance now and then.
            let by_chance = *rate < 100.0 && *share > 0.38;
            rows.push(if by_chance {
                row.spends(0.25, "so near the trip, half of the calls of ten seconds fail now and then")
                    .known_miss("chance opens it, with or without a blip")
            } else {
                row
            });
        }
    }
    rows
}

/// Calls that take longer than a trip of slow calls bears for a while, before and after a blip.
fn background_slowness(size: Size, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for share in [0.1, 0.2, 0.25] {
        let alone = Alone::new(seed);
        let slow = Trip::slow(S).ratio(0.3, 50);
        let builder = CircuitBreaker::builder().trip(slow).clock(alone.clock()).dice(alone.guard_dice(0));
        let breaker = builder.build().unwrap_or_else(|error| unreachable!("{error}"));
        let mut late = std::collections::VecDeque::new();
        let mut call = |slow: f64| {
            while late.front().is_some_and(|(ends, _)| *ends <= alone.now()) {
                let ended: Option<(_, plimsoll::Permit<CircuitBreaker>)> = late.pop_front();
                if let Some((_, permit)) = ended {
                    permit.done(Outcome::Success);
                }
            }
            let permit = breaker.try_acquire_owned().ok();
            let admitted = permit.is_some();
            match permit {
                Some(permit) if alone.chance(slow) => late.push_back((alone.now() + S, permit)),
                Some(permit) => permit.done(Outcome::Success),
                None => {}
            }
            admitted
        };
        alone.calls(200.0, 30 * S, || call(share));
        alone.calls(200.0, 15 * S, || call(1.0));
        alone.calls(200.0, 120 * S, || call(share));
        let admitted = alone.calls(200.0, size.pick(300 * S, 3_600 * S), || call(share));
        let case = format!("admitted, 200 calls/s of which {:.0} % are slow", share * 100.0);
        rows.push(Row::at_least(case, admitted * 100.0, 99.0, "%").phase(Phase::After).without(100.0));
    }
    rows
}

/// Returns a default breaker.
fn breaker(alone: &Alone) -> CircuitBreaker {
    let builder = CircuitBreaker::builder().clock(alone.clock()).dice(alone.guard_dice(0));
    builder.build().unwrap_or_else(|error| unreachable!("{error}"))
}

/// Everything answers 503, or 429: it opens. Probes with the same answer keep nothing half-open.
fn only_push_back(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let breaker = breaker(&alone);
    let lasts = size.pick(60 * S, 600 * S);
    let pushed = alone
        .calls(100.0, lasts, || breaker.try_acquire().map(|permit| permit.done(Outcome::Overloaded)).is_ok());
    let sheds = alone_sheds(seed, lasts);
    vec![
        Row::at_most("calls admitted to a far side that only answers 503 or 429", pushed * 100.0, 0.6, "%")
            .phase(Phase::During),
        Row::at_least("admitted while the far side sheds 60 % of the calls", sheds * 100.0, 100.0, "%")
            .phase(Phase::During)
            .without(100.0),
    ]
}

/// A far side that sheds a part of its load works at its capacity, so the breaker stays closed.
fn alone_sheds(seed: u64, lasts: Duration) -> f64 {
    let alone = Alone::new(seed);
    let breaker = breaker(&alone);
    alone.calls(100.0, lasts, || {
        let outcome = if alone.chance(0.6) { Outcome::Overloaded } else { Outcome::Success };
        breaker.try_acquire().map(|permit| permit.done(outcome)).is_ok()
    })
}

/// The far side hangs. A time-out outside of the layer drops the calls, or nobody does.
fn outer_time_out(_: Size, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for patience in [S / 10, S, 10 * S, 600 * S] {
        let alone = Alone::new(seed);
        let breaker = breaker(&alone);
        alone.calls(100.0, 10 * S, || {
            breaker.try_acquire().map(|permit| permit.done(Outcome::Success)).is_ok()
        });
        let (begin, mut opened, mut calls) = (alone.now(), None, std::collections::VecDeque::new());
        alone.calls(100.0, 60 * S, || {
            while calls.front().is_some_and(|(ends, _)| *ends <= alone.now()) {
                calls.pop_front();
            }
            let permit = breaker.try_acquire_owned();
            if permit.is_err() {
                opened = opened.or(Some(alone.now().since(begin)));
            }
            calls.extend(permit.ok().map(|permit| (alone.now() + patience, permit)));
            true
        });
        let opened = opened.map_or(f64::INFINITY, |opened| opened.as_secs_f64());
        let case = format!("time until it opens, callers wait {patience:?}");
        rows.push(Row::at_most(case, opened, 12.5, "s").phase(Phase::During));
    }
    rows
}

/// One call a second, or one an hour: a single failure is no reason to open.
fn hardly_any_traffic(size: Size, seed: u64) -> Vec<Row> {
    let rates = [("second", 1.0), ("hour", 1.0 / 3_600.0)];
    let rows = rates.into_iter().map(|(each, rate)| {
        let alone = Alone::new(seed);
        let breaker = breaker(&alone);
        let calls = size.pick(1_000.0, 10_000.0);
        let admitted = alone.calls(rate, Duration::from_secs_f64(calls / rate), || {
            let outcome = if alone.chance(0.1) { Outcome::Failure } else { Outcome::Success };
            breaker.try_acquire().map(|permit| permit.done(outcome)).is_ok()
        });
        Row::at_least(format!("admitted, one call each {each}"), admitted * 100.0, 99.0, "%").without(100.0)
    });
    rows.collect()
}

/// Each setting that is a number is lowered and raised a hundred times in the middle of traffic
/// with 10 % failures. Nobody is rejected for it.
fn changed_settings(size: Size, seed: u64) -> Vec<Row> {
    use plimsoll::Inspect;
    let mut worst = (1.0, "");
    let mut settings = vec![];
    breaker(&Alone::new(seed))
        .read(&mut |name, value| settings.extend(name.contains('.').then_some((name, value))));
    settings.push(("call_timeout", 10.0));
    for (name, value) in settings {
        for factor in [0.01, 100.0] {
            let alone = Alone::new(seed);
            let breaker = breaker(&alone);
            let call = || {
                let outcome = if alone.chance(0.1) { Outcome::Failure } else { Outcome::Success };
                breaker.try_acquire().map(|permit| permit.done(outcome)).is_ok()
            };
            alone.calls(100.0, 20 * S, call);
            // A value out of range is rejected, and changes nothing.
            let _ = breaker.set(name, value * factor);
            let admitted = alone.calls(100.0, size.pick(60 * S, 600 * S), call);
            if admitted < worst.0 {
                worst = (admitted, name);
            }
        }
    }
    let case = format!("admitted after any change of a setting (the worst: {:?})", worst.1);
    vec![Row::at_least(case, worst.0 * 100.0, 100.0, "%").phase(Phase::After).without(100.0)]
}

/// One of ten callers leaves at a random moment.
fn leaving_callers(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, size.pick(20 * S, 60 * S), size.pick(20 * S, 60 * S));
    let far = Far::slots(16, 10 * MS);
    day(
        far,
        Callers::load(0.7).leaving(phases.during(), 0.1),
        phases,
        seed,
        "load 0.7, 10 % leave",
        Limits::default(),
    )
}

/// The machine sleeps for 30 s with calls in flight. They count as timed out, at most once.
fn sleeping_machine(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let breaker = breaker(&alone);
    let call = || breaker.try_acquire().map(|permit| permit.done(Outcome::Success)).is_ok();
    alone.calls(100.0, 20 * S, call);
    let in_flight: Vec<_> = (0..10).filter_map(|_| breaker.try_acquire_owned().ok()).collect();
    alone.time().advance(30 * S);
    in_flight.into_iter().for_each(|permit| permit.done(Outcome::Success));
    let admitted = alone.calls(100.0, 60 * S, call);
    let case = "admitted after a sleep of 30 s with 10 calls in flight";
    vec![Row::at_least(case, admitted * 100.0, 100.0, "%").phase(Phase::After).without(100.0)]
}

/// Threads fail at one breaker. One failure less than the trip needs keeps it closed, and one more
/// opens it, once.
fn many_threads(size: Size, seed: u64) -> Vec<Row> {
    #[derive(Default)]
    struct Changes(AtomicU64);
    impl Observe for Changes {
        fn event(&self, event: Event) {
            let changed = matches!(event, Event::StateChanged { .. });
            self.0.fetch_add(u64::from(changed), Ordering::Relaxed);
        }
    }

    let rounds = size.pick(200, 5_000);
    let rows = [1_u64, 2, 8, 64].into_iter().flat_map(|threads| {
        let (alone, changes) = (Alone::new(seed), Arc::new(Changes::default()));
        let failures = u32::try_from(threads * rounds).unwrap_or(u32::MAX);
        let builder = CircuitBreaker::builder().trips([Trip::failures().count(failures + 1)]);
        let breaker = builder.clock(alone.clock()).observe(changes.clone()).build();
        let breaker = &breaker.unwrap_or_else(|error| unreachable!("{error}"));
        let all = |rounds| {
            let rejected = &AtomicU64::new(0);
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(move || {
                        for _ in 0..rounds {
                            match breaker.try_acquire() {
                                Ok(permit) => permit.done(Outcome::Failure),
                                Err(_) => _ = rejected.fetch_add(1, Ordering::Relaxed),
                            }
                        }
                    });
                }
            });
            rejected.load(Ordering::Relaxed)
        };
        let early = all(rounds);
        all(1);
        let admitted = u64::from(breaker.try_acquire().is_ok());
        let changes = changes.0.load(Ordering::Relaxed);
        let case = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        [
            Row::at_most(format!("{case}: calls rejected too early"), early as f64, 0.0, "calls"),
            Row::at_most(format!("{case}: calls admitted once it is open"), admitted as f64, 0.0, "calls"),
            Row::at_most(format!("{case}: changes of the state"), changes as f64, 1.0, "events"),
        ]
    });
    rows.collect()
}
