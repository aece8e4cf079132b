//! The state that all handles of a breaker share.

mod admit;
mod live;
mod settle;
pub(crate) mod word;

use crate::config::CircuitBreakerConfig;
use crate::machine::{CircuitMachine, CircuitState};
use crate::meter::Meters;
use crate::status::Cause;
use live::LiveSettings;
use plimsoll_core::parts::Identity;
use plimsoll_core::parts::sync::{AtomicU64, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::{Account, Clock, ControlError, Dice, Event, Observer};
use std::sync::Arc;
use word::{BLOCKED, CLOSED, DISABLED, FAULTY, HALF_OPEN, OPEN, RAMP};

/// A breaker.
pub(crate) struct Shared {
    pub(crate) name: &'static str,
    /// The account of a keyed breaker.
    account: Option<Account>,
    /// Phase, flags, generation and life. See [`word`].
    pub(crate) word: AtomicU64,
    live: LiveSettings,
    meters: Meters,
    /// The bounds of the phase in nanoseconds. They are written before the word.
    since: AtomicU64,
    pub(crate) until: AtomicU64,
    /// The share of calls that is admitted at the start of the ramp, as the bits of an `f64`. It is
    /// written before the word.
    ramp_start: AtomicU64,
    /// The counts that opened the breaker: bad calls in the upper half, their limit in the lower
    /// half.
    seen: AtomicU64,
    /// The time of the trip that opened the breaker, in nanoseconds, or 0 if none did.
    span: AtomicU64,
    /// The threshold of injected faults, for the dice.
    fault: AtomicU64,
    state: Mutex<State>,
    pub(crate) clock: Clock,
    dice: Dice,
    pub(crate) observer: Observer,
}

/// The part of the state that changes under the lock.
pub(crate) struct State {
    pub(crate) config: Arc<CircuitBreakerConfig>,
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
        let (live, meters) = (LiveSettings::new(&config), Meters::new());
        meters.set(&config.trips, now);
        let state = State {
            config,
            machine: CircuitMachine::new(now),
            cause: Cause::Never,
            blocked: None,
            disabled: false,
            fault: 0.0,
        };
        Shared {
            name,
            account,
            word: AtomicU64::new(CLOSED),
            live,
            meters,
            since: AtomicU64::new(now.as_nanos()),
            until: AtomicU64::new(now.as_nanos()),
            ramp_start: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            span: AtomicU64::new(0),
            fault: AtomicU64::new(0),
            state: Mutex::new(state),
            clock,
            dice,
            observer,
        }
    }

    /// Locks the state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        recover(self.state.lock())
    }

    /// Emits an event with the account of the breaker.
    #[inline]
    fn emit(&self, event: impl FnOnce() -> Event) {
        self.observer.emit(|| self.of_account(event()));
    }

    /// Adds the account to an event.
    fn of_account(&self, event: Event) -> Event {
        self.account.map_or(event, |account| event.account(account))
    }

    /// Emits a change of state.
    pub(crate) fn emit_state(&self, to: &'static str, why: &'static str) {
        self.emit(|| Event::state_changed(self.name, to, why));
    }

    /// Opens the breaker. Returns the word.
    pub(crate) fn open(&self, mut state: MutexGuard<'_, State>, cause: Cause) -> u64 {
        if !matches!(cause, Cause::Trip(_)) {
            self.span.store(0, Ordering::Relaxed);
        }
        let by_operator = matches!(cause, Cause::Operator(_));
        let State { machine, config, .. } = &mut *state;
        machine.open(self.clock.now(), &config.open_time, self.dice.uniform(), by_operator);
        self.state_changed(state, cause)
    }

    /// Publishes and emits the state that the machine has entered. Returns the word.
    pub(crate) fn state_changed(&self, mut state: MutexGuard<'_, State>, cause: Cause) -> u64 {
        state.cause = cause;
        let phase = state.machine.phase;
        if phase == CircuitState::Closed {
            self.meters.begin(state.machine.life);
        }
        let word = self.publish(&state);
        drop(state);
        self.emit_state(phase.as_str(), cause.as_str());
        word
    }

    /// Returns the word of this state.
    fn word_of(&self, state: &State) -> u64 {
        let flag = |on: bool, flag: u64| if on { flag } else { 0 };
        let phase = match state.machine.phase {
            CircuitState::Closed => CLOSED,
            CircuitState::Open => OPEN,
            CircuitState::HalfOpen => HALF_OPEN,
            CircuitState::Ramp => RAMP,
        };
        word::word(state.machine.generation, state.machine.life)
            | phase
            | flag(state.disabled, DISABLED)
            | flag(state.blocked.is_some(), BLOCKED)
            | flag(state.fault > 0.0, FAULTY)
    }

    /// Publishes the state to calls. Returns the word. The caller holds the lock.
    fn publish(&self, state: &State) -> u64 {
        let word = self.word_of(state);
        self.since.store(state.machine.since.as_nanos(), Ordering::Relaxed);
        self.until.store(state.machine.until.as_nanos(), Ordering::Relaxed);
        self.ramp_start.store(state.machine.ramp.start.to_bits(), Ordering::Relaxed);
        // Release: pairs with the Acquire loads in `admit_usual`, `admit_unusual`, `ended` and
        // `report`. A thread that sees a phase also sees its bounds and counts. A thread that sees
        // a life also sees its trips.
        self.word.store(word, Ordering::Release);
        word
    }

    /// Changes the state under the lock and publishes it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.publish(&state);
    }

    /// Sets the share of calls that a closed breaker rejects.
    pub(crate) fn set_fault(&self, share: f64) {
        let threshold = Dice::threshold(share);
        self.update(|state| {
            self.fault.store(threshold, Ordering::Relaxed);
            state.fault = share;
        });
    }

    /// Applies `change` to the settings, or nothing if the result is invalid.
    pub(crate) fn retune(
        &self,
        change: impl FnOnce(&mut CircuitBreakerConfig) -> Result<(), ControlError>,
    ) -> Result<(), ControlError> {
        let mut state = self.lock();
        let mut config = CircuitBreakerConfig::clone(&state.config);
        change(&mut config)?;
        config.validate()?;
        self.replace(&mut state, Arc::new(config));
        Ok(())
    }

    /// Replaces the settings. They must be valid.
    pub(crate) fn apply(&self, config: Arc<CircuitBreakerConfig>) {
        self.replace(&mut self.lock(), config);
    }

    /// Replaces the settings under the lock. The phase stays.
    fn replace(&self, state: &mut State, config: Arc<CircuitBreakerConfig>) {
        if config.trips != state.config.trips {
            self.meters.set(&config.trips, self.clock.now());
            state.machine.begin_life();
            self.meters.begin(state.machine.life);
        }
        self.live.set(&config);
        state.config = config;
        self.publish(state);
    }
}
