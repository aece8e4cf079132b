//! Dice: probabilities, distribution, sequences.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use plimsoll_core::Dice;
use proptest::prelude::*;
use std::collections::HashSet;
use std::time::Duration;

#[test]
fn chance_is_exact_at_zero_and_one() {
    for dice in [Dice::thread(), Dice::seeded(1)] {
        assert!((0..100_000).all(|_| dice.chance(1.0) && !dice.chance(0.0)));
        assert!(!dice.chance(f64::NAN) && !dice.chance(-1.0) && dice.chance(2.0));
    }
}

#[test]
fn threads_draw_different_numbers() {
    let draw = || std::thread::spawn(|| Dice::thread().bits()).join().unwrap();
    let seen: HashSet<u64> = (0..64).map(|_| draw()).collect();
    assert_eq!(seen.len(), 64);
}

#[test]
fn clones_of_seeded_dice_draw_from_one_sequence() {
    let (dice, single) = (Dice::seeded(3), Dice::seeded(3));
    let clone = dice.clone();
    let drawn: Vec<u64> = (0..10).map(|n| if n % 2 == 0 { dice.bits() } else { clone.bits() }).collect();
    assert_eq!(drawn, (0..10).map(|_| single.bits()).collect::<Vec<_>>());
}

/// Returns Pearson's statistic over 256 cells. With 255 degrees of freedom, 99.99 % are below 347.
fn chi_square(mut cell: impl FnMut() -> usize) -> f64 {
    const DRAWS: u32 = 256_000;
    let mut cells = [0u32; 256];
    for _ in 0..DRAWS {
        cells[cell()] += 1;
    }
    let expected = f64::from(DRAWS) / 256.0;
    cells.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum()
}

#[test]
fn every_value_is_equally_likely() {
    let dice = Dice::seeded(11);
    for chi in [
        chi_square(|| (dice.uniform() * 256.0) as usize),
        chi_square(|| dice.below(256) as usize),
        chi_square(|| (dice.bits() & 255) as usize),
        chi_square(|| dice.jitter(Duration::from_nanos(255)).as_nanos() as usize),
    ] {
        assert!(chi < 347.0, "{chi}");
    }
}

proptest! {
    #[test]
    fn under_a_threshold_equals_chance(seed: u64, p in prop_oneof![-0.5..1.5f64, Just(0.0), Just(1.0), Just(f64::NAN), 0.0..1e-15f64]) {
        let (a, b) = (Dice::seeded(seed), Dice::seeded(seed));
        let threshold = Dice::threshold(p);
        for _ in 0..100 {
            prop_assert_eq!(a.chance(p), b.under(threshold));
        }
    }

    #[test]
    fn below_and_jitter_stay_in_range(seed: u64, n: u64, nanos: u64) {
        let dice = Dice::seeded(seed);
        prop_assert!(dice.below(n) < n.max(1));
        let d = Duration::from_nanos(nanos);
        prop_assert!(dice.jitter(d) <= d);
    }
}
