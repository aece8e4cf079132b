//! Settings: range checks, error texts, and settings files.
#![allow(clippy::unwrap_used)]

use plimsoll_core::parts::check;
use plimsoll_core::{ControlError, Discipline};
use std::time::Duration;

/// The text of an error, or "ok".
fn text<T, E: ToString>(checked: Result<T, E>) -> String {
    checked.map_or_else(|e| e.to_string(), |_| "ok".into())
}

#[test]
fn check_states_the_range_that_it_checks() {
    assert_eq!(text(check::within("n", 0, 1..=9)), "n = 0 is not allowed: it must be 1 to 9");
    assert_eq!(text(check::within("n", 1, 1..=9)), "ok");
    assert_eq!(text(check::within("n", 9, 1..=9)), "ok");
    assert_eq!(text(check::within("n", 10, 1..=9)), "n = 10 is not allowed: it must be 1 to 9");
    assert_eq!(text(check::share("p", 1.5)), "p = 1.5 is not allowed: it must be 0.0 to 1.0");
    assert_eq!(text(check::share("p", f64::NAN)), "p = NaN is not allowed: it must be 0.0 to 1.0");
    assert_eq!(text(check::share("p", 1.0)), "ok");
    assert_eq!(text(check::above_zero("t", Duration::ZERO)), "t = 0ns is not allowed: it must be above 0");
    assert_eq!(text(check::above_zero("t", Duration::from_nanos(1))), "ok");
    assert_eq!(text(check::name("")), "name = \"\" is not allowed: it must be at least one character");
    assert_eq!(text(check::name("x")), "ok");
}

#[test]
fn a_queue_needs_a_longest_wait() {
    assert_eq!(text(check::queue(0, Duration::ZERO)), "ok");
    assert_eq!(text(check::queue(1, Duration::from_nanos(1))), "ok");
    assert!(text(check::queue(1, Duration::ZERO)).starts_with("max_wait = 0ns is not allowed"));
    assert_eq!(text(check::queue(1 << 31, Duration::MAX)), {
        "queue = 2147483648 is not allowed: it must be 0 to 2147483647"
    });
}

#[test]
fn whole_accepts_exactly_the_range_of_its_type() {
    assert_eq!(check::whole::<u8>("n", 255.0), Ok(255));
    assert_eq!(check::whole::<u32>("n", -0.0), Ok(0));
    assert_eq!(check::whole::<u64>("n", 9_007_199_254_740_992.0), Ok(1 << 53));
    for bad in [-1.0, 0.5, 256.0, f64::NAN, f64::INFINITY] {
        let expected = format!("n = {bad} is not allowed: it must be a whole number from 0 to 255");
        assert_eq!(text(check::whole::<u8>("n", bad)), expected);
    }
}

/// The text once was "0 or more", for a value that was too large.
#[test]
fn seconds_states_both_ends_of_its_range() {
    assert_eq!(check::seconds("t", 0.1), Ok(Duration::from_millis(100)));
    assert_eq!(check::seconds("t", 0.0), Ok(Duration::ZERO));
    for bad in [-1.0, f64::NAN, f64::INFINITY, 2f64.powi(64)] {
        let range = "a number of seconds, at least 0 and below 2⁶⁴";
        assert_eq!(text(check::seconds("t", bad)), format!("t = {bad} is not allowed: it must be {range}"));
    }
}

#[test]
fn flag_accepts_zero_and_one() {
    assert_eq!((check::flag("on", 0.0), check::flag("on", 1.0)), (Ok(false), Ok(true)));
    assert_eq!(text(check::flag("on", 2.0)), "on = 2 is not allowed: it must be 0 or 1");
    assert!(check::flag("on", f64::NAN).is_err());
}

#[test]
fn an_unknown_setting_is_rejected_with_the_known_ones() {
    let unknown = |settings: &[&str]| ControlError::unknown("speed", settings).to_string();
    assert_eq!(
        unknown(&["queue", "max_wait"]),
        "setting = speed is not allowed: it must be one of queue, max_wait"
    );
    assert_eq!(unknown(&["queue"]), "setting = speed is not allowed: it must be queue");
    assert_eq!(
        unknown(&[]),
        "setting = speed is not allowed: it must be absent, as this guard has no settings"
    );
}

#[test]
fn a_discipline_rejects_each_number_out_of_range() {
    let (zero, five) = (Duration::ZERO, Duration::from_millis(5));
    for (discipline, field) in [
        (Discipline::LifoWithAge { max_age: zero }, "max_age"),
        (Discipline::CoDel { target: zero, interval: five }, "target"),
        (Discipline::CoDel { target: five, interval: five - Duration::from_nanos(1) }, "interval"),
        (Discipline::AdaptiveLifo { target: zero, interval: five }, "target"),
        (Discipline::AdaptiveLifo { target: five, interval: zero }, "interval"),
        (Discipline::TimeBuckets { slice: zero, slices: 2 }, "slice"),
        (Discipline::TimeBuckets { slice: five, slices: 1 }, "slices"),
    ] {
        assert_eq!(discipline.validate().unwrap_err().field(), field, "{discipline}");
    }
    for discipline in [
        Discipline::Fifo,
        Discipline::KeepOldest,
        Discipline::Lifo,
        Discipline::LifoWithAge { max_age: Duration::from_nanos(1) },
        Discipline::CoDel { target: five, interval: five },
        Discipline::AdaptiveLifo { target: five, interval: five },
        Discipline::TimeBuckets { slice: Duration::from_nanos(1), slices: 2 },
    ] {
        assert_eq!(discipline.validate(), Ok(()), "{discipline}");
    }
}

#[cfg(feature = "serde")]
mod files {
    use super::*;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::{from_str, to_string};

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Settings {
        #[serde(with = "plimsoll_core::parts::duration_text")]
        wait: Duration,
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "plimsoll_core::parts::duration_text::option"
        )]
        age: Option<Duration>,
    }

    fn duration() -> impl Strategy<Value = Duration> {
        let extremes = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
        let full = (any::<u64>(), 0..1_000_000_000u32).prop_map(|(s, ns)| Duration::new(s, ns));
        let usual = any::<u32>().prop_map(|us| Duration::from_micros(us.into()));
        prop_oneof![1 => prop::sample::select(extremes.to_vec()), 2 => full, 4 => usual]
    }

    proptest! {
        #[test]
        fn durations_round_trip_through_text(wait in duration(), age in prop::option::of(duration())) {
            let settings = Settings { wait, age };
            let json = to_string(&settings).unwrap();
            prop_assert_eq!(from_str::<Settings>(&json).unwrap(), settings, "{}", json);
        }
    }

    #[test]
    fn a_duration_is_text_with_units() {
        let settings: Settings = from_str(r#"{"wait":"1h 30m","age":"100ms"}"#).unwrap();
        let (wait, age) = (Duration::from_secs(5400), Some(Duration::from_millis(100)));
        assert_eq!(settings, Settings { wait, age });
        assert_eq!(to_string(&settings).unwrap(), r#"{"wait":"1h 30m","age":"100ms"}"#);
        let error = from_str::<Settings>(r#"{"wait":"soon"}"#).unwrap_err().to_string();
        assert!(error.contains(r#""soon" is not a duration such as "100ms""#), "{error}");
        assert!(from_str::<Settings>(r#"{"wait":5}"#).is_err(), "a number has no unit");
    }

    #[test]
    fn disciplines_round_trip_through_text() {
        let five = Duration::from_millis(5);
        for (discipline, json) in [
            (Discipline::Fifo, r#""fifo""#),
            (Discipline::KeepOldest, r#""keep-oldest""#),
            (Discipline::Lifo, r#""lifo""#),
            (Discipline::LifoWithAge { max_age: five }, r#"{"lifo-with-age":{"max_age":"5ms"}}"#),
            (Discipline::CODEL, r#"{"codel":{"target":"5ms","interval":"100ms"}}"#),
            (Discipline::ADAPTIVE_LIFO, r#"{"adaptive-lifo":{"target":"5ms","interval":"100ms"}}"#),
            (
                Discipline::TimeBuckets { slice: five, slices: 3 },
                r#"{"time-buckets":{"slice":"5ms","slices":3}}"#,
            ),
        ] {
            assert_eq!(to_string(&discipline).unwrap(), json);
            assert_eq!(from_str::<Discipline>(json).unwrap(), discipline);
            assert!(json.contains(discipline.as_str()), "labels and files use the same name");
        }
        assert!(from_str::<Discipline>(r#"{"lifo-with-age":{"age":"5ms"}}"#).is_err());
        let extra = r#"{"lifo-with-age":{"max_age":"5ms","target":"5ms"}}"#;
        assert!(from_str::<Discipline>(extra).is_err(), "an unknown number is rejected");
    }
}
