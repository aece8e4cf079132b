//! Reporting a panic in guarded code as a failure.

use crate::{Outcome, Permit, Settle};

/// Settles the permit as a failure if the guarded code panics.
///
/// The drop of a permit notices a panic only while the thread unwinds. This also covers a panic
/// that is caught before the permit is dropped.
pub(super) struct FailOnUnwind<'a, G: Settle>(&'a mut Option<Permit<G>>);

impl<'a, G: Settle> FailOnUnwind<'a, G> {
    /// Runs `work`. If it panics, the permit is settled as a failure.
    #[inline(always)]
    pub(super) fn run<T>(permit: &'a mut Option<Permit<G>>, work: impl FnOnce() -> T) -> T {
        let armed = FailOnUnwind(permit);
        let done = work();
        std::mem::forget(armed);
        done
    }
}

impl<G: Settle> Drop for FailOnUnwind<'_, G> {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.done(Outcome::Failure);
        }
    }
}
