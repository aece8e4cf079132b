//! Days on which a breaker made things worse, or did nothing, with its default settings.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitState, OpenTime, Probes, Trip};
use plimsoll_core::{Dice, ManualTime, OpenCause, Outcome, Permit};
use std::collections::VecDeque;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A dependency in virtual time, called at a constant rate.
struct Day {
    breaker: CircuitBreaker,
    time: ManualTime,
    dice: Dice,
    rate: u32,
}

/// The number of calls, and of those that were admitted.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    all: u64,
    admitted: u64,
}

impl Calls {
    fn share(self) -> f64 {
        self.admitted as f64 / self.all as f64
    }
}

impl Day {
    fn new(rate: u32, seed: u64, build: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> Self {
        let time = ManualTime::new();
        let builder = build(CircuitBreaker::builder()).clock(time.clock()).dice(Dice::seeded(seed));
        Day { breaker: builder.build().unwrap(), time, dice: Dice::seeded(!seed), rate }
    }

    /// Calls the dependency for this time. Each call ends at once, as `outcome` decides.
    fn run(&mut self, lasts: Duration, mut outcome: impl FnMut(&Dice, u64) -> Outcome) -> Calls {
        let mut calls = Calls::default();
        let until = self.time.clock().now() + lasts;
        while self.time.clock().now() < until {
            if let Ok(permit) = self.breaker.try_acquire() {
                permit.done(outcome(&self.dice, calls.admitted));
                calls.admitted += 1;
            }
            calls.all += 1;
            self.time.advance(S / self.rate);
        }
        calls
    }
}

fn bad_at(share: f64, bad: Outcome) -> impl FnMut(&Dice, u64) -> Outcome {
    move |dice, _| if dice.chance(share) { bad } else { Outcome::Success }
}

/// Returns the share of an hour's calls that is admitted after a blip of 15 s. All that is lost is
/// lost in the first ten minutes, and the rest is only computed.
fn hour_after_a_blip(
    rate: u32,
    seed: u64,
    trips: &[Trip],
    mut usual: impl FnMut(&Dice, u64) -> Outcome,
) -> f64 {
    let mut day = Day::new(rate, seed, |builder| builder.trips(trips.iter().copied()));
    day.run(15 * S, &mut usual);
    day.run(15 * S, |_, _| Outcome::Failure);
    let calls = day.run(600 * S, &mut usual);
    let lost = (calls.all - calls.admitted) as f64 / f64::from(rate) / 3_600.0;
    if day.breaker.state() == CircuitState::Closed { 1.0 - lost } else { 0.0 }
}

fn defaults() -> Vec<Trip> {
    CircuitBreaker::new("defaults").unwrap().trips()
}

/// The ramp bore 10 % failures, judged from the first call on, and each fall lengthened the open
/// time. A closed breaker bears 50 %. So at 12 % and 1,000 calls a second, one blip of 15 s, or one
/// `trip("test")`, was an outage without an end: the share admitted in the following hour was
/// 0.000.
#[test]
fn hour_after_a_blip_is_admitted() {
    for (rate, shares) in
        [(20, &[0.05, 0.12, 0.25, 0.35][..]), (200, &[0.05, 0.25, 0.45]), (1_000, &[0.12, 0.45])]
    {
        for (&share, seed) in shares.iter().zip(1..) {
            let hour = hour_after_a_blip(rate, seed, &defaults(), bad_at(share, Outcome::Failure));
            assert!(hour >= 0.99, "{hour:.4} at {share} and {rate} calls a second");
        }
    }
}

/// At 20 calls a second, the window holds 200 calls, and a share of 45 % exceeds half of them by
/// chance now and then. That opens a closed breaker without any blip. A blip adds nothing to it.
#[test]
fn blip_adds_nothing_to_what_chance_opens() {
    let usual = || bad_at(0.45, Outcome::Failure);
    let mut blip = Day::new(20, 1, |builder| builder);
    blip.run(15 * S, usual());
    blip.run(15 * S, |_, _| Outcome::Failure);
    let mut none = Day::new(20, 1, |builder| builder);
    none.run(30 * S, usual());
    let (hour, twin) = (blip.run(HOUR, usual()).share(), none.run(HOUR, usual()).share());
    assert!(hour >= twin - 0.02, "{hour:.3}, and {twin:.3} without the blip");
}

/// The same with slow calls: of the hour, .016 to .75 was admitted at 20 % slow calls and a trip of
/// 30 %.
#[test]
fn hour_after_a_blip_is_admitted_despite_slow_calls() {
    const SLOW: Duration = Duration::from_secs(1);
    for (rate, share) in [(20, 0.12), (200, 0.2), (200, 0.25)] {
        let time = ManualTime::new();
        let builder = CircuitBreaker::builder().trip(Trip::slow(SLOW).ratio(0.3, 50)).clock(time.clock());
        let breaker = builder.dice(Dice::seeded(3)).build().unwrap();
        let (dice, now) = (Dice::seeded(4), || time.clock().now());
        let (mut slow, mut hour) = (VecDeque::new(), Calls::default());
        let begin = now();
        while now() < begin + 630 * S {
            while slow.front().is_some_and(|(end, _)| *end <= now()) {
                let (_, permit): (_, Permit<CircuitBreaker>) = slow.pop_front().unwrap();
                permit.done(Outcome::Success);
            }
            let past = now().since(begin);
            let blip = past >= 15 * S && past < 30 * S;
            hour.all += u64::from(past >= 30 * S);
            if let Ok(permit) = breaker.try_acquire_owned() {
                hour.admitted += u64::from(past >= 30 * S);
                match blip || dice.chance(share) {
                    true => slow.push_back((now() + SLOW, permit)),
                    false => permit.done(Outcome::Success),
                }
            }
            time.advance(S / rate);
        }
        let lost = (hour.all - hour.admitted) as f64 / f64::from(rate) / 3_600.0;
        assert!(lost < 0.01, "{lost:.4} of the hour is lost at {share} and {rate} calls a second");
        assert_eq!(breaker.state(), CircuitState::Closed, "{share} {rate}");
    }
}

/// What trips of counts promise: on the ramp they apply as when closed, and as many probes in a row
/// may be bad. So a pattern that a closed breaker bears for ever does not keep it open.
#[test]
fn pattern_that_a_count_bears_does_not_keep_it_open() {
    // Four failures and a success, again and again.
    let streaks = |_: &Dice, n: u64| if n % 5 < 4 { Outcome::Failure } else { Outcome::Success };
    let hour = hour_after_a_blip(200, 1, &[Trip::failures().consecutive(5)], streaks);
    assert!(hour >= 0.99, "{hour}");
    // At one call a second, four failures in a window of 11 s.
    let few = |_: &Dice, n: u64| if n.is_multiple_of(3) { Outcome::Failure } else { Outcome::Success };
    let hour = hour_after_a_blip(1, 1, &[Trip::failures().count(5)], few);
    assert!(hour >= 0.99, "{hour}");
}

/// Half of the calls may fail, but each single probe decided. At 45 %, the open time doubled on
/// every second one, to a minute.
#[test]
fn failed_probes_that_a_closed_breaker_bears_are_followed_by_others() {
    let mut day = Day::new(10, 1, |builder| builder.open_time(OpenTime::fixed(5 * S)));
    let open_again = |day: &mut Day, bad: u64, outcome| {
        day.breaker.reset();
        day.breaker.trip("test");
        day.time.advance(5 * S);
        day.run(S * bad as u32 / 10, |_, _| outcome);
        day.breaker.state() == CircuitState::Open
    };
    // 0.5 to the seventh is less than one in a hundred.
    for (outcome, bears) in [(Outcome::Failure, 6), (Outcome::TimedOut, 6)] {
        assert!(!open_again(&mut day, bears, outcome), "{outcome:?}");
        day.run(S / 10, |_, _| Outcome::Success);
        assert_eq!(day.breaker.state(), CircuitState::Ramp, "{outcome:?}");
        assert!(open_again(&mut day, bears + 1, outcome), "{outcome:?}");
        let rejected = day.breaker.try_acquire().unwrap_err();
        assert_eq!(rejected.cause(), Some(OpenCause::ProbesFailed));
    }
}

/// Ten thousand calls that answered 503, or were ignored, passed as probes of one half-open breaker
/// after each other. It stayed half-open without an end.
#[test]
fn probes_without_a_verdict_are_bounded() {
    for outcome in [Outcome::Ignored, Outcome::Cancelled] {
        let mut day =
            Day::new(100, 1, |builder| builder.open_time(OpenTime { jitter: 0.0, ..OpenTime::default() }));
        day.breaker.trip("test");
        day.time.advance(5 * S);
        // Only what is bad lengthens the open time.
        let longer = if outcome == Outcome::Ignored { 5 * S } else { 10 * S };
        for open in [5 * S, longer] {
            let calls = day.run(5 * S, |_, _| outcome);
            assert_eq!((calls.admitted, day.breaker.state()), (10, CircuitState::Open), "{outcome:?}");
            let status = day.breaker.status();
            assert_eq!(status.until.unwrap().since(status.since), open, "{outcome:?}");
            day.time.advance_to(status.until.unwrap());
        }
    }
}

/// A probe that was answered 503 counted as one of ten that a half-open breaker bears. So a dead
/// dependency behind a balancer got 130 probes in ten minutes, ten at once, and a fleet of a
/// thousand breakers sent 10,000 of them whenever their open time was over.
#[test]
fn probe_that_is_pushed_back_opens_it_again() {
    let mut day =
        Day::new(100, 1, |builder| builder.open_time(OpenTime { jitter: 0.0, ..OpenTime::default() }));
    day.breaker.trip("test");
    // The first open time, as long as a closed breaker would tolerate it. Then it grows.
    for open in [5; 10].into_iter().chain([5, 10, 20, 40, 60, 60]) {
        let status = day.breaker.status();
        assert_eq!(status.until.unwrap().since(status.since), open * S);
        day.time.advance_to(status.until.unwrap());
        assert_eq!(day.run(S, |_, _| Outcome::Overloaded).admitted, 1);
        assert_eq!(day.breaker.status().state, CircuitState::Open);
        assert_eq!(day.breaker.try_acquire().unwrap_err().cause(), Some(OpenCause::ProbesFailed));
    }
    // Ten minutes from the blip on: 10 probes 5 s apart, and then ever fewer.
    let mut day = Day::new(100, 1, |builder| builder);
    assert_eq!(day.run(600 * S, |_, _| Outcome::Overloaded).admitted, 20 + 21);
}

/// A dependency that sheds most of its load answers most probes by 503. That must not keep the
/// breaker open for longer than a few of its first open times. Of ten minutes, it costs 4 s, 7 s
/// and 23 s. With an open time that grows each time, it would be 104 s in the last case.
#[test]
fn dependency_that_sheds_load_closes_it_again() {
    for (shed, most) in [(0.3, 10 * S), (0.6, 20 * S), (0.8, 40 * S)] {
        let mut lost = Duration::ZERO;
        for seed in 0..10 {
            let mut day = Day::new(100, seed, |builder| builder);
            day.breaker.trip("test");
            day.time.advance(5 * S);
            let calls = day.run(600 * S, bad_at(shed, Outcome::Overloaded));
            lost += S * (calls.all - calls.admitted) as u32 / 100 / 10;
        }
        assert!(lost <= most, "{lost:?} at {shed}");
    }
}

/// An open time that was set to an hour by mistake could not be taken back: a breaker that was open
/// already stayed so for the hour. The same with the lease of a probe that hung.
#[test]
fn shorter_times_apply_to_what_is_open_or_hangs() {
    const DAY: Duration = Duration::from_secs(86_400);
    let build = |builder: CircuitBreakerBuilder| builder.open_time(OpenTime::fixed(HOUR)).probes(LONG);
    const LONG: Probes = Probes { concurrency: 1, successes: 1, failures: Some(1), lease: DAY };
    let day = Day::new(100, 1, build);
    day.breaker.trip("test");
    let left = |day: &Day| day.breaker.try_acquire().unwrap_err().retry_after().unwrap();
    day.breaker.set_open_time(OpenTime::fixed(2 * HOUR)).unwrap();
    assert_eq!(left(&day), HOUR, "a longer one applies to the next opening");
    day.breaker.set_open_time(OpenTime::fixed(3 * S)).unwrap();
    assert_eq!(left(&day), 3 * S);
    day.time.advance(3 * S);
    let hangs = day.breaker.try_acquire_owned().unwrap();
    assert_eq!(left(&day), DAY / 2);
    day.breaker.set_probes(Probes { lease: 4 * S, ..LONG }).unwrap();
    assert_eq!(left(&day), 2 * S);
    day.time.advance(4 * S);
    assert_eq!(left(&day), 3 * S, "the probe has hung");
    drop(hangs);
}

/// 503 is what proxies and load balancers answer for a dependency that is dead. A default breaker
/// admitted 100,000 of 100,000 such calls. And adding a trip of overloads lost the failures.
#[test]
fn dependency_that_only_rejects_opens_it() {
    for trips in [vec![], vec![Trip::slow(S)]] {
        for outcome in [Outcome::Overloaded, Outcome::Failure] {
            let mut day =
                Day::new(100, 1, |builder| trips.iter().fold(builder, |builder, trip| builder.trip(*trip)));
            assert_eq!(day.run(4 * S, |_, _| outcome).admitted, 20, "{outcome:?}");
        }
    }
}

/// A dependency that sheds half of its load does all it can. An open breaker would waste that.
#[test]
fn dependency_that_sheds_load_keeps_it_closed() {
    let mut day = Day::new(200, 1, |builder| builder);
    let calls = day.run(600 * S, bad_at(0.8, Outcome::Overloaded));
    assert_eq!(calls.admitted, calls.all);
}

/// Calls in flight in virtual time: each is dropped by its caller after `patience`.
struct Hang {
    breaker: CircuitBreaker,
    time: ManualTime,
    calls: VecDeque<(Duration, Permit<CircuitBreaker>)>,
    past: Duration,
}

impl Hang {
    fn new(build: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> Self {
        let time = ManualTime::new();
        let builder = build(CircuitBreaker::builder()).clock(time.clock()).dice(Dice::seeded(1));
        Hang { breaker: builder.build().unwrap(), time, calls: VecDeque::new(), past: Duration::ZERO }
    }

    /// Calls a hundred times a second, and returns how long it took to open, if it did.
    fn opens_after(&mut self, patience: Duration, most: Duration) -> Option<Duration> {
        let begin = self.past;
        while self.past - begin < most {
            while self.calls.front().is_some_and(|(began, _)| *began + patience <= self.past) {
                self.calls.pop_front();
            }
            match self.breaker.try_acquire_owned() {
                Ok(permit) => self.calls.push_back((self.past, permit)),
                Err(_) => return Some(self.past - begin),
            }
            self.time.advance(10 * MS);
            self.past += 10 * MS;
        }
        None
    }
}

/// A time-out outside of the layer dropped ten thousand calls to a dependency that hung, and the
/// breaker had seen nothing. Calls that were never dropped counted when they ended, that is never.
#[test]
fn hanging_dependency_opens_it_whatever_the_callers_patience() {
    for (patience, latest) in [(100 * MS, 12 * S), (S, 12 * S), (10 * S, 12 * S), (HOUR, 12 * S)] {
        let mut hang = Hang::new(|builder| builder);
        // It works until now.
        for _ in 0..1_000 {
            hang.breaker.try_acquire().unwrap().done(Outcome::Success);
            hang.time.advance(10 * MS);
        }
        let opened = hang.opens_after(patience, 60 * S).unwrap_or(HOUR);
        assert!(opened <= latest, "{opened:?} with callers that wait {patience:?}");
        let cause = hang.breaker.try_acquire().unwrap_err().cause().unwrap();
        let expected = if patience < 10 * S { OpenCause::Cancellations } else { OpenCause::Failures };
        assert_eq!(cause, expected, "{patience:?}");
        assert!(hang.breaker.try_acquire().unwrap_err().limit().is_some());
    }
}

/// Callers that leave are no sign of a dependency that hangs, while a single call succeeds.
#[test]
fn impatient_callers_do_not_open_it() {
    for cancelled in [0.1, 0.5, 0.9] {
        let mut day = Day::new(100, 2, |builder| builder);
        day.run(S, |_, _| Outcome::Success);
        let calls = day.run(300 * S, bad_at(cancelled, Outcome::Cancelled));
        assert_eq!(calls.admitted, calls.all, "{cancelled}");
    }
    // Nineteen calls in the window, none of which succeeds, are too few.
    let mut day = Day::new(1, 2, |builder| builder);
    let calls = day.run(300 * S, |_, _| Outcome::Cancelled);
    assert_eq!(calls.admitted, calls.all);
}

/// A call counts once: in flight as soon as it is overdue, or when it ends if that is earlier.
#[test]
fn overdue_call_counts_once_and_before_it_ends() {
    for ends in [Outcome::Success, Outcome::Failure, Outcome::Cancelled] {
        let hang = Hang::new(|builder| builder.trips([Trip::timeouts().count(30).within(60 * S)]));
        let held: Vec<_> = (0..20).map(|_| hang.breaker.try_acquire_owned().unwrap()).collect();
        hang.time.advance(10 * S);
        assert_eq!(hang.breaker.state(), CircuitState::Closed);
        hang.time.advance(2 * S);
        // Any call, or a look at the status, notices it.
        hang.breaker.try_acquire().unwrap().done(Outcome::Success);
        held.into_iter().for_each(|permit| permit.done(ends));
        assert_eq!(hang.breaker.state(), CircuitState::Closed, "20 of 30, however they end");
        let held: Vec<_> = (0..10).map(|_| hang.breaker.try_acquire_owned().unwrap()).collect();
        hang.time.advance(12 * S);
        assert_eq!(
            hang.breaker.status().state,
            CircuitState::Open,
            "30 of 30, and none of the ten has ended"
        );
        drop(held);
    }
}

/// A late `Ok` was a success: twenty calls of ten times the call time-out did not fulfill a trip of
/// three time-outs.
#[test]
fn late_success_counts_as_timed_out() {
    for (takes, opens) in [(S - MS, false), (S, true), (10 * S, true)] {
        let time = ManualTime::new();
        let builder =
            CircuitBreaker::builder().trips([Trip::timeouts().count(3).within(60 * S)]).call_timeout(S);
        let breaker = builder.clock(time.clock()).build().unwrap();
        for _ in 0..3 {
            let permit = breaker.try_acquire().unwrap();
            time.advance(takes);
            permit.done(Outcome::Success);
        }
        assert_eq!(breaker.state() == CircuitState::Open, opens, "{takes:?}");
    }
}

/// Hardly any traffic: a single failure, or a single hung call, is no reason to open.
#[test]
fn rare_calls_do_not_open_it() {
    for pause in [S, HOUR] {
        let time = ManualTime::new();
        let breaker = CircuitBreaker::builder().clock(time.clock()).build().unwrap();
        for n in 0..1_000 {
            let permit = breaker.try_acquire_owned().unwrap();
            match n % 10 {
                0 => std::mem::forget(permit),
                1 => permit.done(Outcome::Failure),
                2 => drop(permit),
                _ => permit.done(Outcome::Success),
            }
            time.advance(pause);
        }
        assert_eq!(breaker.status().state, CircuitState::Closed);
    }
}

/// The machine sleeps, or nobody calls for hours, while calls are in flight. They count once.
#[test]
fn calls_in_flight_during_a_long_pause_count_once() {
    let time = ManualTime::new();
    let builder = CircuitBreaker::builder().trips([Trip::timeouts().count(11)]).clock(time.clock());
    let breaker = builder.build().unwrap();
    let held: Vec<_> = (0..10).map(|_| breaker.try_acquire_owned().unwrap()).collect();
    time.advance(8 * HOUR);
    breaker.try_acquire().unwrap().done(Outcome::Success);
    drop(held);
    assert_eq!(breaker.state(), CircuitState::Closed);
    breaker.report(Outcome::TimedOut);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// Rejections of a half-open breaker and on the ramp stated no time, and retries by that time gave
/// up. Now they do not return all at once either.
#[test]
fn rejections_state_why_and_when_to_retry() {
    let mut day = Day::new(100, 1, |builder| builder.open_time(OpenTime::fixed(5 * S)));
    let rejected = |day: &Day| day.breaker.try_acquire().unwrap_err();
    let says = |day: &Day| rejected(day).to_string();
    day.breaker.block("migration");
    assert_eq!(says(&day), "breaker rejected: open (blocked)");
    day.breaker.unblock();
    day.breaker.set_fault(1.0).unwrap();
    assert_eq!(says(&day), "breaker rejected: open (injected fault)");
    day.breaker.set_fault(0.0).unwrap();
    day.run(S, |_, _| Outcome::Failure);
    day.breaker.reset();
    (0..20).for_each(|_| day.breaker.report(Outcome::Failure));
    assert_eq!(says(&day), "breaker rejected: open (20 failures in 10s, limit 10), retry after 5s");
    day.breaker.trip("test");
    assert_eq!(says(&day), "breaker rejected: open (operator), retry after 5s");
    day.time.advance(5 * S);
    let probe = day.breaker.try_acquire_owned().unwrap();
    assert_eq!(says(&day), "breaker rejected: open (probing), retry after 5s");
    day.time.advance(4 * S);
    assert_eq!(says(&day), "breaker rejected: open (probing), retry after 3s");
    probe.done(Outcome::Success);
    let mut returns: Vec<_> = (0..500)
        .filter_map(|_| {
            day.time.advance(10 * MS);
            let now = day.time.clock().now();
            let decision = day.breaker.try_acquire().map(|permit| permit.done(Outcome::Success));
            decision.err().map(|rejected| {
                assert_eq!(rejected.cause(), Some(OpenCause::Ramp));
                (now + rejected.retry_after().unwrap()).as_nanos() / 500_000_000
            })
        })
        .collect();
    let all = returns.len();
    returns.dedup();
    assert!(all > 150 && returns.len() >= 4, "{all} callers return in {} half seconds", returns.len());
}
