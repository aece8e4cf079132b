//! The handle of a random drop.

mod config;
mod rates;

pub use config::{RandomDropBuilder, RandomDropConfig};

use crate::level::{LEVELS, level};
use plimsoll_core::parts::check;
use plimsoll_core::parts::sync::recover;
use plimsoll_core::{
    ControlError, Dice, Event, Gate, Inspect, Keyed, Observer, Outcome, Permit, Priority, Reason, Rejected,
    RequestInfo, Settle,
};
use rates::KeepRates;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Keeps a random share of all requests. A cheap handle: clones share everything.
#[derive(Clone)]
#[doc(alias = "sampling")]
#[doc(alias = "load shedding")]
pub struct RandomDrop(Arc<Inner>);

struct Inner {
    name: &'static str,
    dice: Dice,
    // The lock keeps the rates and the thresholds of the levels in step. A draw reads a threshold
    // alone.
    keep_rates: Mutex<KeepRates>,
    thresholds: [AtomicU64; LEVELS],
    observer: Observer,
}

/// The layer that [`RandomDrop::layer`] creates.
#[cfg(feature = "tower")]
pub type RandomDropLayer = plimsoll_core::GateLayer<RandomDrop>;

/// The names of the settings of each level, by its lowest priority.
const LEVEL_SETTINGS: [&str; LEVELS] = [
    "keep_rate_for_0",
    "keep_rate_for_32",
    "keep_rate_for_64",
    "keep_rate_for_96",
    "keep_rate_for_128",
    "keep_rate_for_160",
    "keep_rate_for_192",
    "keep_rate_for_224",
];

impl RandomDrop {
    /// Returns whether to keep an item. Call it before the item is built.
    #[inline]
    pub fn keep(&self) -> bool {
        self.keep_for_priority(Priority::NORMAL)
    }

    /// Builds an item only if it is kept.
    ///
    /// ```
    /// use plimsoll_drop::RandomDrop;
    ///
    /// let sample = RandomDrop::new(0.0)?;
    /// let message = sample.keep_with(|| panic!("never called"));
    /// assert!(message.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn keep_with<T>(&self, build: impl FnOnce() -> T) -> Option<T> {
        self.keep().then(build)
    }

    /// Returns whether to keep an item of this priority.
    #[inline]
    pub fn keep_for_priority(&self, priority: Priority) -> bool {
        let keep = self.draw(priority);
        // This branch is always the same. A branch on `keep` could not be predicted.
        self.0.observer.emit_all(|emit| {
            emit(self.decision(keep));
            if keep {
                // No permit reports an outcome, so the item completes here.
                emit(Event::completed(self.0.name, Outcome::Ignored));
            }
        });
        keep
    }

    /// Admits or drops a request of normal priority.
    ///
    /// # Errors
    /// `Dropped` if the request is dropped.
    #[inline]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.decide(Priority::NORMAL).map(|()| Permit::new(self, ()))
    }

    /// Admits or drops a request like [`try_acquire`](Self::try_acquire), with a permit that owns
    /// its handle.
    ///
    /// # Errors
    /// `Dropped` if the request is dropped.
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.decide(Priority::NORMAL).map(|()| Permit::new(self.clone(), ()))
    }

    /// Returns the share that is kept of each level without a rate of its own.
    ///
    /// [`keep_rate_for`](Self::keep_rate_for) returns the share that applies to a priority.
    pub fn keep_rate(&self) -> f64 {
        self.keep_rates().base
    }

    /// Returns the share that is kept of requests of this priority.
    pub fn keep_rate_for(&self, priority: Priority) -> f64 {
        self.keep_rates().levels().get(level(priority)).copied().unwrap_or(1.0)
    }

    /// Changes the share that is kept of each level without a rate of its own.
    ///
    /// Every thread uses it at its next draw. Levels whose rate was set by `keep_rate_for` or
    /// [`set_keep_rate_for`](Self::set_keep_rate_for) keep it. Range: 0.0 to 1.0.
    ///
    /// # Errors
    /// Returns an error and changes nothing if `keep_rate` is out of range.
    pub fn set_keep_rate(&self, keep_rate: f64) -> Result<(), ControlError> {
        check::share("keep_rate", keep_rate)?;
        self.change(|rates| rates.base = keep_rate);
        Ok(())
    }

    /// Gives the level of a priority its own share that is kept. Range: 0.0 to 1.0.
    ///
    /// There are eight levels of 32 priorities each.
    ///
    /// # Errors
    /// Returns an error and changes nothing if `keep_rate` is out of range.
    pub fn set_keep_rate_for(&self, priority: Priority, keep_rate: f64) -> Result<(), ControlError> {
        check::share("keep_rate_for", keep_rate)?;
        self.change(|rates| rates.set_own(level(priority), Some(keep_rate)));
        Ok(())
    }

    /// Removes the rate of the level of a priority. [`keep_rate`](Self::keep_rate) applies to it.
    ///
    /// Does nothing if the level has no rate of its own.
    pub fn clear_keep_rate_for(&self, priority: Priority) {
        self.change(|rates| rates.set_own(level(priority), None));
    }

    fn change(&self, change: impl FnOnce(&mut KeepRates)) {
        let mut rates = self.keep_rates();
        change(&mut rates);
        for (rate, threshold) in rates.levels().into_iter().zip(&self.0.thresholds) {
            // Relaxed: a draw reads nothing but the threshold, so it pairs with no other store.
            threshold.store(Dice::threshold(rate), Ordering::Relaxed);
        }
    }

    fn keep_rates(&self) -> MutexGuard<'_, KeepRates> {
        recover(self.0.keep_rates.lock())
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Creates a layer that drops calls before they reach the inner service.
    ///
    /// All calls have normal priority.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> RandomDropLayer {
        plimsoll_core::layer(self.clone())
    }

    #[inline]
    fn decide(&self, priority: Priority) -> Result<(), Rejected> {
        let keep = self.draw(priority);
        self.0.observer.emit(|| self.decision(keep));
        if keep { Ok(()) } else { Err(Rejected::new(self.0.name, Reason::Dropped)) }
    }

    #[inline]
    fn draw(&self, priority: Priority) -> bool {
        let threshold = self.0.thresholds.get(level(priority));
        threshold.is_none_or(|threshold| self.0.dice.under(threshold.load(Ordering::Relaxed)))
    }

    fn decision(&self, keep: bool) -> Event {
        let by = self.0.name;
        if keep { Event::admitted(by) } else { Event::rejected(Rejected::new(by, Reason::Dropped)) }
    }
}

impl Settle for RandomDrop {
    type Token = ();
    #[inline]
    fn settle(&self, (): (), outcome: Outcome) {
        self.0.observer.emit(|| Event::completed(self.0.name, outcome));
    }
    #[inline]
    fn refund(&self, (): ()) {
        self.0.observer.emit(|| Event::refunded(self.0.name));
    }
}

impl<R: ?Sized> Gate<R> for RandomDrop {
    #[inline]
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        self.decide(Priority::NORMAL)
    }
}

impl Keyed<()> for RandomDrop {
    #[inline]
    fn admit_for(&self, (): &(), info: RequestInfo) -> Result<(), Rejected> {
        self.decide(info.priority)
    }
}

impl Inspect for RandomDrop {
    fn name(&self) -> &'static str {
        self.0.name
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let rates = *self.keep_rates();
        each("keep_rate", rates.base);
        for (setting, rate) in LEVEL_SETTINGS.into_iter().zip(rates.levels()) {
            each(setting, rate);
        }
    }
    /// Sets a share, from 0.0 to 1.0. `keep_rate` applies to the levels without a rate of their
    /// own. `keep_rate_for_0`, `keep_rate_for_32` … `keep_rate_for_224` give one level its own
    /// rate, which [`clear_keep_rate_for`](RandomDrop::clear_keep_rate_for) removes.
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        if setting == "keep_rate" {
            return self.set_keep_rate(value);
        }
        let Some((n, name)) = LEVEL_SETTINGS.into_iter().enumerate().find(|(_, name)| *name == setting)
        else {
            return Err(ControlError::unknown(setting, &["keep_rate", "keep_rate_for_<lowest priority>"]));
        };
        check::share(name, value)?;
        self.change(|rates| rates.set_own(n, Some(value)));
        Ok(())
    }
}

impl fmt::Debug for RandomDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomDrop")
            .field("name", &self.0.name)
            .field("keep_rate", &self.keep_rate())
            .finish()
    }
}
