//! The handle.

use crate::config::{Builder, check};
use plimsoll_core::{
    ConfigError, ControlError, Dice, Event, Gate, Inspect, Observer, Outcome, Permit, Reason, Rejected,
    Settle,
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
    /// The share that is kept. Its lock is for those who set it, so that the threshold is always
    /// that of the last; who rolls the dice reads the threshold alone.
    pub(crate) keep: Mutex<f64>,
    pub(crate) threshold: AtomicU64,
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
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Rolls the dice: `true` means go on. Ask before the item is built.
    #[inline]
    pub fn keep(&self) -> bool {
        let keep = self.roll();
        // One branch that is always the same, and none on `keep`, which nothing can predict.
        self.0.observer.tell_all(|tell| {
            tell(self.decision(keep));
            if keep {
                // Nothing will come back for it: it has ended as far as this guard knows.
                tell(Event::Ended { by: self.0.name, outcome: Outcome::Ignored });
            }
        });
        keep
    }

    /// [`keep`](Self::keep) as a gate answers.
    ///
    /// # Errors
    /// `Dropped`.
    #[inline]
    pub fn ask(&self) -> Result<Permit<&Self>, Rejected> {
        self.decide().map(|()| Permit::new(self, ()))
    }

    /// The share that is kept now.
    pub fn keep_rate(&self) -> f64 {
        *self.rate()
    }

    /// Changes the share that is kept; every thread sees it at its next draw.
    ///
    /// # Errors
    /// If `keep` is not in 0.0..=1.0; nothing has changed then.
    pub fn set_keep(&self, keep: f64) -> Result<(), ControlError> {
        check(keep)?;
        let mut rate = self.rate();
        *rate = keep;
        // Relaxed: the threshold stands for itself; a draw uses the old one or the new one.
        self.0.threshold.store(Dice::threshold(keep), Ordering::Relaxed);
        Ok(())
    }

    fn rate(&self) -> MutexGuard<'_, f64> {
        self.0.keep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A layer that drops before the inner service is called.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> RandomDropLayer {
        plimsoll_core::layer(self.clone())
    }

    #[inline]
    fn decide(&self) -> Result<(), Rejected> {
        let keep = self.roll();
        self.0.observer.tell(|| self.decision(keep));
        if keep { Ok(()) } else { Err(Rejected::new(self.0.name, Reason::Dropped)) }
    }

    #[inline]
    fn roll(&self) -> bool {
        self.0.dice.under(self.0.threshold.load(Ordering::Relaxed))
    }

    fn decision(&self, keep: bool) -> Event {
        let by = self.0.name;
        if keep { Event::Admitted { by } } else { Event::Refused(Rejected::new(by, Reason::Dropped)) }
    }
}

impl Settle for RandomDrop {
    type Token = ();
    #[inline]
    fn settle(&self, (): (), outcome: Outcome) {
        self.0.observer.tell(|| Event::Ended { by: self.0.name, outcome });
    }
    #[inline]
    fn give_back(&self, (): ()) {
        self.0.observer.tell(|| Event::GivenBack { by: self.0.name });
    }
}

impl<R: ?Sized> Gate<R> for RandomDrop {
    #[inline]
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        self.decide()
    }
}

impl Inspect for RandomDrop {
    fn name(&self) -> &'static str {
        self.0.name
    }
    fn look(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("keep", self.keep_rate());
    }
    /// Knob: `keep`, 0.0 to 1.0.
    fn turn(&self, knob: &str, value: f64) -> Result<(), ControlError> {
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
