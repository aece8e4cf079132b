//! The rows as a table and as a file.

use serde_json::{Map, Value};
use std::path::Path;
use std::time::Duration;

/// Named cells, in the order of the columns.
pub(crate) type Row = Vec<(&'static str, Value)>;

/// Returns whether a target was met, or "void" if the machine was too busy.
pub(crate) fn met(void: bool, met: Option<bool>) -> Value {
    if void { "void".into() } else { met.into() }
}

pub(crate) fn is_void(row: &Row) -> bool {
    row.iter().any(|(_, value)| value == "void")
}

pub(crate) fn millis(span: Duration) -> Value {
    (span.as_secs_f64() * 1e3).into()
}

pub(crate) fn print(title: &str, rows: &[Row]) {
    let head = rows.iter().take(1).map(|row| row.iter().map(|(name, _)| name.to_string()).collect());
    let lines = rows.iter().map(|row| row.iter().map(|(_, value)| cell(value)).collect());
    let table: Vec<Vec<String>> = head.chain(lines).collect();
    let width = |column| {
        table.iter().filter_map(|line| line.get(column)).map(|cell: &String| cell.chars().count()).max()
    };
    println!("{title}\n");
    for line in &table {
        let cells = line.iter().enumerate().map(|(n, cell)| format!("{cell:<w$}", w = width(n).unwrap_or(0)));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    println!();
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::Bool(met) => if *met { "yes" } else { "NO" }.into(),
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => format!("{:.3}", n.as_f64().unwrap_or(f64::NAN)),
        other => other.to_string(),
    }
}

/// Writes the seed and the rows of each workload as JSON.
pub(crate) fn write(path: &Path, seed: u64, workloads: &[(&str, Vec<Row>)]) -> std::io::Result<()> {
    let mut file = Map::from_iter([("seed".to_string(), Value::from(seed))]);
    for (name, rows) in workloads {
        let object =
            |row: &Row| row.iter().map(|(name, value)| (name.replace(' ', "_"), value.clone())).collect();
        file.insert(name.to_string(), rows.iter().map(|row| Value::Object(object(row))).collect());
    }
    std::fs::write(path, serde_json::to_string_pretty(&file)? + "\n")
}
