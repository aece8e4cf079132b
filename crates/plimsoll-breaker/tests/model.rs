//! The breaker against a naive oracle – lists, and the time as a number – by random steps on a manual clock.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitState, OpenTime, Probes, Ramp, Trip};
use plimsoll_core::{Dice, Instant, ManualTime, Outcome, Permit, Rejected};
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Ask,
    Done(Index, Outcome),
    GiveBack(Index),
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
        30 => Just(Step::Ask),
        24 => (any::<Index>(), outcome()).prop_map(|(i, o)| Step::Done(i, o)),
        3 => any::<Index>().prop_map(Step::GiveBack),
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

/// What is bad, and when it is too much: the same as a [`Trip`], in plain words.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Failures,
    Errors,
    Timeouts,
    Slow(u64),
    Overloads,
}

#[derive(Clone, Copy, Debug)]
enum Much {
    Count(u32),
    Row(u32),
    Ratio(f64, u32),
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    bad: Bad,
    much: Much,
    within: u64,
}

fn rule() -> impl Strategy<Value = Rule> {
    let bad = prop_oneof![
        3 => Just(Bad::Failures),
        1 => Just(Bad::Errors),
        1 => Just(Bad::Timeouts),
        1 => (1..300u64).prop_map(Bad::Slow),
        1 => Just(Bad::Overloads),
    ];
    let much = prop_oneof![
        (1..6u32).prop_map(Much::Count),
        (1..6u32).prop_map(Much::Row),
        (prop_oneof![Just(0.5), Just(1.0), 0.1..1.0], 1..8u32)
            .prop_map(|(share, calls)| Much::Ratio(share, calls)),
    ];
    (bad, much, prop_oneof![Just(200), Just(1_000), Just(3_000)]).prop_map(|(bad, much, within)| Rule {
        bad,
        much,
        within,
    })
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
        };
        let trip = match self.much {
            Much::Count(n) => trip.count(n),
            Much::Row(n) => trip.consecutive(n),
            Much::Ratio(share, calls) => trip.ratio(share, calls),
        };
        trip.within(ms(self.within))
    }

    /// Whether it counts, and as bad.
    fn weighs(&self, outcome: Outcome, took: Option<u64>, cancelled: bool) -> Option<bool> {
        use Outcome::*;
        let slow = matches!((self.bad, took), (Bad::Slow(longer), Some(took)) if took >= longer);
        match outcome {
            Ignored | Cancelled => (cancelled && slow).then_some(true),
            Overloaded if !matches!(self.bad, Bad::Overloads) => slow.then_some(true),
            outcome => Some(match self.bad {
                Bad::Failures => matches!(outcome, Failure | TimedOut),
                Bad::Errors => outcome == Failure,
                Bad::Timeouts => outcome == TimedOut,
                Bad::Slow(_) => return took.map(|_| slow),
                Bad::Overloads => outcome == Overloaded,
            }),
        }
    }
}

/// How a rule judges a list of what was counted: yes, no, or either, where something is older than the window by
/// less than a tenth of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Yes,
    No,
    Either,
}

fn judge(rule: &Rule, seen: &[(u64, bool)], now: u64) -> Says {
    let much = |span: u64| {
        let all: Vec<_> = seen.iter().filter(|(at, _)| at + span >= now).collect();
        let bad = all.iter().filter(|(_, bad)| *bad).count() as u32;
        (all.len() as u32, bad)
    };
    let mut answers = vec![];
    match rule.much {
        Much::Row(n) => {
            let mut row = 0;
            let mut last = None;
            for (at, bad) in seen {
                let near = last.is_none_or(|last| at - last <= rule.within);
                row = if !bad {
                    0
                } else if near {
                    row + 1
                } else {
                    1
                };
                last = Some(*at);
            }
            answers.push(row >= n);
        }
        // A slice is forgotten as a whole: any age between the span and a tenth more, and a hair.
        _ => {
            let slice = rule.within / 10;
            for late in 0..=slice + 1 {
                let (all, bad) = much(rule.within + late);
                answers.push(match rule.much {
                    Much::Count(n) => bad >= n,
                    Much::Ratio(share, calls) => all >= calls && f64::from(bad) >= share * f64::from(all),
                    Much::Row(_) => unreachable!(),
                });
            }
        }
    }
    match (answers.contains(&true), answers.contains(&false)) {
        (true, true) => Says::Either,
        (true, false) => Says::Yes,
        _ => Says::No,
    }
}

/// A life is a number: what was admitted in one says nothing in another.
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
    seen: Vec<Vec<(u64, bool)>>,
    /// Those that are out, by when they went out.
    probes: Vec<(usize, u64)>,
    good: u32,
    ramp: (u32, u32),
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
        self.ramp = (0, 0);
        if to == CircuitState::Closed {
            self.opened = 0;
            self.seen.iter_mut().for_each(Vec::clear);
        }
    }

    fn open(&mut self, now: u64) {
        self.open_by(now, false);
    }

    fn open_by(&mut self, now: u64, hand: bool) {
        let open = self.config.open_time;
        let luck = self.dice.uniform();
        let time = (open.first.as_secs_f64() * open.factor.powi(self.opened)).min(open.max.as_secs_f64());
        self.opened += i32::from(!hand);
        self.turn(CircuitState::Open, now, Duration::from_secs_f64(time * (1.0 - open.jitter * luck)));
    }

    fn recover(&mut self, now: u64) {
        let over = self.config.ramp.duration;
        self.turn(if over.is_zero() { CircuitState::Closed } else { CircuitState::Ramp }, now, over);
    }

    fn hung(&self, now: u64) -> bool {
        self.probes.iter().any(|(_, began)| ms(*began) + self.config.probes.lease <= ms(now))
    }

    fn tick(&mut self, now: u64) {
        match self.phase {
            CircuitState::Ramp if self.until <= ms(now) => {
                self.turn(CircuitState::Closed, now, Duration::ZERO)
            }
            CircuitState::HalfOpen if self.hung(now) => self.open(now),
            _ => {}
        }
    }

    /// Admitted, or rejected with the time after which it may come again.
    fn ask(&mut self, id: usize, now: u64) -> Result<Call, Option<Duration>> {
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
                let ramp = self.config.ramp;
                let gone = 1.0 - left.as_nanos() as f64 / ramp.duration.as_nanos() as f64;
                if !self.dice.chance(ramp.start + (1.0 - ramp.start) * gone) {
                    return Err(None);
                }
            }
            CircuitState::Open if !left.is_zero() => return Err(Some(left)),
            CircuitState::Open if self.config.health_checked => return Err(None),
            CircuitState::Open => self.turn(CircuitState::HalfOpen, now, Duration::ZERO),
            _ => {}
        }
        let mut probe = false;
        if self.phase == CircuitState::HalfOpen {
            if self.hung(now) {
                self.open(now);
                return Err(Some(self.until - ms(now)));
            }
            if self.probes.len() as u32 == self.config.probes.concurrency {
                return Err(None);
            }
            self.probes.push((id, now));
            probe = true;
        }
        Ok(Call { life: self.life, began: now, probe })
    }

    /// What has ended so; `None`: reported. HttpOptions what each rule says where it might open, for the caller to
    /// decide by what happened.
    fn end(&mut self, id: usize, call: Option<Call>, outcome: Outcome, now: u64) -> Says {
        let timed =
            self.config.call_timeout.is_some() || self.rules.iter().any(|r| matches!(r.bad, Bad::Slow(_)));
        let took = call.filter(|_| timed).map(|call| now - call.began);
        let cancelled = outcome == Outcome::Cancelled;
        let late = self.config.call_timeout.is_some_and(|most| took.is_some_and(|took| ms(took) >= most));
        let outcome = match outcome {
            Outcome::Cancelled if late => Outcome::TimedOut,
            Outcome::Cancelled => self.config.cancelled,
            other => other,
        };
        if self.disabled || call.is_some_and(|call| call.life != self.life) {
            return Says::No;
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
            CircuitState::Closed => {
                let mut says = Says::No;
                for (rule, seen) in self.rules.iter().zip(&mut self.seen) {
                    let weighs = rule.weighs(outcome, took, cancelled);
                    // A row is broken by a success alone.
                    let row = matches!(rule.much, Much::Row(_)) && outcome != Outcome::Success;
                    seen.extend(weighs.filter(|&bad| bad || !row).map(|bad| (now, bad)));
                    if weighs == Some(true) {
                        says = match (says, judge(rule, seen, now)) {
                            (Says::Yes, _) | (_, Says::Yes) => Says::Yes,
                            (Says::Either, _) | (_, Says::Either) => Says::Either,
                            _ => Says::No,
                        };
                    }
                }
                return says;
            }
            CircuitState::HalfOpen if self.hung(now) => self.open(now),
            CircuitState::HalfOpen => {
                let probe = call.is_some_and(|call| call.probe);
                self.probes.retain(|p| p.0 != id);
                match well {
                    Some(false) => self.open(now),
                    Some(true) if probe => {
                        self.good += 1;
                        if self.good == self.config.probes.successes {
                            self.recover(now);
                        }
                    }
                    _ => {}
                }
            }
            CircuitState::Ramp => {
                if let Some(well) = well {
                    self.ramp = (self.ramp.0 + 1, self.ramp.1 + u32::from(!well));
                    let (all, bad) = self.ramp;
                    if !well && f64::from(bad) > self.config.ramp.tolerance * f64::from(all) {
                        self.open(now);
                    }
                }
            }
            _ => {}
        }
        Says::No
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
    let probes = (1..4u32, 1..4u32, 1..100u64).prop_map(|(at_once, successes, lease)| Probes {
        concurrency: at_once,
        successes,
        lease: ms(lease * 10),
    });
    let ramp = prop_oneof![
        Just(Ramp::NONE),
        (1..100u64, 0.0..1.0, prop_oneof![Just(0.0), Just(0.25), Just(0.5), 0.0..1.0])
            .prop_map(|(over, start, tolerance)| Ramp { duration: ms(over * 10), start, tolerance }),
    ];
    let timeout = prop::option::of((1..300u64).prop_map(ms));
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
    fn the_breaker_does_as_the_model(
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
            probes: vec![],
            good: 0,
            ramp: (0, 0),
            blocked: false,
            disabled: false,
        };
        let mut out: Vec<(usize, Permit<CircuitBreaker>, Call)> = vec![];
        for (id, step) in steps.into_iter().enumerate() {
            // The clock is only ever a whole number of milliseconds.
            let now = time.clock().now().as_nanos() / MS;
            let take = |out: &mut Vec<_>, i: Index| (!out.is_empty()).then(|| out.swap_remove(i.index(out.len())));
            let mut says = Says::No;
            match step {
                Step::Ask => match (breaker.try_acquire_owned(), model.ask(id, now)) {
                    (Ok(permit), Ok(call)) => out.push((id, permit, call)),
                    (Err(no), Err(again)) => prop_assert_eq!(Rejected::retry_after(&no), again),
                    other => prop_assert!(false, "{:?}: {:?}", model, other),
                },
                Step::Done(i, outcome) => if let Some((id, permit, call)) = take(&mut out, i) {
                    permit.done(outcome);
                    says = model.end(id, Some(call), outcome, now);
                },
                Step::Drop(i) => if let Some((id, permit, call)) = take(&mut out, i) {
                    drop(permit);
                    says = model.end(id, Some(call), Outcome::Cancelled, now);
                },
                Step::GiveBack(i) => if let Some((id, permit, call)) = take(&mut out, i) {
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
                    says = model.end(id, None, outcome, now);
                }
                Step::Advance(by) => time.advance(ms(by)),
                Step::ToTheEnd => {
                    // To the first millisecond in which its time is over.
                    let end = model.until.as_nanos().div_ceil(u128::from(MS)) as u64;
                    time.advance_to(Instant::from_nanos(end * MS));
                }
                Step::Trip => {
                    breaker.trip("model");
                    model.open_by(now, true);
                }
                Step::Reset => {
                    breaker.reset();
                    model.turn(CircuitState::Closed, now, Duration::ZERO);
                }
                Step::Block | Step::Unblock => {
                    model.blocked = matches!(step, Step::Block);
                    if model.blocked { breaker.block("model") } else { breaker.unblock() }
                }
                Step::Disable => {
                    breaker.disable();
                    model.disabled = true;
                }
                Step::Enable => {
                    breaker.enable();
                    if std::mem::take(&mut model.disabled) {
                        model.turn(CircuitState::Closed, now, Duration::ZERO);
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
            if says == Says::Yes || says == Says::Either && breaker.state() == CircuitState::Open {
                model.open(now);
            }
            // Looking does what is due by time alone.
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
