//! The handle of a random drop.

mod config;

pub use config::{RandomDropBuilder, RandomDropConfig};

use crate::level::{LEVELS, level};
use plimsoll_core::parts::check;
use plimsoll_core::parts::sync::recover;
use plimsoll_core::{
    ControlError, Dice, Event, Gate, Inspect, Keyed, Observer, Outcome, Permit, Priority, Reason, Rejected,
    RequestInfo, Settle,
};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Keeps a share of all requests, chosen by chance. A cheap handle: clones share the rate.
#[derive(Clone)]
#[doc(alias = "sampling")]
#[doc(alias = "load shedding")]
pub struct RandomDrop(Arc<Inner>);

struct Inner {
    name: &'static str,
    dice: Dice,
    // The share that is kept, by level of priority. Under the lock, a threshold is always that of the
    // last rate that was set. A draw reads the threshold alone.
    keep_rates: Mutex<[f64; LEVELS]>,
    thresholds: [AtomicU64; LEVELS],
    observer: Observer,
}

/// The layer that [`RandomDrop::layer`] creates.
#[cfg(feature = "tower")]
pub type RandomDropLayer = plimsoll_core::GateLayer<RandomDrop>;

/// The settings for one level each, by the lowest priority of the level.
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
    /// let message = sample.keep_with(|| panic!("it would have to be built"));
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
        // One branch that is always the same, and none on `keep`, which nothing can predict.
        self.0.observer.emit_all(|emit| {
            emit(self.decision(keep));
            if keep {
                // No permit will report an outcome: for this guard, the item has ended.
                emit(Event::completed(self.0.name, Outcome::Ignored));
            }
        });
        keep
    }

    /// Admits or drops a request of normal priority.
    ///
    /// # Errors
    /// `Dropped`.
    #[inline]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.decide(Priority::NORMAL).map(|()| Permit::new(self, ()))
    }

    /// [`try_acquire`](Self::try_acquire) with a permit that owns its handle.
    ///
    /// # Errors
    /// `Dropped`.
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.decide(Priority::NORMAL).map(|()| Permit::new(self.clone(), ()))
    }

    /// Returns the share that is kept of normal priority.
    pub fn keep_rate(&self) -> f64 {
        self.keep_rate_for(Priority::NORMAL)
    }

    /// Returns the share that is kept of this priority.
    pub fn keep_rate_for(&self, priority: Priority) -> f64 {
        self.keep_rates().get(level(priority)).copied().unwrap_or(1.0)
    }

    /// Changes the share that is kept of every priority. Range: 0.0 to 1.0.
    ///
    /// Every thread sees it at its next draw.
    ///
    /// # Errors
    /// Returns an error if `keep_rate` is out of range. Nothing has changed then.
    pub fn set_keep_rate(&self, keep_rate: f64) -> Result<(), ControlError> {
        check::share("keep_rate", keep_rate)?;
        self.set_levels(keep_rate, |_| true);
        Ok(())
    }

    /// Changes the share that is kept of one level of priority. Range: 0.0 to 1.0.
    ///
    /// There are eight levels, of 32 priorities each.
    ///
    /// # Errors
    /// Returns an error if `keep_rate` is out of range. Nothing has changed then.
    pub fn set_keep_rate_for(&self, priority: Priority, keep_rate: f64) -> Result<(), ControlError> {
        check::share("keep_rate", keep_rate)?;
        self.set_levels(keep_rate, |n| n == level(priority));
        Ok(())
    }

    fn set_levels(&self, keep_rate: f64, is_set: impl Fn(usize) -> bool) {
        let mut rates = self.keep_rates();
        for (n, (rate, threshold)) in rates.iter_mut().zip(&self.0.thresholds).enumerate() {
            if is_set(n) {
                *rate = keep_rate;
                // Relaxed: a draw depends on nothing but the threshold, the old one or the new one.
                threshold.store(Dice::threshold(keep_rate), Ordering::Relaxed);
            }
        }
    }

    fn keep_rates(&self) -> MutexGuard<'_, [f64; LEVELS]> {
        recover(self.0.keep_rates.lock())
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Creates a layer that drops calls before they reach the inner service.
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
        each("keep_rate", self.keep_rate());
        for (setting, rate) in LEVEL_SETTINGS.into_iter().zip(rates) {
            each(setting, rate);
        }
    }
    /// Settings, 0.0 to 1.0: `keep_rate` for all levels of priority, `keep_rate_for_0`,
    /// `keep_rate_for_32` … `keep_rate_for_224` for one level each.
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        if setting == "keep_rate" {
            return self.set_keep_rate(value);
        }
        let Some((n, name)) = LEVEL_SETTINGS.into_iter().enumerate().find(|(_, name)| *name == setting)
        else {
            return Err(ControlError::unknown(setting, &["keep_rate", "keep_rate_for_<lowest priority>"]));
        };
        check::share(name, value)?;
        self.set_levels(value, |level| level == n);
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
