//! Many threads while the time stands still: not one unit too many.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Inspect, ManualTime, Permit, Settle};
use plimsoll_limit::{
    Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter, WhenFull,
};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

const THREADS: u64 = 8;
const REQUESTS: u64 = 20_000;
const BURST: u32 = 30_000;
const QUOTA: Quota = Quota::per_hour(1).burst(BURST);

/// Calls `request` on all threads at once, with the numbers of the thread and of the call. Returns
/// the sum of the units that it returns.
fn admitted(request: impl Fn(u64, u64) -> u64 + Sync) -> u64 {
    let (barrier, sum) = (Barrier::new(THREADS as usize), AtomicU64::new(0));
    std::thread::scope(|s| {
        for thread in 0..THREADS {
            let (barrier, sum, request) = (&barrier, &sum, &request);
            s.spawn(move || {
                barrier.wait();
                let units: u64 = (0..REQUESTS).map(|n| request(thread, n)).sum();
                sum.fetch_add(units, SeqCst);
            });
        }
    });
    sum.into_inner()
}

#[test]
fn global_limiter_admits_its_burst_and_no_more() {
    for units in [1, 2, 3, 7] {
        let limiter = RateLimiter::builder().quota(QUOTA).clock(ManualTime::new().clock()).build().unwrap();
        let all = admitted(|_, _| limiter.try_acquire_n(units).map_or(0, |_| u64::from(units)));
        assert_eq!(all, u64::from(BURST / units * units).min(THREADS * REQUESTS * u64::from(units)));
    }
}

#[test]
fn each_account_is_admitted_its_burst_and_no_more() {
    const KEYS: u64 = 16;
    let quota = Quota::per_hour(1).burst(1_000);
    let limiter = KeyedRateLimiter::<u64>::builder()
        .quota(quota)
        .max_keys(64)
        .clock(ManualTime::new().clock())
        .build()
        .unwrap();
    let counts: Vec<_> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    admitted(|thread, n| {
        let key = (thread * 7 + n) % KEYS;
        limiter.try_acquire(&key).map_or(0, |_| counts[key as usize].fetch_add(1, SeqCst))
    });
    assert!(counts.iter().all(|count| count.load(SeqCst) == 1_000), "{counts:?}");
    assert_eq!((limiter.key_count(), limiter.overflowed()), (KEYS as usize, 0));
}

/// One thread changes the rate, another one the burst. Each change was once made to a copy of the
/// quota, so that the last one undid the other.
#[test]
fn changes_of_rate_and_burst_at_once_are_both_kept() {
    let quota = Quota::per_second(1_000).burst(100);
    let tiered = TieredRateLimiter::<u64>::builder().global(quota).class(Class::new("free"));
    let limiters: [&(dyn Inspect + Sync); 4] = [
        &RateLimiter::new(quota).unwrap(),
        &KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(8).build().unwrap(),
        &tiered.max_keys(8).build().unwrap(),
        &FairRateLimiter::<u64>::builder().quota(quota).max_keys(8).build().unwrap(),
    ];
    for limiter in limiters {
        let barrier = Barrier::new(2);
        let change = |setting: &str| {
            barrier.wait();
            for n in 0..REQUESTS / 4 {
                let value = [1_000.0, 500.0][n as usize % 2];
                limiter.set(setting, value).unwrap();
                let mut present = 0.0;
                limiter.read(&mut |name, value| present = if name == setting { value } else { present });
                assert_eq!(present, value, "{} of {}", setting, limiter.name());
            }
        };
        std::thread::scope(|s| {
            s.spawn(|| change("rate"));
            s.spawn(|| change("burst"));
        });
    }
}

/// All accounts in the table owe units, and the others are rejected.
#[test]
fn full_table_admits_no_more_than_its_entries_have() {
    let quota = Quota::per_hour(1).burst(3);
    let limiter = KeyedRateLimiter::<u64>::builder()
        .quota(quota)
        .max_keys(512)
        .when_full(WhenFull::Reject)
        .clock(ManualTime::new().clock())
        .build()
        .unwrap();
    let keys: Vec<_> = (0..20_000).map(|_| AtomicU64::new(0)).collect();
    let all = admitted(|thread, n| {
        // All threads bring each key, at about the same time.
        let key = (n + thread % 3) % keys.len() as u64;
        limiter.try_acquire(&key).map_or(0, |_| {
            keys[key as usize].fetch_add(1, SeqCst);
            1
        })
    });
    // Accounts that came late have not used all their units. Now they do.
    let mut more = 0;
    for (n, key) in keys.iter().enumerate() {
        while limiter.try_acquire(&(n as u64)).is_ok() {
            more += 1;
            key.fetch_add(1, SeqCst);
        }
    }
    assert_eq!(limiter.key_count(), limiter.max_keys());
    assert!(keys.iter().all(|key| key.load(SeqCst) <= 3), "no account has two quotas");
    assert_eq!(all + more, 3 * limiter.max_keys() as u64, "{all} + {more}");
}

/// Half of the threads send nothing but new keys, and the others go on with accounts that have used
/// up their quotas. Time stands still, so that these are admitted nothing.
#[test]
fn account_above_its_quota_is_not_forgotten_in_a_flood() {
    let limiter = KeyedRateLimiter::<u64>::builder()
        .quota(Quota::per_minute(6).burst(1))
        .max_keys(512)
        .clock(ManualTime::new().clock())
        .build()
        .unwrap();
    for key in 0..THREADS {
        assert_eq!([(); 2].map(|()| limiter.try_acquire(&key).is_ok()), [true, false]);
    }
    let all = admitted(|thread, n| match thread % 2 {
        0 => u64::from(limiter.try_acquire(&thread).is_ok()),
        _ => limiter.try_acquire(&(1_000 + thread * 1_000_000 + n)).map_or(1, |_| 0),
    });
    assert_eq!(all, 0, "an account was forgotten, or a new one rejected");
    assert!(limiter.overflowed() > 0);
}

/// While accounts move in and are evicted, an account has one quota. After each step of the time
/// every quota is full again, so that every account may be evicted.
#[test]
fn evicted_account_brought_back_by_all_threads_has_one_quota() {
    const ROUNDS: u64 = 400;
    let time = ManualTime::new();
    let quota = Quota::per_second(1);
    let limiter =
        KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(8).clock(time.clock()).build().unwrap();
    let barrier = Barrier::new(THREADS as usize);
    for round in 0..ROUNDS {
        // All entries are those of other accounts that owe nothing any more.
        time.advance(Duration::from_secs(10));
        (0..8).for_each(|n| drop(limiter.try_acquire(&(1_000_000 + round * 8 + n))));
        time.advance(Duration::from_secs(10));
        let admitted = [const { AtomicU64::new(0) }; 2];
        std::thread::scope(|s| {
            for thread in 0..THREADS {
                let (admitted, barrier, limiter) = (&admitted, &barrier, &limiter);
                s.spawn(move || {
                    barrier.wait();
                    for key in [thread % 2, (thread + 1) % 2] {
                        let unit = u64::from(limiter.try_acquire(&key).is_ok());
                        admitted[key as usize].fetch_add(unit, SeqCst);
                    }
                });
            }
        });
        assert_eq!(admitted.map(AtomicU64::into_inner), [1, 1], "round {round}");
    }
}

#[test]
fn tiered_limiter_never_exceeds_any_of_its_limits() {
    let (each, all, global) = (300, 4_000, 6_000);
    let quota = |burst| Quota::per_hour(1).burst(burst);
    let class = |name| Class::new(name).each(quota(each)).all(quota(all));
    let limits = TieredRateLimiter::<u64>::builder()
        .global(quota(global))
        .class(class("free"))
        .class(class("premium"))
        .class_of(|key| if key % 2 == 0 { "free" } else { "premium" })
        .max_keys(1_024)
        .clock(ManualTime::new().clock())
        .build()
        .unwrap();
    let keys: Vec<_> = (0..64).map(|_| AtomicU64::new(0)).collect();
    let sum = admitted(|thread, n| {
        let (key, units) = ((thread * 5 + n) % 64, 1 + n % 3);
        if limits.try_acquire_n(&key, units as u32).is_err() {
            return 0;
        }
        keys[key as usize].fetch_add(units, SeqCst);
        units
    });
    let keys: Vec<_> = keys.into_iter().map(AtomicU64::into_inner).collect();
    let of = |odd| keys.iter().skip(odd).step_by(2).sum::<u64>();
    assert!(keys.iter().all(|&units| units <= u64::from(each)), "{keys:?}");
    assert!(of(0) <= u64::from(all) && of(1) <= u64::from(all), "{keys:?}");
    assert!(sum <= u64::from(global), "{sum}");
    // No unit is lost if requests cause each other to be rejected: a single thread gets the rest.
    let mut more = 0;
    while let Some(key) = (0..64).find(|key| limits.try_acquire(key).is_ok()) {
        more += 1;
        assert!(key < 64 && more <= u64::from(global));
    }
    assert_eq!(sum + more, u64::from(global));
}

#[test]
fn fair_limiter_admits_no_more_than_its_burst() {
    let limiter = FairRateLimiter::<u64>::builder()
        .quota(QUOTA)
        .max_keys(1_024)
        .clock(ManualTime::new().clock())
        .build()
        .unwrap();
    let all = admitted(|thread, n| u64::from(limiter.try_acquire(&((thread * 3 + n) % 10)).is_ok()));
    assert!(all <= u64::from(BURST), "{all}");
    // The same if nearly all accounts are new and have no entry.
    let limiter = FairRateLimiter::<u64>::builder()
        .quota(QUOTA)
        .max_keys(8)
        .clock(ManualTime::new().clock())
        .build()
        .unwrap();
    let all = admitted(|thread, n| u64::from(limiter.try_acquire(&(thread << 32 | n)).is_ok()));
    assert!(all <= u64::from(BURST), "{all}");
}

/// At no time are more units charged than the burst.
#[test]
fn refunded_unit_is_not_returned_twice() {
    fn hammer<G: Settle>(held: &AtomicU64, burst: u64, acquire: impl Fn(u64) -> Option<Permit<G>> + Sync) {
        admitted(|thread, n| {
            let Some(permit) = acquire(n % 3) else { return 0 };
            // Counted after the charge and before the refund.
            assert!(held.fetch_add(1, SeqCst) < burst);
            if (thread + n) % 2 == 0 {
                held.fetch_sub(1, SeqCst);
                permit.refund();
            }
            1
        });
        assert!(held.load(SeqCst) <= burst);
    }
    let quota = Quota::per_hour(1).burst(500);
    let (time, held) = (ManualTime::new(), AtomicU64::new(0));
    let limiter = RateLimiter::builder().quota(quota).clock(time.clock()).build().unwrap();
    hammer(&held, 500, |_| limiter.try_acquire_owned().ok());
    assert_eq!(held.into_inner(), 500);
    let keyed =
        KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(64).clock(time.clock()).build().unwrap();
    let held = AtomicU64::new(0);
    hammer(&held, 1_500, |key| keyed.try_acquire_owned(&key).ok());
    assert_eq!(held.into_inner(), 1_500);
    let class = Class::new("all").each(quota);
    let tiered = TieredRateLimiter::<u64>::builder()
        .global(quota)
        .class(class)
        .max_keys(64)
        .clock(time.clock())
        .build()
        .unwrap();
    hammer(&AtomicU64::new(0), 500, |key| tiered.try_acquire_owned(&key).ok());
    let fair =
        FairRateLimiter::<u64>::builder().quota(quota).max_keys(64).clock(time.clock()).build().unwrap();
    hammer(&AtomicU64::new(0), 500, |key| fair.try_acquire_owned(&key).ok());
}

/// Some threads still read the old quota while others read the new one. The number of units is the
/// same at any rate.
#[test]
fn quota_that_changes_all_the_time_admits_no_more() {
    let slow = |n: u64| Quota::per(1, Duration::from_secs(100 + n % 7)).burst(5_000);
    let limiter = RateLimiter::builder().quota(slow(0)).clock(ManualTime::new().clock()).build().unwrap();
    let keyed = KeyedRateLimiter::<u8>::builder()
        .quota(slow(0))
        .max_keys(8)
        .clock(ManualTime::new().clock())
        .build()
        .unwrap();
    let all = admitted(|thread, n| {
        if thread == 0 && n % 10 == 0 {
            limiter.set_quota(slow(n)).unwrap();
        }
        u64::from(limiter.try_acquire().is_ok())
    });
    assert!((4_990..=5_000).contains(&all), "{all}");
    let all = admitted(|thread, n| {
        if thread == 0 && n % 10 == 0 {
            keyed.set_quota(slow(n)).unwrap();
        }
        u64::from(keyed.try_acquire(&1).is_ok())
    });
    assert!((4_990..=5_000).contains(&all), "{all}");
}
