//! Fair shares of accounts that send requests at given rates.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, Event, ManualTime, Observe, Reason};
use plimsoll_limit::{FairRateLimiter, FairRateLimiterBuilder, Quota, Share};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const RATE: u32 = 1_000;
const BURST: u32 = 100;
const QUOTA: Quota = Quota::per_second(RATE).burst(BURST);

fn builder(time: &ManualTime) -> FairRateLimiterBuilder<u64> {
    FairRateLimiter::builder().quota(QUOTA).clock(time.clock()).dice(Dice::seeded(1))
}

/// An account, the number of requests that it sends in a second, and the units of each.
#[derive(Clone, Copy)]
struct Client {
    key: u64,
    per_second: u32,
    units: u32,
}

fn client(key: u64, per_second: u32) -> Client {
    Client { key, per_second, units: 1 }
}

/// Runs the clients for `millis`. Returns the units a second that each was admitted after the first
/// `settle` milliseconds. Checks that the sum exceeds the quota in no window.
fn run(
    limiter: &FairRateLimiter<u64>,
    time: &ManualTime,
    clients: &[Client],
    millis: u64,
    settle: u64,
) -> Vec<f64> {
    let quota = limiter.quota();
    let mut due = vec![0; clients.len()];
    let mut units = vec![0_u64; clients.len()];
    // The largest excess of admitted over replenished units, in any window that ends now.
    let (mut over, mut last) = (0.0_f64, 0);
    for tick in 0..millis {
        time.advance(MS);
        for n in 0..clients.len() {
            // A different client is first in each millisecond.
            let n = (n + tick as usize) % clients.len();
            let Client { key, per_second, units: each } = clients[n];
            due[n] += per_second;
            while due[n] >= 1_000 {
                due[n] -= 1_000;
                if limiter.check_n(&key, each).is_ok() {
                    over = (over - (tick - last) as f64 * quota.rate() / 1e3).max(0.0) + f64::from(each);
                    last = tick;
                    assert!(over <= f64::from(quota.burst_size()) + 1e-6, "{over} in a window at {tick} ms");
                    if tick >= settle {
                        units[n] += u64::from(each);
                    }
                }
            }
        }
    }
    units.iter().map(|&units| units as f64 * 1e3 / (millis - settle) as f64).collect()
}

#[track_caller]
fn assert_near(actual: f64, expected: f64, tolerance: f64) {
    let error = (actual / expected - 1.0).abs();
    assert!(error <= tolerance, "{actual} is not within {tolerance} of {expected}");
}

#[test]
fn shares_are_proportional_to_weights() {
    let time = ManualTime::new();
    let share = |key: &u64| Share::weight(f64::from(1_u32 << key));
    let limiter = builder(&time).share_of(share).build().unwrap();
    let admitted = run(&limiter, &time, &[client(0, 900), client(1, 900), client(2, 900)], 12_000, 2_000);
    for (n, &admitted) in admitted.iter().enumerate() {
        assert_near(admitted, f64::from(1_u32 << n) * 1_000.0 / 7.0, 0.1);
    }
    assert_near(admitted.iter().sum(), 1_000.0, 0.02);
}

#[test]
fn floor_is_kept_among_many_greedy_accounts() {
    let time = ManualTime::new();
    let share = |key: &u64| Share::default().at_least(if *key == 0 { 200.0 } else { 0.0 });
    let limiter = builder(&time).share_of(share).build().unwrap();
    let clients: Vec<_> = (0..=100).map(|key| client(key, 190)).collect();
    let admitted = run(&limiter, &time, &clients, 12_000, 2_000);
    assert!(admitted[0] >= 0.95 * 190.0, "{}", admitted[0]);
    assert_near(admitted.iter().sum(), 1_000.0, 0.02);
}

#[test]
fn cap_is_exact_and_unused_shares_are_shared() {
    let time = ManualTime::new();
    let cap = |key: &u64| match key {
        0 => Share::default().at_most(Quota::per_second(50).burst(10)),
        _ => Share::default(),
    };
    let limiter = builder(&time).share_of(cap).build().unwrap();
    // The first is capped, the second requests less than its share, and the third gets the rest.
    let admitted = run(&limiter, &time, &[client(0, 900), client(1, 100), client(2, 2_000)], 6_000, 2_000);
    assert_near(admitted[0], 50.0, 0.01);
    assert_near(admitted[1], 100.0, 0.02);
    assert_near(admitted[2], 850.0, 0.05);
}

/// Also for an account without an entry, because the table is full of others.
#[test]
fn cap_is_refunded() {
    for others in [0, 200] {
        let time = ManualTime::new();
        let cap = |key: &u64| match key {
            1_000.. => Share::default().at_most(Quota::per_hour(1).burst(2)),
            _ => Share::default(),
        };
        let limiter = builder(&time).max_keys(8).share_of(cap).build().unwrap();
        for key in 0..others {
            drop(limiter.try_acquire(&key));
            time.advance(20 * MS);
        }
        assert_eq!(limiter.key_count() == limiter.max_keys(), others > 0);
        time.advance(200 * MS);
        for _ in 0..10 {
            let permits = [limiter.try_acquire(&1_000).unwrap(), limiter.try_acquire(&1_000).unwrap()];
            assert_eq!(limiter.try_acquire(&1_000).unwrap_err().by(), "fair/cap");
            permits.into_iter().for_each(|permit| permit.refund());
        }
    }
}

#[test]
fn weight_zero_gets_what_no_other_account_requests() {
    for weight in [0.0, f64::NAN, -1.0, f64::NEG_INFINITY] {
        let time = ManualTime::new();
        let share = move |key: &u64| Share::weight(if *key == 0 { weight } else { 1.0 });
        let limiter = builder(&time).share_of(share).build().unwrap();
        let alone = run(&limiter, &time, &[client(0, 500)], 2_000, 500);
        assert_near(alone[0], 500.0, 0.02);
        let admitted = run(&limiter, &time, &[client(0, 500), client(1, 2_000)], 6_000, 2_000);
        assert!(admitted[0] < 20.0, "weight {weight}: {admitted:?}");
        assert_near(admitted[1], 1_000.0, 0.05);
    }
}

#[test]
fn account_that_returns_after_days_is_admitted_at_once() {
    for hours in [60, 30 * 24] {
        let time = ManualTime::new();
        let limiter = builder(&time).build().unwrap();
        let others: Vec<_> = (1..=10).map(|key| client(key, 300)).collect();
        let mut all = others.clone();
        all.push(client(0, 300));
        run(&limiter, &time, &all, 3_000, 0);
        time.advance(Duration::from_secs(hours * 3_600));
        assert!(limiter.try_acquire(&0).is_ok(), "{hours} h");
        let admitted = run(&limiter, &time, &all, 6_000, 2_000);
        assert_near(admitted[10], 1_000.0 / 11.0, 0.2);
    }
}

/// Thirty units at a time, a request every millisecond, or four times the share: all get the same.
#[test]
fn neither_large_nor_frequent_requests_gain_units() {
    let time = ManualTime::new();
    let limiter = builder(&time).build().unwrap();
    let mut clients: Vec<_> = (0..8).map(|key| client(key, 400)).collect();
    clients.push(Client { key: 8, per_second: 100, units: 30 });
    clients.push(client(9, 1_000));
    let admitted = run(&limiter, &time, &clients, 32_000, 2_000);
    assert_near(admitted[8], 100.0, 0.2);
    assert_near(admitted[9], 100.0, 0.2);
}

#[test]
fn flood_of_new_keys_takes_about_the_tail() {
    let time = ManualTime::new();
    let limiter = builder(&time).build().unwrap();
    let clients: Vec<_> = (0..10).map(|key| client(key, 300)).collect();
    run(&limiter, &time, &clients, 3_000, 0);
    let (mut flood, mut known) = (0_u32, 0.0);
    for tick in 0..600_u64 {
        flood += u32::from(limiter.check(&(1_000_000 + tick)).is_ok());
        known += run(&limiter, &time, &clients, 10, 0).iter().sum::<f64>() / 100.0;
    }
    let part = f64::from(flood) / (f64::from(flood) + known);
    assert!((0.01..=0.15).contains(&part), "{part}");
}

#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Observe for Events {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn small_burst_is_reported_and_a_burst_of_one_is_an_error() {
    let error = FairRateLimiter::<u64>::new(QUOTA.burst(1)).unwrap_err().to_string();
    assert!(error.contains("quota.burst") && error.contains("2 or more"), "{error}");
    let events = Arc::new(Events::default());
    let reported = || {
        let events = std::mem::take(&mut *events.0.lock().unwrap());
        events.iter().filter(|event| matches!(event, Event::Misconfigured { by: "small", .. })).count()
    };
    let build = |burst| {
        FairRateLimiter::<u64>::builder()
            .name("small")
            .quota(QUOTA.burst(burst))
            .observe(events.clone())
            .build()
            .unwrap()
    };
    let limiter = build(20);
    assert_eq!(reported(), 0);
    drop(build(19));
    assert_eq!(reported(), 1);
    limiter.set_quota(QUOTA.burst(2)).unwrap();
    assert_eq!(reported(), 1);
    assert!(limiter.set_quota(QUOTA.burst(1)).is_err());
    limiter.set_quota(Quota::per_second(10_000).burst(100)).unwrap();
    assert_eq!(reported(), 0);
    limiter.set_quota(Quota::per_second(10_000).burst(99)).unwrap();
    assert_eq!(reported(), 1);
}

#[test]
fn refunded_units_do_not_count_as_usage() {
    let time = ManualTime::new();
    let limiter = builder(&time).build().unwrap();
    for _ in 0..1_000 {
        limiter.try_acquire_n(&1, BURST).unwrap().refund();
    }
    limiter.check_n(&1, BURST).unwrap();
    assert_eq!(limiter.try_acquire(&2).unwrap_err().reason(), Reason::Throttled);
}
