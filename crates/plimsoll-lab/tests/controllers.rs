//! Load controllers and a fixed drop rate in front of one server, by facts that hold with a wide
//! margin.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_lab::Progress;
use plimsoll_lab::run::{Outcome, Row, Verdict, run};
use plimsoll_lab::scenario::{Scenario, find, read};
use plimsoll_lab::sim::{Policy, ShedderControl, simulate};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Returns the shipped scenario with some of its loads and policies.
fn scenario(loads: &[f64], policies: &[&str]) -> Scenario {
    let mut scenario = find("controllers").unwrap();
    scenario.steps.retain(|step| loads.contains(&step.load));
    scenario.policies.retain(|(name, _)| policies.contains(&name.as_str()));
    assert_eq!((scenario.steps.len(), scenario.policies.len()), (loads.len(), policies.len()));
    scenario
}

fn outcome(loads: &[f64], policies: &[&str]) -> Outcome {
    run(&scenario(loads, policies), 1, 2, &mut Progress::silent()).unwrap().0
}

fn row<'a>(outcome: &'a Outcome, policy: &str, load: f64) -> &'a Row {
    outcome.of(policy).find(|row| row.load == load).unwrap()
}

#[test]
fn fixed_rate_for_2x_fails_at_5x_and_controllers_hold() {
    let outcome = outcome(&[2.0, 5.0], &["random drop for 2x", "load shedder, rate", "load shedder, red"]);
    let of_bound = |policy, load| row(&outcome, policy, load).of_bound;
    assert!(of_bound("random drop for 2x", 2.0).low > 0.95, "{:?}", of_bound("random drop for 2x", 2.0));
    assert!(of_bound("random drop for 2x", 5.0).high < 0.02, "{:?}", of_bound("random drop for 2x", 5.0));
    for (policy, load) in [
        ("load shedder, rate", 2.0),
        ("load shedder, rate", 5.0),
        ("load shedder, red", 2.0),
        ("load shedder, red", 5.0),
    ] {
        let row = row(&outcome, policy, load);
        assert!(row.of_bound.low > 0.97, "{policy} at {load}: {:?}", row.of_bound);
        assert_eq!((row.verdict, row.late.mean), (Verdict::Stable, 0.0), "{policy} at {load}");
    }
    // The median of the work is 6.9 ms, and the target delay 20 ms.
    let p50 = row(&outcome, "load shedder, rate", 5.0).p50_ms.unwrap();
    assert!((20.0..40.0).contains(&p50.mean), "{p50:?}");
}

#[test]
fn at_half_load_controllers_drop_none_and_fixed_rate_half() {
    let all = ["random drop for 2x", "load shedder, rate", "load shedder, pie", "load shedder, red", "dagor"];
    let outcome = outcome(&[0.5], &all);
    for policy in &all[1..] {
        assert_eq!(row(&outcome, policy, 0.5).rejected.mean, 0.0, "{policy}");
    }
    let fixed = row(&outcome, "random drop for 2x", 0.5);
    assert!((fixed.of_bound.mean - 0.5).abs() < 0.05, "{:?}", fixed.of_bound);
}

#[test]
fn at_20x_rate_control_holds_and_small_steps_are_too_slow() {
    let outcome = outcome(&[20.0], &["load shedder, rate", "dagor", "load shedder, pie", "dispatch"]);
    for policy in ["load shedder, rate", "dispatch"] {
        let row = row(&outcome, policy, 20.0);
        assert!(row.of_bound.low > 0.95 && row.late.mean == 0.0, "{policy}: {:?}", row.of_bound);
    }
    assert!(row(&outcome, "load shedder, rate", 20.0).p50_ms.unwrap().mean < 40.0);
    for policy in ["dagor", "load shedder, pie"] {
        assert!(row(&outcome, policy, 20.0).of_bound.high < 0.05, "{policy}");
    }
}

#[test]
fn throttled_requests_cost_the_server_nothing() {
    // Rejections cost a tenth of the work each. At ten times the capacity they use up the whole
    // server.
    let mut scenario = scenario(&[10.0], &["adaptive throttle + valve", "valve"]);
    scenario.steps[0].case.server.rejection_cost = 0.1;
    let good = |name: &str| {
        let (_, policy) = scenario.policies.iter().find(|(other, _)| other == name).unwrap();
        simulate(&scenario.steps[0].case, policy, 1).unwrap().goodput()
    };
    let (throttled, plain) = (good("adaptive throttle + valve"), good("valve"));
    assert!(throttled > 1_200.0 && throttled > 2.0 * plain, "{throttled} and {plain} of 1600");
}

#[test]
fn simulation_depends_on_the_seed_alone() {
    let scenario =
        scenario(&[2.0], &["load shedder, rate", "dagor", "dispatch", "adaptive throttle + valve"]);
    let case = &scenario.steps[0].case;
    for (name, policy) in &scenario.policies {
        let course = |seed| format!("{:?}", simulate(case, policy, seed).unwrap());
        assert!(course(7) == course(7), "{name}");
        assert!(course(7) != course(8), "{name}");
    }
}

fn with(policy: &str) -> Result<Policy, String> {
    let text = format!(
        "about = \"x\"\nseconds = 2\nserver = {{ slots = 4, service = {{ law = \"constant\", mean = \"10ms\" }} }}\n\
         arrivals = {{ load = 1 }}\ntrigger = {{ from = \"0s\", until = \"1s\" }}\n[[policy]]\n{policy}\n"
    );
    read("x", "x.toml", &text, None).map(|mut read| read.policies.remove(0).1).map_err(|e| e.to_string())
}

#[test]
fn missing_keys_have_the_guards_defaults() {
    let shedder = |target, control| Policy::LoadShedder { workers: 4, target, control, capacity_hint: None };
    assert_eq!(with("kind = \"load-shedder\""), Ok(shedder(5 * MS, ShedderControl::Rate)));
    let pie = "kind = \"load-shedder\"\ncontrol = \"pie\"\ntarget = \"20ms\"";
    assert_eq!(with(pie), Ok(shedder(20 * MS, ShedderControl::Pie)));
    let red = "kind = \"load-shedder\"\ncontrol = \"red\"\nfrom = 3\nto = 9";
    assert_eq!(with(red), Ok(shedder(5 * MS, ShedderControl::Red { from: 3, to: 9 })));
    assert_eq!(with("kind = \"dagor\""), Ok(Policy::Dagor));
    assert_eq!(with("kind = \"dispatch\""), Ok(Policy::Dispatch { slots: 4 }));
    let throttle =
        Policy::AdaptiveThrottleValve { multiplier: 2.0, window: 30_000 * MS, min_rate: 1.0, concurrency: 4 };
    assert_eq!(with("kind = \"adaptive-throttle+valve\""), Ok(throttle));
}

#[test]
fn invalid_setting_names_line_and_allowed_values() {
    for (kind, keys, parts) in [
        ("load-shedder", "control = \"fast\"", &["policy.control = \"fast\"", "rate, pie or red"][..]),
        ("load-shedder", "target = \"0s\"", &["policy.target = \"0s\"", "3600s"]),
        ("load-shedder", "workers = 0", &["policy.workers = 0", "1 to 1000000"]),
        ("load-shedder", "capacity_hint = 0", &["policy.capacity_hint = 0"]),
        ("load-shedder", "from = 3", &["policy.from is not allowed with load-shedder", "capacity_hint"]),
        (
            "load-shedder",
            "control = \"pie\"\ncapacity_hint = 9",
            &["policy.capacity_hint is not allowed with pie"],
        ),
        ("load-shedder", "control = \"red\"\nto = 9", &["policy.from is missing"]),
        ("load-shedder", "control = \"red\"\nfrom = 9", &["policy.to is missing"]),
        ("load-shedder", "control = \"red\"\nfrom = 9\nto = 9", &["policy.to = 9", "10 to 1000000"]),
        (
            "dagor",
            "target = \"20ms\"",
            &["policy.target is not allowed with dagor, which has no keys of its own"],
        ),
        ("dispatch", "slots = 0", &["policy.slots = 0", "1 to 1000000"]),
        ("dispatch", "probes = 8", &["probes", "unknown key"]),
        ("dispatch", "queue = 3", &["policy.queue is not allowed with dispatch", "slots"]),
        ("adaptive-throttle+valve", "multiplier = 0.5", &["policy.multiplier = 0.5", "1 to 1000000"]),
        ("adaptive-throttle+valve", "window = \"10ms\"", &["policy.window = \"10ms\"", "1s to 3600s"]),
        ("adaptive-throttle+valve", "min_rate = -1", &["policy.min_rate = -1"]),
        ("throttle", "", &["policy.kind = \"throttle\"", "dispatch or adaptive-throttle+valve"]),
        ("valve", "multiplier = 2", &["policy.multiplier is not allowed with valve"]),
    ] {
        let error = with(&format!("kind = \"{kind}\"\n{keys}")).expect_err(keys);
        for part in [&["x.toml:"], parts].concat() {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}
