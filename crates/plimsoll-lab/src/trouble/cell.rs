//! A cell of the matrix: a guard in a trouble.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::Row;

/// How much is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A fraction of a second of computing per cell, for a test.
    Small,
    /// As in the table, such as ten minutes or an hour after the trouble.
    Full,
}

impl Size {
    /// Returns `small` or `full`.
    pub fn pick<T>(self, small: T, full: T) -> T {
        match self {
            Size::Small => small,
            Size::Full => full,
        }
    }
}

/// A cell of the matrix.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The guard.
    pub guard: Guard,
    /// The trouble.
    pub trouble: Trouble,
    measure: Measure,
}

#[derive(Clone, Copy, Debug)]
enum Measure {
    One(fn(Size, u64) -> Vec<Row>),
    Any(fn(Trouble, Size, u64) -> Vec<Row>),
}

impl Cell {
    /// Creates a cell whose figures `measure` returns for a size and a seed.
    pub const fn new(guard: Guard, trouble: Trouble, measure: fn(Size, u64) -> Vec<Row>) -> Self {
        Cell { guard, trouble, measure: Measure::One(measure) }
    }

    /// Creates a cell by a function that can measure several troubles.
    pub const fn of(guard: Guard, trouble: Trouble, measure: fn(Trouble, Size, u64) -> Vec<Row>) -> Self {
        Cell { guard, trouble, measure: Measure::Any(measure) }
    }

    /// Measures the cell. A panic is a row that misses its limit.
    pub fn run(&self, size: Size, seed: u64) -> Vec<Row> {
        let measure = || match self.measure {
            Measure::One(measure) => measure(size, seed),
            Measure::Any(measure) => measure(self.trouble, size, seed),
        };
        let mut rows = catch_unwind(AssertUnwindSafe(measure))
            .unwrap_or_else(|_| vec![Row::at_most("panics of the cell itself", 1.0, 0.0, "")]);
        for row in &mut rows {
            (row.guard, row.trouble) = (self.guard, self.trouble);
        }
        rows
    }
}
