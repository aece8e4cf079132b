//! Costs that are known only afterwards: reserved, then settled; and what an operator forgives.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Gate, Keyed, KeyedExt, ManualTime, Outcome, Pack, Packed, Permit, RequestInfo, Settle};
use plimsoll_limit::{
    Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, Share, TieredRateLimiter,
};
use proptest::prelude::*;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const QUOTA: Quota = Quota::per_second(100).burst(1_000);

struct Limiters {
    time: ManualTime,
    global: RateLimiter,
    keyed: KeyedRateLimiter<u64>,
    tiered: TieredRateLimiter<u64>,
    fair: FairRateLimiter<u64>,
}

fn limiters() -> Limiters {
    let time = ManualTime::new();
    time.advance(S);
    let class = Class::new("free").each(QUOTA).all(QUOTA);
    Limiters {
        global: RateLimiter::builder().quota(QUOTA).clock(time.clock()).build().unwrap(),
        keyed: KeyedRateLimiter::builder().quota(QUOTA).clock(time.clock()).build().unwrap(),
        tiered: TieredRateLimiter::builder().global(QUOTA).class(class).clock(time.clock()).build().unwrap(),
        // One account of a large quota, with a cap.
        fair: FairRateLimiter::builder()
            .quota(Quota::per_second(1_000_000))
            .share_of(|_| Share::default().at_most(QUOTA))
            .clock(time.clock())
            .build()
            .unwrap(),
        time,
    }
}

/// Runs a check with each limiter: `n` units, and how to reach the account.
fn for_each(check: impl for<'a> Fn(&ManualTime, &'a dyn Fn(u32) -> Option<Dyn<'a>>, &dyn Ledger)) {
    let all = limiters();
    check(&all.time, &|n| hold(all.global.try_acquire_n(n)), &all.global);
    let all = limiters();
    check(&all.time, &|n| hold(all.keyed.try_acquire_n(&1, n)), &all.keyed);
    let all = limiters();
    check(&all.time, &|n| hold(all.tiered.try_acquire_n(&1, n)), &all.tiered);
    let all = limiters();
    check(&all.time, &|n| hold(all.fair.try_acquire_n(&1, n)), &all.fair);
}

type Dyn<'a> = Box<dyn Held + 'a>;

trait Held {
    fn settle(&mut self, actual: u32);
    fn refund(self: Box<Self>);
    fn done(self: Box<Self>);
}

struct Reserved<G: Settle>(Permit<G>);

fn hold<'a, G: Settle + 'a>(permit: Result<Permit<G>, plimsoll_core::Rejected>) -> Option<Dyn<'a>> {
    Some(Box::new(Reserved(permit.ok()?)))
}

impl<G: Settle> Held for Reserved<G> {
    fn settle(&mut self, actual: u32) {
        self.0.settle_units(actual);
    }
    fn refund(self: Box<Self>) {
        self.0.refund();
    }
    fn done(self: Box<Self>) {
        self.0.done(Outcome::Success);
    }
}

/// The words that all limiters have in common, for account 1.
trait Ledger {
    fn remaining(&self) -> u32;
    fn debit(&self, units: u32);
    fn credit(&self, units: u32);
    fn reset(&self);
}

impl Ledger for RateLimiter {
    fn remaining(&self) -> u32 {
        RateLimiter::remaining(self)
    }
    fn debit(&self, units: u32) {
        RateLimiter::debit(self, units);
    }
    fn credit(&self, units: u32) {
        RateLimiter::credit(self, units);
    }
    fn reset(&self) {
        RateLimiter::reset(self);
    }
}

macro_rules! ledger {
    ($limiter:ty) => {
        impl Ledger for $limiter {
            fn remaining(&self) -> u32 {
                <$limiter>::remaining(self, &1)
            }
            fn debit(&self, units: u32) {
                <$limiter>::debit(self, &1, units);
            }
            fn credit(&self, units: u32) {
                <$limiter>::credit(self, &1, units);
            }
            fn reset(&self) {
                <$limiter>::reset(self, &1);
            }
        }
    };
}
ledger!(KeyedRateLimiter<u64>);
ledger!(TieredRateLimiter<u64>);
ledger!(FairRateLimiter<u64>);

/// The tokens of a language model: 500 are reserved, and 120 were used.
#[test]
fn less_than_reserved_is_refunded() {
    for_each(|time, reserve, ledger| {
        let mut permit = reserve(500).unwrap();
        assert_eq!(ledger.remaining(), 500);
        permit.settle(120);
        assert_eq!(ledger.remaining(), 880);
        // It is settled again when more is known, and refunded as a whole.
        permit.settle(200);
        assert_eq!(ledger.remaining(), 800);
        permit.settle(150);
        permit.refund();
        assert_eq!(ledger.remaining(), 1_000);
        // What was replenished meanwhile is not returned twice: 400 of the 500 units.
        let mut permit = reserve(500).unwrap();
        time.advance(4 * S);
        let left = ledger.remaining();
        permit.settle(450);
        assert_eq!((left, ledger.remaining()), (900, 950));
        permit.settle(100);
        assert_eq!(ledger.remaining(), 1_000, "as if 100 had been taken 4 s ago");
        permit.done();
    });
}

/// More than reserved becomes debt, which later requests wait for.
#[test]
fn more_than_reserved_becomes_debt() {
    for_each(|time, reserve, ledger| {
        let mut permit = reserve(500).unwrap();
        permit.settle(1_500);
        permit.done();
        assert_eq!(ledger.remaining(), 0);
        assert!(reserve(1).is_none());
        time.advance(5 * S);
        assert!(reserve(1).is_none(), "500 units of debt");
        time.advance(S / 100);
        assert!(reserve(1).is_some());
    });
}

/// The debt is bounded: a request for one unit waits no longer than the burst takes to fill up.
#[test]
fn debt_is_at_most_one_burst() {
    for_each(|time, reserve, ledger| {
        for _ in 0..10 {
            ledger.debit(u32::MAX);
        }
        time.advance(10 * S);
        assert!(reserve(1).is_some());
        assert!(reserve(1).is_none());
        time.advance(20 * S);
        assert_eq!(ledger.remaining(), 1_000);
    });
}

/// A debit charges an account that was never seen, too, and no other one.
#[test]
fn debit_charges_an_unknown_account_alone() {
    let Limiters { keyed, tiered, fair, .. } = limiters();
    keyed.debit(&7, 1_200);
    assert_eq!((keyed.remaining(&7), keyed.remaining(&8), keyed.key_count()), (0, 1_000, 1));
    tiered.debit(&7, 300);
    assert_eq!((tiered.remaining(&7), tiered.remaining(&8)), (700, 700), "shared by the class");
    fair.debit(&7, 300);
    assert_eq!((fair.remaining(&7), fair.remaining(&8)), (700, 1_000));
}

/// An operator forgives one account: half, then all.
#[test]
fn credit_and_reset_forgive_up_to_the_burst() {
    let Limiters { global, keyed, time, .. } = limiters();
    for ledger in [&global as &dyn Ledger, &keyed] {
        ledger.debit(1_500);
        ledger.credit(700);
        assert_eq!(ledger.remaining(), 200);
        ledger.reset();
        assert_eq!(ledger.remaining(), 1_000);
        ledger.credit(700);
        ledger.debit(1_000);
        assert_eq!(ledger.remaining(), 0, "a credit fills up to the burst");
    }
    // The shared quotas stay charged.
    let class = Class::new("free").each(Quota::per_hour(10)).all(Quota::per_hour(100));
    let tiered = TieredRateLimiter::<u64>::builder().class(class).clock(time.clock()).build().unwrap();
    tiered.check_n(&1, 10).unwrap();
    assert!(tiered.check(&1).is_err());
    tiered.reset(&1);
    tiered.check_n(&1, 10).unwrap();
    assert_eq!(tiered.remaining(&2), 10);
    tiered.credit(&1, 4);
    assert_eq!(tiered.remaining(&1), 4);
    for key in 2..10 {
        tiered.check_n(&key, 10).unwrap();
    }
    tiered.reset(&1);
    assert_eq!(tiered.remaining(&1), 0, "100 units of the class are used up");
    // A fair limiter: the cap.
    let share = |_: &u64| Share::default().at_most(Quota::per_hour(10));
    let fair = FairRateLimiter::<u64>::builder().share_of(share).clock(time.clock()).build().unwrap();
    fair.check_n(&1, 10).unwrap();
    fair.reset(&1);
    fair.check_n(&1, 10).unwrap();
    assert!(fair.check(&1).is_err());
}

/// A tuple settles each limiter, and a packed charge is settled as any other.
#[test]
fn tuple_and_packed_charges_are_settled() {
    let Limiters { global, keyed, tiered, fair, .. } = limiters();
    let gates =
        (global.clone(), keyed.by(|key: &u64| *key), tiered.by(|key: &u64| *key), fair.by(|key: &u64| *key));
    let mut permit = Permit::new(&gates, gates.admit(&1).unwrap());
    permit.settle_units(400);
    permit.done(Outcome::Success);
    let remaining = [global.remaining(), keyed.remaining(&1), tiered.remaining(&1), fair.remaining(&1)];
    assert_eq!(remaining, [600; 4]);
    macro_rules! packed {
        ($limiter:expr) => {{
            let gate = Packed($limiter.clone());
            let mut words = $limiter.admit_for(&1, RequestInfo::new().cost(100)).unwrap().pack();
            gate.settle_units(&mut words, 300);
            assert_eq!($limiter.remaining(&1), 300);
            gate.settle_units(&mut words, 50);
            assert_eq!($limiter.remaining(&1), 550);
            gate.refund(words);
            assert_eq!($limiter.remaining(&1), 600);
        }};
    }
    packed!(keyed);
    packed!(tiered);
    packed!(fair);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is reserved and settled for less, no span has more than burst and rate of what was
    /// used.
    #[test]
    fn settled_units_keep_within_burst_and_rate(
        steps in prop::collection::vec((0..2_000u64, 1..20u32, 0..20u32, any::<bool>()), 1..100),
    ) {
        let time = ManualTime::new();
        let quota = Quota::per_second(10).burst(20);
        let keyed = KeyedRateLimiter::<u64>::builder().quota(quota).clock(time.clock()).build().unwrap();
        let mut used: Vec<(u64, u32)> = vec![];
        let mut held: Vec<(usize, u32, Permit<KeyedRateLimiter<u64>>)> = vec![];
        for (millis, units, actual, settle) in steps {
            time.advance(Duration::from_millis(millis));
            if settle && !held.is_empty() {
                let (n, units, mut permit) = held.swap_remove(actual as usize % held.len());
                let actual = actual.min(units);
                permit.settle_units(actual);
                used[n].1 = actual;
            }
            if let Ok(charge) = keyed.admit_for(&1, RequestInfo::new().cost(units)) {
                held.push((used.len(), units, Permit::new(keyed.clone(), charge)));
                used.push((time.clock().now().as_nanos(), units));
            }
        }
        for (first, (from, _)) in used.iter().enumerate() {
            let mut sum = 0;
            for (to, units) in &used[first..] {
                sum += u64::from(*units);
                prop_assert!(sum <= 20 + (to - from) / 100_000_000);
            }
        }
    }
}
