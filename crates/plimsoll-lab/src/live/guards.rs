//! The guard under test, as a parameter: the lab knows no policy of its own.

use std::fmt;

use axum::Router;

use crate::live::plan::Plan;

/// What stands between the sockets and the handler in the guarded rows.
///
/// Both are called inside the server's runtime, so that a guard may start tasks; `guard` once
/// for each guarded row, so that no row inherits what the one before has learnt.
#[derive(Clone, Copy)]
pub struct Guards<'a> {
    /// Puts the layers under test around the router.
    pub guard: &'a dyn Fn(Router, &Plan) -> Router,
    /// Puts the same kind of layers around it, set so that they refuse every request (429 or
    /// 503); what one refusal costs is measured on this one.
    pub rejecting: &'a dyn Fn(Router) -> Router,
}

impl fmt::Debug for Guards<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guards").finish_non_exhaustive()
    }
}
