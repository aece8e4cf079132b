//! `plimsoll-lab run` as a user meets it: what it rejects, what it writes, and that it is
//! repeatable.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use plimsoll_lab::catalog::{fairness_scenarios, scenarios};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SMALL: &str = r#"about = "A small one, for tests."
seconds = 4

[server]
slots = 4
service = { law = "exponential", mean = "10ms" }
rejection_cost = 0.001

[clients]
deadline = "100ms"

[arrivals]
load = 0.7

[trigger]
from = "1s"
until = "2s"
loads = [0.5, 3]

[[policy]]
kind = "bare"

[[policy]]
kind = "queueing-valve"
"#;

fn lab(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plimsoll-lab")).args(args).output().unwrap()
}

fn assert_rejected(output: &Output, parts: &[&str]) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

fn rejected_with(directory: &Path, from: &str, to: &str, parts: &[&str]) {
    assert!(SMALL.contains(from), "{from}");
    let path = directory.join("changed.toml");
    fs::write(&path, SMALL.replacen(from, to, 1)).unwrap();
    let path = path.to_str().unwrap();
    let line = SMALL[..SMALL.find(from).unwrap()].lines().count();
    let line = if SMALL[..SMALL.find(from).unwrap()].ends_with('\n') { line + 1 } else { line };
    let place = format!("{path}:{line}: ");
    assert_rejected(&lab(&["run", path]), &[&[place.as_str()], parts].concat());
}

/// Changes and faults after the end of a simulation were once accepted, and had no effect.
#[test]
fn change_or_fault_after_the_end_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let server = "[server]\nslots = 4\n";
    let with = |line: &str| SMALL.replacen(server, &format!("{server}{line}\n"), 1);
    for (line, parts) in [
        (r#"fault = [{ kind = "hangs", from = "100s", until = "200s" }]"#, ["server.fault.from", "4s"]),
        (r#"fault = [{ kind = "hangs", from = "1s", until = "200s" }]"#, ["server.fault.until", "4s"]),
        (r#"fault = [{ kind = "hangs", from = "1s", until = "1s" }]"#, ["server.fault.until", "later"]),
        (r#"change = [{ at = "5s", slots = 2 }]"#, ["server.change.at", "4s"]),
    ] {
        let path = directory.path().join("late.toml");
        fs::write(&path, with(line)).unwrap();
        assert_rejected(&lab(&["run", path.to_str().unwrap()]), &parts);
    }
}

#[test]
fn invalid_scenario_key_names_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let rejected = |from, to, parts: &[&str]| rejected_with(directory.path(), from, to, parts);
    rejected("load = 0.7", "rate = -3", &["arrivals.rate = -3 is not allowed", "above 0"]);
    rejected("load = 0.7", "laod = 0.7", &["laod", "unknown key", "`load`", "`rate`"]);
    rejected("load = 0.7", "load = \"much\"", &["much", "not allowed"]);
    rejected("load = 0.7", "load = nan", &["arrivals.load = nan", "above 0"]);
    rejected("load = 0.7", "load = ", &["not allowed"]);
    rejected("slots = 4", "slots = 0", &["server.slots = 0", "1 to 65535"]);
    rejected("slots = 4", "slots = 4.5", &["4.5", "not allowed"]);
    rejected("seconds = 4", "seconds = 0", &["seconds = 0", "3600"]);
    rejected("deadline = \"100ms\"", "deadline = \"100\"", &["clients.deadline = \"100\"", "unit"]);
    rejected("until = \"2s\"", "until = \"9s\"", &["trigger.until = \"9s\"", "4s"]);
    rejected("loads = [0.5, 3]", "loads = [0.5, -3]", &["trigger.loads = -3"]);
    rejected("loads = [0.5, 3]", "loads = []", &["trigger.loads = []", "1 to 32"]);
    rejected("loads = [0.5, 3]", "loads = [2, 3, 2]", &["trigger.loads = [2, 3, 2]", "repeated"]);
    rejected("loads = [0.5, 3]", "speed = -1", &["trigger.speed = -1", "0 to 100"]);
    rejected("law = \"exponential\"", "law = \"gauss\"", &["server.service.law = \"gauss\"", "pareto"]);
    rejected("law = \"exponential\"", "law = \"pareto\"", &["server.service.shape is missing"]);
    rejected("mean = \"10ms\"", "mean = \"10ms\", sigma = 1", &["server.service.sigma", "exponential"]);
    rejected(
        "kind = \"queueing-valve\"",
        "kind = \"bare\"",
        &["policy.name = \"bare\" is not allowed", "a name that no other policy has"],
    );
    rejected("kind = \"bare\"", "kind = \"none\"", &["policy.kind = \"none\"", "queueing-valve", "buffer"]);
    rejected(
        "kind = \"bare\"",
        "max_wait = \"1s\"\nkind = \"bare\"",
        &["policy.max_wait", "bare, which has no keys of its own"],
    );
}

#[test]
fn missing_key_names_the_table_that_requires_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("short.toml");
    let without = |part: &str| {
        assert!(SMALL.contains(part), "{part}");
        fs::write(&path, SMALL.replacen(part, "", 1)).unwrap();
        lab(&["run", path.to_str().unwrap()])
    };
    let trigger = "[trigger]\nfrom = \"1s\"\nuntil = \"2s\"\nloads = [0.5, 3]\n";
    for (part, expected) in [
        (trigger, "short.toml:1: trigger is missing: a scenario requires it"),
        ("seconds = 4\n", "short.toml:1: seconds is missing: a scenario requires it"),
        ("from = \"1s\"\n", "short.toml:15: trigger.from is missing: [trigger] requires it"),
        ("slots = 4\n", "short.toml:4: server.slots is missing: [server] requires it"),
        (
            "law = \"exponential\", ",
            "short.toml:6: server.service.law is missing: [server.service] requires it",
        ),
        ("kind = \"bare\"\n", "short.toml:20: policy.kind is missing: [[policy]] requires it"),
        ("\nkind = \"queueing-valve\"", "short.toml:23: policy.kind is missing: [[policy]] requires it"),
    ] {
        let output = without(part);
        assert_rejected(&output, &[expected]);
        assert!(!String::from_utf8(output.stderr).unwrap().contains("about"), "{part}");
    }
}

#[test]
fn value_of_another_type_names_the_allowed_range() {
    let directory = tempfile::tempdir().unwrap();
    let rejected = |from, to, parts: &[&str]| rejected_with(directory.path(), from, to, parts);
    rejected(
        "seconds = 4",
        "seconds = \"4\"",
        &["seconds = \"4\" is not allowed", "a number from 0.1 to 3600"],
    );
    rejected("slots = 4", "slots = -4", &["server.slots = -4", "a whole number from 1 to 65535"]);
    rejected("slots = 4", "slots = 4.5", &["server.slots = 4.5", "a whole number from 1 to 65535"]);
    rejected("load = 0.7", "load = true", &["arrivals.load = true", "above 0 and at most 1000"]);
    rejected("loads = [0.5, 3]", "loads = [0.5, \"3\"]", &["trigger.loads = \"3\"", "0.001 to 1000"]);
    rejected("loads = [0.5, 3]", "loads = 3", &["loads = 3", "a list"]);
    rejected("from = \"1s\"", "from = 1", &["trigger.from = 1", "a time from 0us to 4s with a unit"]);
    rejected("kind = \"bare\"", "kind = 1", &["policy.kind = 1", "bare, valve"]);
    rejected("law = \"exponential\"", "law = []", &["server.service.law = []", "pareto"]);
    rejected("deadline = \"100ms\"", "jitter = 1", &["jitter = 1", "true or false"]);
    rejected("[[policy]]\nkind = \"bare\"\n\n[[policy]]", "[policy]", &["[policy]", "a list"]);
    rejected("[trigger]\n", "[[trigger]]\n", &["[[trigger]]", "a table"]);
    rejected("service = {", "service = 3 #", &["service = 3", "a table"]);
}

#[test]
fn invalid_buffer_key_names_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("buffer.toml");
    let run = |keys: &str| {
        fs::write(&path, SMALL.replace("kind = \"bare\"", &format!("kind = \"buffer\"\n{keys}"))).unwrap();
        lab(&["run", path.to_str().unwrap(), "--seeds", "1"])
    };
    for (keys, parts) in [
        ("discipline = \"stack\"", &["policy.discipline = \"stack\"", "adaptive-lifo or time-buckets"][..]),
        ("concurrency = 0", &["policy.concurrency = 0", "1 to 1000000"]),
        ("queue = 0", &["policy.queue = 0", "1 to 1000000"]),
        ("max_wait = \"0s\"", &["policy.max_wait = \"0s\"", "3600s", "unit"]),
        (
            "target = \"5ms\"",
            &["policy.target is not allowed with buffer", "concurrency, queue, max_wait, discipline"],
        ),
        ("discipline = \"lifo\"\nslices = 3", &["policy.slices is not allowed with lifo"]),
        ("discipline = \"codel\"\ntarget = \"0ms\"", &["policy.target = \"0ms\""]),
        (
            "discipline = \"codel\"\ntarget = \"9ms\"\ninterval = \"5ms\"",
            &["policy.interval = \"5ms\"", "9ms to 3600s"],
        ),
        ("discipline = \"adaptive-lifo\"\nslice = \"5ms\"", &["policy.slice", "target, interval"]),
        ("discipline = \"lifo-with-age\"", &["policy.max_age is missing"]),
        ("discipline = \"time-buckets\"\nslices = 3", &["policy.slice is missing"]),
        ("discipline = \"time-buckets\"\nslice = \"9ms\"", &["policy.slices is missing"]),
        (
            "discipline = \"time-buckets\"\nslice = \"9ms\"\nslices = 1",
            &["policy.slices = 1", "2 to 1000000"],
        ),
        ("keep_rate = 0.3", &["policy.keep_rate is not allowed with buffer"]),
    ] {
        assert_rejected(&run(keys), &[&["buffer.toml:"], parts].concat());
    }
    for (keys, name) in [
        ("", "fifo"),
        ("discipline = \"keep-oldest\"", "keep oldest"),
        ("discipline = \"codel\"\ntarget = \"200ms\"", "codel"),
        ("discipline = \"time-buckets\"\nslice = \"9ms\"\nslices = 3", "time buckets"),
        ("name = \"mine\"\nconcurrency = 4\nqueue = 10\nmax_wait = \"50ms\"", "mine"),
    ] {
        let output = run(keys);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.lines().any(|line| line == name), "{name} in {shown}");
    }
}

#[test]
fn invalid_fault_or_breaker_key_names_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ill.toml");
    let run = |text: String| {
        fs::write(&path, text).unwrap();
        lab(&["run", path.to_str().unwrap(), "--seeds", "1"])
    };
    let fault = |keys: &str| {
        let text = format!("[[server.fault]]\nfrom = \"1s\"\nuntil = \"2s\"\n{keys}\n\n[clients]");
        SMALL.replace("[clients]", &text)
    };
    for (keys, parts) in [
        ("kind = \"dies\"", &["ill.toml:12: server.fault.kind = \"dies\"", "fails, slow or hangs"][..]),
        ("", &["kind"]),
        (
            "kind = \"fails\"\nfactor = 2",
            &["server.fault.factor is not allowed with fails", "whose keys are after"],
        ),
        ("kind = \"fails\"\nafter = \"0s\"", &["server.fault.after = \"0s\"", "unit"]),
        ("kind = \"slow\"", &["server.fault.factor is missing"]),
        ("kind = \"slow\"\nfactor = 0.5", &["server.fault.factor = 0.5", "1 to 1000"]),
        ("kind = \"slow\"\nfactor = 2\nforgets = true", &["server.fault.forgets is not allowed with slow"]),
        ("kind = \"hangs\"\nforgets = 1", &["forgets = 1", "not allowed"]),
        (
            "kind = \"hangs\"\n[[server.fault]]\nkind = \"hangs\"\nfrom = \"1.5s\"\nuntil = \"3s\"",
            &["server.fault.from = \"1.5s\"", "from 2s to 4s"],
        ),
        (
            "kind = \"hangs\"\n[[server.fault]]\nkind = \"hangs\"\nfrom = \"2s\"\nuntil = \"2s\"",
            &["server.fault.until = \"2s\""],
        ),
    ] {
        assert_rejected(&run(fault(keys)), &[&["ill.toml:"], parts].concat());
    }
    let forgets = fault("kind = \"hangs\"\nforgets = true");
    let parts = ["ill.toml:13: server.fault.forgets = true", "clients.deadline"];
    assert_rejected(&run(forgets.replace("deadline = \"100ms\"", "")), &parts);
    let output = run(forgets);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.lines().any(|line| line.trim().starts_with("1 s to 2 s, hangs: ")), "{shown}");

    let policy =
        |kind: &str, keys: &str| SMALL.replace("kind = \"bare\"", &format!("kind = \"{kind}\"\n{keys}"));
    for (keys, parts) in [
        ("ratio = 0", &["policy.ratio = 0", "0.001 to 1"][..]),
        ("ratio = 1.5", &["policy.ratio = 1.5"]),
        ("min_calls = 0", &["policy.min_calls = 0", "1 to 1000000"]),
        ("within = \"0s\"", &["policy.within = \"0s\"", "3600s"]),
        ("slow = \"0s\"", &["policy.slow = \"0s\""]),
        ("open_time = \"0s\"", &["policy.open_time = \"0s\""]),
        ("open_time = \"2s\"\nmax_open_time = \"1s\"", &["policy.max_open_time = \"1s\"", "2s to 3600s"]),
        ("probe_concurrency = 2000", &["policy.probe_concurrency = 2000", "1 to 1024"]),
        ("probe_lease = \"0s\"", &["policy.probe_lease = \"0s\""]),
        ("ramp = \"5\"", &["policy.ramp = \"5\"", "unit"]),
        ("call_timeout = \"0s\"", &["policy.call_timeout = \"0s\""]),
        (
            "concurrency = 3",
            &["policy.concurrency is not allowed with circuit-breaker", "ratio, min_calls, within"],
        ),
        ("trials = 3", &["trials", "unknown key"]),
        ("slots = 3", &["policy.slots is not allowed with circuit-breaker"]),
    ] {
        assert_rejected(&run(policy("circuit-breaker", keys)), &[&["ill.toml:"], parts].concat());
    }
    assert_rejected(&run(policy("valve", "ramp = \"5s\"")), &["policy.ramp is not allowed with valve"]);
    for (kind, keys, name) in [
        ("circuit-breaker", "", "circuit breaker"),
        (
            "circuit-breaker+valve",
            "concurrency = 3\nslow = \"50ms\"\nramp = \"0s\"",
            "circuit breaker + valve",
        ),
    ] {
        let output = run(policy(kind, keys));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.lines().any(|line| line == name), "{name} in {shown}");
    }
}

#[test]
fn report_and_files_show_failures_and_faults() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let fault = "[[server.fault]]\nkind = \"fails\"\nfrom = \"1s\"\nuntil = \"1.5s\"\n\n[clients]";
    fs::write(path("fails.toml"), SMALL.replace("[clients]", fault)).unwrap();
    let (scenario, json, csv, out) = (path("fails.toml"), path("a.json"), path("a.csv"), path("a.html"));
    let output = lab(&["run", &scenario, "--seeds", "2", "--json", &json, "--csv", &csv, "--out", &out]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path| fs::read_to_string(path).unwrap();
    let result: serde_json::Value = serde_json::from_str(&read(json)).unwrap();
    for row in result["rows"].as_array().unwrap() {
        let mean = |field: &str| row[field]["mean"].as_f64().unwrap();
        let sum = mean("goodput") + mean("rejected") + mean("failed") + mean("late");
        assert!((mean("offered") - sum).abs() < 1e-6 && mean("failed") > 0.0, "{row}");
        // The server has no capacity during half of the trigger.
        assert!(row["bound"].as_f64().unwrap() <= 200.0, "{row}");
        let fault = &row["faults"][0];
        assert_eq!((&fault["kind"], &fault["fault_s"]), (&"fails".into(), &[1.0, 1.5][..].into()));
        assert!(fault["reached"]["mean"].as_f64() > Some(0.0) && fault["sent"]["mean"].as_f64() > Some(0.0));
    }
    assert!(read(csv).lines().next().unwrap().contains(",failed,failed_low,failed_high,late,"));
    let page = read(out);
    for part in ["1 s to 1.5 s, fails", "reached", "failed"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn list_shows_every_scenario_with_its_description() {
    let shown = String::from_utf8(lab(&["run", "--list"]).stdout).unwrap();
    let names: Vec<&str> = shown.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let all = [
        "overload",
        "burst",
        "retry-storm",
        "herd",
        "capacity-halves",
        "disciplines",
        "dependency",
        "controllers",
        "demo",
    ];
    let contests = fairness_scenarios().iter().map(|one| one.name);
    assert_eq!(names, all.into_iter().chain(contests).collect::<Vec<_>>());
}

#[test]
fn disciplines_report_draws_each_in_its_own_style() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("report.html");
    // The shipped scenario with two of its loads, for the sake of time.
    let shipped = scenarios().iter().find(|one| one.name == "disciplines").unwrap().text;
    let short = shipped.replace("loads = [0.5, 0.9, 1.2, 2, 5, 10]", "loads = [0.5, 1.2]");
    assert_ne!(short, shipped);
    let path = directory.path().join("short.toml");
    fs::write(&path, short).unwrap();
    let output = lab(&["run", path.to_str().unwrap(), "--seeds", "1", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    let page = fs::read_to_string(out).unwrap();
    let names = ["fifo", "keep oldest", "lifo", "lifo with age", "codel", "adaptive lifo", "time buckets"];
    for (n, name) in names.into_iter().enumerate() {
        assert!(shown.lines().any(|line| line == name), "{name} in {shown}");
        let legend = format!("<line class=\"c{n}\" x1=\"1\" x2=\"33\" y1=\"5\" y2=\"5\"/></svg>{name}</li>");
        assert!(page.contains(&legend), "{name}");
    }
}

#[test]
fn missing_trace_or_scenario_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let trace = SMALL.replace("loads = [0.5, 3]\n", "");
    let path = directory.path().join("trace.toml");
    let with = |file: &str| {
        let arrivals = format!("kind = \"trace\"\nfile = \"{file}\"");
        fs::write(&path, trace.replace("load = 0.7", &arrivals)).unwrap();
        lab(&["run", path.to_str().unwrap(), "--seeds", "1"])
    };
    assert_rejected(&with("gone.txt"), &["trace.toml:14: arrivals.file = \"gone.txt\"", "No such file"]);
    fs::write(directory.path().join("odd.txt"), "0.1\n0.05\n").unwrap();
    assert_rejected(&with("odd.txt"), &["arrivals.file", "line 2", "0.05"]);
    let moments: Vec<String> = (0..400).map(|n| format!("{}", f64::from(n) * 0.01)).collect();
    fs::write(directory.path().join("good.txt"), moments.join("\n")).unwrap();
    assert_eq!(with("good.txt").status.code(), Some(0));
    fs::write(&path, trace.replace("load = 0.7", "kind = \"trace\"")).unwrap();
    assert_rejected(&lab(&["run", path.to_str().unwrap()]), &["trace.toml:12: ", "arrivals.file is missing"]);
    let none = "there is no scenario or file of that name";
    assert_rejected(&lab(&["run", "nowhere"]), &["SCENARIO \"nowhere\"", none, "overload", "retry-storm"]);
    assert_rejected(&lab(&["run", "overlod"]), &["SCENARIO \"overlod\"", none, "did you mean \"overload\"?"]);
    assert_rejected(&lab(&["run", "retry_storm.toml"]), &[none, "did you mean \"retry-storm\"?"]);
    let nowhere = String::from_utf8(lab(&["run", "nowhere"]).stderr).unwrap();
    assert!(!nowhere.contains("did you mean") && !nowhere.contains("os error"), "{nowhere}");
    assert_rejected(&lab(&["run"]), &["SCENARIO"]);
    assert_rejected(&lab(&["run", "overload", "--seeds", "0"]), &["--seeds", "1 to 200"]);
    assert_rejected(&lab(&["run", "overload", "--out", "/no/such/x.html"]), &["--out", "allowed"]);
}

#[test]
fn run_repeats_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("small.toml"), SMALL).unwrap();
    let run = |n: &str, seed: &str| {
        let (json, csv, out) =
            (path(&format!("{n}.json")), path(&format!("{n}.csv")), path(&format!("{n}.html")));
        let scenario = path("small.toml");
        let output = lab(&[
            "run", &scenario, "--seeds", "3", "--seed", seed, "--json", &json, "--csv", &csv, "--out", &out,
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap();
        [
            shown,
            fs::read_to_string(json).unwrap(),
            fs::read_to_string(csv).unwrap(),
            fs::read_to_string(out).unwrap(),
        ]
    };
    let one = run("one", "1");
    assert_eq!(one, run("two", "1"));
    assert_ne!(one, run("three", "2"));
    let [shown, json, csv, page] = one;
    for part in ["queueing valve", "bare", "3×", "stable"] {
        assert!(shown.contains(part) && page.contains(part), "{part}");
    }
    let result: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = result["rows"].as_array().unwrap();
    assert_eq!((rows.len(), csv.lines().count()), (4, 5));
    let columns = |line: &str| line.split(',').count();
    assert!(csv.lines().all(|line| columns(line) == columns(csv.lines().next().unwrap())), "{csv}");
    for row in rows {
        let mean = |field: &str| row[field]["mean"].as_f64().unwrap();
        let sum = mean("goodput") + mean("rejected") + mean("failed") + mean("late");
        assert!((mean("offered") - sum).abs() < 1e-6, "{row}");
    }
    for part in ["<script", "http://", "https://", "NaN", "url("] {
        assert!(!page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<figure>").count(), 4);
    assert_eq!(page.matches("<figure>").count(), page.matches("role=\"img\"").count());
}
