//! A quota in a settings file.

use crate::Quota;
use plimsoll_core::ConfigError;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The fields of a quota: `{ per_second = 50, burst = 100 }`, `{ units = 3, seconds = 0.5 }` or
/// `{ at_most = 100, seconds = 60 }`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a quota such as { per_second = 5 }")]
pub(crate) struct QuotaTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_minute: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_hour: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_day: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst: Option<u32>,
}

const SECONDS: [u64; 4] = [1, 60, 3_600, 86_400];

impl TryFrom<QuotaTable> for Quota {
    type Error = ConfigError;
    fn try_from(table: QuotaTable) -> Result<Self, ConfigError> {
        let fixed = [table.per_second, table.per_minute, table.per_hour, table.per_day];
        let given = fixed.iter().chain([&table.units, &table.at_most]).flatten().count();
        if given != 1 {
            let allowed = "one of per_second, per_minute, per_hour, per_day, units (with seconds), at_most (with seconds)";
            return Err(ConfigError::new("quota", format!("{given} rates"), allowed));
        }
        let free = table.units.or(table.at_most);
        if free.is_some() != table.seconds.is_some() {
            let given = table.seconds.map_or("nothing".into(), |s| s.to_string());
            return Err(ConfigError::new(
                "quota.seconds",
                given,
                "given with units or at_most, and only then",
            ));
        }
        let quota = match (free, table.seconds) {
            (Some(units), Some(seconds)) => {
                let time = Duration::try_from_secs_f64(seconds)
                    .map_err(|_| ConfigError::new("quota.seconds", seconds, "a number above 0"))?;
                if table.at_most.is_some() { Quota::at_most(units, time) } else { Quota::per(units, time) }
            }
            _ => {
                let rate = fixed.iter().zip(SECONDS).find_map(|(units, s)| units.map(|units| (units, s)));
                let (units, seconds) = rate.unwrap_or_default();
                Quota::per(units, Duration::from_secs(seconds))
            }
        };
        let quota = table.burst.map_or(quota, |burst| quota.burst(burst));
        quota.validate().map(|()| quota)
    }
}

impl From<Quota> for QuotaTable {
    fn from(quota: Quota) -> QuotaTable {
        let burst = Some(quota.burst_size());
        let of = |n: usize| {
            let period = SECONDS.get(n).map(|s| s * 1_000_000_000);
            (!quota.sliding && period == Some(quota.period)).then_some(quota.units)
        };
        let (per_second, per_minute, per_hour, per_day) = (of(0), of(1), of(2), of(3));
        let fixed = per_second.or(per_minute).or(per_hour).or(per_day).is_some();
        QuotaTable {
            per_second,
            per_minute,
            per_hour,
            per_day,
            units: (!fixed && !quota.sliding).then_some(quota.units),
            at_most: quota.sliding.then_some(quota.units),
            seconds: (!fixed).then(|| Duration::from_nanos(quota.period).as_secs_f64()),
            burst,
        }
    }
}
