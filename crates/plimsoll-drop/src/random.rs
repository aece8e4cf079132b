//! The handle.

use plimsoll_core::{
    ConfigError, ControlError, Dice, Event, Gate, Inspect, Observe, Observer, Outcome, Permit, Reason,
    Rejected, Settle, intern,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keeps a share of all that asks. A cheap handle: clones share the rate.
#[derive(Clone)]
pub struct RandomDrop {
    name: &'static str,
    dice: Dice,
    /// The bits of the keep rate, an `f64` in 0.0..=1.0.
    keep: Arc<AtomicU64>,
    observer: Observer,
}

#[cfg(feature = "tower")]
/// The layer of [`RandomDrop::layer`].
pub type RandomDropLayer = plimsoll_core::GateLayer<RandomDrop>;

fn check(keep: f64) -> Result<u64, ConfigError> {
    if (0.0..=1.0).contains(&keep) {
        Ok(keep.to_bits())
    } else {
        Err(ConfigError::new("keep", keep, "0.0 (drop all) to 1.0 (keep all)"))
    }
}

impl RandomDrop {
    /// Keeps the share `keep`, 0.0 (nothing) to 1.0 (everything), both exact.
    ///
    /// # Errors
    /// If `keep` is not in that range, or not a number.
    pub fn new(keep: f64) -> Result<Self, ConfigError> {
        let keep = Arc::new(AtomicU64::new(check(keep)?));
        Ok(RandomDrop { name: "drop", dice: Dice::thread(), keep, observer: Observer::none() })
    }

    /// The name its refusals carry; "drop" unless set. See [`intern`] for what a name costs.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = intern(name);
        self
    }

    /// The dice to roll; the calling thread's own unless set.
    #[must_use]
    pub fn dice(mut self, dice: Dice) -> Self {
        self.dice = dice;
        self
    }

    /// Tells `observer` each decision. Set the name first.
    #[must_use]
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Observer::new(observer, self.name);
        self
    }

    /// Rolls the dice: `true` means go on. Ask before the item is built.
    #[inline]
    pub fn keep(&self) -> bool {
        let keep = self.dice.chance(self.keep_rate());
        // One branch that is always the same, and none on `keep`, which nothing can predict.
        self.observer.tell_all(|tell| {
            tell(self.decision(keep));
            if keep {
                // Nothing will come back for it: it has ended as far as this guard knows.
                tell(Event::Ended { by: self.name, outcome: Outcome::Ignored });
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
    #[inline]
    pub fn keep_rate(&self) -> f64 {
        // Relaxed: the rate stands for itself; a draw uses the old one or the new one.
        f64::from_bits(self.keep.load(Ordering::Relaxed))
    }

    /// Changes the share that is kept; every thread sees it at its next draw.
    ///
    /// # Errors
    /// If `keep` is not in 0.0..=1.0; nothing has changed then.
    pub fn set_keep(&self, keep: f64) -> Result<(), ControlError> {
        self.keep.store(check(keep)?, Ordering::Relaxed);
        Ok(())
    }

    /// A layer that drops before the inner service is called.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> RandomDropLayer {
        plimsoll_core::layer(self.clone())
    }

    #[inline]
    fn decide(&self) -> Result<(), Rejected> {
        let keep = self.dice.chance(self.keep_rate());
        self.observer.tell(|| self.decision(keep));
        if keep { Ok(()) } else { Err(Rejected::new(self.name, Reason::Dropped)) }
    }

    fn decision(&self, keep: bool) -> Event {
        let by = self.name;
        if keep { Event::Admitted { by } } else { Event::Refused(Rejected::new(by, Reason::Dropped)) }
    }
}

impl Settle for RandomDrop {
    type Token = ();
    #[inline]
    fn settle(&self, (): (), outcome: Outcome) {
        self.observer.tell(|| Event::Ended { by: self.name, outcome });
    }
    #[inline]
    fn give_back(&self, (): ()) {
        self.observer.tell(|| Event::GivenBack { by: self.name });
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
        self.name
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
        f.debug_struct("RandomDrop").field("name", &self.name).field("keep", &self.keep_rate()).finish()
    }
}
