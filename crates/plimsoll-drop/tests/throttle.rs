//! The client's own throttle, on a clock that stands still until it is moved.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, Gate, Inspect, ManualTime, Outcome, Reason};
use plimsoll_drop::{AdaptiveThrottle, AdaptiveThrottleBuilder};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

fn set(time: &ManualTime) -> AdaptiveThrottleBuilder {
    AdaptiveThrottle::builder()
        .clock(time.clock())
        .dice(Dice::seeded(2))
        .min_rate(0.0)
        .window(Duration::from_secs(10))
}

/// Asks so many times, a millisecond apart, of a server that answers like this; how many were sent.
fn ask(throttle: &AdaptiveThrottle, time: &ManualTime, times: u32, outcome: Outcome) -> u32 {
    (0..times)
        .map(|_| {
            time.advance(MILLI);
            throttle.try_acquire().map_or(0, |permit| {
                permit.done(outcome);
                1
            })
        })
        .sum()
}

fn formula(k: f64, requests: f64, accepts: f64) -> f64 {
    ((requests - k * accepts) / (requests + 1.0)).max(0.0)
}

/// Counts of its own, by second; who is rejected is counted as the throttle has it.
#[test]
fn it_refuses_by_the_formula_over_its_window() {
    for k in [1.0, 1.5, 2.0, 10.0] {
        let time = ManualTime::new();
        let throttle = set(&time).multiplier(k).build().unwrap();
        let (mut seen, chance) = (vec![], Dice::seeded(4));
        for n in 0..60_000_u32 {
            time.advance(MILLI);
            let accepts = chance.chance(match n / 10_000 {
                0 => 1.0,
                1 | 2 => 0.2,
                3 => 0.0,
                _ => 0.9,
            });
            let accepted = match throttle.try_acquire() {
                Ok(permit) => {
                    permit.done(if accepts { Outcome::Success } else { Outcome::Overloaded });
                    accepts
                }
                Err(_) => false,
            };
            seen.push(accepted);
            if n % 997 == 0 {
                // What is younger than the window is counted, what is a tenth older is not.
                let (requests, accepted) = throttle.counts();
                let of = |ms: usize| {
                    let young = &seen[seen.len().saturating_sub(ms)..];
                    (young.len() as u64, young.iter().filter(|yes| **yes).count() as u64)
                };
                let (least, most) = (of(10_000), of(11_001));
                assert!(
                    (least.0..=most.0).contains(&requests) && (least.1..=most.1).contains(&accepted),
                    "at {n}"
                );
                let rate = throttle.rejection_rate();
                assert!((rate - formula(k, requests as f64, accepted as f64)).abs() < 1e-12, "{rate} at {n}");
            }
        }
    }
}

/// The share that is rejected is the chance that it names.
#[test]
fn the_refused_are_as_many_as_it_says() {
    let time = ManualTime::new();
    let throttle = set(&time).build().unwrap();
    let chance = Dice::seeded(6);
    let (mut rejected, mut expected) = (0.0, 0.0);
    for _ in 0..50_000 {
        time.advance(MILLI);
        expected += throttle.rejection_rate();
        match throttle.try_acquire() {
            Ok(permit) => {
                permit.done(if chance.chance(0.25) { Outcome::Success } else { Outcome::Overloaded })
            }
            Err(_) => rejected += 1.0,
        }
    }
    // It is worked out each 20 ms: a little late, on the way up.
    assert!(rejected > 10_000.0 && (rejected / expected - 1.0_f64).abs() < 0.03, "{rejected} for {expected}");
}

#[test]
fn only_an_overload_counts() {
    for (outcome, counts) in [
        (Outcome::Success, (100, 100)),
        (Outcome::Failure, (100, 100)),
        (Outcome::TimedOut, (100, 100)),
        (Outcome::Cancelled, (0, 0)),
        (Outcome::Ignored, (0, 0)),
    ] {
        let time = ManualTime::new();
        let throttle = set(&time).build().unwrap();
        assert_eq!(ask(&throttle, &time, 100, outcome), 100);
        assert_eq!(throttle.counts(), counts, "{outcome:?}");
        assert_eq!(throttle.rejection_rate(), 0.0);
    }
    for (throttle, outcome) in [
        (AdaptiveThrottle::builder(), Outcome::Overloaded),
        (AdaptiveThrottle::builder().count_timeouts(true), Outcome::TimedOut),
    ] {
        let throttle = throttle.build().unwrap();
        for _ in 0..3 {
            if let Ok(permit) = throttle.try_acquire_owned() {
                permit.done(outcome);
            }
        }
        assert!(throttle.counts().0 > 0 && throttle.counts().1 == 0, "{outcome:?}");
    }
}

#[test]
fn what_never_began_says_nothing() {
    let throttle = AdaptiveThrottle::new().unwrap();
    throttle.try_acquire().unwrap().refund();
    drop(throttle.try_acquire().unwrap());
    drop(throttle.try_acquire_owned().unwrap());
    assert_eq!(throttle.counts(), (0, 0));
}

#[test]
fn local_refusals_count_and_are_forgotten_with_the_window() {
    let time = ManualTime::new();
    let throttle = set(&time).name("client").build().unwrap();
    let sent = ask(&throttle, &time, 5_000, Outcome::Overloaded);
    assert!(sent < 50, "{sent} were sent");
    assert_eq!(throttle.counts(), (5_000, 0), "the rejected too");
    let no = loop {
        if let Err(no) = throttle.try_acquire() {
            break no;
        }
    };
    assert_eq!((no.by(), no.reason(), no.retry_after()), ("client", Reason::Dropped, None));
    time.advance(Duration::from_secs(12));
    assert_eq!((throttle.counts(), throttle.rejection_rate()), ((0, 0), 0.0));
    assert_eq!(ask(&throttle, &time, 1_000, Outcome::Success), 1_000);
}

/// With K = 2 a server that accepts half and more is asked by everyone; at K = 1 it is spared sooner.
#[test]
fn k_says_how_much_more_is_sent_than_is_accepted() {
    for (k, low, high) in [(1.0, 0.0, 0.2), (2.0, 0.99, 1.0)] {
        let time = ManualTime::new();
        let throttle = set(&time).multiplier(k).build().unwrap();
        let mut sent = 0.0;
        for n in 0..20_000 {
            time.advance(MILLI);
            if let Ok(permit) = throttle.try_acquire() {
                sent += 1.0;
                permit.done(if n % 10 < 6 { Outcome::Success } else { Outcome::Overloaded });
            }
        }
        let share = sent / 20_000.0;
        assert!((low..=high).contains(&share), "{share} sent with K = {k}");
    }
}

#[test]
fn it_recovers_when_the_server_does() {
    let time = ManualTime::new();
    let throttle = set(&time).min_rate(1.0).build().unwrap();
    ask(&throttle, &time, 60_000, Outcome::Overloaded);
    assert!(throttle.rejection_rate() > 0.99);
    let mut windows = 0;
    while ask(&throttle, &time, 10_000, Outcome::Success) < 10_000 {
        windows += 1;
        assert!(windows < 12, "it refuses still: {throttle:?}");
    }
    assert_eq!(throttle.rejection_rate(), 0.0);
}

#[test]
fn so_many_attempts_are_made_in_any_case() {
    for (floor, attempts) in [(0.0, 0..=20), (1.0, 55..=85), (10.0, 580..=640)] {
        let time = ManualTime::new();
        let throttle = set(&time).min_rate(floor).build().unwrap();
        ask(&throttle, &time, 20_000, Outcome::Overloaded);
        let sent = ask(&throttle, &time, 60_000, Outcome::Overloaded);
        // Beside them a chance of one in requests + 1 remains: six a minute at a thousand a second.
        assert!(attempts.contains(&sent), "{sent} in a minute at {floor} a second");
    }
}

#[test]
fn to_look_at_it_changes_nothing() {
    let decide = |look: bool| {
        let time = ManualTime::new();
        let throttle = set(&time).build().unwrap();
        (0..5_000)
            .map(|n| {
                if look {
                    let _ = (format!("{throttle:?}"), throttle.counts(), throttle.rejection_rate());
                    throttle.read(&mut |_, _| {});
                }
                let outcome = if n % 5 == 0 { Outcome::Success } else { Outcome::Overloaded };
                time.advance(MILLI);
                throttle.try_acquire().map(|permit| permit.done(outcome)).is_ok()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(decide(true), decide(false));
    assert!(decide(true).contains(&false));
}

#[test]
fn what_will_not_do_is_named_with_its_value() {
    let error = |builder: AdaptiveThrottleBuilder| builder.build().unwrap_err().to_string();
    let new = AdaptiveThrottle::builder;
    for (said, names) in [
        (error(new().multiplier(0.99)), "multiplier = 0.99 "),
        (error(new().multiplier(f64::NAN)), "multiplier = NaN "),
        (error(new().multiplier(1e7)), "multiplier = 10000000.0 "),
        (error(new().window(Duration::from_millis(999))), "window = 999ms "),
        (error(new().window(Duration::from_secs(3_601))), "window = 3601s "),
        (error(new().min_rate(-1.0)), "min_rate = -1.0 "),
        (error(new().min_rate(f64::NAN)), "min_rate = NaN "),
        (error(new().name("")), "name"),
    ] {
        assert!(said.starts_with(names) && said.contains("not allowed"), "{said}");
    }
    let throttle = AdaptiveThrottle::new().unwrap();
    assert!(throttle.set("k", 3.0).unwrap_err().to_string().contains('k'));
    let _: () = throttle.admit(&()).unwrap();
    assert_eq!((throttle.name(), Inspect::name(&throttle)), ("throttle", "throttle"));
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn a_layer_is_told_by_classify_what_an_overload_is() {
    use plimsoll_core::Rejected;
    use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
    let time = ManualTime::new();
    let throttle = set(&time).build().unwrap();
    let layer = throttle.layer().classify(|answer: Result<&u16, &BoxError>| match answer {
        Ok(429 | 503) => Outcome::Overloaded,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    });
    let mut service =
        ServiceBuilder::new().layer(layer).service(service_fn(async |status: u16| Ok::<_, BoxError>(status)));
    for _ in 0..50 {
        assert_eq!(service.ready().await.unwrap().call(200).await.unwrap(), 200);
    }
    assert_eq!(throttle.counts(), (50, 50));
    let mut rejected = 0;
    for _ in 0..500 {
        time.advance(MILLI);
        match service.ready().await.unwrap().call(503).await {
            Ok(status) => assert_eq!(status, 503),
            Err(no) => {
                assert_eq!(no.downcast_ref::<Rejected>().unwrap().reason(), Reason::Dropped);
                rejected += 1;
            }
        }
    }
    assert!(rejected > 200, "{rejected}");
    assert_eq!(throttle.counts(), (550, 50));
}
