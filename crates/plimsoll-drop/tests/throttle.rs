//! The adaptive throttle, on a manual clock.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Clock, Dice, Gate, Inspect, ManualTime, Outcome, Reason};
use plimsoll_drop::{AdaptiveThrottle, AdaptiveThrottleBuilder};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

fn builder(time: &ManualTime) -> AdaptiveThrottleBuilder {
    AdaptiveThrottle::builder()
        .clock(time.clock())
        .dice(Dice::seeded(2))
        .min_rate(0.0)
        .window(Duration::from_secs(10))
}

/// Sends `times` requests, one each millisecond, that end with `outcome`. Returns how many the
/// throttle admitted.
fn send(throttle: &AdaptiveThrottle, time: &ManualTime, times: u32, outcome: Outcome) -> u32 {
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

/// The test keeps its own log of requests, of which local rejections are a part.
#[test]
fn rejection_rate_follows_the_formula_over_the_window() {
    for k in [1.0, 1.5, 2.0, 10.0] {
        let time = ManualTime::new();
        let throttle = builder(&time).multiplier(k).build().unwrap();
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
                // Requests younger than the window are counted. Those a tenth older are not.
                let (requests, accepted) = throttle.counts();
                let of = |ms: usize| {
                    let young = &seen[seen.len().saturating_sub(ms)..];
                    (young.len() as u64, young.iter().filter(|yes| **yes).count() as u64)
                };
                let (min, max) = (of(10_000), of(11_001));
                assert!((min.0..=max.0).contains(&requests) && (min.1..=max.1).contains(&accepted), "at {n}");
                let rate = throttle.rejection_rate();
                let formula = formula(k, requests as f64, accepted as f64);
                // From 40 s on the server accepts, and earlier local rejections count less.
                let is_below = n >= 40_000 && rate < formula;
                assert!(is_below || (rate - formula).abs() < 1e-12, "{rate} of {formula} at {n}");
            }
        }
    }
}

#[test]
fn rejected_share_matches_the_rejection_rate() {
    let time = ManualTime::new();
    let throttle = builder(&time).build().unwrap();
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
    // The probability is computed each 20 ms, so it lags a little while it rises.
    assert!(rejected > 10_000.0 && (rejected / expected - 1.0_f64).abs() < 0.03, "{rejected} for {expected}");
}

#[test]
fn overload_is_the_only_outcome_not_accepted() {
    for (outcome, counts) in [
        (Outcome::Success, (100, 100)),
        (Outcome::Failure, (100, 100)),
        (Outcome::TimedOut, (100, 100)),
        (Outcome::Cancelled, (0, 0)),
        (Outcome::Ignored, (0, 0)),
    ] {
        let time = ManualTime::new();
        let throttle = builder(&time).build().unwrap();
        assert_eq!(send(&throttle, &time, 100, outcome), 100);
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
fn refunded_or_dropped_permit_is_not_counted() {
    let throttle = AdaptiveThrottle::new().unwrap();
    throttle.try_acquire().unwrap().refund();
    drop(throttle.try_acquire().unwrap());
    drop(throttle.try_acquire_owned().unwrap());
    assert_eq!(throttle.counts(), (0, 0));
}

#[test]
fn local_rejections_count_until_the_window_has_passed() {
    let time = ManualTime::new();
    let throttle = builder(&time).name("client").build().unwrap();
    let sent = send(&throttle, &time, 5_000, Outcome::Overloaded);
    assert!(sent < 50, "{sent} were sent");
    assert_eq!(throttle.counts(), (5_000, 0), "rejected requests are counted");
    let rejected = loop {
        if let Err(rejected) = throttle.try_acquire() {
            break rejected;
        }
    };
    assert_eq!((rejected.by(), rejected.reason()), ("client", Reason::Dropped));
    assert_eq!(rejected.retry_after(), None);
    time.advance(Duration::from_secs(12));
    assert_eq!((throttle.counts(), throttle.rejection_rate()), ((0, 0), 0.0));
    assert_eq!(send(&throttle, &time, 1_000, Outcome::Success), 1_000);
}

/// With K = 2, nothing is rejected while the server accepts at least half. K = 1 rejects sooner.
#[test]
fn multiplier_bounds_requests_per_accept() {
    for (k, low, high) in [(1.0, 0.0, 0.2), (2.0, 0.99, 1.0)] {
        let time = ManualTime::new();
        let throttle = builder(&time).multiplier(k).build().unwrap();
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
fn recovered_server_receives_all_requests_again() {
    let time = ManualTime::new();
    let throttle = builder(&time).min_rate(1.0).build().unwrap();
    send(&throttle, &time, 60_000, Outcome::Overloaded);
    assert!(throttle.rejection_rate() > 0.99);
    let mut windows = 0;
    while send(&throttle, &time, 10_000, Outcome::Success) < 10_000 {
        windows += 1;
        assert!(windows < 12, "it still rejects: {throttle:?}");
    }
    assert_eq!(throttle.rejection_rate(), 0.0);
}

/// Local rejections counted for two minutes. After an outage of a minute, a client with 1,000
/// requests a second rejected most of them for six minutes more.
#[test]
fn all_requests_are_sent_ten_seconds_after_an_outage() {
    for (rate, outage) in [(1_000, 10), (1_000, 60), (1_000, 600), (20, 60)] {
        let time = ManualTime::new();
        let throttle = AdaptiveThrottle::builder().clock(time.clock()).dice(Dice::seeded(3)).build().unwrap();
        let send = |seconds: u32, outcome: Outcome| -> f64 {
            let sent = (0..rate * seconds).filter(|_| {
                time.advance(Duration::from_secs(1) / rate);
                throttle.try_acquire().map(|permit| permit.done(outcome)).is_ok()
            });
            sent.count() as f64 / f64::from(rate * seconds)
        };
        assert_eq!(send(30, Outcome::Success), 1.0);
        let sent = send(outage, Outcome::Overloaded);
        assert!(outage < 600 || sent < 0.3, "{sent} were sent to a dead server");
        send(10, Outcome::Success);
        let sent = send(10, Outcome::Success);
        assert!(sent >= 0.95, "{sent} of {rate}/s were sent after an outage of {outage} s");
    }
}

/// The window was two minutes, as in the book. A server that failed altogether was sent everything
/// for a whole minute.
#[test]
fn failing_server_is_spared_within_half_a_minute() {
    for rate in [20, 1_000] {
        let time = ManualTime::new();
        let throttle = AdaptiveThrottle::builder().clock(time.clock()).dice(Dice::seeded(3)).build().unwrap();
        let send = |seconds: u32, outcome: Outcome| -> f64 {
            let sent = (0..rate * seconds).filter(|_| {
                time.advance(Duration::from_secs(1) / rate);
                throttle.try_acquire().map(|permit| permit.done(outcome)).is_ok()
            });
            sent.count() as f64 / f64::from(rate * seconds)
        };
        assert_eq!(send(180, Outcome::Success), 1.0);
        let (first, second) = (send(30, Outcome::Overloaded), send(30, Outcome::Overloaded));
        // By the formula 0.75, and one request a second.
        assert!(first < 0.85, "{first} of {rate}/s were sent in the first half minute");
        assert!(second < 0.1, "{second} of {rate}/s were sent in the second one");
    }
}

/// A new window forgot the outage: until the server answered, every request was sent.
#[test]
fn new_window_in_an_outage_keeps_the_rejection_rate() {
    for window in [1, 10, 3_000] {
        let time = ManualTime::new();
        let throttle = AdaptiveThrottle::builder().clock(time.clock()).dice(Dice::seeded(3)).build().unwrap();
        send(&throttle, &time, 60_000, Outcome::Overloaded);
        throttle.set_window(Duration::from_secs(window)).unwrap();
        assert!(throttle.rejection_rate() > 0.99, "{throttle:?}");
        // The answers to these come half a second later.
        let mut sent = Vec::new();
        for _ in 0..500 {
            time.advance(MILLI);
            sent.extend(throttle.try_acquire());
        }
        assert!(sent.len() <= 3, "{} of 500 were sent after a change to {window} s", sent.len());
        sent.into_iter().for_each(|permit| permit.done(Outcome::Overloaded));
        let sent = self::send(&throttle, &time, 1_000, Outcome::Overloaded);
        assert!(sent <= 5, "{sent} of 1,000 were sent after the answers");
        self::send(&throttle, &time, 10_000, Outcome::Success);
        assert_eq!(self::send(&throttle, &time, 1_000, Outcome::Success), 1_000, "{throttle:?}");
    }
    // Without any answer, the window of the change still ends.
    let time = ManualTime::new();
    let throttle = builder(&time).build().unwrap();
    send(&throttle, &time, 60_000, Outcome::Overloaded);
    throttle.set_window(Duration::from_secs(10)).unwrap();
    time.advance(Duration::from_secs(12));
    assert_eq!(throttle.rejection_rate(), 0.0);
}

/// A server that comes back with a fifth of its capacity receives about twice what it accepts.
#[test]
fn half_recovered_server_is_not_flooded() {
    let time = ManualTime::new();
    let throttle = AdaptiveThrottle::builder().clock(time.clock()).dice(Dice::seeded(3)).build().unwrap();
    let (mut sent, mut accepted, mut second, mut left) = (0.0, 0.0, 0, 0);
    for n in 0..200_000 {
        time.advance(MILLI);
        if second != n / 100 {
            (second, left) = (n / 100, if n < 60_000 { 0 } else { 20 });
        }
        if let Ok(permit) = throttle.try_acquire() {
            let accepts = left > 0;
            left -= i32::from(accepts);
            if n >= 80_000 {
                sent += 1.0;
                accepted += f64::from(u8::from(accepts));
            }
            permit.done(if accepts { Outcome::Success } else { Outcome::Overloaded });
        }
    }
    assert!(accepted >= 0.9 * 120.0 * 200.0, "{accepted} were accepted");
    assert!(sent <= 3.0 * accepted, "{sent} were sent, and {accepted} accepted");
}

/// One call an hour, and a server that rejects it: the next call is sent.
#[test]
fn one_call_an_hour_is_sent() {
    let time = ManualTime::new();
    let throttle = AdaptiveThrottle::builder().clock(time.clock()).dice(Dice::seeded(3)).build().unwrap();
    for _ in 0..1_000 {
        time.advance(Duration::from_secs(3_600));
        throttle.try_acquire().unwrap().done(Outcome::Overloaded);
    }
}

#[test]
fn min_rate_is_sent_throughout_an_outage() {
    for (min_rate, attempts) in [(0.0, 0..=20), (1.0, 55..=85), (10.0, 580..=640), (700.0, 41_900..=42_100)] {
        let time = ManualTime::new();
        let throttle = builder(&time).min_rate(min_rate).build().unwrap();
        send(&throttle, &time, 20_000, Outcome::Overloaded);
        let sent = send(&throttle, &time, 60_000, Outcome::Overloaded);
        // The formula leaves a probability of 1 / (requests + 1): six a minute at 1,000 requests a
        // second.
        assert!(attempts.contains(&sent), "{sent} in a minute at {min_rate} a second");
    }
}

/// On the system clock, whose coarse time advances by milliseconds.
#[test]
fn high_min_rate_is_sent_on_the_system_clock() {
    let clock = Clock::system();
    let throttle = AdaptiveThrottle::builder().min_rate(10_000.0).dice(Dice::seeded(2)).build().unwrap();
    for _ in 0..10_000 {
        throttle.try_acquire().unwrap().done(Outcome::Overloaded);
    }
    // The next request computes the probability of a rejection.
    throttle.set_multiplier(2.0).unwrap();
    let start = clock.now();
    // Spans of 100 µs in which a request was made, and requests sent. A span in which the thread
    // did not run counts for neither.
    let (mut spans, mut last, mut sent) = (0, None, 0);
    while spans < 2_000 {
        let span = clock.now().since(start).as_micros() / 100;
        spans += u32::from(last.replace(span) != Some(span));
        sent += throttle.try_acquire().map_or(0, |permit| {
            permit.done(Outcome::Overloaded);
            1
        });
    }
    assert!((1_500..2_500).contains(&sent), "{sent} requests were sent in {spans} spans");
}

#[test]
fn reading_state_changes_no_decision() {
    let decide = |reads: bool| {
        let time = ManualTime::new();
        let throttle = builder(&time).build().unwrap();
        (0..5_000)
            .map(|n| {
                if reads {
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
fn invalid_setting_is_named_with_its_value() {
    let error = |builder: AdaptiveThrottleBuilder| builder.build().unwrap_err().to_string();
    let new = AdaptiveThrottle::builder;
    for (error, start) in [
        (error(new().multiplier(0.99)), "multiplier = 0.99 "),
        (error(new().multiplier(f64::NAN)), "multiplier = NaN "),
        (error(new().multiplier(1e7)), "multiplier = 10000000.0 "),
        (error(new().window(Duration::from_millis(999))), "window = 999ms "),
        (error(new().window(Duration::from_secs(3_601))), "window = 3601s "),
        (error(new().min_rate(-1.0)), "min_rate = -1.0 "),
        (error(new().min_rate(f64::NAN)), "min_rate = NaN "),
        (error(new().name("")), "name"),
    ] {
        assert!(error.starts_with(start) && error.contains("not allowed"), "{error}");
    }
    let throttle = AdaptiveThrottle::new().unwrap();
    assert!(throttle.set("k", 3.0).unwrap_err().to_string().contains('k'));
    let _: () = throttle.admit(&()).unwrap();
    assert_eq!((throttle.name(), Inspect::name(&throttle)), ("throttle", "throttle"));
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn classify_defines_overload_for_the_layer() {
    use plimsoll_core::Rejected;
    use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
    let time = ManualTime::new();
    let throttle = builder(&time).build().unwrap();
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
            Err(rejection) => {
                assert_eq!(rejection.downcast_ref::<Rejected>().unwrap().reason(), Reason::Dropped);
                rejected += 1;
            }
        }
    }
    assert!(rejected > 200, "{rejected}");
    assert_eq!(throttle.counts(), (550, 50));
}
