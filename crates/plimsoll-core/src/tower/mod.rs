//! Tower services: one for all guards that decide at once, one for all guards that queue.

mod fail_on_unwind;
mod gated;
mod layer;
mod queued;
mod reply;

pub use gated::{Gated, GatedFuture};
pub use layer::{GateLayer, GuardLayer, Immediate, Queueing, WaitLayer, layer, wait_layer};
pub use queued::{Queued, QueuedFuture};
pub use reply::{AsError, Reply, Respond, Wrapped};

macro_rules! accessors {
    ($name:ident<$($p:ident),+>) => {
        impl<$($p),+> $name<$($p),+> {
            /// Returns the inner service.
            pub fn get_ref(&self) -> &S {
                &self.inner
            }
            /// Returns the inner service, to change it.
            pub fn get_mut(&mut self) -> &mut S {
                &mut self.inner
            }
            /// Removes the guard and returns the inner service.
            pub fn into_inner(self) -> S {
                self.inner
            }
        }
    };
}
use accessors;

/// Panics because a future was polled that had ended.
#[cold]
fn polled_after_completion() -> ! {
    panic!("a guarded call was polled after completion")
}
