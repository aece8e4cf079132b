//! The guard under test, as a parameter. The lab knows no policy of its own.

use std::fmt;

use axum::Router;

use crate::live::plan::Plan;

/// What stands between the sockets and the handler in the guarded rows.
///
/// Both closures are called inside the server's runtime, so a guard may start tasks. `guard` is
/// called once per guarded row, so that no row inherits what an earlier one has learned.
#[derive(Clone, Copy)]
pub struct Guards<'a> {
    /// Puts the layers under test around the router.
    pub guard: &'a dyn Fn(Router, &Plan) -> Router,
    /// Puts layers of the same kind around the router, set to reject every request with 429 or 503.
    /// The cost of one rejection is measured on these.
    pub rejecting: &'a dyn Fn(Router) -> Router,
}

impl fmt::Debug for Guards<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guards").finish_non_exhaustive()
    }
}
