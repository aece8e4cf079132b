//! Whether a table is crowded: reported when it begins and when it ends.

use plimsoll_core::parts::sync::{AtomicU64, Ordering};
use plimsoll_core::{Event, Observer};

/// The time without a crowd after which the table counts as calm, in nanoseconds.
const CALM: u64 = 10_000_000_000;
/// The shortest time between two updates while the table is crowded.
const UPDATE: u64 = CALM / 10;

/// The state of a table: calm, or crowded. Emits an event for each change, at most one pair in ten
/// seconds.
pub(crate) struct Crowd {
    name: &'static str,
    observer: Observer,
    // When the table was last seen crowded, in nanoseconds; 0 while it is calm.
    last: AtomicU64,
}

impl Crowd {
    pub(crate) fn new(name: &'static str, observer: Observer) -> Self {
        Crowd { name, observer, last: AtomicU64::new(0) }
    }

    /// Records that a new account found the table full.
    pub(crate) fn crowded(&self, now: u64) {
        // Relaxed throughout: the word stands for itself.
        let last = self.last.load(Ordering::Relaxed);
        if last == 0 || now.saturating_sub(last) >= UPDATE {
            self.change(last, now.max(1), "crowded");
        }
    }

    /// Ends the crowd if it was last seen a while ago.
    pub(crate) fn calm(&self, now: u64) {
        let last = self.last.load(Ordering::Relaxed);
        if last != 0 && now.saturating_sub(last) >= CALM {
            self.change(last, 0, "calm");
        }
    }

    #[cold]
    fn change(&self, from: u64, to: u64, state: &'static str) {
        let changed = self.last.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if changed && (from == 0 || to == 0) {
            self.observer.emit(|| Event::state_changed(self.name, state, "keys"));
        }
    }
}
