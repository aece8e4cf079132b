//! The settings of a demo run. Everything that can be invalid is checked before the run.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::args::DemoArgs;
use crate::cli::value;
use crate::error::UsageError;
use crate::live::Plan;

/// The settings of a demo run, all valid.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The bottleneck and the deadline.
    pub plan: Plan,
    /// Loads, in multiples of the capacity.
    pub loads: Vec<f64>,
    /// The measured time of each row.
    pub measured: Duration,
    /// The seed of the arrivals.
    pub seed: u64,
    /// The address the server listens on.
    pub listen: SocketAddr,
    /// The JSON file to write.
    pub json: Option<PathBuf>,
    /// The HTML report to write.
    pub out: Option<PathBuf>,
    /// The requested capacity. The plan's differs from it by part of a slot at most.
    pub requested_capacity: f64,
}

/// One client thread cannot send more than this. Beyond it every row would be void.
const MAX_CAPACITY: f64 = 100_000.0;
/// The timing thread is late by tens of microseconds, which would dominate shorter work.
const MIN_WORK: Duration = Duration::from_micros(100);
const MAX_WORK: Duration = Duration::from_secs(10);
const MAX_DEADLINE: Duration = Duration::from_secs(60);

impl Settings {
    /// Creates settings that drive `loads` for `measured` each. The seed is 1, the port is a free
    /// one on loopback, and no file is written.
    pub fn new(plan: Plan, loads: Vec<f64>, measured: Duration) -> Self {
        Self {
            plan,
            loads,
            measured,
            seed: 1,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            json: None,
            out: None,
            requested_capacity: plan.capacity(),
        }
    }

    /// Parses the flags.
    pub(crate) fn read(args: &DemoArgs) -> Result<Self, UsageError> {
        let requested_capacity = value::number(
            "--capacity",
            &args.capacity,
            f64::MIN_POSITIVE..=MAX_CAPACITY,
            "requests per second",
        )
        .map_err(|error| UsageError {
            allowed: format!("allowed is a number above 0 and at most {MAX_CAPACITY}"),
            ..error
        })?;
        let service_time = value::duration("--service-time", &args.service_time, MIN_WORK..=MAX_WORK)?;
        let deadline = value::duration("--deadline", &args.deadline, MIN_WORK..=MAX_DEADLINE)?;
        if deadline <= service_time {
            let allowed = format!(
                "allowed is a time above the service time of {}: otherwise no answer could be in time",
                value::show(service_time)
            );
            return Err(UsageError::new("--deadline", &args.deadline, allowed));
        }
        let plan = Plan::near(requested_capacity, service_time, deadline).ok_or_else(|| {
            let min = 0.5 / service_time.as_secs_f64();
            let max = f64::from(u16::MAX) / service_time.as_secs_f64();
            let allowed = format!(
                "allowed with a service time of {} is {min} to {:.0}, which is 1 to {} slots",
                value::show(service_time),
                max.min(MAX_CAPACITY),
                u16::MAX,
            );
            UsageError::new("--capacity", &args.capacity, allowed)
        })?;
        let seconds = value::number("--seconds", &args.seconds, 0.1..=600.0, "seconds")?;
        Ok(Self {
            plan,
            loads: value::loads("--loads", &args.loads)?,
            measured: Duration::from_secs_f64(seconds),
            seed: value::whole("--seed", &args.seed)?,
            listen: address(&args.listen)?,
            json: args.json.as_deref().map(PathBuf::from),
            out: args.out.as_deref().map(PathBuf::from),
            requested_capacity,
        })
    }

    /// Returns the highest rate of the run, in requests per second.
    pub(crate) fn highest_rate(&self) -> f64 {
        self.highest_load() * self.plan.capacity()
    }

    /// Returns the highest load.
    pub(crate) fn highest_load(&self) -> f64 {
        self.loads.iter().copied().fold(0.0, f64::max)
    }
}

fn address(given: &str) -> Result<SocketAddr, UsageError> {
    let found = given.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| {
        let allowed = "allowed is an address of this machine with a port, such as 127.0.0.1:8080";
        UsageError::new("--listen", given, allowed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

    fn read(args: &[&str]) -> Result<Settings, UsageError> {
        let all = ["lab", "demo"].iter().chain(args);
        let Command::Demo(args) = Cli::try_parse_from(all).unwrap().command else { unreachable!() };
        Settings::read(&args)
    }

    #[test]
    fn defaults_are_sixteen_slots_and_five_loads() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.plan.slots, 16);
        assert_eq!(settings.loads, [0.5, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(settings.highest_rate(), 6_400.0);
        assert!(settings.listen.ip().is_loopback());
        assert_eq!(settings.json, None);
    }

    #[test]
    fn invalid_value_names_its_flag() {
        for (flag, given) in [
            ("--capacity", "0"),
            ("--capacity", "nan"),
            ("--capacity", "-5"),
            ("--capacity", "24"),
            ("--capacity", "1e9"),
            ("--service-time", "20"),
            ("--service-time", "0ms"),
            ("--service-time", "11s"),
            ("--deadline", "20ms"),
            ("--deadline", "1h"),
            ("--loads", "abc"),
            ("--loads", ""),
            ("--seconds", "0"),
            ("--seconds", "4s"),
            ("--seed", "-1"),
            ("--seed", "1.5"),
            ("--listen", "127.0.0.1"),
            ("--listen", ""),
        ] {
            let error = read(&[flag, given]).unwrap_err();
            assert_eq!((error.flag, error.given.as_str()), (flag, given));
            let shown = error.to_string();
            assert!(shown.contains("allowed"), "{shown}");
            assert_eq!(shown.lines().count(), 1, "{shown}");
        }
    }

    #[test]
    fn capacity_is_rounded_to_whole_slots() {
        let settings = read(&["--capacity", "790"]).unwrap();
        assert_eq!(settings.requested_capacity, 790.0);
        assert_eq!(settings.plan.capacity(), 800.0);
    }
}
