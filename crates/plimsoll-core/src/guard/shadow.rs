//! Shadow mode: a gate decides, but rejects no request.

use crate::{Allowance, Event, Gate, Observe, Observer, Outcome, Rejected, Settle};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The mode of a [`Shadow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The gate decides, and its rejections are carried out.
    #[default]
    On,
    /// The gate decides and emits events, but every request is admitted.
    Shadow,
    /// The gate is bypassed.
    Off,
}

/// A gate with a switch: on, shadow, off. Any thread can change the mode; clones share it.
///
/// Shadow mode shows what a new limit would reject before it rejects anything. A request that was
/// admitted in one mode is settled correctly in another. A shadow decides at once, so a valve
/// inside it never queues a caller.
///
/// ```
/// use plimsoll_core::{Gate, Mode, Outcome, Reason, Rejected, Settle, Shadow};
/// # struct Shut;
/// # impl Settle for Shut {
/// #     type Token = ();
/// #     fn settle(&self, _: (), _: Outcome) {}
/// #     fn refund(&self, _: ()) {}
/// # }
/// # impl Gate<str> for Shut {
/// #     fn admit(&self, _: &str) -> Result<(), Rejected> {
/// #         Err(Rejected::new("shut", Reason::Full))
/// #     }
/// # }
/// let gate = Shadow::new(Shut, Mode::Shadow); // a gate that rejects every request
/// assert!(gate.admit("request").is_ok());
/// gate.set_mode(Mode::On);
/// assert!(gate.admit("request").is_err());
/// ```
#[derive(Clone)]
#[doc(alias = "dry run")]
#[doc(alias = "report only")]
#[doc(alias = "dark launch")]
#[doc(alias = "kill switch")]
pub struct Shadow<G> {
    gate: G,
    mode: Arc<AtomicU8>,
    observer: Observer,
}

impl<G> Shadow<G> {
    /// Wraps `gate` and starts in `mode`.
    pub fn new(gate: G, mode: Mode) -> Self {
        Shadow { gate, mode: Arc::new(AtomicU8::new(mode as u8)), observer: Observer::none() }
    }

    /// Sets the observer.
    ///
    /// It receives each rejection that was not carried out, as [`Event::Shadowed`].
    #[must_use]
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Observer::shared(observer);
        self
    }

    /// Returns the mode.
    #[inline]
    pub fn mode(&self) -> Mode {
        // Relaxed: the mode orders no other memory.
        match self.mode.load(Ordering::Relaxed) {
            0 => Mode::On,
            1 => Mode::Shadow,
            _ => Mode::Off,
        }
    }

    /// Changes the mode.
    pub fn set_mode(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Returns the gate.
    pub fn get_ref(&self) -> &G {
        &self.gate
    }
}

impl<G: Settle> Settle for Shadow<G> {
    /// `None` if the gate did not admit the request.
    type Token = Option<G::Token>;
    #[inline]
    fn settle(&self, token: Self::Token, outcome: Outcome) {
        if let Some(token) = token {
            self.gate.settle(token, outcome);
        }
    }
    #[inline]
    fn refund(&self, token: Self::Token) {
        if let Some(token) = token {
            self.gate.refund(token);
        }
    }
    fn settle_units(&self, token: &mut Self::Token, actual: u32) {
        if let Some(token) = token {
            self.gate.settle_units(token, actual);
        }
    }
    fn allowances(&self, token: &Self::Token, each: &mut dyn FnMut(Allowance)) {
        if let Some(token) = token {
            self.gate.allowances(token, each);
        }
    }
}

impl<R: ?Sized, G: Gate<R>> Gate<R> for Shadow<G> {
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        match self.mode() {
            Mode::On => self.gate.admit(request).map(Some),
            Mode::Shadow => Ok(match self.gate.admit(request) {
                Ok(token) => Some(token),
                Err(rejected) => {
                    self.observer.emit(|| Event::shadowed(rejected));
                    None
                }
            }),
            Mode::Off => Ok(None),
        }
    }
}

impl<G: fmt::Debug> fmt::Debug for Shadow<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shadow").field("mode", &self.mode()).field("gate", &self.gate).finish()
    }
}
