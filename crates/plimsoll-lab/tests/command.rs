//! The program as a user meets it: exit codes, one-line errors, and the files it writes.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn lab(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll-lab"));
    command.args(args);
    command
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
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

#[test]
fn invalid_value_prints_one_line_and_writes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("result.json");
    for (flag, given) in [
        ("--capacity", "0"),
        ("--capacity", "nan"),
        ("--capacity", "-1"),
        ("--service-time", "20"),
        ("--deadline", "5ms"),
        ("--loads", "abc"),
        ("--loads", ""),
        ("--loads", "1\n2"),
        ("--seconds", "x"),
        ("--seed", "1.5"),
        ("--listen", "nowhere"),
    ] {
        let args = ["demo", flag, given, "--json", json.to_str().unwrap()];
        let output = lab(&args).output().unwrap();
        assert_rejected(&output, &[flag, &format!("{given:?}"), "allowed"]);
        assert_eq!(entries(directory.path()), 0);
    }
}

#[test]
fn unknown_flag_or_missing_command_prints_one_line() {
    assert_rejected(&lab(&["demo", "--sped", "1"]).output().unwrap(), &["--sped"]);
    assert_rejected(&lab(&["demo", "--seed"]).output().unwrap(), &["--seed"]);
    assert_rejected(&lab(&[]).output().unwrap(), &["demo"]);
}

#[test]
fn unwritable_file_is_reported_before_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no/such/result.json");
    for path in [missing.as_path(), directory.path()] {
        let path = path.to_str().unwrap();
        let output = lab(&["demo", "--json", path]).output().unwrap();
        assert_rejected(&output, &["--json", path, "allowed"]);
    }
    assert_eq!(entries(directory.path()), 0);
}

#[test]
fn address_in_use_is_reported() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = lab(&["demo", "--listen", &address]).output().unwrap();
    assert_rejected(&output, &["--listen", &address, "in use"]);
}

#[test]
fn help_succeeds_and_has_examples() {
    for args in [&["--help"][..], &["demo", "--help"], &["--version"]] {
        let output = lab(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty() && !output.stdout.is_empty());
    }
    let help = lab(&["demo", "--help"]).output().unwrap().stdout;
    assert!(String::from_utf8(help).unwrap().contains("Examples:"));
}

#[test]
fn demo_prints_its_result_and_writes_it_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("result.json");
    let output = lab(&["demo", "--capacity", "190", "--loads", "0.5,2"])
        .args(["--seconds", "0.5", "--json", json.to_str().unwrap()])
        .args(["--out", directory.path().join("report.html").to_str().unwrap()])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("190") && stderr.contains("row 4 of 4"), "{stderr}");
    let shown = String::from_utf8(output.stdout).unwrap();
    for part in ["bare", "guarded", "A rejection costs", "bound", "2×"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["capacity"], 200.0);
    assert!(report["rejection_cost"].as_f64().unwrap() > 0.0);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let number = |field: &str| row[field].as_f64().unwrap();
        let sum = number("goodput") + number("late") + number("rejected") + number("failed");
        assert!((number("offered") - sum).abs() < 1e-6, "{row}");
        assert!(row["guarded"].is_boolean() && row["valid"].is_boolean());
    }
    let page = fs::read_to_string(directory.path().join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.ends_with("</html>\n"));
    assert_eq!(entries(directory.path()), 2);
}

#[cfg(unix)]
#[test]
fn ctrl_c_exits_130_and_writes_no_file() {
    use std::io::{BufRead, BufReader};
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("result.json");
    // The rows take minutes, so no machine is done when the first line is printed.
    let mut child = lab(&["demo", "--capacity", "50", "--loads"])
        .arg(vec!["0.1"; 32].join(","))
        .args(["--seconds", "0.1", "--json", json.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("row 1 of 64"));
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(entries(directory.path()), 0);
}
