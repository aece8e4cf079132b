//! The matrix itself: what stands at each crossing of a guard and a trouble.

use crate::trouble::cell::Cell;
use crate::trouble::cells::lines;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;

/// What stands at the crossing of a guard and a trouble.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Crossing {
    /// A cell that measures it.
    Cell(Cell),
    /// The trouble has no meaning for the guard. The text states why.
    NoMeaning(&'static str),
    /// It is not measured yet.
    NotYet,
}

/// Returns every crossing, guard by guard.
pub fn crossings() -> Vec<(Guard, Trouble, Crossing)> {
    let mut all = Vec::new();
    for line in lines() {
        for trouble in Trouble::ALL {
            let cell =
                line.cells.iter().find(|cell| cell.trouble == trouble).map(|cell| Crossing::Cell(*cell));
            let reason = line.without_meaning.iter().find(|(one, _)| *one == trouble);
            let crossing = cell.or(reason.map(|(_, why)| Crossing::NoMeaning(why)));
            all.push((line.guard, trouble, crossing.unwrap_or(Crossing::NotYet)));
        }
    }
    all
}

/// Returns the cells of `guard` and `trouble`. `None` stands for all of them.
pub fn cells(guard: Option<Guard>, trouble: Option<Trouble>) -> Vec<Cell> {
    let wanted = |cell: &Cell| {
        guard.is_none_or(|guard| guard == cell.guard) && trouble.is_none_or(|trouble| trouble == cell.trouble)
    };
    lines().into_iter().flat_map(|line| line.cells).filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crossing_is_a_cell_or_has_one_reason() {
        let guards: Vec<Guard> = lines().iter().map(|line| line.guard).collect();
        assert_eq!(guards, Guard::ALL);
        for line in lines() {
            for trouble in Trouble::ALL {
                let cells = line.cells.iter().filter(|cell| cell.trouble == trouble).count();
                let reasons = line.without_meaning.iter().filter(|(one, _)| *one == trouble).count();
                assert_eq!(cells + reasons, 1, "{} and {trouble}", line.guard);
            }
            assert!(line.cells.iter().all(|cell| cell.guard == line.guard), "{}", line.guard);
            for (trouble, why) in line.without_meaning {
                assert!(why.len() > 10 && why.ends_with('.'), "{} and {trouble}: {why:?}", line.guard);
            }
        }
    }
}
