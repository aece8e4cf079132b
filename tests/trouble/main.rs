//! Every guard in every trouble, at the small size: the worst day of the year in a minute.
//!
//! `plimsoll-lab trouble` shows the same cells one by one, and `--full` simulates whole hours.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use plimsoll_lab::Progress;
use plimsoll_lab::trouble::{Matrix, Size, cells, measure, table};

#[test]
fn no_guard_makes_a_bad_day_worse() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let matrix = measure(&cells(None, None), Size::Small, 1, threads, &mut Progress::silent()).unwrap();
    assert!(!matrix.rows.is_empty());
    let faults: Vec<_> = matrix.faults().into_iter().cloned().collect();
    let mut shown = Matrix::clone(&matrix);
    shown.rows.clone_from(&faults);
    assert!(
        faults.is_empty(),
        "{}\n{} of {} figures need attention:\n\n{}",
        table(&matrix),
        faults.len(),
        matrix.rows.len(),
        table(&shown)
    );
}
