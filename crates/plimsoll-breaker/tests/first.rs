#![allow(missing_docs, clippy::unwrap_used)]
use plimsoll_breaker::*;
use plimsoll_core::{Clock, Dice, ManualTime, Outcome, Reason};
use std::time::Duration;
const S: Duration = Duration::from_secs(1);

#[test]
fn from_closed_to_open_to_half_open_to_ramp_to_closed() {
    let time = ManualTime::new();
    let b = Breaker::builder()
        .trip(Trip::failures().count(3))
        .open(OpenTime::fixed(S))
        .clock(time.clock())
        .dice(Dice::seeded(1))
        .build()
        .unwrap();
    for _ in 0..3 {
        assert_eq!(b.phase(), Phase::Closed);
        b.ask().unwrap().done(Outcome::Failure);
    }
    assert_eq!(b.phase(), Phase::Open);
    let no = b.ask().unwrap_err();
    assert_eq!((no.reason(), no.retry_after()), (Reason::Open, Some(S)));
    assert_eq!(no.to_string(), "breaker refused: open (3 of 3 in 10s), retry after 1s");
    assert_eq!(b.status().to_string(), "open (3 failures within 10s)");
    time.advance(S);
    let probe = b.ask().unwrap();
    assert_eq!(b.phase(), Phase::HalfOpen);
    assert!(b.ask().is_err());
    probe.done(Outcome::Success);
    assert_eq!(b.phase(), Phase::Ramp);
    let passed = (0..1000).filter(|_| b.ask().map(|p| p.done(Outcome::Success)).is_ok()).count();
    assert!((60..140).contains(&passed), "{passed}");
    time.advance(5 * S);
    b.ask().unwrap().done(Outcome::Success);
    assert_eq!(b.phase(), Phase::Closed);
    let _ = Clock::system();
}
