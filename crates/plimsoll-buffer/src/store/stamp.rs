//! How arrivals are stamped.

use plimsoll_core::Discipline;
use plimsoll_core::parts::Bounds;
use std::time::Duration;

pub(super) const UNSTAMPED: u32 = 0;
pub(super) const COARSE: u32 = 1;
const PRECISE: u32 = 2;

/// A coarse clock may be two ticks behind, of 10 ms at most: a tenth of what it is to measure.
const COARSE_FROM: Duration = Duration::from_millis(200);

/// How arrivals have to be stamped.
pub(super) fn stamping(discipline: Discipline, bounds: Bounds) -> u32 {
    let precise = |span: Duration| if span < COARSE_FROM { PRECISE } else { COARSE };
    let own = match discipline {
        Discipline::LifoWithAge { max_age: age } => precise(age),
        Discipline::TimeBuckets { slice, slices } => precise(slice.saturating_mul(slices)),
        Discipline::CoDel { target, .. } | Discipline::AdaptiveLifo { target, .. } => precise(target),
        _ => UNSTAMPED,
    };
    own.max(bounds.max_age.map_or(UNSTAMPED, precise))
}
