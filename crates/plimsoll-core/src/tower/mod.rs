//! The tower face: one service for all gates, one for all waiters.

mod face;
mod gated;
mod layer;
mod waiting;

pub use face::{AsError, Reply, Respond, Wrapped};
pub use gated::{Gated, GatedFuture};
pub use layer::{GateLayer, GuardLayer, Immediate, Queueing, WaitLayer, layer, wait_layer};
pub use waiting::{Queued, QueuedFuture};

use crate::{Outcome, Permit, Settle};

/// Marks a panic below as a failure even when someone catches it further out, where `Drop` no
/// longer sees the thread unwinding.
struct Bomb<'a, G: Settle>(&'a mut Option<Permit<G>>);

impl<'a, G: Settle> Bomb<'a, G> {
    /// Runs `work` with the permit at stake.
    #[inline(always)]
    fn guard<T>(permit: &'a mut Option<Permit<G>>, work: impl FnOnce() -> T) -> T {
        let bomb = Bomb(permit);
        let done = work();
        std::mem::forget(bomb);
        done
    }
}

impl<G: Settle> Drop for Bomb<'_, G> {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.done(Outcome::Failure);
        }
    }
}

macro_rules! accessors {
    ($name:ident<$($p:ident),+>) => {
        impl<$($p),+> $name<$($p),+> {
            /// The inner service.
            pub fn get_ref(&self) -> &S {
                &self.inner
            }
            /// The inner service, to change it.
            pub fn get_mut(&mut self) -> &mut S {
                &mut self.inner
            }
            /// Takes the guard off.
            pub fn into_inner(self) -> S {
                self.inner
            }
        }
    };
}
use accessors;
