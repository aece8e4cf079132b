//! What a fair limiter states of the quota that applied to a request.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Allowance, Dice, ManualTime, Permit, Settle};
use plimsoll_limit::{FairRateLimiter, FairRateLimiterBuilder, Quota, Share};
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

/// Returns whether the shared quota is stated, instead of a share of it.
fn is_shared_quota(allowance: &Allowance) -> bool {
    (allowance.limit, allowance.window) == (100, 100 * MS)
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
        assert!(allowances(&long).iter().all(is_shared_quota), "{:?}", allowances(&long));
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
            assert!(allowances(&permit).iter().all(is_shared_quota), "{:?}", allowances(&permit));
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
    let [Allowance { limit: 60..=250, remaining, window: S, .. }] = allowances[..] else {
        panic!("{allowances:?}")
    };
    assert!(remaining > 0, "{allowances:?}");
}

/// An account with a guarantee was once stated to have no units, while all its requests were
/// admitted.
#[test]
fn guaranteed_units_count_as_remaining() {
    let time = ManualTime::new();
    let share = |key: &u64| Share::default().at_least(if *key == 0 { 300.0 } else { 0.0 });
    let limiter = builder(&time).share_of(share).build().unwrap();
    let others: Vec<u64> = (1..=20).collect();
    for n in 0..4_000_u64 {
        contend(&limiter, &time, &others, 4);
        let remaining = limiter.remaining(&0);
        assert_eq!(remaining > 0, limiter.check(&0).is_ok(), "{n}");
    }
}
