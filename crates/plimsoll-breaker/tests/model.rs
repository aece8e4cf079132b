//! Compares the breaker with a naive model, by random steps on a manual clock.
#![allow(
    clippy::collapsible_match,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

use plimsoll_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitState, OpenTime, Probes, Ramp, Trip};
use plimsoll_core::{Dice, Instant, ManualTime, Outcome, Permit, Rejected};
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Done(Index, Outcome),
    Refund(Index),
    Drop(Index),
    Leak(Index),
    Report(Outcome),
    Advance(u64),
    ToTheEnd,
    Trip,
    Reset,
    Block,
    Unblock,
    Disable,
    Enable,
    Checked(bool),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        8 => Just(Outcome::Failure),
        6 => Just(Outcome::Success),
        3 => Just(Outcome::TimedOut),
        2 => Just(Outcome::Overloaded),
        1 => Just(Outcome::Ignored),
        1 => Just(Outcome::Cancelled),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => Just(Step::Acquire),
        24 => (any::<Index>(), outcome()).prop_map(|(i, o)| Step::Done(i, o)),
        3 => any::<Index>().prop_map(Step::Refund),
        4 => any::<Index>().prop_map(Step::Drop),
        2 => any::<Index>().prop_map(Step::Leak),
        6 => outcome().prop_map(Step::Report),
        10 => (1..400u64).prop_map(Step::Advance),
        5 => Just(Step::ToTheEnd),
        1 => Just(Step::Trip),
        1 => Just(Step::Reset),
        1 => Just(Step::Block),
        2 => Just(Step::Unblock),
        1 => Just(Step::Disable),
        2 => Just(Step::Enable),
        2 => any::<bool>().prop_map(Step::Checked),
    ]
}

/// Which calls are bad, as in a [`Trip`].
#[derive(Clone, Copy, Debug)]
enum Bad {
    Failures,
    Errors,
    Timeouts,
    Slow(u64),
    Overloads,
    Cancellations,
}

#[derive(Clone, Copy, Debug)]
enum TooMany {
    Count(u32),
    Streak(u32),
    Ratio(f64, u32),
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    bad: Bad,
    too_many: TooMany,
    within: u64,
}

fn rule() -> impl Strategy<Value = Rule> {
    let bad = prop_oneof![
        3 => Just(Bad::Failures),
        1 => Just(Bad::Errors),
        1 => Just(Bad::Timeouts),
        1 => (1..300u64).prop_map(Bad::Slow),
        1 => Just(Bad::Overloads),
        1 => Just(Bad::Cancellations),
    ];
    let too_many = prop_oneof![
        (1..6u32).prop_map(TooMany::Count),
        (1..6u32).prop_map(TooMany::Streak),
        (prop_oneof![Just(0.5), Just(1.0), 0.1..1.0], 1..8u32)
            .prop_map(|(share, calls)| TooMany::Ratio(share, calls)),
    ];
    (bad, too_many, prop_oneof![Just(200), Just(1_000), Just(3_000)])
        .prop_map(|(bad, too_many, within)| Rule { bad, too_many, within })
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Rule {
    fn trip(&self) -> Trip {
        let trip = match self.bad {
            Bad::Failures => Trip::failures(),
            Bad::Errors => Trip::errors(),
            Bad::Timeouts => Trip::timeouts(),
            Bad::Slow(longer) => Trip::slow(ms(longer)),
            Bad::Overloads => Trip::overloads(),
            Bad::Cancellations => Trip::cancellations(),
        };
        let trip = match self.too_many {
            TooMany::Count(n) => trip.count(n),
            TooMany::Streak(n) => trip.consecutive(n),
            TooMany::Ratio(share, calls) => trip.ratio(share, calls),
        };
        trip.within(ms(self.within))
    }

    /// Returns whether a call counts as bad or as good, or `None` if it does not count.
    fn weighs(&self, outcome: Outcome, took: Option<u64>, cancelled: bool) -> Option<bool> {
        use Outcome::*;
        let slow = matches!((self.bad, took), (Bad::Slow(longer), Some(took)) if took >= longer);
        match outcome {
            outcome if matches!(self.bad, Bad::Cancellations) => match outcome {
                Success => Some(false),
                _ => cancelled.then_some(true),
            },
            Ignored | Cancelled => (cancelled && slow).then_some(true),
            Overloaded if !matches!(self.bad, Bad::Overloads) => slow.then_some(true),
            outcome => Some(match self.bad {
                Bad::Failures => matches!(outcome, Failure | TimedOut),
                Bad::Errors => outcome == Failure,
                Bad::Timeouts => outcome == TimedOut,
                Bad::Slow(_) => return took.map(|_| slow),
                Bad::Overloads => outcome == Overloaded,
                Bad::Cancellations => unreachable!(),
            }),
        }
    }
}

impl Rule {
    /// Returns how many bad probes in a row open it again.
    fn max_bad_probes(&self) -> u32 {
        match self.too_many {
            TooMany::Count(n) | TooMany::Streak(n) => n,
            // As many as are bad with a probability of one in a hundred.
            TooMany::Ratio(share, calls) => {
                (1..calls).find(|&n| share.powi(n as i32) <= 0.01).unwrap_or(calls).min(10)
            }
        }
    }

    /// Returns whether a share is exceeded by three standard deviations.
    fn beyond_chance(&self, all: u32, bad: u32) -> bool {
        let TooMany::Ratio(share, _) = self.too_many else { return true };
        let (all, bad) = (f64::from(all), f64::from(bad));
        bad - share * all >= 3.0 * (all * share * (1.0 - share)).sqrt()
    }
}

/// Whether a rule is fulfilled. `Either` if a call is older than the window by less than a tenth of
/// it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Yes,
    No,
    Either,
}

fn judge(rule: &Rule, seen: &[(u64, bool)], now: u64, recovering: bool) -> Verdict {
    let too_many = |span: u64| {
        let all: Vec<_> = seen.iter().filter(|(at, _)| at + span >= now).collect();
        let bad = all.iter().filter(|(_, bad)| *bad).count() as u32;
        (all.len() as u32, bad)
    };
    let mut verdicts = vec![];
    match rule.too_many {
        TooMany::Streak(n) => {
            let mut streak = 0;
            let mut last = None;
            for (at, bad) in seen {
                let near = last.is_none_or(|last| at - last <= rule.within);
                streak = if !bad {
                    0
                } else if near {
                    streak + 1
                } else {
                    1
                };
                last = Some(*at);
            }
            verdicts.push(streak >= n);
        }
        // A slice expires as a whole, at any age between the span and a tenth more.
        _ => {
            let slice = rule.within / 10;
            for late in 0..=slice + 1 {
                let (all, bad) = too_many(rule.within + late);
                let counts = !recovering || rule.beyond_chance(all, bad);
                verdicts.push(
                    counts
                        && match rule.too_many {
                            TooMany::Count(n) => bad >= n,
                            TooMany::Ratio(share, calls) => {
                                all >= calls && f64::from(bad) >= share * f64::from(all)
                            }
                            TooMany::Streak(_) => unreachable!(),
                        },
                );
            }
        }
    }
    match (verdicts.contains(&true), verdicts.contains(&false)) {
        (true, true) => Verdict::Either,
        (true, false) => Verdict::Yes,
        _ => Verdict::No,
    }
}

/// A call in flight. Its outcome counts only in its own life.
#[derive(Clone, Copy, Debug)]
struct Call {
    life: u64,
    began: u64,
    probe: bool,
}

#[derive(Debug)]
struct Oracle {
    rules: Vec<Rule>,
    config: CircuitBreakerConfig,
    dice: Dice,
    phase: CircuitState,
    life: u64,
    since: u64,
    until: Duration,
    opened: i32,
    /// The probes that were pushed back, since one succeeded.
    pushed_back: u32,
    seen: Vec<Vec<(u64, bool)>>,
    /// The probes in flight, and when they began.
    probes: Vec<(usize, u64)>,
    good: u32,
    /// The bad probes in a row, for each rule, and those without a verdict.
    bad: Vec<u32>,
    unknown: u32,
    recovering: Duration,
    blocked: bool,
    disabled: bool,
}

const MS: u64 = 1_000_000;

impl Oracle {
    fn turn(&mut self, to: CircuitState, now: u64, lasts: Duration) {
        self.phase = to;
        self.life += 1;
        self.since = now;
        self.until = ms(now) + lasts;
        self.probes.clear();
        self.good = 0;
        self.bad = vec![0; self.rules.len().max(1)];
        self.unknown = 0;
        if to == CircuitState::Closed {
            self.pushed_back = 0;
            self.opened = 0;
        }
    }

    fn close(&mut self, now: u64) {
        self.turn(CircuitState::Closed, now, Duration::ZERO);
        self.forget();
        self.recovering = ms(now);
    }

    fn forget(&mut self) {
        self.seen.iter_mut().for_each(Vec::clear);
    }

    fn open(&mut self, now: u64) {
        self.open_by(now, true);
    }

    fn open_by(&mut self, now: u64, grows: bool) {
        self.open_as(now, grows, self.opened);
    }

    fn open_as(&mut self, now: u64, grows: bool, before: i32) {
        let open = self.config.open_time;
        let luck = self.dice.uniform();
        let time = (open.first.as_secs_f64() * open.factor.powi(before)).min(open.max.as_secs_f64());
        self.opened += i32::from(grows);
        self.turn(CircuitState::Open, now, Duration::from_secs_f64(time * (1.0 - open.jitter * luck)));
    }

    fn recover(&mut self, now: u64) {
        let over = self.ramp();
        self.forget();
        self.turn(if over.is_zero() { CircuitState::Closed } else { CircuitState::Ramp }, now, over);
        let window = self.rules.iter().map(|rule| rule.within).max().unwrap_or(0);
        self.recovering = ms(now) + over + ms(window);
    }

    fn ramp(&self) -> Duration {
        self.config.ramp.duration.unwrap_or(self.config.open_time.first)
    }

    /// Ends the probes that have hung. Opens it if there are too many.
    fn hung(&mut self, now: u64) -> bool {
        let lease = self.config.probes.lease;
        let before = self.probes.len();
        self.probes.retain(|(_, began)| ms(*began) + lease > ms(now));
        let hung = before - self.probes.len();
        let too_many = (0..hung).any(|_| self.bad_probe(&vec![true; self.bad.len()]));
        if too_many {
            self.open(now);
        }
        too_many
    }

    /// Records a probe that was bad for these rules. Returns whether that is too many.
    fn bad_probe(&mut self, rules: &[bool]) -> bool {
        self.unknown = 0;
        for (n, _) in rules.iter().enumerate().filter(|(_, bad)| **bad) {
            self.bad[n] += 1;
            let max = self.rules.get(n).map_or(1, Rule::max_bad_probes);
            if self.bad[n] >= self.config.probes.failures.unwrap_or(max) {
                return true;
            }
        }
        false
    }

    fn tick(&mut self, now: u64) {
        match self.phase {
            CircuitState::Ramp if self.until <= ms(now) => {
                self.turn(CircuitState::Closed, now, Duration::ZERO)
            }
            CircuitState::HalfOpen => drop(self.hung(now)),
            _ => {}
        }
    }

    /// Admits or rejects a call. A rejection may state when to retry.
    fn acquire(&mut self, id: usize, now: u64) -> Result<Call, Option<Duration>> {
        if self.disabled {
            return Ok(Call { life: self.life, began: now, probe: false });
        }
        if self.blocked {
            return Err(None);
        }
        let left = self.until.saturating_sub(ms(now));
        match self.phase {
            CircuitState::Ramp if left.is_zero() => self.turn(CircuitState::Closed, now, Duration::ZERO),
            CircuitState::Ramp => {
                let start = self.config.ramp.start;
                let gone = 1.0 - left.as_nanos() as f64 / self.ramp().as_nanos() as f64;
                if !self.dice.chance(start + (1.0 - start) * gone) {
                    return Err(Some(left / 2));
                }
            }
            CircuitState::Open if !left.is_zero() => return Err(Some(left)),
            CircuitState::Open
                if self.config.health_checked && ms(now) < self.until + 2 * self.config.probes.lease =>
            {
                return Err(None);
            }
            CircuitState::Open => self.turn(CircuitState::HalfOpen, now, Duration::ZERO),
            _ => {}
        }
        let mut probe = false;
        if self.phase == CircuitState::HalfOpen {
            if self.hung(now) {
                return Err(Some(self.until - ms(now)));
            }
            if self.probes.len() as u32 == self.config.probes.concurrency {
                let first = self.probes.iter().map(|(_, began)| *began).min().unwrap();
                return Err(Some((ms(first) + self.config.probes.lease - ms(now)) / 2));
            }
            self.probes.push((id, now));
            probe = true;
        }
        Ok(Call { life: self.life, began: now, probe })
    }

    /// Records the end of a call, or a report if `call` is `None`. Returns whether it fulfills a
    /// rule.
    ///
    /// A closed model does not open by itself, because the caller decides if the verdict is
    /// `Either`.
    fn end(&mut self, id: usize, call: Option<Call>, outcome: Outcome, now: u64) -> Verdict {
        let timed =
            self.config.call_timeout.is_some() || self.rules.iter().any(|r| matches!(r.bad, Bad::Slow(_)));
        let took = call.filter(|_| timed).map(|call| now - call.began);
        let cancelled = outcome == Outcome::Cancelled;
        let late =
            self.config.call_timeout.is_some_and(|timeout| took.is_some_and(|took| ms(took) >= timeout));
        let outcome = match outcome {
            Outcome::Cancelled | Outcome::Success if late => Outcome::TimedOut,
            Outcome::Cancelled => self.config.cancelled,
            other => other,
        };
        if self.disabled || call.is_some_and(|call| call.life != self.life) {
            return Verdict::No;
        }
        let weighed: Vec<_> = self.rules.iter().map(|r| r.weighs(outcome, took, cancelled)).collect();
        let well = match outcome {
            _ if weighed.contains(&Some(true)) => Some(false),
            Outcome::Success => Some(true),
            Outcome::Ignored | Outcome::Cancelled => None,
            _ if weighed.is_empty() => Some(false),
            _ => weighed.contains(&Some(false)).then_some(true),
        };
        match self.phase {
            CircuitState::Closed | CircuitState::Ramp => {
                let recovering = ms(now) < self.recovering;
                let mut verdict = Verdict::No;
                for (rule, seen) in self.rules.iter().zip(&mut self.seen) {
                    let weighs = rule.weighs(outcome, took, cancelled);
                    // Only a success ends a streak.
                    let streak = matches!(rule.too_many, TooMany::Streak(_)) && outcome != Outcome::Success;
                    seen.extend(weighs.filter(|&bad| bad || !streak).map(|bad| (now, bad)));
                    if weighs == Some(true) {
                        verdict = match (verdict, judge(rule, seen, now, recovering)) {
                            (Verdict::Yes, _) | (_, Verdict::Yes) => Verdict::Yes,
                            (Verdict::Either, _) | (_, Verdict::Either) => Verdict::Either,
                            _ => Verdict::No,
                        };
                    }
                }
                return verdict;
            }
            CircuitState::HalfOpen => {
                if self.hung(now) {
                    return Verdict::No;
                }
                let probe = call.is_some_and(|call| call.probe);
                let flies = self.probes.iter().any(|p| p.0 == id);
                self.probes.retain(|p| p.0 != id);
                let bad: Vec<_> = match weighed.is_empty() {
                    true => vec![well == Some(false)],
                    false => weighed.iter().map(|bad| *bad == Some(true)).collect(),
                };
                match well {
                    // Its lease was over.
                    _ if probe && !flies => {}
                    Some(false)
                        if outcome == Outcome::Overloaded
                            && !weighed.is_empty()
                            && self.config.probes.failures.is_none() =>
                    {
                        let rules = self.rules.iter().zip(&bad).filter(|(_, bad)| **bad);
                        let most = rules.map(|(rule, _)| rule.max_bad_probes()).min().unwrap();
                        self.pushed_back += 1;
                        match self.pushed_back >= most {
                            true => self.open(now),
                            false => self.open_as(now, false, 0),
                        }
                    }
                    Some(false) => {
                        if self.bad_probe(&bad) {
                            self.open(now);
                        }
                    }
                    Some(true) if probe => {
                        self.bad.iter_mut().for_each(|run| *run = 0);
                        self.unknown = 0;
                        self.pushed_back = 0;
                        self.good += 1;
                        if self.good >= self.config.probes.successes {
                            self.recover(now);
                        }
                    }
                    None if probe => {
                        self.unknown += 1;
                        if self.unknown == 10 {
                            self.open_by(now, false);
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Verdict::No
    }
}

fn config() -> impl Strategy<Value = (Vec<Rule>, CircuitBreakerConfig)> {
    let open = (1..60u64, prop_oneof![Just(1.0), 1.0..3.0], 0..200u64, prop_oneof![Just(0.0), 0.0..1.0])
        .prop_map(|(first, factor, more, jitter)| OpenTime {
            first: ms(first * 10),
            factor,
            max: ms(first * 10 + more * 10),
            jitter,
        });
    let failures = prop::option::of(1..4u32);
    let probes = (1..4u32, 1..4u32, failures, 1..100u64).prop_map(|(at_once, successes, failures, lease)| {
        Probes { concurrency: at_once, successes, failures, lease: ms(lease * 10) }
    });
    let ramp = prop_oneof![
        Just(Ramp::NONE),
        (prop::option::of((1..100u64).prop_map(|n| ms(n * 10))), 0.0..1.0)
            .prop_map(|(duration, start)| Ramp { duration, start }),
    ];
    // Calls that are overdue in flight have a test of their own.
    let timeout = Just(None);
    let cancelled = prop_oneof![3 => Just(Outcome::Ignored), 1 => outcome()];
    let rules = prop::collection::vec(rule(), 0..4);
    (rules, open, probes, ramp, timeout, cancelled, prop::bool::weighted(0.15)).prop_map(
        |(rules, open, probes, ramp, call_timeout, cancelled, checked)| {
            let trips = rules.iter().map(Rule::trip).collect();
            let name = "model".into();
            (
                rules,
                CircuitBreakerConfig {
                    name,
                    trips,
                    open_time: open,
                    probes,
                    ramp,
                    call_timeout,
                    cancelled,
                    health_checked: checked,
                },
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn breaker_agrees_with_the_model(
        (rules, config) in config(),
        seed: u64,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let time = ManualTime::new();
        let dice = Dice::seeded(seed);
        let breaker = CircuitBreaker::builder().config(config.clone()).clock(time.clock()).dice(dice).build().unwrap();
        let mut model = Oracle {
            seen: vec![vec![]; rules.len()],
            rules,
            config,
            dice: Dice::seeded(seed),
            phase: CircuitState::Closed,
            life: 0,
            since: 0,
            until: Duration::ZERO,
            opened: 0,
            pushed_back: 0,
            probes: vec![],
            good: 0,
            bad: vec![0; 8],
            unknown: 0,
            recovering: Duration::ZERO,
            blocked: false,
            disabled: false,
        };
        let mut out: Vec<(usize, Permit<CircuitBreaker>, Call)> = vec![];
        for (id, step) in steps.into_iter().enumerate() {
            // The clock always shows whole milliseconds.
            let now = time.clock().now().as_nanos() / MS;
            let take = |out: &mut Vec<_>, i: Index| (!out.is_empty()).then(|| out.swap_remove(i.index(out.len())));
            let mut verdict = Verdict::No;
            match step {
                Step::Acquire => match (breaker.try_acquire_owned(), model.acquire(id, now)) {
                    (Ok(permit), Ok(call)) => out.push((id, permit, call)),
                    (Err(rejected), Err(again)) => prop_assert_eq!(Rejected::retry_after(&rejected), again),
                    other => prop_assert!(false, "{:?}: {:?}", model, other),
                },
                Step::Done(i, outcome) => if let Some((id, permit, call)) = take(&mut out, i) {
                    permit.done(outcome);
                    verdict = model.end(id, Some(call), outcome, now);
                },
                Step::Drop(i) => if let Some((id, permit, call)) = take(&mut out, i) {
                    drop(permit);
                    verdict = model.end(id, Some(call), Outcome::Cancelled, now);
                },
                Step::Refund(i) => if let Some((id, permit, call)) = take(&mut out, i) {
                    permit.refund();
                    if call.life == model.life {
                        model.probes.retain(|p| p.0 != id);
                    }
                },
                Step::Leak(i) => if let Some((_, permit, _)) = take(&mut out, i) {
                    std::mem::forget(permit);
                },
                Step::Report(outcome) => {
                    breaker.report(outcome);
                    verdict = model.end(id, None, outcome, now);
                }
                Step::Advance(by) => time.advance(ms(by)),
                Step::ToTheEnd => {
                    // To the first whole millisecond after the end of the phase.
                    let end = model.until.as_nanos().div_ceil(u128::from(MS)) as u64;
                    time.advance_to(Instant::from_nanos(end * MS));
                }
                Step::Trip => {
                    breaker.trip("model");
                    model.open_by(now, false);
                }
                Step::Reset => {
                    breaker.reset();
                    model.close(now);
                }
                Step::Block | Step::Unblock => {
                    if std::mem::replace(&mut model.blocked, matches!(step, Step::Block)) && !model.blocked {
                        model.forget();
                    }
                    if model.blocked { breaker.block("model") } else { breaker.unblock() }
                }
                Step::Disable => {
                    breaker.disable();
                    model.disabled = true;
                }
                Step::Enable => {
                    breaker.enable();
                    if std::mem::take(&mut model.disabled) {
                        model.close(now);
                    }
                }
                Step::Checked(works) => {
                    let due = model.config.health_checked && model.phase == CircuitState::Open && model.until <= ms(now);
                    let check = breaker.health_check_due();
                    prop_assert_eq!(check.is_some(), due);
                    if let Some(check) = check {
                        breaker.record_health_check(check, works);
                    }
                    match (due, works) {
                        (true, true) => model.recover(now),
                        (true, false) => model.open(now),
                        _ => {}
                    }
                }
            }
            if verdict == Verdict::Yes || verdict == Verdict::Either && breaker.state() == CircuitState::Open {
                model.open(now);
            }
            // Reading the status makes the changes that are due by time.
            model.tick(time.clock().now().as_nanos() / MS);
            let status = breaker.status();
            prop_assert_eq!((breaker.state(), status.state), (model.phase, model.phase), "{:?}", model);
            prop_assert_eq!(status.since.as_nanos(), model.since * MS);
            let lasts = matches!(model.phase, CircuitState::Open | CircuitState::Ramp).then_some(model.until);
            prop_assert_eq!(status.until.map(|at| Duration::from_nanos(at.as_nanos())), lasts);
            prop_assert_eq!((status.blocked.is_some(), status.disabled), (model.blocked, model.disabled));
        }
    }
}
