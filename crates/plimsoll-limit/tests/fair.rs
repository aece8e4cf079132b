//! Shares: who gets what, of loops that arrive as they are told.
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

/// One account: how often it asks in a second, and for how many.
#[derive(Clone, Copy)]
struct Asker {
    key: u64,
    a_second: u32,
    units: u32,
}

fn asker(key: u64, a_second: u32) -> Asker {
    Asker { key, a_second, units: 1 }
}

/// Runs so many milliseconds; what each was admitted in units a second, after the first `settle` of them. Looks that in no
/// window the sum is more than the quota.
fn run(
    limiter: &FairRateLimiter<u64>,
    time: &ManualTime,
    askers: &[Asker],
    millis: u64,
    settle: u64,
) -> Vec<f64> {
    let quota = limiter.quota();
    let mut due = vec![0; askers.len()];
    let mut units = vec![0_u64; askers.len()];
    // The most that any window that ends now has over what came back in it.
    let (mut over, mut last) = (0.0_f64, 0);
    for tick in 0..millis {
        time.advance(MS);
        for n in 0..askers.len() {
            // Not always the same one first.
            let n = (n + tick as usize) % askers.len();
            let Asker { key, a_second, units: each } = askers[n];
            due[n] += a_second;
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
fn near(got: f64, want: f64, by: f64) {
    assert!((got / want - 1.0).abs() <= by, "{got} is not within {by} of {want}");
}

#[test]
fn weights_share_by_their_weight() {
    let time = ManualTime::new();
    let share = |key: &u64| Share::weight(f64::from(1_u32 << key));
    let limiter = builder(&time).share_of(share).build().unwrap();
    let got = run(&limiter, &time, &[asker(0, 900), asker(1, 900), asker(2, 900)], 12_000, 2_000);
    for (n, &got) in got.iter().enumerate() {
        near(got, f64::from(1_u32 << n) * 1_000.0 / 7.0, 0.1);
    }
    near(got.iter().sum(), 1_000.0, 0.02);
}

#[test]
fn a_floor_is_had_among_many_greedy_ones() {
    let time = ManualTime::new();
    let share = |key: &u64| Share::default().at_least(if *key == 0 { 200.0 } else { 0.0 });
    let limiter = builder(&time).share_of(share).build().unwrap();
    let askers: Vec<_> = (0..=100).map(|key| asker(key, 190)).collect();
    let got = run(&limiter, &time, &askers, 12_000, 2_000);
    assert!(got[0] >= 0.95 * 190.0, "{}", got[0]);
    near(got.iter().sum(), 1_000.0, 0.02);
}

#[test]
fn a_cap_is_exact_and_what_is_not_wanted_goes_to_others() {
    let time = ManualTime::new();
    let cap = |key: &u64| match key {
        0 => Share::default().at_most(Quota::per_second(50).burst(10)),
        _ => Share::default(),
    };
    let limiter = builder(&time).share_of(cap).build().unwrap();
    // The first is capped, the second wants less than its share, and the third gets all that they leave.
    let got = run(&limiter, &time, &[asker(0, 900), asker(1, 100), asker(2, 2_000)], 6_000, 2_000);
    near(got[0], 50.0, 0.01);
    near(got[1], 100.0, 0.02);
    near(got[2], 850.0, 0.05);
}

/// Also of one without a slot: the table is full of others.
#[test]
fn a_cap_is_given_back() {
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
fn who_has_no_weight_gets_what_nobody_wants() {
    for weight in [0.0, f64::NAN, -1.0, f64::NEG_INFINITY] {
        let time = ManualTime::new();
        let share = move |key: &u64| Share::weight(if *key == 0 { weight } else { 1.0 });
        let limiter = builder(&time).share_of(share).build().unwrap();
        let alone = run(&limiter, &time, &[asker(0, 500)], 2_000, 500);
        near(alone[0], 500.0, 0.02);
        let got = run(&limiter, &time, &[asker(0, 500), asker(1, 2_000)], 6_000, 2_000);
        assert!(got[0] < 20.0, "weight {weight}: {got:?}");
        near(got[1], 1_000.0, 0.05);
    }
}

#[test]
fn who_was_away_for_long_is_let_in_at_once() {
    for hours in [60, 30 * 24] {
        let time = ManualTime::new();
        let limiter = builder(&time).build().unwrap();
        let others: Vec<_> = (1..=10).map(|key| asker(key, 300)).collect();
        let mut all = others.clone();
        all.push(asker(0, 300));
        run(&limiter, &time, &all, 3_000, 0);
        time.advance(Duration::from_secs(hours * 3_600));
        assert!(limiter.try_acquire(&0).is_ok(), "{hours} h");
        let got = run(&limiter, &time, &all, 6_000, 2_000);
        near(got[10], 1_000.0 / 11.0, 0.2);
    }
}

/// Thirty at a time, each millisecond, or four times a share: all have the same.
#[test]
fn neither_large_costs_nor_polling_gains_anything() {
    let time = ManualTime::new();
    let limiter = builder(&time).build().unwrap();
    let mut askers: Vec<_> = (0..8).map(|key| asker(key, 400)).collect();
    askers.push(Asker { key: 8, a_second: 100, units: 30 });
    askers.push(asker(9, 1_000));
    let got = run(&limiter, &time, &askers, 32_000, 2_000);
    near(got[8], 100.0, 0.2);
    near(got[9], 100.0, 0.2);
}

#[test]
fn a_flood_of_new_keys_takes_about_the_tail() {
    let time = ManualTime::new();
    let limiter = builder(&time).build().unwrap();
    let askers: Vec<_> = (0..10).map(|key| asker(key, 300)).collect();
    run(&limiter, &time, &askers, 3_000, 0);
    let (mut flood, mut known) = (0_u32, 0.0);
    for tick in 0..600_u64 {
        flood += u32::from(limiter.check(&(1_000_000 + tick)).is_ok());
        known += run(&limiter, &time, &askers, 10, 0).iter().sum::<f64>() / 100.0;
    }
    let part = f64::from(flood) / (f64::from(flood) + known);
    assert!((0.01..=0.15).contains(&part), "{part}");
}

#[derive(Default)]
struct Ear(Mutex<Vec<Event>>);

impl Observe for Ear {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn a_small_burst_is_warned_of_and_one_of_one_is_refused() {
    let no = FairRateLimiter::<u64>::new(QUOTA.burst(1)).unwrap_err().to_string();
    assert!(no.contains("quota.burst") && no.contains("2 or more"), "{no}");
    let ear = Arc::new(Ear::default());
    let warned = || {
        let told = std::mem::take(&mut *ear.0.lock().unwrap());
        told.iter().filter(|event| matches!(event, Event::Misconfigured { by: "small", .. })).count()
    };
    let build = |burst| {
        FairRateLimiter::<u64>::builder()
            .name("small")
            .quota(QUOTA.burst(burst))
            .observe(ear.clone())
            .build()
            .unwrap()
    };
    let limiter = build(20);
    assert_eq!(warned(), 0);
    drop(build(19));
    assert_eq!(warned(), 1);
    limiter.set_quota(QUOTA.burst(2)).unwrap();
    assert_eq!(warned(), 1);
    assert!(limiter.set_quota(QUOTA.burst(1)).is_err());
    limiter.set_quota(Quota::per_second(10_000).burst(100)).unwrap();
    assert_eq!(warned(), 0);
    limiter.set_quota(Quota::per_second(10_000).burst(99)).unwrap();
    assert_eq!(warned(), 1);
}

#[test]
fn what_is_given_back_was_never_used() {
    let time = ManualTime::new();
    let limiter = builder(&time).build().unwrap();
    for _ in 0..1_000 {
        limiter.try_acquire_n(&1, BURST).unwrap().refund();
    }
    limiter.check_n(&1, BURST).unwrap();
    assert_eq!(limiter.try_acquire(&2).unwrap_err().reason(), Reason::Throttled);
}
