//! The state that all handles of a breaker share.

mod admit;
mod live;
mod overdue;
mod settle;
pub(crate) mod word;

use crate::config::CircuitBreakerConfig;
use crate::loss::Loss;
use crate::machine::{CircuitMachine, CircuitState, Growth};
use crate::meter::Meters;
use crate::status::Cause;
use crate::trip::Trip;
use live::LiveSettings;
use overdue::OverdueCalls;
use plimsoll_core::parts::Identity;
use plimsoll_core::parts::sync::{AtomicU64, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::{Account, Clock, ControlError, Dice, Event, Instant, Observer};
use std::sync::Arc;
use word::{BLOCKED, CLOSED, DISABLED, FAULTY, HALF_OPEN, LOW, OPEN, RAMP, life};

/// A breaker.
pub(crate) struct Shared {
    /// Different for each breaker of the process.
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    /// The account of a keyed breaker.
    pub(crate) account: Option<Account>,
    /// Phase, flags, generation and life. See [`word`].
    pub(crate) word: AtomicU64,
    live: LiveSettings,
    meters: Meters,
    in_flight: OverdueCalls,
    /// The bounds of the phase in nanoseconds. They are written before the word.
    since: AtomicU64,
    pub(crate) until: AtomicU64,
    /// The share of calls that is admitted at the start of the ramp, as the bits of an `f64`. It is
    /// written before the word.
    ramp_start: AtomicU64,
    /// Why the breaker opened: 32 bits: bad calls, 4 bits: cause, 28 bits: limit of bad calls.
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

/// The first bit of the cause in [`Shared::seen`].
const CAUSE: u32 = 28;
/// A mask for the limit, and the maximum of both numbers. A rejection stores it as one less.
const MAX_NUMBER: u64 = (1 << CAUSE) - 1;

/// The part of the state that changes under the lock.
pub(crate) struct State {
    pub(crate) config: Arc<CircuitBreakerConfig>,
    pub(crate) machine: CircuitMachine,
    pub(crate) cause: Cause,
    pub(crate) blocked: Option<&'static str>,
    pub(crate) disabled: bool,
    pub(crate) fault: f64,
    /// The word that was last published.
    word: u64,
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
        let in_flight = OverdueCalls::new(config.call_timeout, now);
        meters.set(&config.trips, now);
        let state = State {
            config,
            machine: CircuitMachine::new(now),
            cause: Cause::Never,
            blocked: None,
            disabled: false,
            fault: 0.0,
            word: CLOSED,
        };
        // Relaxed: the number only has to be another one.
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        Shared {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name,
            account,
            word: AtomicU64::new(CLOSED),
            live,
            meters,
            in_flight,
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

    /// Returns whether a bad call was counted within the longest time of a trip.
    pub(crate) fn has_counted_bad(&self, now: Instant) -> bool {
        let window = || self.lock().config.trips.iter().map(Trip::window).max().unwrap_or_default();
        self.meters.bad_at().is_some_and(|at| now.since(at) <= window())
    }

    /// Returns what is lost with an open breaker whose open time was over at `until`.
    ///
    /// How often it has opened is worth keeping for as long as it can be open.
    pub(crate) fn loss_of_open(&self, now: Instant, until: Instant) -> Loss {
        let kept = self.lock().config.open_time.max;
        if now.since(until) <= kept { Loss::OpenTime } else { Loss::Nothing }
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
            self.seen.store((cause.of_rejections() as u64) << CAUSE, Ordering::Relaxed);
            self.span.store(0, Ordering::Relaxed);
        }
        let growth = match cause {
            Cause::Operator(_) | Cause::NoVerdict => Growth::Same,
            Cause::PushedBack => Growth::First,
            _ => Growth::Longer,
        };
        let State { machine, config, .. } = &mut *state;
        machine.open(self.clock.now(), &config.open_time, self.dice.uniform(), growth);
        self.state_changed(state, cause)
    }

    /// Publishes the state that the machine has entered, and emits it if it is another one. Returns
    /// the word.
    pub(crate) fn state_changed(&self, mut state: MutexGuard<'_, State>, cause: Cause) -> u64 {
        state.cause = cause;
        let before = state.word;
        let (phase, word) = (state.machine.phase, self.publish(&mut state));
        drop(state);
        if before & LOW != word & LOW {
            self.emit_state(phase.as_str(), cause.as_str());
        }
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

    /// Publishes the state to calls, and begins a new life of the counts if it has one. Returns the
    /// word. The caller holds the lock.
    fn publish(&self, state: &mut State) -> u64 {
        let word = self.word_of(state);
        if life(state.word) != state.machine.life {
            self.meters.begin(state.machine.life);
        }
        state.word = word;
        self.since.store(state.machine.since.as_nanos(), Ordering::Relaxed);
        self.until.store(state.machine.until.as_nanos(), Ordering::Relaxed);
        self.ramp_start.store(state.machine.ramp_start.to_bits(), Ordering::Relaxed);
        // Release: pairs with the Acquire loads in `admit_usual`, `admit_unusual`, `ended` and
        // `report`. A thread that sees a phase also sees its bounds and counts. A thread that sees
        // a life also sees its trips.
        self.word.store(word, Ordering::Release);
        word
    }

    /// Changes the state under the lock and publishes it. Returns whether the phase or a flag has
    /// changed.
    pub(crate) fn update(&self, change: impl FnOnce(&mut State)) -> bool {
        let mut state = self.lock();
        let before = state.word;
        change(&mut state);
        before & LOW != self.publish(&mut state) & LOW
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

    /// Replaces the settings under the lock. The phase stays. Open time and leases may become
    /// shorter.
    fn replace(&self, state: &mut State, config: Arc<CircuitBreakerConfig>) {
        if config.trips != state.config.trips {
            self.meters.set(&config.trips, self.clock.now());
            state.machine.begin_life();
        }
        if config.call_timeout != state.config.call_timeout {
            self.in_flight.set(config.call_timeout, self.clock.now());
        }
        self.live.set(&config);
        state.machine.shorten(self.clock.now(), &config);
        state.config = config;
        self.publish(state);
    }
}
