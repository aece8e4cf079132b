//! The share that is kept.

use plimsoll_core::{Dice, Gate, Reason};
use plimsoll_drop::RandomDrop;

#[test]
fn the_kept_share_is_the_rate() {
    const DRAWS: u32 = 1_000_000;
    for (seed, keep) in [0.0, 0.001, 0.25, 0.5, 0.95, 0.999, 1.0].into_iter().enumerate() {
        let drop = RandomDrop::builder().keep(keep).dice(Dice::seeded(seed as u64)).build().unwrap();
        let kept = (0..DRAWS).filter(|_| drop.keep()).count() as f64;
        let (n, expected) = (f64::from(DRAWS), f64::from(DRAWS) * keep);
        // Five standard deviations; none at the ends, which are exact.
        let spread = 5.0 * (n * keep * (1.0 - keep)).sqrt();
        assert!((kept - expected).abs() <= spread, "{kept} kept at {keep}");
    }
}

#[test]
fn what_is_no_share_is_refused() {
    for keep in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = RandomDrop::new(keep).unwrap_err();
        assert_eq!(error.field(), "keep");
        assert!(error.to_string().contains("0.0 (drop all) to 1.0 (keep all)"));
    }
    let drop = RandomDrop::new(0.5).unwrap();
    assert_eq!(
        drop.set_keep(7.0).unwrap_err().to_string(),
        "keep = 7 is not allowed: it must be 0.0 (drop all) to 1.0 (keep all)"
    );
    assert_eq!(drop.keep_rate(), 0.5);
}

#[test]
fn any_thread_changes_the_rate_and_clones_see_it() {
    let drop = RandomDrop::new(1.0).unwrap();
    let clone = drop.clone();
    std::thread::spawn(move || clone.set_keep(0.0).unwrap()).join().unwrap();
    assert!((0..1000).all(|_| !drop.keep()));
}

#[test]
fn as_a_gate_it_says_who_dropped() {
    let drop = RandomDrop::builder().keep(0.0).name("telemetry").build().unwrap();
    let no = drop.admit(&()).unwrap_err();
    assert_eq!((no.by(), no.reason()), ("telemetry", Reason::Dropped));
    assert_eq!(drop.ask().unwrap_err().to_string(), "telemetry refused: dropped");
    drop.set_keep(1.0).unwrap();
    drop.ask().unwrap().give_back();
}
