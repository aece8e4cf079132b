//! Checks that `FairRateLimiter` shares one rate fairly in every shipped scenario.
//!
//! For the sake of time there are two seeds per scenario, and the floods are shorter. The whole
//! table, with ten seeds and all policies:
//!
//! ```text
//! for s in elephant elephants accounts-join alternating weights floors-caps rate-live \
//!          retries churn key-flood zipf tiny mixed; do plimsoll-lab run $s; done
//! ```
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_lab::Progress;
use plimsoll_lab::fair::{Case, Demand, FairnessOutcome, FairnessScenario, Policy, Verdict, find, run};
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

fn outcome(scenario: &FairnessScenario, seeds: u32) -> FairnessOutcome {
    run(scenario, 1, seeds, &mut Progress::silent()).unwrap().0
}

fn of(name: &str, policies: &[Policy], change: impl Fn(&mut Case)) -> FairnessOutcome {
    let mut scenario = find(name).unwrap();
    scenario.policies = policies.to_vec();
    scenario.cases.iter_mut().for_each(change);
    outcome(&scenario, 2)
}

fn fair(name: &str) -> FairnessOutcome {
    of(name, &[Policy::FairRateLimiter], |_| ())
}

/// The minimum Jain's index, worst (admitted + 1) / share and used part of the rate, and the
/// maximum percentage of account-windows below 0.9.
#[derive(Clone, Copy)]
struct Floors(f64, f64, f64, f64);

#[track_caller]
fn assert_floors(outcome: &FairnessOutcome, case: &str, floors: Floors) {
    let row = outcome
        .of(case)
        .find(|row| row.policy == "fair-rate-limiter")
        .unwrap_or_else(|| panic!("no case {case}"));
    let Verdict { jain, worst_plus_one, used, judged, over_bound, .. } = row.verdict;
    let short = row.verdict.short_percent();
    println!(
        "{:<13} {case:<24} {jain:.4} {worst_plus_one:.3} {short:.2} % {used:.4} of {judged}",
        outcome.scenario
    );
    let Floors(min_jain, min_worst, min_used, max_short) = floors;
    assert!(judged > 0, "{row:?}");
    assert!(jain >= min_jain && worst_plus_one >= min_worst && used >= min_used, "{row:?}");
    assert!(short <= max_short, "{row:?}");
    assert_eq!(over_bound, 0, "{row:?}");
}

#[test]
fn elephant_takes_nothing_from_a_thousand_mice() {
    let mut scenario = find("elephant").unwrap();
    scenario.policies = vec![Policy::FairRateLimiter];
    // With two seeds, the percentage of mice that fall short by chance is not known to a tenth.
    let outcome = outcome(&scenario, 5);
    // Paced arrivals: the target of the project.
    assert_floors(&outcome, "mice 8.991/s, paced", Floors(0.998, 0.99, 0.998, 0.0));
    assert_floors(&outcome, "mice 9.99/s, paced", Floors(0.998, 0.95, 0.998, 0.0));
    assert_floors(&outcome, "mice 10.989/s, paced", Floors(0.998, 0.90, 0.998, 0.02));
    assert_floors(&outcome, "mice 29.97/s, paced", Floors(0.998, 0.90, 0.998, 0.02));
    // With Poisson arrivals, a mouse that requests its share requests a fifth more in one window
    // and less in the next. The floor for the worst of them is what was measured, not a target.
    assert_floors(&outcome, "mice 8.991/s, poisson", Floors(0.9999, 0.85, 0.998, 0.02));
    assert_floors(&outcome, "mice 9.99/s, poisson", Floors(0.9968, 0.70, 0.997, 2.0));
    assert_floors(&outcome, "mice 10.989/s, poisson", Floors(0.9931, 0.65, 0.998, 3.8));
    assert_floors(&outcome, "mice 29.97/s, poisson", Floors(0.9987, 0.80, 0.9995, 0.12));
}

#[test]
fn many_large_accounts_share_evenly() {
    let outcome = fair("elephants");
    assert_floors(&outcome, "paced", Floors(0.9985, 0.944, 0.998, 0.18));
    assert_floors(&outcome, "poisson", Floors(0.9946, 0.70, 0.998, 2.0));
}

#[test]
fn accounts_that_join_get_their_share() {
    // The twenty that join together request ten times the rate instead of forty times.
    let calm = |case: &mut Case| {
        for group in case.groups.iter_mut().filter(|group| group.accounts == 18) {
            group.demand = Demand::Each(5_000.0);
        }
    };
    assert_floors(
        &of("accounts-join", &[Policy::FairRateLimiter], calm),
        "",
        Floors(0.9999, 0.99, 0.999, 0.0),
    );
}

#[test]
fn elephants_that_take_turns_gain_nothing() {
    let outcome = fair("alternating");
    assert_floors(&outcome, "elephants in turns of 500ms", Floors(0.9999, 0.95, 0.998, 0.0));
    assert_floors(&outcome, "elephants in turns of 50ms", Floors(0.9999, 0.889, 0.998, 0.02));
}

#[test]
fn weights_floors_and_caps_hold_while_weights_move() {
    assert_floors(&fair("weights"), "", Floors(0.9976, 0.905, 0.998, 0.75));
    assert_floors(&fair("floors-caps"), "", Floors(0.9980, 0.937, 0.998, 1.0));
}

#[test]
fn shares_hold_while_the_rate_changes() {
    assert_floors(&fair("rate-live"), "", Floors(0.9991, 0.951, 0.9990, 0.0));
    // The bound holds across the change for every limiter.
    let others = of("rate-live", &[Policy::RateLimiter, Policy::KeyedRateLimiter], |_| ());
    assert!(others.rows.iter().all(|row| row.verdict.over_bound == 0), "{others:?}");
}

#[test]
fn retries_gain_nothing() {
    assert_floors(&fair("retries"), "", Floors(0.9990, 0.95, 0.999, 0.0));
}

#[test]
fn residents_keep_their_share_among_new_accounts() {
    assert_floors(&fair("churn"), "", Floors(0.9958, 0.762, 0.998, 4.3));
}

#[test]
fn flood_of_new_keys_takes_no_more_than_the_tail() {
    let outcome = of("key-flood", &[Policy::FairRateLimiter], |case| {
        // A fifth of the shipped flood, for six seconds instead of ten, because debug builds run
        // this, too.
        case.span = 12 * S;
        for group in case.groups.iter_mut() {
            group.until = group.until.min(case.span);
            if group.new_key_per_request {
                group.demand = Demand::Each(200_000.0);
            }
        }
    });
    assert_floors(&outcome, "mice 8.991/s", Floors(0.9996, 0.92, 0.999, 0.1));
    assert_floors(&outcome, "mice 10.989/s", Floors(0.9985, 0.896, 0.999, 2.1));
}

#[test]
fn hundred_thousand_zipf_accounts_share_fairly() {
    let mut scenario = find("zipf").unwrap();
    scenario.policies = vec![Policy::FairRateLimiter];
    // The first window with one seed. The command above runs the rest.
    scenario.cases.iter_mut().for_each(|case| {
        case.span = 4 * S;
        case.groups.iter_mut().for_each(|group| group.until = case.span);
    });
    let outcome = outcome(&scenario, 1);
    assert_floors(&outcome, "poisson", Floors(0.9972, 0.60, 0.999, 5.4));
}

#[test]
fn small_and_mixed_services_stay_above_their_floors() {
    // Six accounts at 200 per second: a share is 67 requests, with a standard deviation of 12 %.
    assert_floors(&fair("tiny"), "poisson", Floors(0.976, 0.80, 0.985, 8.0));
    let mixed = fair("mixed");
    assert_floors(&mixed, "paced", Floors(0.9990, 0.89, 0.998, 0.1));
    assert_floors(&mixed, "poisson", Floors(0.9975, 0.70, 0.998, 2.1));
}

#[test]
fn other_policies_fall_short_where_documented() {
    let mut scenario = find("elephant").unwrap();
    scenario.cases.retain(|case| case.name == "mice 10.989/s, paced");
    let outcome = outcome(&scenario, 2);
    let worst = |case: &str, policy: &str| {
        let row = outcome.of(case).find(|row| row.policy == policy).unwrap();
        assert_eq!(row.verdict.over_bound, 0, "{row:?}");
        row.verdict.worst_plus_one
    };
    for other in ["water-filling", "csfq", "keyed-rate-limiter", "rate-limiter"] {
        let (ours, theirs) =
            (worst("mice 10.989/s, paced", "fair-rate-limiter"), worst("mice 10.989/s, paced", other));
        assert!(ours > theirs + 0.1, "{other}: {theirs}, ours {ours}");
    }
}

fn lab(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plimsoll-lab")).args(args).output().unwrap()
}

const SMALL: &str = r#"about = "A small one, for tests."
seconds = 6

[fairness]
rate = 1_000
burst = 20

[[fairness.group]]
name = "elephant"
rate = 2_000

[[fairness.group]]
name = "mice"
accounts = 10
rate = 50
"#;

#[test]
fn fairness_run_repeats_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("small.toml"), SMALL).unwrap();
    let run = |n: &str, seed: &str| {
        let (json, csv) = (path(&format!("{n}.json")), path(&format!("{n}.csv")));
        let output = lab(&[
            "run",
            &path("small.toml"),
            "--seeds",
            "2",
            "--seed",
            seed,
            "--json",
            &json,
            "--csv",
            &csv,
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap();
        [shown, fs::read_to_string(json).unwrap(), fs::read_to_string(csv).unwrap()]
    };
    let one = run("one", "1");
    assert_eq!(one, run("two", "1"));
    assert_ne!(one, run("three", "2"));
    let [shown, json, csv] = one;
    let result: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((result["rows"].as_array().unwrap().len(), csv.lines().count()), (5, 6));
    for policy in ["fair-rate-limiter", "water-filling", "csfq", "keyed-rate-limiter", "rate-limiter"] {
        assert!(shown.contains(policy) && csv.contains(policy), "{policy}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
}

#[test]
fn invalid_fairness_key_names_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ill.toml");
    let run = |text: String, more: &[&str]| {
        fs::write(&path, text).unwrap();
        lab(&[&["run", path.to_str().unwrap(), "--seeds", "1"], more].concat())
    };
    let with = |keys: &str| SMALL.replace("burst = 20", &format!("burst = 20\n{keys}"));
    let mice = |keys: &str| format!("{SMALL}{keys}\n");
    for (text, parts) in [
        (SMALL.replace("rate = 1_000", "rate = 0"), &["ill.toml:5: fairness.rate = 0", "1 to"][..]),
        (SMALL.replace("seconds = 6", "seconds = 3"), &["ill.toml:2: seconds = 3"]),
        (with("tail = 2"), &["ill.toml:7: fairness.tail = 2", "0.001 to 1"]),
        (with("arrivals = [\"steady\"]"), &["fairness.arrivals = \"steady\"", "paced, poisson"]),
        (with("arrivals = []"), &["fairness.arrivals = []"]),
        (
            with("policies = [\"tied\"]"),
            &[
                "fairness.policies = \"tied\"",
                "fair-rate-limiter, water-filling, csfq, keyed-rate-limiter, rate-limiter",
            ],
        ),
        (with("policies = [\"fair-rate-limiter\", \"fair-rate-limiter\"]"), &["each once"]),
        (with("change = [{ at = \"9s\", rate = 5 }]"), &["fairness.change.at = \"9s\"", "6s"]),
        (with("permute = [\"4s\", \"3s\"]"), &["fairness.permute = \"3s\""]),
        (with("retries = 1\nretry_after = \"1ms\""), &["fairness.retry_after = \"1ms\"", "4ms"]),
        (with("mice = 3"), &["ill.toml:7", "unknown key `mice`"]),
        (mice("rates = [1]"), &["ill.toml:12", "rate, rates and total"]),
        (mice("floor = 200"), &["the floors add up to 2000", "1000"]),
        (mice("floor = 20\ncap = 10"), &["ill.toml:17: fairness.group.cap = 10", "20"]),
        (mice("weights = []"), &["fairness.group.weights = []"]),
        (mice("from = \"7s\""), &["fairness.group.from = \"7s\""]),
        (mice("new_key_per_request = true"), &["fairness.group.accounts = 10", "new_key_per_request"]),
        (mice("turns = []"), &["fairness.group.turns = []"]),
        (SMALL.replace("rate = 50", ""), &["ill.toml:12", "fairness.group.rate", "missing"]),
        (SMALL.replace("rate = 2_000", "rate = 90_000_000"), &["seconds = 6", "requests"]),
        (SMALL.split("[[").next().unwrap().into(), &["[[fairness.group]] is missing"]),
    ] {
        assert_rejected(&run(text, &[]), parts);
    }
    let page = directory.path().join("page.html");
    let parts = ["--out", "no page", "--json and --csv"];
    assert_rejected(&run(SMALL.into(), &["--out", page.to_str().unwrap()]), &parts);
    assert!(!page.exists());
}

#[track_caller]
fn assert_rejected(output: &Output, parts: &[&str]) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.lines().count() == 1 && output.stdout.is_empty(), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}
