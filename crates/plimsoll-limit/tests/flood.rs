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
/// Slices of the flood; a second goes by between them.
const SLICES: u64 = 20;

fn table(quota: Quota, time: &ManualTime) -> KeyedRateLimiter<u64> {
    let builder = KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(ACCOUNTS);
    builder.clock(time.clock()).dice(Dice::seeded(7)).build().unwrap()
}

/// The known ones ask before, between and after; each of them is counted for as if it were alone.
#[test]
fn ten_million_keys_grow_nothing_and_take_nothing_from_those_who_are_known() {
    let time = ManualTime::new();
    let quota = Quota::per_second(4).burst(BURST);
    let limiter = table(quota, &time);
    // Who is known asks five times a second, one more than comes back: never full again, so never forgotten.
    let mut left = vec![BURST * 5; KNOWN as usize];
    let mut asked = |ask: &dyn Fn(&u64) -> bool| {
        for (key, left) in left.iter_mut().enumerate() {
            for _ in 0..5 {
                let expected = *left >= 5;
                *left -= if expected { 5 } else { 0 };
                assert_eq!(ask(&(key as u64)), expected, "account {key}");
            }
            // In fifths of a unit, so that nothing is left over.
            *left = (*left + 20).min(BURST * 5);
        }
    };
    let ask = |key: &u64| limiter.try_acquire(key).is_ok();
    asked(&ask);
    let bytes: u64 = (0..SLICES)
        .map(|slice| {
            let bytes = std::thread::scope(|s| {
                let flood = |thread| {
                    let (limiter, each) = (&limiter, FLOOD / SLICES / THREADS);
                    let from = KNOWN + (slice * THREADS + thread) * each;
                    move || {
                        measure(|| (from..from + each).for_each(|key| drop(limiter.try_acquire(&key))))
                            .bytes_total
                    }
                };
                let threads: Vec<_> = (0..THREADS).map(|thread| s.spawn(flood(thread))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
            });
            time.advance(Duration::from_secs(1));
            asked(&ask);
            bytes
        })
        .sum();
    assert_eq!(bytes, 0, "memory grew");
    assert_eq!(limiter.max_keys(), ACCOUNTS);
    assert_eq!(limiter.key_count(), ACCOUNTS, "it is full, and no fuller");
}

/// With the clock standing still nobody who owes goes, and all newcomers together get 64 quotas.
#[test]
fn newcomers_without_room_share_64_quotas() {
    let time = ManualTime::new();
    let limiter = KeyedRateLimiter::<u64>::builder()
        .quota(Quota::per_second(4).burst(BURST))
        .max_keys(64)
        .clock(time.clock())
        .dice(Dice::seeded(7))
        .build()
        .unwrap();
    // Until it is full.
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
    assert_eq!(flood(3_000_000), 0, "it is used up");
    // Meanwhile those who are known have what they had.
    for key in &known[..known.len() - 1] {
        assert!((1..BURST).all(|_| limiter.try_acquire(key).is_ok()) && limiter.try_acquire(key).is_err());
    }
    // In a second what comes back of the 64, and no more: those who are known owe still.
    time.advance(Duration::from_secs(1));
    let more = flood(4_000_000);
    // Who had asked once has nothing left to remember, and its slot is a newcomer's.
    let moved = limiter.max_keys() * BURST as usize;
    assert!(more <= 64 * 4 + moved, "{more}");
}

/// The account that has been full for longest goes first; nobody who owes goes.
#[test]
fn whose_quota_is_full_again_goes_first() {
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
    // Now 2 and 3 are full again: 2 since 0.1 s longer.
    time.advance(Duration::from_millis(550));
    assert!(limiter.try_acquire_n(&100, 10).is_ok() && limiter.try_acquire_n(&101, 10).is_ok());
    assert_eq!(limiter.overflowed(), 0);
    drop(limiter.try_acquire(&102));
    assert_eq!(limiter.overflowed(), 1, "nobody else may go");
    for (key, most) in [(0, 1), (1, 1), (4, 9), (5, 9), (6, 9), (7, 9), (100, 0), (101, 0)] {
        let left = (0..10).filter(|_| limiter.try_acquire(&key).is_ok()).count();
        assert_eq!(left, most, "account {key}");
    }
}
