//! Atomics and locks of the parts: the standard ones, or loom's under `cfg(plimsoll_loom)`.

#[cfg(plimsoll_loom)]
pub use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(plimsoll_loom)]
pub use loom::thread::yield_now as pause;
#[cfg(not(plimsoll_loom))]
pub use std::hint::spin_loop as pause;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
#[cfg(not(plimsoll_loom))]
pub use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
use std::task::Waker;

/// Waits for another thread that is in the middle of a short change.
///
/// It spins at first. Then it lets other threads run, because that thread may have been preempted.
#[derive(Debug, Default)]
pub struct Backoff(u32);

impl Backoff {
    const SPINS: u32 = 100;

    /// Waits for a moment.
    #[cold]
    pub fn wait(&mut self) {
        self.0 = self.0.saturating_add(1);
        if self.0 > Self::SPINS { std::thread::yield_now() } else { pause() }
    }
}

/// Returns the guard of a lock even if a thread panicked while it held it.
///
/// The parts call no foreign code under a lock, so the data behind it is consistent all the same.
#[inline]
pub fn recover<G>(locked: Result<G, PoisonError<G>>) -> G {
    locked.unwrap_or_else(PoisonError::into_inner)
}

/// Calls the waker and catches its panic.
///
/// A waker is foreign code, and the waiters after it must be woken, too. The panic hook has
/// reported the panic by the time this returns.
pub fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}
