//! Decisions about items, which hold no permit.

use super::{LoadShedder, Signal};
use plimsoll_core::{Account, Event, Outcome, Priority};
use std::hash::Hash;

impl LoadShedder<Signal> {
    /// Returns whether to keep an item of this priority. Call it before the item is built.
    #[inline]
    pub fn keep(&self, priority: Priority) -> bool {
        self.decide_item(self.random_bin(priority), || None)
    }

    /// Returns whether to keep an item of this priority and account.
    ///
    /// The items of an account are kept or dropped together until the next reshuffle.
    #[inline]
    pub fn keep_for<K: Hash + ?Sized>(&self, priority: Priority, account: &K) -> bool {
        self.decide_item(self.account_bin(priority, account), || Some(self.account(account)))
    }

    /// Builds an item of this priority only if it is kept.
    #[inline]
    pub fn keep_with<T>(&self, priority: Priority, build: impl FnOnce() -> T) -> Option<T> {
        self.keep(priority).then(build)
    }

    fn decide_item(&self, bin: usize, account: impl Fn() -> Option<Account>) -> bool {
        let inner = &*self.0;
        let keep = inner.decide(bin);
        inner.observer.emit_all(|emit| {
            emit(inner.decision(keep, account()));
            if keep {
                // No permit reports an outcome, so the item completes here.
                emit(Event::completed(inner.name, Outcome::Ignored));
            }
        });
        keep
    }
}
