//! The result in a few sentences, computed from the rows.

use crate::live::report::Report;
use crate::live::report::labels::load_name;
use crate::live::row::Row;

/// The load that the first sentence prefers. It is deep overload, and real retry storms reach it.
pub(crate) const SHOWN_LOAD: f64 = 4.0;

/// Returns the sentences. Void rows are ignored.
pub(crate) fn reading(report: &Report) -> Vec<String> {
    let mut sentences = Vec::new();
    let pairs: Vec<(&Row, &Row)> = report
        .side(false)
        .filter_map(|bare| {
            let guarded = report.side(true).find(|row| row.load == bare.load)?;
            (bare.valid && guarded.valid && bare.load > 1.0).then_some((bare, guarded))
        })
        .collect();
    let distance = |row: &Row| (row.load - SHOWN_LOAD).abs();
    let shown = pairs.iter().min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
    match shown {
        Some((bare, guarded)) => {
            sentences.push(format!(
                "At {} its capacity the bare server reached {} of the bound; behind the valve it reached {}.",
                load_name(bare.load),
                percent(bare.of_bound()),
                percent(guarded.of_bound()),
            ));
            let waste = |row: &Row| percent(row.wasted / report.capacity);
            sentences.push(format!(
                "The bare server spent {} of its capacity on requests whose clients had left; behind the \
                 valve it spent {}.",
                waste(bare),
                waste(guarded),
            ));
        }
        None => sentences.push("No valid pair of rows was above the capacity.".into()),
    }
    let deepest = pairs.iter().max_by(|a, b| a.0.load.total_cmp(&b.0.load));
    if let Some((_, guarded)) = deepest {
        sentences.extend(times(guarded, report.deadline_ms));
    }
    let void = report.rows.iter().filter(|row| !row.valid).count();
    if void > 0 {
        let rows = if void == 1 { "row is" } else { "rows are" };
        sentences.push(format!(
            "{void} {rows} void: the load generator fell behind, which says nothing about the \
             server."
        ));
    }
    sentences
}

/// Returns how long clients waited in the guarded row of the highest load.
fn times(row: &Row, deadline_ms: f64) -> Option<String> {
    let (admitted, rejected) = (row.p99_ms?, row.rejected_p99_ms?);
    if admitted >= deadline_ms {
        return None;
    }
    Some(format!(
        "At {}, 99 % of the admitted requests were answered within {admitted:.0} ms (deadline \
         {deadline_ms} ms), and 99 % of the rejected ones within {rejected:.1} ms.",
        load_name(row.load)
    ))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::report::tests::{report, row};

    #[test]
    fn sentences_are_computed_from_the_rows() {
        let mut report = report();
        let sentences = reading(&report);
        assert_eq!(
            sentences[0],
            "At 4× its capacity the bare server reached 5 % of the bound; behind the valve it reached 97 %."
        );
        assert!(sentences[1].starts_with("The bare server spent 95 %"), "{}", sentences[1]);
        assert!(sentences[2].contains("67 ms") || sentences[2].contains("66 ms"), "{}", sentences[1]);
        assert_eq!(sentences.len(), 3);
        report.rows[2].goodput = 400.0;
        assert!(reading(&report)[0].contains("50 %"));
    }

    #[test]
    fn void_rows_are_counted_but_not_quoted() {
        let mut report = report();
        report.rows.push(row(false, 8.0, 8.0));
        report.rows.push(row(true, 8.0, 720.0));
        report.rows[2].valid = false;
        let sentences = reading(&report);
        assert!(sentences[0].starts_with("At 8× its") && sentences[0].contains("90 %"));
        assert!(sentences[3].starts_with("1 row is void"));
    }

    #[test]
    fn without_overload_nothing_is_claimed() {
        let mut report = report();
        report.rows.retain(|row| row.load <= 1.0);
        assert_eq!(reading(&report).len(), 1);
    }
}
