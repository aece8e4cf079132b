//! The handle.

use crate::config::{RandomDropBuilder, check};
use crate::cursor::{LEVELS, level};
use plimsoll_core::{
    By, ConfigError, ControlError, Dice, Event, Gate, Inspect, Keyed, Observer, Outcome, Permit, Priority,
    Reason, Rejected, RequestInfo, Settle,
};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps a share of all that asks. A cheap handle: clones share the rate.
#[derive(Clone)]
pub struct RandomDrop(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) name: &'static str,
    pub(crate) dice: Dice,
    /// The share that is kept, by level of priority. Its lock is for those who set it, so that a threshold
    /// is always that of the last; who rolls the dice reads the threshold alone.
    pub(crate) keep: Mutex<[f64; LEVELS]>,
    pub(crate) thresholds: [AtomicU64; LEVELS],
    pub(crate) observer: Observer,
}

#[cfg(feature = "tower")]
/// The layer of [`RandomDrop::layer`].
pub type RandomDropLayer = plimsoll_core::GateLayer<RandomDrop>;

impl RandomDrop {
    /// Keeps the share `keep`, 0.0 (nothing) to 1.0 (everything), both exact.
    ///
    /// # Errors
    /// If `keep` is not in that range, or not a number.
    pub fn new(keep: f64) -> Result<Self, ConfigError> {
        Self::builder().keep(keep).build()
    }

    /// Sets everything else.
    pub fn builder() -> RandomDropBuilder {
        RandomDropBuilder::default()
    }

    /// Rolls the dice: `true` means go on. Ask before the item is built.
    #[inline]
    pub fn keep(&self) -> bool {
        self.keep_for_priority(Priority::NORMAL)
    }

    /// Builds the item only if it is kept.
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

    /// [`keep`](Self::keep), by the rate of this priority.
    #[inline]
    pub fn keep_for_priority(&self, priority: Priority) -> bool {
        let keep = self.roll(priority);
        // One branch that is always the same, and none on `keep`, which nothing can predict.
        self.0.observer.emit_all(|tell| {
            tell(self.decision(keep));
            if keep {
                // Nothing will come back for it: it has ended as far as this guard knows.
                tell(Event::completed(self.0.name, Outcome::Ignored));
            }
        });
        keep
    }

    /// [`keep`](Self::keep) as a gate answers.
    ///
    /// # Errors
    /// `Dropped`.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.decide(Priority::NORMAL).map(|()| Permit::new(self, ()))
    }

    /// The share that is kept now, of normal priority.
    pub fn keep_rate(&self) -> f64 {
        self.keep_rate_for(Priority::NORMAL)
    }

    /// The share that is kept now of this priority.
    pub fn keep_rate_for(&self, priority: Priority) -> f64 {
        self.rates().get(level(priority)).copied().unwrap_or(1.0)
    }

    /// Changes the share that is kept, of every priority; every thread sees it at its next draw.
    ///
    /// # Errors
    /// If `keep` is not in 0.0..=1.0; nothing has changed then.
    pub fn set_keep(&self, keep: f64) -> Result<(), ControlError> {
        check(keep)?;
        self.set(keep, |_| true);
        Ok(())
    }

    /// Changes the share that is kept of one level of priority: there are eight, of 32 priorities each.
    ///
    /// # Errors
    /// If `keep` is not in 0.0..=1.0; nothing has changed then.
    pub fn set_keep_for(&self, priority: Priority, keep: f64) -> Result<(), ControlError> {
        check(keep)?;
        self.set(keep, |n| n == level(priority));
        Ok(())
    }

    fn set(&self, keep: f64, which: impl Fn(usize) -> bool) {
        let mut rates = self.rates();
        for (n, (rate, threshold)) in rates.iter_mut().zip(&self.0.thresholds).enumerate() {
            if which(n) {
                *rate = keep;
                // Relaxed: the threshold stands for itself; a draw uses the old one or the new one.
                threshold.store(Dice::threshold(keep), Ordering::Relaxed);
            }
        }
    }

    /// A gate that reads the priority of a request by `facts`.
    pub fn info<R: ?Sized, P: Fn(&R) -> RequestInfo>(&self, facts: P) -> By<Self, fn(&R), P> {
        By::new(self.clone(), (|_| ()) as fn(&R)).info(facts)
    }

    fn rates(&self) -> MutexGuard<'_, [f64; LEVELS]> {
        self.0.keep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A layer that drops before the inner service is called.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> RandomDropLayer {
        plimsoll_core::layer(self.clone())
    }

    #[inline]
    fn decide(&self, priority: Priority) -> Result<(), Rejected> {
        let keep = self.roll(priority);
        self.0.observer.emit(|| self.decision(keep));
        if keep { Ok(()) } else { Err(Rejected::new(self.0.name, Reason::Dropped)) }
    }

    #[inline]
    fn roll(&self, priority: Priority) -> bool {
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
    fn admit_for(&self, (): &(), facts: RequestInfo) -> Result<(), Rejected> {
        self.decide(facts.priority)
    }
}

impl Inspect for RandomDrop {
    fn name(&self) -> &'static str {
        self.0.name
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("keep", self.keep_rate());
    }
    /// Knob: `keep`, 0.0 to 1.0.
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        match knob {
            "keep" => self.set_keep(value),
            other => Err(ControlError::new("knob", other, "keep")),
        }
    }
}

impl fmt::Debug for RandomDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomDrop").field("name", &self.0.name).field("keep", &self.keep_rate()).finish()
    }
}
