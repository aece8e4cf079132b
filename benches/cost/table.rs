//! The table of counts in the repository: `benches/cost/table.tsv`.

use std::fmt::Write;
use std::path::PathBuf;

/// How much a count may be above the table: instructions by this part, the others by this number.
const MAX_GROWTH: f64 = 0.03;
const MAX_MORE: f64 = 0.01;
/// How many times as much a count may be below the table. It is lowered then, or a later growth
/// would not be seen.
const BELOW: f64 = 3.0;

const HEAD: &str = "group\tsubject\tside\tinstructions\tlocked\tclock";

/// What one operation costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    /// Locked read-modify-writes.
    pub(crate) rmw: f64,
    /// System calls. Under valgrind, each reading of the system's clock is one. `None` where the
    /// bench itself makes some.
    pub(crate) clock: Option<f64>,
}

/// The counts of one side.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) group: String,
    pub(crate) subject: String,
    pub(crate) side: String,
    pub(crate) counts: Counts,
}

impl Row {
    fn is_of(&self, other: &Row) -> bool {
        (&self.group, &self.subject, &self.side) == (&other.group, &other.subject, &other.side)
    }

    fn is_ours(&self) -> bool {
        self.side == "plimsoll"
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cost/table.tsv")
}

/// Returns the compiler and the architecture of the table, and its rows.
fn committed() -> (String, Vec<Row>) {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let build = text.lines().next().unwrap_or_default().to_owned();
    (build, text.lines().skip_while(|line| *line != HEAD).skip(1).map(parse).collect())
}

/// Describes the columns, the compiler and the architecture: the first line of the table.
fn build() -> String {
    let compiler = plimsoll_bench::version("std");
    let arch = std::env::consts::ARCH;
    format!(
        "# Per call: instructions, locked read-modify-writes, readings of the clock. rustc {compiler}, {arch}."
    )
}

fn parse(line: &str) -> Row {
    let parts: Vec<_> = line.split('\t').collect();
    let [group, subject, side, instructions, rmw, clock] = parts[..] else {
        panic!("benches/cost/table.tsv: not a row of six columns: {line:?}")
    };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("not a number: {text:?}"));
    let counts = Counts { instructions: number(instructions), rmw: number(rmw), clock: clock.parse().ok() };
    Row { group: group.into(), subject: subject.into(), side: side.into(), counts }
}

fn text_of(rows: &[Row]) -> String {
    let mut text = format!("{}\n{HEAD}\n", build());
    for Row { group, subject, side, counts: Counts { instructions, rmw, clock } } in rows {
        let clock = clock_text(*clock, 3);
        let _ = writeln!(text, "{group}\t{subject}\t{side}\t{instructions:.1}\t{rmw:.3}\t{clock}");
    }
    text
}

/// Writes `rows` to the table. Rows of other groups stay if they are of the same compiler.
pub(crate) fn bless(rows: Vec<Row>) {
    let (was, mut all) = committed();
    let groups: Vec<_> = plimsoll_bench::GROUPS.iter().map(|group| group.name).collect();
    let same = was == build();
    all.retain(|old| same && groups.contains(&&*old.group) && rows.iter().all(|row| row.group != old.group));
    all.extend(rows);
    all.sort_by_key(|row| groups.iter().position(|group| *group == row.group));
    std::fs::write(path(), text_of(&all)).expect("the table can be written");
}

/// Returns a line for each difference between our rows and the table, for the groups that ran.
pub(crate) fn judge(groups: &[&str], rows: &[Row]) -> Vec<String> {
    let (was, committed) = committed();
    if was != build() {
        return vec![format!(
            "the table is of another build:\n{was}\n{}\nCount the commit before this one with this compiler, by --bless",
            build()
        )];
    }
    let ours = |row: &&Row| row.is_ours() && groups.contains(&&*row.group);
    let missing = committed.iter().filter(ours).filter(|old| !rows.iter().any(|row| row.is_of(old)));
    let missing = missing.map(|old| format!("{}, {}: in the table, but not counted", old.group, old.subject));
    let different = rows.iter().filter(ours).filter_map(|row| {
        let what = match committed.iter().find(|old| old.is_of(row)) {
            _ if row.counts.instructions <= 0.0 => "no instruction was counted".to_owned(),
            None => "not in the table; add it by --bless".to_owned(),
            Some(old) => difference(old.counts, row.counts)?,
        };
        Some(format!("{}, {}: {what}", row.group, row.subject))
    });
    missing.chain(different).collect()
}

/// Describes how `new` differs from the table.
fn difference(old: Counts, new: Counts) -> Option<String> {
    let describe = |what: &str, old: f64, new: f64, max: f64| {
        let advice = match new - old {
            more if more > max => {
                "if that is worth it, run --bless and give the reason in the commit message"
            }
            less if less < -max * BELOW => "cheaper than the table says: lower it by --bless",
            _ => return None,
        };
        Some(format!("{new:.3} {what}, {old:.3} in the table; {advice}"))
    };
    let clock = match (old.clock, new.clock) {
        (Some(old), Some(new)) => describe("readings of the clock", old, new, MAX_MORE),
        (None, None) => None,
        _ => Some("readings of the clock are counted only here or only in the table".to_owned()),
    };
    describe("instructions", old.instructions, new.instructions, old.instructions * MAX_GROWTH)
        .or_else(|| describe("locked read-modify-writes", old.rmw, new.rmw, MAX_MORE))
        .or(clock)
}

/// Prints the counts, with the change of ours against the table.
pub(crate) fn print(rows: &[Row]) {
    let (_, committed) = committed();
    println!(
        "{:<22}{:<36}{:<64}{:>10}{:>8}{:>8}  in the table",
        "group", "subject", "side", "instr.", "locked", "clock"
    );
    for row in rows {
        let Counts { instructions, rmw, clock } = row.counts;
        let clock = clock_text(clock, 2);
        let old = committed.iter().find(|old| old.is_of(row));
        let old = old.map_or("–".to_owned(), |old| format!("{:.1}", old.counts.instructions));
        println!(
            "{:<22}{:<36}{:<64}{instructions:>10.1}{rmw:>8.2}{clock:>8}  {old}",
            row.group, row.subject, row.side
        );
    }
}

fn clock_text(clock: Option<f64>, digits: usize) -> String {
    clock.map_or("–".into(), |clock| format!("{clock:.digits$}"))
}
