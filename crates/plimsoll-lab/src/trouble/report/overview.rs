//! The matrix in one look: a sign for each crossing.

use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::registry::{Crossing, crossings};
use crate::trouble::row::Row;
use crate::trouble::run::Matrix;

/// What the signs mean.
pub(super) const SIGNS: &str = "✓: every limit is kept. ✗: a limit is missed, or the guard does harm. \
    ≈: a limit is known to be missed. –: the trouble has no meaning for the guard. ?: not measured yet. \
    A blank: not part of this run.";

/// Returns the sign of one crossing.
fn sign(matrix: &Matrix, guard: Guard, trouble: Trouble, crossing: Crossing) -> &'static str {
    let rows: Vec<&Row> =
        matrix.rows.iter().filter(|row| row.guard == guard && row.trouble == trouble).collect();
    match crossing {
        Crossing::NoMeaning(_) => "–",
        Crossing::NotYet => "?",
        Crossing::Cell(_) if rows.is_empty() => "",
        Crossing::Cell(_) if rows.iter().any(|row| !row.is_fine()) => "✗",
        Crossing::Cell(_) if rows.iter().any(|row| row.known_miss.is_some()) => "≈",
        Crossing::Cell(_) => "✓",
    }
}

/// Returns a line of signs for each guard, which it begins with.
pub(super) fn overview(matrix: &Matrix) -> Vec<Vec<String>> {
    let all = crossings();
    let line = |guard: Guard| {
        let signs = all.iter().filter(|crossing| crossing.0 == guard);
        let signs =
            signs.map(|(guard, trouble, crossing)| sign(matrix, *guard, *trouble, *crossing).to_owned());
        [guard.to_string()].into_iter().chain(signs).collect()
    };
    Guard::ALL.into_iter().map(line).collect()
}

/// Returns the reasons of the crossings without a meaning: guard, troubles, reason.
pub(super) fn reasons() -> Vec<[String; 3]> {
    let mut reasons: Vec<(Guard, &str, Vec<&str>)> = Vec::new();
    for (guard, trouble, crossing) in crossings() {
        let Crossing::NoMeaning(why) = crossing else { continue };
        match reasons.iter_mut().find(|one| one.0 == guard && one.1 == why) {
            Some((.., troubles)) => troubles.push(trouble.id()),
            None => reasons.push((guard, why, vec![trouble.id()])),
        }
    }
    reasons.into_iter().map(|(guard, why, all)| [guard.to_string(), all.join(", "), why.to_owned()]).collect()
}
