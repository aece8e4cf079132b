//! What all handles of a breaker share.

mod admit;
mod settle;
pub(crate) mod word;

use crate::config::CircuitBreakerConfig;
use crate::machine::{CircuitMachine, CircuitState};
use crate::meter::Meter;
use crate::status::Cause;
use plimsoll_core::parts::Identity;
use plimsoll_core::parts::sync::{AtomicU64, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::{Account, Clock, Dice, Event, Observer};
use std::sync::Arc;
use std::time::Duration;
use word::{BLOCKED, CLOSED, DISABLED, FAULTY, GENERATION, code};

pub(crate) struct Shared {
    pub(crate) name: &'static str,
    /// The account whose breaker it is, for one of many.
    account: Option<Account>,
    pub(crate) config: Arc<CircuitBreakerConfig>,
    meters: Box<[Meter]>,
    /// Phase, flags and generation: all that an admission by a closed breaker reads.
    pub(crate) word: AtomicU64,
    /// The bounds of the present phase in nanoseconds, written before the word.
    since: AtomicU64,
    pub(crate) until: AtomicU64,
    /// The numbers that it opened for: the bad calls in the high half, the allowed ones in the low half.
    seen: AtomicU64,
    /// The time over which those were counted, in nanoseconds. 0 if no trip opened it.
    span: AtomicU64,
    fault: AtomicU64,
    state: Mutex<State>,
    pub(crate) clock: Clock,
    dice: Dice,
    pub(crate) observer: Observer,
    /// Whether calls are timed.
    timed: bool,
    /// Whether a window is too short for the coarse clock.
    precise: bool,
}

/// What changes under the lock.
pub(crate) struct State {
    pub(crate) machine: CircuitMachine,
    pub(crate) cause: Cause,
    pub(crate) blocked: Option<&'static str>,
    pub(crate) disabled: bool,
    pub(crate) fault: f64,
}

impl Shared {
    pub(crate) fn new(
        config: Arc<CircuitBreakerConfig>,
        identity: Identity,
        account: Option<Account>,
    ) -> Self {
        let Identity { name, clock, dice, observer } = identity;
        let now = clock.now();
        let state = State {
            machine: CircuitMachine::new(now),
            cause: Cause::Never,
            blocked: None,
            disabled: false,
            fault: 0.0,
        };
        Shared {
            name,
            account,
            timed: config.call_timeout.is_some() || config.trips.iter().any(|trip| trip.needs_elapsed()),
            precise: config.trips.iter().any(|trip| trip.span() < Duration::from_secs(2)),
            meters: config.trips.iter().map(|trip| Meter::new(*trip)).collect(),
            config,
            word: AtomicU64::new(CLOSED),
            since: AtomicU64::new(now.as_nanos()),
            until: AtomicU64::new(now.as_nanos()),
            seen: AtomicU64::new(0),
            span: AtomicU64::new(0),
            fault: AtomicU64::new(0),
            state: Mutex::new(state),
            clock,
            dice,
            observer,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        recover(self.state.lock())
    }

    /// Emits an event with the account of the breaker.
    #[inline]
    fn emit(&self, event: impl FnOnce() -> Event) {
        self.observer.emit(|| self.of_account(event()));
    }

    fn of_account(&self, event: Event) -> Event {
        self.account.map_or(event, |account| event.account(account))
    }

    pub(crate) fn emit_state(&self, to: &'static str, why: &'static str) {
        self.emit(|| Event::state_changed(self.name, to, why));
    }

    pub(crate) fn open(&self, mut state: MutexGuard<'_, State>, cause: Cause) -> u64 {
        if !matches!(cause, Cause::Trip(_)) {
            self.span.store(0, Ordering::Relaxed);
        }
        let by_operator = matches!(cause, Cause::Operator(_));
        state.machine.open(self.clock.now(), &self.config.open, self.dice.uniform(), by_operator);
        self.state_changed(state, cause)
    }

    /// Publishes and emits the state that the machine has entered. Returns the word.
    pub(crate) fn state_changed(&self, mut state: MutexGuard<'_, State>, cause: Cause) -> u64 {
        state.cause = cause;
        let phase = state.machine.phase;
        if phase == CircuitState::Closed {
            self.meters.iter().for_each(Meter::clear);
        }
        let word = self.publish(&state);
        drop(state);
        self.emit_state(phase.as_str(), cause.as_str());
        word
    }

    fn word_of(&self, state: &State) -> u64 {
        let flag = |on: bool, flag: u64| if on { flag } else { 0 };
        code(state.machine.phase)
            | flag(state.disabled, DISABLED)
            | flag(state.blocked.is_some(), BLOCKED)
            | flag(state.fault > 0.0, FAULTY)
            | u64::from(state.machine.generation) << GENERATION
    }

    /// Writes what admissions read, under the lock. Returns the word.
    fn publish(&self, state: &State) -> u64 {
        let word = self.word_of(state);
        self.since.store(state.machine.since.as_nanos(), Ordering::Relaxed);
        self.until.store(state.machine.until.as_nanos(), Ordering::Relaxed);
        // Release: pairs with the Acquire load in `admit_usual`. A thread that sees a phase also sees
        // the bounds and the numbers that were written for it.
        self.word.store(word, Ordering::Release);
        word
    }

    /// Changes the state under the lock and publishes it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.publish(&state);
    }

    pub(crate) fn set_fault(&self, share: f64) {
        let threshold = Dice::threshold(share);
        self.update(|state| {
            self.fault.store(threshold, Ordering::Relaxed);
            state.fault = share;
        });
    }
}
