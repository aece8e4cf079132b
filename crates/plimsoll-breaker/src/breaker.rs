//! The breaker.

use crate::config::CircuitBreakerConfig;
use crate::loss::Loss;
use crate::machine::{CircuitMachine, CircuitState};
use crate::pass::Pass;
use crate::state::word::{CLOSED, HALF_OPEN, LOW, OPEN, PHASE, RAMP};
use crate::state::{Shared, State};
use crate::status::{Cause, Status};
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::parts::{Identity, check};
use plimsoll_core::{Account, ControlError, Event, Gate, Instant, Outcome, Permit, Rejected, Settle};
use std::fmt;
use std::sync::Arc;

/// Rejects calls to a dependency that does not work.
///
/// A cheap handle: clones share everything.
///
/// A closed breaker admits all calls and counts how they end. It opens as soon as one of its
/// [trips](crate::Trip) is fulfilled, and then rejects all calls at once. After its open time it
/// admits a few calls as probes. If they succeed, it admits a growing share of the calls and
/// finally all of them.
#[derive(Clone)]
#[doc(alias = "breaker")]
#[doc(alias = "circuit breaker")]
#[doc(alias = "fuse")]
pub struct CircuitBreaker(pub(crate) Arc<Shared>);

impl CircuitBreaker {
    pub(crate) fn from_parts(
        config: Arc<CircuitBreakerConfig>,
        identity: Identity,
        account: Option<Account>,
    ) -> Self {
        CircuitBreaker(Arc::new(Shared::new(config, identity, account)))
    }

    /// Acquires a permit for one call, if the breaker admits it. Never waits.
    ///
    /// Report the outcome of the call by [`Permit::done`]. A permit that is dropped counts as
    /// cancelled, or as failed while the thread unwinds.
    ///
    /// # Errors
    /// Returns a rejection with the reason `Open` and its [cause](Rejected::cause). It carries the
    /// numbers that opened the breaker, and the time after which to retry: the remaining open time,
    /// or half of what is left of the ramp or of the probe.
    #[inline(always)]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self) -> Result<Permit<&CircuitBreaker>, Rejected> {
        match self.0.admit_usual() {
            Some(pass) => Ok(Permit::new(self, pass)),
            None => self.0.admit_unusual().map(|pass| Permit::new(self, pass)),
        }
    }

    /// Acquires a permit that can be moved to another task or thread. Never waits.
    ///
    /// Otherwise like [`try_acquire`](Self::try_acquire). The permit owns a handle of the breaker.
    ///
    /// # Errors
    /// Returns a rejection, as `try_acquire` does.
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<Permit<CircuitBreaker>, Rejected> {
        self.0.admit().map(|pass| Permit::new(self.clone(), pass))
    }

    /// Records an outcome that belongs to no permit.
    ///
    /// A closed breaker counts it. In a half-open breaker, a bad outcome counts as one of a probe.
    /// An open breaker ignores it. `report(Outcome::Failure)` is fuse's *melt*.
    #[doc(alias = "melt")]
    #[doc(alias = "record_failure")]
    pub fn report(&self, outcome: Outcome) {
        self.0.observer.emit(|| Event::reported(self.0.name, outcome));
        // Acquire: pairs with the Release store in `publish`. A thread that sees a life also sees
        // its trips.
        let word = self.0.word.load(Ordering::Acquire);
        if word & PHASE != OPEN {
            // It has no start, so it cannot be late.
            self.0.count(word, Pass::new(word, Pass::UNTIMED), outcome);
        }
    }

    /// Opens the breaker for its open time. The [status](Self::status) carries `why`.
    ///
    /// After that, calls probe the dependency. To keep rejecting, [`block`](Self::block) it.
    pub fn trip(&self, why: &'static str) {
        let state = self.0.lock();
        self.0.open(state, Cause::Operator(why));
    }

    /// Closes the breaker. Discards all counts and the number of earlier openings.
    ///
    /// It may open again, and a block remains. To admit all calls, [`disable`](Self::disable) it.
    pub fn reset(&self) {
        let mut state = self.0.lock();
        state.machine.close(self.0.clock.now());
        self.0.state_changed(state, Cause::Operator("reset"));
    }

    /// Rejects all calls until [`unblock`](Self::unblock), whatever the state.
    ///
    /// The [status](Self::status) carries `why`. In fuse this is `circuit_disable`, in Klarna's
    /// circuit_breaker `block`.
    #[doc(alias = "force_open")]
    #[doc(alias = "forced open")]
    pub fn block(&self, why: &'static str) {
        if self.0.update(|state| state.blocked = Some(why)) {
            self.0.emit_state("blocked", why);
        }
    }

    /// Ends a [block](Self::block). Counting begins anew, as in fuse.
    ///
    /// The state stays: the open time and the ramp have continued meanwhile.
    pub fn unblock(&self) {
        let unblocked = self.0.update(|state| {
            if state.blocked.take().is_some() {
                state.machine.begin_life();
            }
        });
        if unblocked {
            self.0.emit_state("unblocked", "operator");
        }
    }

    /// Admits all calls and counts none until [`enable`](Self::enable). Overrides a block.
    #[doc(alias = "force_closed")]
    pub fn disable(&self) {
        if self.0.update(|state| state.disabled = true) {
            self.0.emit_state("disabled", "operator");
        }
    }

    /// Ends [`disable`](Self::disable). The breaker is closed and its counts are zero.
    ///
    /// Calls that were admitted earlier are not counted.
    pub fn enable(&self) {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.disabled) {
            state.machine.close(self.0.clock.now());
            self.0.state_changed(state, Cause::Operator("enabled"));
        }
    }

    /// Sets the share of calls that a closed breaker rejects at random.
    ///
    /// Use it to test how callers react to an open breaker. Default: 0.0. Range: 0.0 to 1.0.
    ///
    /// # Errors
    /// Returns an error if `share` is out of range. Nothing has changed then.
    #[doc(alias = "fault injection")]
    pub fn set_fault(&self, share: f64) -> Result<(), ControlError> {
        check::share("fault", share)?;
        self.0.set_fault(share);
        Ok(())
    }

    /// Ends a ramp whose time is over, and counts probes and calls that hang.
    ///
    /// Calls do this as well. It serves a breaker that receives no calls.
    pub fn tick(&self) {
        self.0.count_overdue();
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        let State { machine, config, .. } = &mut *state;
        if machine.phase == CircuitState::Ramp && machine.until <= now {
            machine.end_ramp(now);
            self.0.state_changed(state, Cause::Ramp);
        } else if machine.phase == CircuitState::HalfOpen && machine.end_hung(now, config) {
            self.0.open(state, Cause::Hung);
        }
    }

    /// Returns the account of a keyed breaker.
    pub(crate) fn account(&self) -> Option<Account> {
        self.0.account
    }

    /// Returns what an eviction of the breaker loses, or `None` if it must stay.
    pub(crate) fn loss(&self, now: Instant) -> Option<Loss> {
        // Acquire: pairs with the Release store in `publish`. A thread that sees a phase also sees
        // until when it lasts.
        let word = self.0.word.load(Ordering::Acquire);
        let until = Instant::from_nanos(self.0.until.load(Ordering::Relaxed));
        match word & LOW {
            CLOSED if self.0.has_counted_bad(now) => Some(Loss::Counts),
            CLOSED => Some(Loss::Nothing),
            OPEN if until <= now => Some(self.0.loss_of_open(now, until)),
            RAMP if until <= now => Some(Loss::Nothing),
            HALF_OPEN if self.0.lock().machine.is_idle(now) => Some(self.0.loss_of_open(now, until)),
            _ => None,
        }
    }

    /// Returns the state and its cause. Calls [`tick`](Self::tick) first.
    pub fn status(&self) -> Status {
        self.tick();
        self.status_now()
    }

    /// Returns the state and its cause as the last call left them.
    fn status_now(&self) -> Status {
        let state = self.0.lock();
        let CircuitMachine { phase, since, until, .. } = state.machine;
        let until = (phase == CircuitState::Open || phase == CircuitState::Ramp).then_some(until);
        Status {
            state: phase,
            since,
            until,
            cause: state.cause,
            blocked: state.blocked,
            disabled: state.disabled,
        }
    }

    /// Returns the state as the last call left it.
    #[doc(alias = "is_open")]
    #[doc(alias = "is_closed")]
    pub fn state(&self) -> CircuitState {
        match self.0.word.load(Ordering::Relaxed) & PHASE {
            CLOSED => CircuitState::Closed,
            OPEN => CircuitState::Open,
            HALF_OPEN => CircuitState::HalfOpen,
            _ => CircuitState::Ramp,
        }
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl Settle for CircuitBreaker {
    type Token = Pass;
    #[inline]
    fn settle(&self, pass: Pass, outcome: Outcome) {
        // The fields are passed one by one, so that the permit around them stays in registers. If
        // a pass is written to memory and read back in pieces of another size, the store cannot be
        // forwarded to the load, which costs as much as the rest of the call.
        self.0.ended(pass.started(), pass.generation(), pass.probe(), outcome);
    }
    fn refund(&self, pass: Pass) {
        self.0.observer.emit(|| Event::refunded(self.0.name));
        self.0.refund(pass);
    }
}

impl<R: ?Sized> Gate<R> for CircuitBreaker {
    #[inline(always)]
    fn admit(&self, _: &R) -> Result<Pass, Rejected> {
        self.0.admit()
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.0.name)
            .field("status", &self.status_now())
            .finish()
    }
}
