//! A trip in a settings file.

use crate::trip::{Of, Trip, When};
use plimsoll_core::ConfigError;
use plimsoll_core::parts::duration_text;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A trip as a table, such as `{ on = "failures", ratio = 0.5, min_calls = 20, within = "10s" }`,
/// `{ on = "errors", count = 5 }` or `{ on = "slow", longer_than = "1s", consecutive = 3 }`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TripTable {
    on: On,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration_text::option")]
    longer_than: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_calls: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration_text::option")]
    within: Option<Duration>,
}

/// The constructor of the trip.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum On {
    Failures,
    Errors,
    Timeouts,
    Slow,
    Overloads,
    Cancellations,
}

impl TryFrom<TripTable> for Trip {
    type Error = ConfigError;
    fn try_from(table: TripTable) -> Result<Self, ConfigError> {
        let trip = Trip::default_of(match (table.on, table.longer_than) {
            (On::Failures, None) => Of::Failures,
            (On::Errors, None) => Of::Errors,
            (On::Timeouts, None) => Of::Timeouts,
            (On::Overloads, None) => Of::Overloads,
            (On::Cancellations, None) => Of::Cancellations,
            (On::Slow, Some(longer_than)) => Of::Slow(longer_than),
            (On::Slow, None) => {
                return Err(ConfigError::new("longer_than", "nothing", "given for slow calls"));
            }
            (_, Some(given)) => {
                return Err(ConfigError::new(
                    "longer_than",
                    format_args!("{given:?}"),
                    "for slow calls only",
                ));
            }
        });
        let trip = match (table.count, table.consecutive, table.ratio, table.min_calls) {
            (Some(n), None, None, None) => trip.count(n),
            (None, Some(n), None, None) => trip.consecutive(n),
            // Omitted numbers are those of the constructor.
            (None, None, ratio, min_calls) => match trip.when {
                When::Ratio { share, min_calls: calls } => {
                    trip.ratio(ratio.unwrap_or(share), min_calls.unwrap_or(calls))
                }
                _ => trip,
            },
            _ => {
                let allowed = "one of count, consecutive, ratio (with min_calls)";
                return Err(ConfigError::new("trip", "more than one condition", allowed));
            }
        };
        let trip = table.within.map_or(trip, |within| trip.within(within));
        trip.validate()?;
        Ok(trip)
    }
}

impl From<Trip> for TripTable {
    fn from(trip: Trip) -> Self {
        let (on, longer_than) = match trip.of {
            Of::Failures => (On::Failures, None),
            Of::Errors => (On::Errors, None),
            Of::Timeouts => (On::Timeouts, None),
            Of::Slow(longer_than) => (On::Slow, Some(longer_than)),
            Of::Overloads => (On::Overloads, None),
            Of::Cancellations => (On::Cancellations, None),
        };
        let (count, consecutive, ratio, min_calls) = match trip.when {
            When::Count(n) => (Some(n), None, None, None),
            When::Consecutive(n) => (None, Some(n), None, None),
            When::Ratio { share, min_calls } => (None, None, Some(share), Some(min_calls)),
        };
        TripTable { on, longer_than, count, consecutive, ratio, min_calls, within: Some(trip.within) }
    }
}
