//! The settings of every limiter: in a file, and as plain data.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::ConfigError;
use plimsoll_limit::{
    Class, FairRateLimiter, FairRateLimiterConfig, KeyedRateLimiter, KeyedRateLimiterConfig, Quota,
    RateLimiter, RateLimiterConfig, TieredRateLimiter, TieredRateLimiterConfig, WhenFull,
};
use std::time::Duration;

const NOTHING: Quota = Quota::per_second(0);

fn tiered() -> TieredRateLimiterConfig {
    TieredRateLimiterConfig { classes: vec![Class::new("free")], ..Default::default() }
}

/// What `validate` and the builder say of the same settings.
#[track_caller]
fn assert_invalid<T>(validated: Result<(), ConfigError>, built: Result<T, ConfigError>, message: &str) {
    assert_eq!(validated.unwrap_err().to_string(), message);
    assert_eq!(built.map(drop).unwrap_err().to_string(), message);
}

#[test]
fn defaults_are_valid() {
    RateLimiterConfig::default().validate().unwrap();
    KeyedRateLimiterConfig::default().validate().unwrap();
    FairRateLimiterConfig::default().validate().unwrap();
    tiered().validate().unwrap();
    // A tiered limiter has no default class.
    assert!(TieredRateLimiterConfig::default().validate().is_err());
}

#[test]
fn invalid_setting_of_the_global_limiter_is_named() {
    let default = RateLimiterConfig::default;
    for (config, message) in [
        (
            RateLimiterConfig { name: String::new(), ..default() },
            "name = \"\" is not allowed: it must be at least one character",
        ),
        (
            RateLimiterConfig { quota: NOTHING, ..default() },
            "quota.units = 0 is not allowed: it must be 1 or more",
        ),
        (
            RateLimiterConfig { queue: 1 << 31, ..default() },
            "queue = 2147483648 is not allowed: it must be 0 to 2147483647",
        ),
        (
            RateLimiterConfig { max_wait: Duration::ZERO, ..default() },
            "max_wait = 0ns is not allowed: it must be above 0 where requests may wait (queue > 0)",
        ),
    ] {
        assert_invalid(config.validate(), RateLimiter::builder().config(config).build(), message);
    }
    let config = RateLimiterConfig { queue: 0, max_wait: Duration::ZERO, ..default() };
    assert!(RateLimiter::builder().config(config).build().is_ok(), "no request may wait");
}

#[test]
fn invalid_setting_of_the_keyed_limiter_is_named() {
    let default = KeyedRateLimiterConfig::default;
    for (config, message) in [
        (
            KeyedRateLimiterConfig { quota: NOTHING, ..default() },
            "quota.units = 0 is not allowed: it must be 1 or more",
        ),
        (
            KeyedRateLimiterConfig { max_keys: 0, ..default() },
            "max_keys = 0 is not allowed: it must be 1 to 1073741824",
        ),
        (
            KeyedRateLimiterConfig { max_keys: (1 << 30) + 1, ..default() },
            "max_keys = 1073741825 is not allowed: it must be 1 to 1073741824",
        ),
        (
            KeyedRateLimiterConfig { max_wait: Duration::ZERO, ..default() },
            "max_wait = 0ns is not allowed: it must be above 0 where requests may wait (queue > 0)",
        ),
    ] {
        let built = KeyedRateLimiter::<str>::builder().config(config.clone()).build();
        assert_invalid(config.validate(), built, message);
    }
}

#[test]
fn invalid_setting_of_the_tiered_limiter_is_named() {
    for (config, message) in [
        (TieredRateLimiterConfig::default(), "classes = 0 is not allowed: it must be 1 to 511"),
        (
            TieredRateLimiterConfig { global: Some(NOTHING), ..tiered() },
            "quota.units = 0 is not allowed: it must be 1 or more",
        ),
        (
            TieredRateLimiterConfig { classes: vec![Class::new("free").each(NOTHING)], ..tiered() },
            "quota.units = 0 (each account in class \"free\") is not allowed: it must be 1 or more",
        ),
        (
            TieredRateLimiterConfig {
                classes: vec![Class::new("free"), Class::new("premium").all(Quota::per_second(1).burst(0))],
                ..tiered()
            },
            "quota.burst = 0 (all accounts in class \"premium\") is not allowed: it must be 1 or more",
        ),
        (
            TieredRateLimiterConfig { classes: vec![Class::new("")], ..tiered() },
            "class.name = \"\" is not allowed: it must be not empty, other than \"global\", and without \"/\"",
        ),
        (
            TieredRateLimiterConfig { classes: vec![Class::new("global")], ..tiered() },
            "class.name = \"global\" is not allowed: it must be not empty, other than \"global\", and without \"/\"",
        ),
        (
            TieredRateLimiterConfig { queue: u32::MAX, ..tiered() },
            "queue = 4294967295 is not allowed: it must be 0 to 2147483647",
        ),
    ] {
        let built = TieredRateLimiter::<str>::builder().config(config.clone()).build();
        assert_invalid(config.validate(), built, message);
    }
}

/// "a/account" would be the name of the quota of each account in class "a", too. A request that
/// waited for that quota once held back all accounts in the other class.
#[test]
fn class_names_have_no_slash() {
    for name in ["a/account", "/", "a/"] {
        let config = TieredRateLimiterConfig { classes: vec![Class::new(name)], ..tiered() };
        let message = format!(
            "class.name = {name:?} is not allowed: it must be not empty, other than \"global\", and without \"/\""
        );
        let built = TieredRateLimiter::<str>::builder().config(config.clone()).build();
        assert_invalid(config.validate(), built, &message);
    }
}

#[test]
fn invalid_setting_of_the_fair_limiter_is_named() {
    let default = FairRateLimiterConfig::default;
    for (config, message) in [
        (
            FairRateLimiterConfig { quota: Quota::per_second(9).burst(1), ..default() },
            "quota.burst = 1 is not allowed: it must be 2 or more where it is shared",
        ),
        (
            FairRateLimiterConfig { tail: 0.0, ..default() },
            "tail = 0 is not allowed: it must be above 0.0, at most 1.0",
        ),
        (
            FairRateLimiterConfig { tail: f64::NAN, ..default() },
            "tail = NaN is not allowed: it must be above 0.0, at most 1.0",
        ),
        (
            FairRateLimiterConfig { tail: 1.01, ..default() },
            "tail = 1.01 is not allowed: it must be above 0.0, at most 1.0",
        ),
        (
            FairRateLimiterConfig { max_keys: 0, ..default() },
            "max_keys = 0 is not allowed: it must be 1 to 1073741824",
        ),
    ] {
        let built = FairRateLimiter::<str>::builder().config(config.clone()).build();
        assert_invalid(config.validate(), built, message);
    }
}

#[cfg(feature = "serde")]
mod in_a_file {
    use super::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use std::fmt::Debug;

    /// Writes the settings, reads them back, and checks what was written.
    #[track_caller]
    fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(config: &T, json: &str) {
        assert_eq!(serde_json::to_string(config).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(json).unwrap(), *config);
    }

    /// Returns the message of the error that reading `json` gives.
    #[track_caller]
    fn refusal<T: DeserializeOwned + Debug>(json: &str) -> String {
        serde_json::from_str::<T>(json).unwrap_err().to_string()
    }

    #[test]
    fn every_setting_comes_back_as_it_was_written() {
        let max_wait = Duration::from_millis(2_500);
        round_trip(
            &RateLimiterConfig {
                name: "all".into(),
                quota: Quota::per_second(5).burst(7),
                queue: 3,
                max_wait,
            },
            r#"{"name":"all","quota":{"per_second":5,"burst":7},"queue":3,"max_wait":"2s 500ms"}"#,
        );
        round_trip(
            &KeyedRateLimiterConfig {
                name: "each".into(),
                quota: Quota::at_most(100, Duration::from_secs(30)),
                max_keys: 9,
                when_full: WhenFull::Reject,
                queue: 3,
                max_wait,
            },
            r#"{"name":"each","quota":{"at_most":100,"seconds":30.0,"burst":50},"max_keys":9,"when_full":"reject","queue":3,"max_wait":"2s 500ms"}"#,
        );
        let classes = vec![
            Class::new("free").each(Quota::per_minute(5)).all(Quota::per_hour(6)),
            Class::new("premium"),
        ];
        let tiers = TieredRateLimiterConfig {
            name: "api".into(),
            global: Some(Quota::per_day(8)),
            classes,
            max_keys: 9,
            when_full: WhenFull::Evict,
            queue: 3,
            max_wait,
        };
        round_trip(
            &tiers,
            concat!(
                r#"{"name":"api","global":{"per_day":8,"burst":8},"classes":["#,
                r#"{"name":"free","each":{"per_minute":5,"burst":5},"all":{"per_hour":6,"burst":6}},"#,
                r#"{"name":"premium"}],"max_keys":9,"when_full":"evict","queue":3,"max_wait":"2s 500ms"}"#
            ),
        );
        let without = TieredRateLimiterConfig { global: None, ..tiers };
        let json = serde_json::to_string(&without).unwrap();
        assert!(!json.contains("global"), "{json}");
        assert_eq!(serde_json::from_str::<TieredRateLimiterConfig>(&json).unwrap(), without);
        round_trip(
            &FairRateLimiterConfig {
                name: "shares".into(),
                quota: Quota::per(3, Duration::from_millis(500)),
                tail: 0.125,
                max_keys: 9,
                queue: 3,
                max_wait,
            },
            r#"{"name":"shares","quota":{"units":3,"seconds":0.5,"burst":3},"tail":0.125,"max_keys":9,"queue":3,"max_wait":"2s 500ms"}"#,
        );
    }

    #[test]
    fn missing_settings_take_the_defaults() {
        let read = |json| serde_json::from_str::<RateLimiterConfig>(json).unwrap();
        assert_eq!(read("{}"), RateLimiterConfig::default());
        assert_eq!(read(r#"{"queue":0}"#), RateLimiterConfig { queue: 0, ..Default::default() });
        let read = |json| serde_json::from_str::<KeyedRateLimiterConfig>(json).unwrap();
        assert_eq!(read("{}"), KeyedRateLimiterConfig::default());
        let max_keys = KeyedRateLimiterConfig { max_keys: 5, ..Default::default() };
        assert_eq!(read(r#"{"max_keys":5}"#), max_keys);
        let read = |json| serde_json::from_str::<TieredRateLimiterConfig>(json).unwrap();
        assert_eq!(read("{}"), TieredRateLimiterConfig::default());
        assert_eq!(read(r#"{"classes":[{"name":"free"}]}"#), tiered());
        let read = |json| serde_json::from_str::<FairRateLimiterConfig>(json).unwrap();
        assert_eq!(read("{}"), FairRateLimiterConfig::default());
        let max_wait = FairRateLimiterConfig { max_wait: Duration::from_secs(60), ..Default::default() };
        assert_eq!(read(r#"{"max_wait":"1m"}"#), max_wait);
    }

    #[test]
    fn unknown_setting_is_an_error_that_names_it() {
        let json = r#"{"max_key":5}"#;
        for message in [
            refusal::<RateLimiterConfig>(json),
            refusal::<KeyedRateLimiterConfig>(json),
            refusal::<TieredRateLimiterConfig>(json),
            refusal::<FairRateLimiterConfig>(json),
            refusal::<TieredRateLimiterConfig>(r#"{"classes":[{"name":"free","max_key":1}]}"#),
            refusal::<RateLimiterConfig>(r#"{"quota":{"per_second":1,"max_key":1}}"#),
        ] {
            assert!(message.contains("unknown field `max_key`"), "{message}");
        }
        // The keys of a global limiter are none.
        let message = refusal::<RateLimiterConfig>(r#"{"max_keys":5}"#);
        assert!(message.contains("unknown field `max_keys`"), "{message}");
    }

    #[test]
    fn invalid_value_in_a_file_is_an_error_that_names_it() {
        // A quota is checked when it is read.
        let message = refusal::<RateLimiterConfig>(r#"{"quota":{"per_second":0}}"#);
        assert!(message.contains("quota.units = 0"), "{message}");
        let message = refusal::<FairRateLimiterConfig>(r#"{"max_wait":"soon"}"#);
        assert!(message.contains("\"soon\" is not a duration"), "{message}");
        // What belongs together is checked by `validate`.
        let config: RateLimiterConfig = serde_json::from_str(r#"{"max_wait":"0s"}"#).unwrap();
        assert!(config.validate().unwrap_err().to_string().starts_with("max_wait = 0ns"));
        let config: KeyedRateLimiterConfig = serde_json::from_str(r#"{"max_keys":0}"#).unwrap();
        assert!(config.validate().unwrap_err().to_string().starts_with("max_keys = 0"));
        let config: TieredRateLimiterConfig = serde_json::from_str("{}").unwrap();
        assert!(config.validate().unwrap_err().to_string().starts_with("classes = 0"));
        let config: FairRateLimiterConfig = serde_json::from_str(r#"{"tail":2.0}"#).unwrap();
        assert!(config.validate().unwrap_err().to_string().starts_with("tail = 2"));
    }
}
