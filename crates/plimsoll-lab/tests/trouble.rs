//! The command `trouble` as a user meets it: names, files, exit codes.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::process::{Command, Output};

fn trouble(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plimsoll-lab")).arg("trouble").args(args).output().unwrap()
}

fn assert_rejected(args: &[&str], parts: &[&str]) {
    let output = trouble(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

#[test]
fn unknown_name_is_answered_with_all_names() {
    assert_rejected(&["--guard", "breaker"], &["--guard \"breaker\"", "circuit-breaker", "valve", "stacks"]);
    assert_rejected(&["--trouble", "T23"], &["--trouble \"T23\"", "T1 (a long stall)", "T22 ("]);
    assert_rejected(&["--threads", "0"], &["--threads", "1 to 1024"]);
    assert_rejected(&["--seed", "x"], &["--seed"]);
}

#[test]
fn crossing_without_meaning_is_answered_with_the_reason() {
    assert_rejected(&["--guard", "valve", "--trouble", "T4"], &["T4", "does not read how calls end"]);
}

#[test]
fn unwritable_file_is_reported_before_the_run() {
    assert_rejected(&["--json", "/no/such/file.json"], &["--json", "allowed"]);
    assert_rejected(&["--markdown", "/no/such/file.md"], &["--markdown", "allowed"]);
}

#[test]
fn help_and_list_succeed() {
    let help = String::from_utf8(trouble(&["--help"]).stdout).unwrap();
    assert!(help.contains("Examples:") && help.contains("--markdown"), "{help}");
    let output = trouble(&["--list", "--guard", "valve"]);
    assert_eq!(output.status.code(), Some(0));
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(list.contains("T22") && list.contains("measured") && !list.contains("dispatch  "), "{list}");
}

#[test]
fn same_seed_writes_the_same_files_on_any_number_of_threads() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    for threads in ["1", "3"] {
        let (json, page, text) = (
            file(&format!("{threads}.json")),
            file(&format!("{threads}.html")),
            file(&format!("{threads}.md")),
        );
        let args = ["--guard", "Random_Drop", "--trouble", "t18", "--seed", "5", "--threads", threads];
        let files = ["--json", json.to_str().unwrap(), "--out", page.to_str().unwrap(), "--markdown"];
        let output = trouble(&[&args[..], &files[..], &[text.to_str().unwrap()]].concat());
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("random-drop · T18 a changed capacity, a spike"), "{shown}");
    }
    for end in ["json", "html", "md"] {
        let read = |threads: &str| fs::read_to_string(file(&format!("{threads}.{end}"))).unwrap();
        assert_eq!(read("1"), read("3"));
    }
    let result: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(file("1.json")).unwrap()).unwrap();
    assert_eq!((&result["size"], &result["seed"]), (&"small".into(), &5.into()));
    let rows = result["rows"].as_array().unwrap();
    assert!(rows.len() > 3);
    for row in rows {
        assert_eq!((&row["guard"], &row["trouble"]), (&"random-drop".into(), &"T18".into()));
        assert!(row["case"].is_string() && row["unit"].is_string() && row["phase"].is_string(), "{row}");
        assert!(row["value"].is_number() || row["value"].is_null(), "{row}");
        assert!(row["met"].is_boolean() && row["harm"].is_boolean() && row["known_miss"].is_null(), "{row}");
        assert!([">=", "<="].contains(&row["direction"].as_str().unwrap()), "{row}");
    }
    let page = fs::read_to_string(file("1.html")).unwrap();
    assert!(page.ends_with("</html>\n") && page.contains("What a bad day does to each guard"));
    assert!(fs::read_to_string(file("1.md")).unwrap().contains("### random-drop"));
}
