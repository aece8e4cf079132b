//! The matrix in one look: a sign for each crossing.

use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::registry::{Crossing, crossings};
use crate::trouble::row::{Phase, Row};
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

/// Returns the row of each measured crossing that is closest to its limit, or furthest beyond it,
/// and the number of its rows.
///
/// A row that needs attention comes before all others, then a known miss. A row of the calm before
/// the trouble comes last.
pub(super) fn worst(matrix: &Matrix) -> Vec<(&Row, usize)> {
    let rank = |row: &Row| (row.is_fine(), row.known_miss.is_none(), row.phase == Phase::Before);
    let by_rank = |a: &&Row, b: &&Row| rank(a).cmp(&rank(b)).then_with(|| a.margin().total_cmp(&b.margin()));
    let crossings = Guard::ALL.into_iter().flat_map(|guard| Trouble::ALL.map(|trouble| (guard, trouble)));
    let worst = crossings.filter_map(|of| {
        let rows = || matrix.rows.iter().filter(move |row| (row.guard, row.trouble) == of);
        Some((rows().min_by(by_rank)?, rows().count()))
    });
    worst.collect()
}

/// Returns the reasons of the crossings without a meaning: reason, troubles, guards.
pub(super) fn reasons() -> Vec<[String; 3]> {
    let mut by_guard: Vec<(Guard, &str, Vec<&str>)> = Vec::new();
    for (guard, trouble, crossing) in crossings() {
        let Crossing::NoMeaning(why) = crossing else { continue };
        match by_guard.iter_mut().find(|one| one.0 == guard && one.1 == why) {
            Some((.., troubles)) => troubles.push(trouble.id()),
            None => by_guard.push((guard, why, vec![trouble.id()])),
        }
    }
    let mut reasons: Vec<[String; 3]> = Vec::new();
    for (guard, why, troubles) in by_guard {
        let (guard, troubles) = (guard.to_string(), troubles.join(", "));
        match reasons.iter_mut().find(|[reason, of, _]| reason == why && *of == troubles) {
            Some([.., guards]) => *guards = format!("{guards}, {guard}"),
            None => reasons.push([why.to_owned(), troubles, guard]),
        }
    }
    reasons
}
