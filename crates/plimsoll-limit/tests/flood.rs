//! Two hundred thousand keys against a table for ten thousand.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_core::{Dice, ManualTime, Reason};
use plimsoll_limit::{KeyedRateLimiter, Quota, WhenFull};
use std::time::Duration;

const ACCOUNTS: usize = 10_000;
const FLOOD: u64 = 200_000;
const THREADS: u64 = 4;
const BURST: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);
const KNOWN: u64 = 100;
/// The parts of the flood. A second passes between two of them.
const PARTS: u64 = 20;

fn limiter(quota: Quota, time: &ManualTime) -> KeyedRateLimiter<u64> {
    let builder = KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(ACCOUNTS);
    builder.clock(time.clock()).dice(Dice::seeded(7)).build().unwrap()
}

/// The known accounts send requests before, between and after the parts of the flood. Each of them
/// is admitted exactly what it would be if it were alone.
#[test]
fn flood_of_keys_grows_nothing_and_leaves_known_accounts_alone() {
    let time = ManualTime::new();
    let quota = Quota::per_second(4).burst(BURST);
    let limiter = limiter(quota, &time);
    // A known account sends five requests a second, one more than is replenished. So its quota is
    // never full, and it is never evicted. What remains to it is counted in fifths of a unit,
    // without remainder.
    let mut remaining = vec![BURST * 5; KNOWN as usize];
    let mut send_from_known = |try_acquire: &dyn Fn(&u64) -> bool| {
        for (key, remaining) in remaining.iter_mut().enumerate() {
            for _ in 0..5 {
                let expected = *remaining >= 5;
                *remaining -= if expected { 5 } else { 0 };
                assert_eq!(try_acquire(&(key as u64)), expected, "account {key}");
            }
            *remaining = (*remaining + 20).min(BURST * 5);
        }
    };
    let try_acquire = |key: &u64| limiter.try_acquire(key).is_ok();
    send_from_known(&try_acquire);
    let bytes: u64 = (0..PARTS)
        .map(|part| {
            let bytes = std::thread::scope(|s| {
                let flood = |thread| {
                    let (limiter, each) = (&limiter, FLOOD / PARTS / THREADS);
                    let from = KNOWN + (part * THREADS + thread) * each;
                    move || {
                        measure(|| (from..from + each).for_each(|key| drop(limiter.try_acquire(&key))))
                            .bytes_total
                    }
                };
                let threads: Vec<_> = (0..THREADS).map(|thread| s.spawn(flood(thread))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
            });
            time.advance(Duration::from_secs(1));
            send_from_known(&try_acquire);
            bytes
        })
        .sum();
    assert_eq!(bytes, 0, "memory grew");
    assert_eq!(limiter.max_keys(), ACCOUNTS);
    // The quotas of the flood's keys are full again. The gauge once counted every entry ever used.
    assert_eq!(limiter.key_count(), KNOWN as usize);
    assert!(limiter.overflowed() > 0, "the table was full");
}

/// On request, no account that owes units is evicted, and new accounts are rejected.
#[test]
fn new_accounts_without_room_are_rejected_on_request() {
    let time = ManualTime::new();
    let limiter = KeyedRateLimiter::<u64>::builder()
        .quota(Quota::per_second(4).burst(BURST))
        .max_keys(64)
        .when_full(WhenFull::Reject)
        .clock(time.clock())
        .dice(Dice::seeded(7))
        .build()
        .unwrap();
    let known: Vec<u64> = (0..10_000).filter(|key| limiter.try_acquire(key).is_ok()).collect();
    assert_eq!((known.len(), limiter.key_count(), limiter.overflowed()), (64, 64, 10_000 - 64));
    let flood = |from: u64| (from..from + 10_000).filter(|key| limiter.try_acquire(key).is_ok()).count();
    assert_eq!(flood(2_000_000), 0);
    let rejected = limiter.try_acquire(&3_000_000).unwrap_err();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Throttled, Some(SECOND / 4)));
    // Meanwhile the known accounts keep their quotas.
    for key in &known[1..] {
        assert!((1..BURST).all(|_| limiter.try_acquire(key).is_ok()) && limiter.try_acquire(key).is_err());
    }
    // The quota of the first is full again, and one new account takes its entry.
    time.advance(SECOND / 4);
    assert_eq!((flood(4_000_000), limiter.try_acquire(&known[1]).is_ok()), (1, true));
    // The operator's lever: it can be changed at any time.
    limiter.set_when_full(WhenFull::Evict);
    assert_eq!(flood(5_000_000), 10_000);
}

/// Accounts that owe nothing are evicted first, then the one that owes the fewest units.
#[test]
fn account_whose_quota_is_full_for_longest_is_evicted_first() {
    let time = ManualTime::new();
    let builder = KeyedRateLimiter::<u64>::builder().quota(Quota::per_second(1).burst(10)).max_keys(8);
    let limiter = builder.clock(time.clock()).build().unwrap();
    for key in 0..8 {
        assert!(limiter.try_acquire(&key).is_ok());
        time.advance(Duration::from_millis(100));
    }
    for (key, units) in [(0, 9), (1, 8), (4, 1), (5, 2), (6, 3), (7, 2)] {
        limiter.check_n(&key, units).unwrap();
    }
    assert_eq!((limiter.key_count(), limiter.overflowed()), (8, 0));
    // Now the quotas of 2 and 3 are full again, that of 2 for 0.1 s longer.
    time.advance(Duration::from_millis(550));
    assert!(limiter.try_acquire_n(&100, 10).is_ok() && limiter.try_acquire_n(&101, 10).is_ok());
    assert_eq!(limiter.overflowed(), 0);
    // Account 4 owes the fewest, 1.05 of a unit.
    limiter.check_n(&102, 3).unwrap();
    assert_eq!(limiter.overflowed(), 1, "every other account owes units");
    for (key, remaining) in [(0, 1), (1, 2), (5, 7), (6, 6), (7, 7), (100, 0), (101, 0), (102, 7)] {
        let admitted = (0..10).filter(|_| limiter.try_acquire(&key).is_ok()).count();
        assert_eq!(admitted, remaining, "account {key}");
    }
}

/// More accounts than entries take turns, and each sends thirty times its quota. If the oldest were
/// evicted, each would be forgotten before its second request, and all would be admitted. As it is,
/// nearly all that have an entry stay limited.
#[test]
fn accounts_above_their_quota_stay_limited_if_they_are_too_many() {
    for (accounts, most) in [(512, 0.034), (1_024, 0.15), (2_048, 0.65)] {
        let time = ManualTime::new();
        let builder =
            KeyedRateLimiter::<u64>::builder().quota(Quota::per_minute(10).burst(2)).max_keys(1_024);
        let limiter = builder.clock(time.clock()).dice(Dice::seeded(7)).build().unwrap();
        let round = || {
            let admitted = (0..accounts).filter(|key| {
                time.advance(SECOND / 5 / accounts as u32);
                limiter.try_acquire(key).is_ok()
            });
            admitted.count()
        };
        (0..300).for_each(|_| _ = round());
        let admitted = (0..300).map(|_| round()).sum::<usize>() as f64 / (300 * accounts) as f64;
        assert!(admitted < most, "{accounts} accounts: {admitted} of their requests");
    }
}
