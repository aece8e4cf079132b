//! What keyed limiters state of the quotas that applied to a request.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Allowance, Dice, ManualTime, Pack, Packed, Permit, Settle};
use plimsoll_limit::{
    Class, FairRateLimiter, FairRateLimiterBuilder, KeyedRateLimiter, Quota, Share, TieredRateLimiter,
};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn builder(time: &ManualTime) -> FairRateLimiterBuilder<u64> {
    let quota = Quota::per_second(1_000).burst(100);
    FairRateLimiter::builder().quota(quota).clock(time.clock()).dice(Dice::seeded(1))
}

fn allowances<G: Settle>(permit: &Permit<G>) -> Vec<Allowance> {
    let mut all = vec![];
    permit.allowances(&mut |allowance| all.push(allowance));
    all
}

/// Lets the accounts request twice the rate together, in turns, for `millis`.
fn contend(limiter: &FairRateLimiter<u64>, time: &ManualTime, accounts: &[u64], millis: u64) {
    for _ in 0..2 * millis {
        time.advance(MS / 2);
        let turn = time.clock().now().as_nanos() / 500_000;
        let _ = limiter.check(&accounts[turn as usize % accounts.len()]);
    }
}

/// Returns whether the shared quota is stated, and it is so full that shares do not matter.
fn is_uncontended(allowance: &Allowance) -> bool {
    (allowance.limit, allowance.window) == (100, 100 * MS) && allowance.remaining >= 90
}

/// The usage of the account that has taken over the entry was once stated as its own.
#[test]
fn evicted_account_is_stated_no_share_of_another() {
    let time = ManualTime::new();
    time.advance(S);
    let limiter = builder(&time).max_keys(8).build().unwrap();
    let long = limiter.try_acquire(&1).unwrap();
    time.advance(20 * S);
    let others: Vec<u64> = (100..108).collect();
    contend(&limiter, &time, &others, 2_000);
    for _ in 0..1_000 {
        contend(&limiter, &time, &others, 1);
        assert!(allowances(&long).iter().all(is_uncontended), "{:?}", allowances(&long));
    }
}

/// An account without an entry shares a usage with others.
#[test]
fn newcomer_without_an_entry_is_stated_no_usage_of_others() {
    let time = ManualTime::new();
    time.advance(S);
    let limiter = builder(&time).max_keys(8).build().unwrap();
    let known: Vec<u64> = (100..108).collect();
    contend(&limiter, &time, &known, 2_000);
    let mut admitted = 0;
    for n in 0..4_000 {
        contend(&limiter, &time, &known, 2);
        if let Ok(permit) = limiter.try_acquire(&(5_000 + n)) {
            admitted += 1;
            assert!(allowances(&permit).iter().all(is_uncontended), "{:?}", allowances(&permit));
        }
    }
    assert!(admitted > 100, "{admitted}");
}

/// A share is stated for as long as the entry is surely that of the account.
#[test]
fn long_request_is_stated_its_share_for_some_seconds() {
    let time = ManualTime::new();
    let limiter = builder(&time).build().unwrap();
    let accounts: Vec<u64> = (0..10).collect();
    contend(&limiter, &time, &accounts, 2_000);
    let permit = (0..1_000).find_map(|_| {
        contend(&limiter, &time, &accounts, 1);
        limiter.try_acquire(&0).ok()
    });
    contend(&limiter, &time, &accounts[1..], 5_000);
    let allowances = allowances(&permit.unwrap());
    let [Allowance { limit: 100, remaining, .. }] = allowances[..] else { panic!("{allowances:?}") };
    assert!(remaining > 0, "{allowances:?}");
}

/// An account that was alone was once stated its burst as the limit of a second: a tenth of what it
/// could have.
#[test]
fn account_alone_is_stated_the_shared_quota() {
    let time = ManualTime::new();
    time.advance(S);
    let limiter = builder(&time).build().unwrap();
    let permit = limiter.try_acquire(&1).unwrap();
    let shared =
        |remaining, reset| Allowance::new("fair", 100, 100 * MS).remaining(remaining, reset).shared(true);
    assert_eq!(allowances(&permit), [shared(99, MS)]);
    for _ in 0..10_000 {
        time.advance(MS);
        limiter.check(&1).unwrap();
    }
    assert_eq!(allowances(&permit), [shared(99, MS)]);
    time.advance(100 * MS);
    assert_eq!(allowances(&permit), [shared(100, Duration::ZERO)]);
}

/// Clients saw 79 different limits under one name, as the share changed with the number of
/// accounts. The limit is always that of the shared quota. What remains is at most the account's
/// share.
#[test]
fn contended_share_is_stated_under_one_limit() {
    let time = ManualTime::new();
    let limiter = builder(&time).build().unwrap();
    contend(&limiter, &time, &[1, 2], 4_000);
    let (mut stated, mut rejected, mut nothing) = (0, 0, 0);
    for n in 0..4_000 {
        contend(&limiter, &time, &[1, 2, 1], 1);
        let key = if n % 500 == 0 { 1_000 + n } else { 2 };
        let permit = match limiter.try_acquire(&key) {
            Ok(permit) => permit,
            Err(rejection) => {
                rejected += 1;
                let limited = rejection.reason() == plimsoll_core::Reason::Limited;
                let stated = (rejection.limit(), rejection.window());
                assert_eq!(stated, if limited { (None, None) } else { (Some(100), Some(100 * MS)) });
                continue;
            }
        };
        for allowance in allowances(&permit) {
            let Allowance { limit, window, remaining, reset, .. } = allowance;
            assert_eq!((limit, window), (100, 100 * MS));
            assert!(allowance.shared, "clients are not told the quota of all");
            assert_eq!(remaining == limit, reset.is_zero(), "{allowance:?}");
            assert!(reset < 10 * S, "{allowance:?}");
            (stated, nothing) = (stated + 1, nothing + u32::from(remaining == 0));
        }
    }
    assert!(stated > 500 && rejected > 500, "{stated} {rejected}");
    assert!(nothing > 100 && nothing < stated, "the share is used up now and then: {nothing} of {stated}");
}

/// An account with a guarantee was once stated to have no units, while all its requests were
/// admitted.
#[test]
fn guaranteed_units_count_as_remaining() {
    let time = ManualTime::new();
    let share = |key: &u64| Share::default().at_least(if *key == 0 { 300.0 } else { 0.0 });
    let limiter = builder(&time).share_of(share).build().unwrap();
    let others: Vec<u64> = (1..=20).collect();
    let mut stated = 0;
    for n in 0..4_000_u64 {
        contend(&limiter, &time, &others, 4);
        let remaining = limiter.remaining(&0);
        let admitted = limiter.try_acquire(&0);
        assert_eq!(remaining > 0, admitted.is_ok(), "{n}");
        let Ok(permit) = admitted else { continue };
        // The same when the charge was packed into words.
        let mut all = allowances(&permit);
        for packed in [false, true] {
            if packed {
                let words = plimsoll_core::Keyed::admit_for(&limiter, &0, Default::default()).map(Pack::pack);
                let Ok(words) = words else { continue };
                all.clear();
                Packed(limiter.clone()).allowances(&words, &mut |allowance| all.push(allowance));
                Packed(limiter.clone()).refund(words);
            }
            let [allowance] = all[..] else { panic!("{all:?}") };
            stated += 1;
            assert_eq!(allowance.limit, 100, "{allowance:?}");
        }
    }
    assert!(stated > 4_000, "{stated}");
}

/// The state of the account that has taken over the entry was once stated as its own.
#[test]
fn evicted_account_is_stated_no_quota_of_another() {
    let time = ManualTime::new();
    let quota = Quota::per_second(10);
    let keyed = KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(8).clock(time.clock());
    let keyed = keyed.dice(Dice::seeded(1)).build().unwrap();
    let class = Class::new("free").each(quota);
    let tiered = TieredRateLimiter::<u64>::builder().class(class).max_keys(8).clock(time.clock());
    let tiered = tiered.dice(Dice::seeded(1)).build().unwrap();
    let (of_keyed, of_tiered) = (keyed.try_acquire(&1).unwrap(), tiered.try_acquire(&1).unwrap());
    assert_eq!((allowances(&of_keyed).len(), allowances(&of_tiered).len()), (1, 1));
    time.advance(10 * S);
    for key in 100..1_100 {
        let _ = (keyed.check(&key), tiered.check(&key));
    }
    assert_eq!((allowances(&of_keyed), allowances(&of_tiered)), (vec![], vec![]));
}

/// The table is full, and the account displaces another one.
#[test]
fn new_account_in_a_full_table_is_stated_its_own_quota() {
    let time = ManualTime::new();
    let quota = Quota::per_second(10).burst(100);
    let keyed = KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(8).clock(time.clock());
    let keyed = keyed.dice(Dice::seeded(1)).build().unwrap();
    for key in 100..1_100 {
        let _ = keyed.check(&key);
    }
    assert!(keyed.overflowed() > 0);
    let permit = keyed.try_acquire(&1).unwrap();
    let remaining: Vec<_> = allowances(&permit).into_iter().map(|allowance| allowance.remaining).collect();
    assert_eq!(remaining, [99]);
}
