//! Random drop: the share that is kept, of all requests and by priority.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, Gate, KeyedExt, Priority, Reason, RequestInfo};
use plimsoll_drop::RandomDrop;
use std::sync::{Arc, Barrier};

const DRAWS: u32 = 1_000_000;

/// Returns one term of chi-square: `kept` of `n` at this rate. Rates of 0 and 1 are exact.
fn deviation(kept: f64, n: f64, rate: f64) -> f64 {
    if rate == 0.0 || rate == 1.0 {
        assert_eq!(kept, n * rate, "rates of 0 and 1 are exact");
        return 0.0;
    }
    (kept - n * rate).powi(2) / (n * rate * (1.0 - rate))
}

/// The 99.99 % quantiles of chi-square for 7 and 11 degrees of freedom. The seeds are fixed, so no
/// test fails by chance.
const OF_7: f64 = 29.88;
const OF_11: f64 = 37.37;

#[test]
fn kept_share_matches_the_keep_rate() {
    let rates = [0.0, 1e-5, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.99999, 1.0];
    let mut chi_square = 0.0;
    for (seed, keep) in rates.into_iter().enumerate() {
        let drop = RandomDrop::builder().keep_rate(keep).dice(Dice::seeded(seed as u64)).build().unwrap();
        let kept = (0..DRAWS).filter(|_| drop.keep()).count();
        chi_square += deviation(kept as f64, f64::from(DRAWS), keep);
    }
    assert!(chi_square < OF_11, "{chi_square}");
}

#[test]
fn kept_share_of_each_level_matches_its_rate() {
    let drop = RandomDrop::builder().keep_rate(0.5).dice(Dice::seeded(40)).build().unwrap();
    let rates = [0.0, 0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 0.999];
    for (level, keep) in rates.into_iter().enumerate() {
        drop.set_keep_rate_for(Priority(level as u8 * 32 + 5), keep).unwrap();
    }
    let mut kept = [0.0; 8];
    for n in 0..8 * DRAWS {
        // All priorities in turn.
        let priority = (n % 256) as u8;
        kept[usize::from(priority / 32)] += f64::from(u8::from(drop.keep_for_priority(Priority(priority))));
    }
    let chi_square: f64 =
        kept.iter().zip(rates).map(|(kept, rate)| deviation(*kept, f64::from(DRAWS), rate)).sum();
    assert!(chi_square < OF_7, "{chi_square}: {kept:?}");
}

#[test]
fn setting_one_level_leaves_the_others_unchanged() {
    let drop = RandomDrop::new(0.5).unwrap();
    drop.set_keep_rate_for(Priority(70), 0.0).unwrap();
    for priority in 0..=255 {
        let expected = if (64..96).contains(&priority) { 0.0 } else { 0.5 };
        assert_eq!(drop.keep_rate_for(Priority(priority)), expected, "{priority}");
    }
    assert_eq!(
        drop.set_keep_rate_for(Priority::LOW, 2.0).unwrap_err().to_string(),
        "keep_rate_for = 2.0 is not allowed: it must be 0.0 to 1.0"
    );
    assert_eq!((drop.keep_rate_for(Priority::LOW), drop.keep_rate()), (0.0, 0.5), "the rates are unchanged");
    drop.set_keep_rate(1.0).unwrap();
    for priority in 0..=255 {
        let expected = if (64..96).contains(&priority) { 0.0 } else { 1.0 };
        assert_eq!(drop.keep_rate_for(Priority(priority)), expected, "{priority}");
    }
    drop.clear_keep_rate_for(Priority(95));
    assert!((0..=255).all(|priority| drop.keep_rate_for(Priority(priority)) == 1.0), "every level is set");
}

#[test]
fn same_seed_repeats_the_decisions() {
    let decide = |seed| {
        let drop = RandomDrop::builder().keep_rate(0.5).dice(Dice::seeded(seed)).build().unwrap();
        (0..1_000).map(|_| drop.keep()).collect::<Vec<_>>()
    };
    assert_eq!(decide(3), decide(3));
    assert_ne!(decide(3), decide(4));
}

/// The decisions of a thread are independent of those of another thread, and of its own later ones.
#[test]
fn decisions_of_threads_are_independent() {
    const EACH: usize = 200_000;
    let drop = RandomDrop::new(0.5).unwrap();
    let draw = || (0..EACH).map(|_| if drop.keep() { 1.0 } else { -1.0 }).collect::<Vec<f64>>();
    let (one, two) = std::thread::scope(|s| {
        let (one, two) = (s.spawn(draw), s.spawn(draw));
        (one.join().unwrap(), two.join().unwrap())
    });
    // Each is a sum of ±1, with a standard deviation of √n. The dice are not seeded, so the bound
    // is seven of them.
    let max = 7.0 * (EACH as f64).sqrt();
    for shift in 0..64 {
        let products = |a: &[f64], b: &[f64]| a.iter().zip(&b[shift..]).map(|(a, b)| a * b).sum::<f64>();
        assert!(products(&one, &two).abs() < max && products(&two, &one).abs() < max, "shifted by {shift}");
        assert!(shift == 0 || products(&one, &one).abs() < max, "with itself, shifted by {shift}");
    }
}

#[test]
fn changed_rate_applies_to_the_next_draw_of_every_thread() {
    const THREADS: usize = 4;
    let drop = RandomDrop::new(1.0).unwrap();
    let turn = Arc::new(Barrier::new(THREADS + 1));
    let rounds = 200;
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (drop, turn) = (drop.clone(), turn.clone());
            // Asserting here would leave the other threads waiting at the barrier for ever.
            std::thread::spawn(move || {
                let mut wrong = 0;
                for round in 0..rounds {
                    turn.wait();
                    wrong += (0..10).filter(|_| drop.keep() != (round % 2 == 0)).count();
                    turn.wait();
                }
                wrong
            })
        })
        .collect();
    for round in 0..rounds {
        drop.set_keep_rate(if round % 2 == 0 { 1.0 } else { 0.0 }).unwrap();
        turn.wait();
        turn.wait();
    }
    assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 0));
}

#[test]
fn keep_with_builds_only_kept_items() {
    let drop = RandomDrop::builder().keep_rate(0.3).dice(Dice::seeded(1)).build().unwrap();
    let mut built = 0;
    let kept = (0..10_000).filter_map(|_| drop.keep_with(|| built += 1)).count();
    assert_eq!(built, kept);
    assert!((2_500..3_500).contains(&kept), "{kept}");
}

#[test]
fn gate_with_info_drops_by_the_priority_of_a_request() {
    let drop = RandomDrop::builder().keep_rate(0.0).name("telemetry").build().unwrap();
    drop.set_keep_rate_for(Priority::HIGH, 1.0).unwrap();
    let gate = drop.info(|priority: &u8| RequestInfo::new().priority(Priority(*priority)));
    for priority in 0..=255 {
        match gate.admit(&priority) {
            Ok(()) => assert!((192..224).contains(&priority), "{priority}"),
            Err(rejected) => {
                let (by, reason) = (rejected.by(), rejected.reason());
                assert_eq!((by, reason, priority / 32 == 6), ("telemetry", Reason::Dropped, false))
            }
        }
    }
    // The gate shares its rates with the handle.
    drop.set_keep_rate(1.0).unwrap();
    assert!(gate.admit(&0).is_ok());
}

#[test]
fn keep_rate_out_of_range_is_an_error() {
    for keep in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = RandomDrop::new(keep).unwrap_err();
        assert_eq!(error.field(), "keep_rate");
        assert!(error.to_string().contains("it must be 0.0 to 1.0"));
    }
    let drop = RandomDrop::new(0.5).unwrap();
    assert_eq!(
        drop.set_keep_rate(7.0).unwrap_err().to_string(),
        "keep_rate = 7.0 is not allowed: it must be 0.0 to 1.0"
    );
    assert_eq!(drop.keep_rate(), 0.5);
}

#[test]
fn clones_share_the_rate() {
    let drop = RandomDrop::new(1.0).unwrap();
    let clone = drop.clone();
    std::thread::spawn(move || clone.set_keep_rate(0.0).unwrap()).join().unwrap();
    assert!((0..1000).all(|_| !drop.keep()));
}

#[test]
fn rejection_names_the_guard() {
    let drop = RandomDrop::builder().keep_rate(0.0).name("telemetry").build().unwrap();
    let rejected = drop.admit(&()).unwrap_err();
    assert_eq!((rejected.by(), rejected.reason()), ("telemetry", Reason::Dropped));
    assert_eq!(drop.try_acquire().unwrap_err().to_string(), "telemetry rejected: dropped");
    drop.set_keep_rate(1.0).unwrap();
    drop.try_acquire().unwrap().refund();
}
