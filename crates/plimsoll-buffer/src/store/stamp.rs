//! How precisely arrivals are stamped.

use plimsoll_core::Discipline;
use plimsoll_core::parts::Bounds;
use std::time::Duration;

/// Nothing needs the age of an item.
pub(super) const UNSTAMPED: u32 = 0;
/// By the coarse clock.
pub(super) const COARSE: u32 = 1;
/// By the precise clock.
const PRECISE: u32 = 2;

/// The shortest span that is measured by the coarse clock.
///
/// That clock may be two ticks of at most 10 ms behind: a tenth of the span.
const COARSE_FROM: Duration = Duration::from_millis(200);

/// Returns how arrivals have to be stamped for this discipline and these bounds.
pub(super) fn stamping(discipline: Discipline, bounds: Bounds) -> u32 {
    let precise = |span: Duration| if span < COARSE_FROM { PRECISE } else { COARSE };
    let own = match discipline {
        Discipline::LifoWithAge { max_age } => precise(max_age),
        Discipline::TimeBuckets { slice, slices } => precise(slice.saturating_mul(slices)),
        Discipline::CoDel { target, .. } | Discipline::AdaptiveLifo { target, .. } => precise(target),
        _ => UNSTAMPED,
    };
    own.max(bounds.max_age.map_or(UNSTAMPED, precise))
}
