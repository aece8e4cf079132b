//! One group under callgrind: the child runs each side once, and the parent reads the counts.

use crate::table::{Counts, Row};
use plimsoll_bench::{Case, Group, Measure, counted, version};
use std::path::Path;
use std::process::{Command, Stdio};

/// Operations per count. A side that works in chunks may run a few more.
const TIMES: u64 = 4_096;

/// Separates a name from the number of operations in a line of the child.
const SEPARATOR: char = '\t';

/// Runs each side of `group` once more after a warm-up, and prints its name and its number of
/// operations. This is what callgrind runs.
pub(crate) fn run_sides(group: &Group) {
    let Measure::Time(cases) = group.measure else { return };
    for case in cases() {
        for (name, side) in names(&case).into_iter().zip(case.sides(1)) {
            let mut looped = side.looped();
            counted(&mut looped, TIMES);
            let times = counted(&mut looped, TIMES);
            let counts_clock = !side.is_prepared();
            println!("{}{SEPARATOR}{name}{SEPARATOR}{times}{SEPARATOR}{counts_clock}", case.subject);
        }
    }
}

/// Returns the names of a case's sides, in their order.
fn names(case: &Case) -> Vec<String> {
    let peers = case.peers(1).map(|peer| format!("{} {} {}", peer.package, version(peer.package), peer.what));
    let bare = case.has_bare().then(|| "the bare service".to_owned());
    std::iter::once("plimsoll".to_owned()).chain(peers).chain(bare).collect()
}

/// Counts what each side of `group` costs.
pub(crate) fn count(group: &'static Group) -> Vec<Row> {
    let folder = std::env::temp_dir().join(format!("plimsoll-cost-{}-{}", std::process::id(), group.name));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-bus=yes", "--collect-systime=nsec", "--dump-line=no"])
        // Only `measured` counts. Each call of `counted` writes a file: that of the warm-up, then
        // that of the side.
        .args(["--toggle-collect=*plimsoll_bench::side::measured*"])
        .arg("--dump-after=*plimsoll_bench::side::counted*")
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(std::env::current_exe().expect("the path of this program"))
        .args(["--child", group.name])
        .stderr(Stdio::piped())
        .output();
    let child = child.unwrap_or_else(|error| {
        eprintln!("cannot run valgrind ({error}); on Debian: apt-get install valgrind");
        std::process::exit(2)
    });
    if !child.status.success() {
        let _ = std::fs::remove_dir_all(&folder);
        eprintln!("{}\n{} ended with {}", String::from_utf8_lossy(&child.stderr), group.name, child.status);
        std::process::exit(2);
    }
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    let rows = said.lines().zip(1..).map(|(line, number)| {
        let mut parts = line.split(SEPARATOR).map(str::to_owned);
        let mut part = || parts.next().expect("four parts");
        let (subject, side, times) = (part(), part(), part());
        let mut counts = read(&folder.join(format!("out.{}", 2 * number)), times.parse().expect("a number"));
        // Callgrind counts system calls outside of `measured`, too.
        counts.clock = counts.clock.filter(|_| part() == "true");
        Row { group: group.name.into(), subject, side, counts }
    });
    let rows = rows.collect();
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    rows
}

/// Reads the totals of a file of callgrind, per operation.
fn read(path: &Path, times: f64) -> Counts {
    let text = std::fs::read_to_string(path).expect("callgrind has written a file for each side");
    let after =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).expect("a line of callgrind");
    let totals: Vec<f64> = after("totals:").split_whitespace().map(|n| n.parse().unwrap()).collect();
    let each = |event: &str| {
        let column = after("events:").split_whitespace().position(|name| name == event);
        // Trailing zeros are left out of the totals.
        column.and_then(|column| totals.get(column)).copied().unwrap_or(0.0) / times
    };
    Counts { instructions: each("Ir"), rmw: each("Ge"), clock: Some(each("sysCount")) }
}
