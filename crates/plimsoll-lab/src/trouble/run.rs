//! Measures cells on several threads.

use serde::Serialize;

use crate::cli::Progress;
use crate::error::LabError;
use crate::run::share_work_among;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::row::Row;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Matrix {
    /// The size of the simulations: `small` or `full`.
    pub size: &'static str,
    /// The seed.
    pub seed: u64,
    /// The rows, in the order of the cells.
    pub rows: Vec<Row>,
}

impl Matrix {
    /// Returns whether no row needs attention.
    pub fn is_fine(&self) -> bool {
        self.rows.iter().all(Row::is_fine)
    }

    /// Returns the rows that need attention.
    pub fn faults(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| !row.is_fine()).collect()
    }
}

/// Measures `cells` on `threads` threads. The same cells, size and seed return the same rows.
///
/// # Errors
/// Returns an error if a thread cannot go on.
pub fn measure(
    cells: &[Cell],
    size: Size,
    seed: u64,
    threads: usize,
    progress: &mut Progress,
) -> Result<Matrix, LabError> {
    let one = |cell: &Cell| Ok(cell.run(size, seed));
    let rows = share_work_among(threads, cells, one, |done| progress.simulated(done, cells.len(), "cells"))?;
    Ok(Matrix { size: size.pick("small", "full"), seed, rows: rows.concat() })
}
