//! Which requests are dropped first: the least important, account by account.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, Gate, KeyedExt, ManualTime, Priority, RequestInfo};
use plimsoll_drop::{Control, Curve, LoadShedder, Signal, SignalReading};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const RESHUFFLE: Duration = Duration::from_secs(100);

/// Returns a shedder that always keeps this share.
fn share(keep: f64, time: &ManualTime) -> LoadShedder<Signal> {
    // A signal that never moves would not be trusted.
    let reads = AtomicU64::new(0);
    LoadShedder::builder()
        .control(Control::Curve(Curve::step(0.0, keep)))
        .signal(move || SignalReading::new().depth(1 + reads.fetch_add(1, Ordering::Relaxed) % 2))
        .reshuffle_every(RESHUFFLE)
        .clock(time.clock())
        .dice(Dice::seeded(3))
        .build()
        .unwrap()
}

/// Sends requests of 2,000 accounts in turn, one each 0.1 ms. Returns the kept share of each
/// account.
fn kept_of_accounts(shedder: &LoadShedder<Signal>, time: &ManualTime, rounds: u32) -> Vec<f64> {
    let mut kept = vec![0.0; 2_000];
    for _ in 0..rounds {
        for (account, kept) in kept.iter_mut().enumerate() {
            time.advance(Duration::from_micros(100));
            *kept += f64::from(u8::from(shedder.keep_for(Priority::NORMAL, &account))) / f64::from(rounds);
        }
    }
    kept
}

#[test]
fn requests_of_one_account_share_a_decision_until_reshuffled() {
    let time = ManualTime::new();
    let shedder = share(0.5, &time);
    let _ = kept_of_accounts(&shedder, &time, 25);
    let first = kept_of_accounts(&shedder, &time, 100);
    let (all, none) =
        (first.iter().filter(|k| **k > 0.99).count(), first.iter().filter(|k| **k < 0.01).count());
    // The threshold moves a little with the histogram, so up to three cohorts are cut in part.
    assert!(all > 900 && none > 900 && all + none > 1_900, "{all} kept wholly, {none} not at all");
    // The accounts are reshuffled at a multiple of the interval. Ten seconds later the histogram
    // shows the new cohorts.
    time.advance(RESHUFFLE - Duration::from_secs(25));
    let _ = kept_of_accounts(&shedder, &time, 100);
    let second = kept_of_accounts(&shedder, &time, 100);
    let both = first.iter().zip(&second).filter(|(a, b)| **a > 0.99 && **b > 0.99).count();
    // Two independent halves share a quarter of the accounts: 500, give or take 100.
    assert!((400..600).contains(&both), "{both} were kept twice");
    let whole = second.iter().filter(|k| **k > 0.99).count();
    assert!((900..1_100).contains(&whole), "{whole}");
}

#[test]
fn important_requests_are_cut_after_all_less_important_ones() {
    let time = ManualTime::new();
    let (shedder, dice) = (share(0.45, &time), Dice::seeded(8));
    let gate = shedder
        .by(|request: &(u8, u32)| request.1)
        .info(|request: &(u8, u32)| RequestInfo::new().priority(Priority(request.0)));
    let (mut arrived, mut kept) = ([0.0; 8], [0.0; 8]);
    for tick in 0..4_000 {
        time.advance(Duration::from_millis(10));
        // Time stands still here, so one threshold applies to all of them.
        let (mut least_kept, mut most_cut) = (8, 0);
        for _ in 0..100 {
            let (priority, account) = (dice.below(256) as u8, dice.below(5_000) as u32);
            let (level, permit) = (usize::from(priority / 32), gate.admit(&(priority, account)));
            if permit.is_ok() {
                least_kept = least_kept.min(level)
            } else {
                most_cut = most_cut.max(level)
            }
            if tick > 500 {
                arrived[level] += 1.0;
                kept[level] += f64::from(u8::from(permit.is_ok()));
            }
        }
        assert!(most_cut <= least_kept, "level {least_kept} was kept and level {most_cut} was cut");
    }
    let shares: Vec<f64> = kept.iter().zip(arrived).map(|(kept, arrived)| kept / arrived).collect();
    // 45 % of eight equal levels is the upper three and six tenths of the next. The level below may
    // be kept for a moment, while the noise of the histogram allows it.
    assert!(shares[5..].iter().all(|share| *share == 1.0), "{shares:?}");
    assert!((0.5..0.7).contains(&shares[4]), "{shares:?}");
    assert!(shares[3] < 0.001 && shares[..3].iter().all(|share| *share == 0.0), "{shares:?}");
}

/// Each process once had a seed of its own. A user kept through one hop of three was kept through
/// all of them with a probability of one in eight.
#[test]
fn shedders_of_one_seed_keep_the_same_accounts() {
    let kept = |seed: Option<u64>, dice: u64| {
        let (time, reads) = (ManualTime::new(), AtomicU64::new(0));
        let builder = LoadShedder::builder()
            .control(Control::Curve(Curve::step(0.0, 0.5)))
            .signal(move || SignalReading::new().depth(1 + reads.fetch_add(1, Ordering::Relaxed) % 2))
            .clock(time.clock())
            .dice(Dice::seeded(dice));
        let shedder = seed.map_or(builder.clone(), |seed| builder.cohort_seed(seed)).build().unwrap();
        let _ = kept_of_accounts(&shedder, &time, 25);
        kept_of_accounts(&shedder, &time, 25)
    };
    let alike =
        |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).filter(|(a, b)| (*a > &0.5) == (*b > &0.5)).count();
    let same = alike(kept(Some(7), 1), kept(Some(7), 2));
    assert!(same > 1_900, "{same} of 2,000 accounts");
    let other = alike(kept(None, 1), kept(None, 2));
    assert!((800..1_200).contains(&other), "{other} of 2,000 accounts");
}
