//! What the shipped scenarios are meant to show.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use plimsoll_lab::Progress;
use plimsoll_lab::run::{Outcome, Row, Verdict, run};
use plimsoll_lab::scenario::{Scenario, find};

fn outcome(scenario: &Scenario, seeds: u32) -> Outcome {
    run(scenario, 1, seeds, &mut Progress::silent()).unwrap().0
}

fn row<'a>(outcome: &'a Outcome, policy: &str, load: f64) -> &'a Row {
    outcome.of(policy).find(|row| row.load == load).unwrap()
}

fn keep_only(scenario: &mut Scenario, policies: &[&str]) {
    scenario.policies.retain(|(name, _)| policies.contains(&name.as_str()));
}

#[test]
fn after_a_retry_storm_bare_stays_down_and_valve_recovers() {
    let mut scenario = find("retry-storm").unwrap();
    keep_only(&mut scenario, &["bare", "valve", "queueing valve"]);
    let outcome = outcome(&scenario, 2);
    let bare = row(&outcome, "bare", 3.0);
    assert_eq!((bare.verdict, bare.recovered), (Verdict::Metastable, 0));
    // Sixteen seconds after the end of the trigger there are still no good answers.
    let last: f64 = bare.goodput_timeline.iter().rev().take(50).sum();
    assert!(last < 1.0, "{last}");
    for policy in ["valve", "queueing valve"] {
        let row = row(&outcome, policy, 3.0);
        assert_eq!((row.verdict, row.recovered), (Verdict::Stable, row.judged));
        let recovery = row.recovery_s.unwrap();
        assert!(recovery.high <= 2.0, "{policy}: {recovery:?}");
    }
}

#[test]
fn retry_budget_alone_does_not_save_an_unbounded_queue() {
    let mut scenario = find("retry-storm").unwrap();
    keep_only(&mut scenario, &["bare"]);
    for step in &mut scenario.steps {
        step.case.clients.budget = Some(0.1);
    }
    let outcome = outcome(&scenario, 2);
    let bare = row(&outcome, "bare", 3.0);
    println!("{:?} {:?}", bare.verdict, bare.recovery_s);
    assert_ne!(bare.verdict, Verdict::Unjudged);
    let soon: f64 = bare.goodput_timeline[50..90].iter().sum();
    assert!(soon < 1.0, "{soon}");
}

#[test]
fn simulated_demo_is_at_the_bound_behind_its_valve() {
    let outcome = outcome(&find("demo").unwrap(), 2);
    for load in [2.0, 4.0] {
        let (bare, guarded) = (row(&outcome, "bare", load), row(&outcome, "guarded", load));
        println!("{load}×: bare {:.1}, guarded {:.1} of 800", bare.goodput.mean, guarded.goodput.mean);
        assert!(guarded.of_bound.mean > 0.98, "{guarded:?}");
        assert!(bare.of_bound.mean < 0.1, "{bare:?}");
    }
}
