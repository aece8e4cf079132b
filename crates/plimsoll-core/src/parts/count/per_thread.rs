//! A value for each thread.

use super::striped::{CELLS, index, known_index};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A value for each thread that uses it, and one that further threads share.
///
/// The values are created when they are first used. The value of a thread that has ended is passed
/// on to another one.
pub(crate) struct PerThread<T> {
    /// A bit for each value that was created, so that a reader looks at no others.
    created: AtomicU64,
    /// The values of threads with one of their own, then the shared one.
    values: [OnceLock<Box<T>>; CELLS + 1],
}

impl<T> Default for PerThread<T> {
    fn default() -> Self {
        PerThread { created: AtomicU64::new(0), values: [const { OnceLock::new() }; CELLS + 1] }
    }
}

impl<T> PerThread<T> {
    /// Returns the value that only this thread writes, or `None` if it has none (yet).
    #[inline(always)]
    pub(crate) fn own(&self) -> Option<&T> {
        self.values.get(known_index())?.get().map(|value| &**value)
    }

    /// Returns the value of this thread in the cases in which [`own`](Self::own) does not. Other
    /// threads may write it, too.
    #[cold]
    #[inline(never)]
    pub(crate) fn get(&self, create: impl FnOnce() -> T) -> Option<&T> {
        let n = index().min(CELLS);
        let value = self.values.get(n)?.get_or_init(|| Box::new(create()));
        // Written once only: other threads read the words beside it. Relaxed: a bit that is set
        // stays set.
        if self.created.load(Ordering::Relaxed) & 1 << n == 0 {
            // Release: pairs with the Acquire load in `iter`. A thread that sees the bit also sees
            // the value.
            self.created.fetch_or(1 << n, Ordering::Release);
        }
        Some(value)
    }

    /// Returns all values that were created.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        // Acquire: pairs with the Release in `get`.
        let mut created = self.created.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            let n = (created != 0).then(|| created.trailing_zeros() as usize)?;
            created &= created - 1;
            self.values.get(n)?.get().map(|value| &**value)
        })
    }
}
