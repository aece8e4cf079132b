//! The cells, a file for each guard, so that they can be written side by side.

mod adaptive_throttle;
mod circuit_breaker;
mod dispatch;
mod fair_rate_limiter;
mod keyed_circuit_breaker;
mod keyed_rate_limiter;
mod load_shedder;
mod mailbox;
mod pools;
mod random_drop;
mod rate_limiter;
mod stacks;
mod system;
mod tiered_rate_limiter;
mod valve;
mod waiting_requests;
mod worker_pool;
mod workers;

use crate::trouble::cell::Cell;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;

/// The troubles of one guard: each is measured or has no meaning.
pub(crate) struct Line {
    pub(crate) guard: Guard,
    pub(crate) cells: Vec<Cell>,
    pub(crate) without_meaning: &'static [(Trouble, &'static str)],
}

macro_rules! lines {
    ($($guard:ident $file:ident,)*) => {
        vec![$(Line {
            guard: Guard::$guard,
            cells: with_system_cells(Guard::$guard, $file::cells()),
            without_meaning: $file::WITHOUT_MEANING,
        }),*]
    };
}

/// Adds the system cells of a guard for which it has no cell of its own.
fn with_system_cells(guard: Guard, mut own: Vec<Cell>) -> Vec<Cell> {
    for cell in system::cells(guard) {
        if own.iter().all(|one| one.trouble != cell.trouble) {
            own.push(cell);
        }
    }
    own.sort_by_key(|cell| cell.trouble);
    own
}

/// Returns the line of every guard.
pub(crate) fn lines() -> Vec<Line> {
    lines! {
        Valve valve,
        CircuitBreaker circuit_breaker,
        KeyedCircuitBreaker keyed_circuit_breaker,
        RateLimiter rate_limiter,
        KeyedRateLimiter keyed_rate_limiter,
        TieredRateLimiter tiered_rate_limiter,
        FairRateLimiter fair_rate_limiter,
        RandomDrop random_drop,
        LoadShedder load_shedder,
        AdaptiveThrottle adaptive_throttle,
        Mailbox mailbox,
        Dispatch dispatch,
        Workers workers,
        Stacks stacks,
    }
}
