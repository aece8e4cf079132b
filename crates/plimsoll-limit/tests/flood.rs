//! Ten million keys against a table for a hundred thousand.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_core::{Dice, ManualTime};
use plimsoll_limit::{KeyedRateLimiter, Quota};
use std::time::Duration;

const ACCOUNTS: usize = 100_000;
const FLOOD: u64 = 10_000_000;
const THREADS: u64 = 4;
const BURST: u32 = 20;
const KNOWN: u64 = 1_000;
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
    assert_eq!(limiter.key_count(), ACCOUNTS, "the table is full");
}

/// While the time stands still, no account that owes units is evicted, and all new accounts
/// together get 64 quotas.
#[test]
fn new_accounts_without_room_share_64_quotas() {
    let time = ManualTime::new();
    let limiter = KeyedRateLimiter::<u64>::builder()
        .quota(Quota::per_second(4).burst(BURST))
        .max_keys(64)
        .clock(time.clock())
        .dice(Dice::seeded(7))
        .build()
        .unwrap();
    let known: Vec<u64> =
        (0..100_000).filter(|key| limiter.overflowed() == 0 && limiter.try_acquire(key).is_ok()).collect();
    let mut key = 1_000_000;
    while limiter.key_count() < limiter.max_keys() {
        key += 1;
        drop(limiter.try_acquire(&key));
    }
    let flood = |from: u64| (from..from + 100_000).filter(|key| limiter.try_acquire(key).is_ok()).count();
    let shared = 64 * BURST as usize;
    assert!(flood(2_000_000) <= shared);
    assert_eq!(flood(3_000_000), 0, "the shared quotas are used up");
    // Meanwhile the known accounts keep their quotas.
    for key in &known[..known.len() - 1] {
        assert!((1..BURST).all(|_| limiter.try_acquire(key).is_ok()) && limiter.try_acquire(key).is_err());
    }
    // In a second, as much as is replenished in the 64 quotas. Accounts that have sent one request
    // have nothing left to remember by then, and new ones take their entries.
    time.advance(Duration::from_secs(1));
    let more = flood(4_000_000);
    let moved_in = limiter.max_keys() * BURST as usize;
    assert!(more <= 64 * 4 + moved_in, "{more}");
}

/// No account that owes units is evicted.
#[test]
fn account_whose_quota_is_full_for_longest_is_evicted_first() {
    let time = ManualTime::new();
    let builder = KeyedRateLimiter::<u64>::builder().quota(Quota::per_second(1).burst(10)).max_keys(8);
    let limiter = builder.clock(time.clock()).build().unwrap();
    for key in 0..8 {
        assert!(limiter.try_acquire(&key).is_ok());
        time.advance(Duration::from_millis(100));
    }
    let _ = limiter.try_acquire_n(&0, 9).map(drop);
    let _ = limiter.try_acquire_n(&1, 9).map(drop);
    assert_eq!((limiter.key_count(), limiter.overflowed()), (8, 0));
    // Now the quotas of 2 and 3 are full again, that of 2 for 0.1 s longer.
    time.advance(Duration::from_millis(550));
    assert!(limiter.try_acquire_n(&100, 10).is_ok() && limiter.try_acquire_n(&101, 10).is_ok());
    assert_eq!(limiter.overflowed(), 0);
    drop(limiter.try_acquire(&102));
    assert_eq!(limiter.overflowed(), 1, "no other account may be evicted");
    for (key, remaining) in [(0, 1), (1, 1), (4, 9), (5, 9), (6, 9), (7, 9), (100, 0), (101, 0)] {
        let admitted = (0..10).filter(|_| limiter.try_acquire(&key).is_ok()).count();
        assert_eq!(admitted, remaining, "account {key}");
    }
}
