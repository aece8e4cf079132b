//! The handle.

use crate::config::{CircuitBreakerBuilder, CircuitBreakerConfig, check_rate};
use crate::machine::{CircuitState, Machine};
use crate::pass::Pass;
use crate::shared::{CLOSED, HALF_OPEN, LOW, OPEN, PHASE, RAMP, Shared, State};
use crate::status::{Cause, Status};
use crate::trip::Meter;
use plimsoll_core::parts::sync::{AtomicU64, Mutex, Ordering};
use plimsoll_core::{
    Clock, ConfigError, ControlError, Dice, Event, Gate, Inspect, Instant, Observer, Outcome, Permit,
    Rejected, Settle,
};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Asks before each call to a dependency whether it makes sense now. A cheap handle: clones share
/// everything.
///
/// Closed, it lets all pass and counts how they end; as soon as one of its [trips](crate::Trip) says so
/// it opens and refuses all at once; after its open time it lets a few through as probes, and when they
/// succeed it ramps the rest back in.
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Shared>);

/// A check that is due, of one life of the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "its answer is waited for"]
pub struct Check(u32);

impl CircuitBreaker {
    /// A breaker with the defaults of [`Config`].
    ///
    /// # Errors
    /// If the name will not do.
    pub fn new(name: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder().name(name).build()
    }

    /// Sets everything else.
    pub fn builder() -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::default()
    }

    pub(crate) fn of(
        name: &'static str,
        config: Arc<CircuitBreakerConfig>,
        clock: Clock,
        dice: Dice,
        observer: Observer,
    ) -> Self {
        let now = clock.now();
        let meters: Box<[Meter]> = config.trips.iter().map(|trip| Meter::new(*trip)).collect();
        let state = State {
            machine: Machine::new(now),
            cause: Cause::Never,
            blocked: None,
            disabled: false,
            fault: 0.0,
        };
        CircuitBreaker(Arc::new(Shared {
            name,
            timed: config.call_timeout.is_some() || config.trips.iter().any(|trip| trip.needs_elapsed()),
            precise: config.trips.iter().any(|trip| trip.span() < Duration::from_secs(2)),
            config,
            meters,
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
        }))
    }

    /// May I, now? The permit is told how the call ended; dropped, it counts as cancelled, or as failed
    /// while the thread unwinds.
    ///
    /// # Errors
    /// `Open`, with the time after which it may be tried again, and the numbers for which it opened.
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<Permit<&CircuitBreaker>, Rejected> {
        match self.0.admit_usual() {
            Some(pass) => Ok(Permit::new(self, pass)),
            None => self.0.admit_unusual().map(|pass| Permit::new(self, pass)),
        }
    }

    /// [`try_acquire`](Self::try_acquire), with a permit that owns its handle and may go to another task or thread.
    ///
    /// # Errors
    /// As for `try_acquire`.
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<Permit<CircuitBreaker>, Rejected> {
        self.0.admit().map(|pass| Permit::new(self.clone(), pass))
    }

    /// Reports how something ended that nobody asked for: fuse's *melt* is `report(Outcome::Failure)`. Of an
    /// open breaker it changes nothing; a failure sends a half-open one back.
    pub fn report(&self, outcome: Outcome) {
        let word = self.0.word.load(Ordering::Acquire);
        if word & PHASE != OPEN {
            self.0.count(word, Pass::reported(word), outcome);
        }
    }

    /// Opens it now, for its open time. `why` is shown in its [status](Self::status).
    pub fn trip(&self, why: &'static str) {
        let state = self.0.lock();
        self.0.open(state, Cause::Operator(why));
    }

    /// Closes it, and forgets all that was counted and how often it has opened.
    pub fn reset(&self) {
        let mut state = self.0.lock();
        state.machine.close(self.0.clock.now());
        self.0.turned(state, Cause::Operator("reset"));
    }

    /// Refuses all from now on, whatever is counted, until it is [unblocked](Self::unblock); fuse and Klarna's
    /// circuit_breaker call it disabling and blocking. `why` is shown in its [status](Self::status).
    pub fn block(&self, why: &'static str) {
        self.0.set(|state| state.blocked = Some(why));
        self.0.tell("blocked", why);
    }

    /// Ends a [block](Self::block): it is as it was, or would have become.
    pub fn unblock(&self) {
        self.0.set(|state| state.blocked = None);
        self.0.tell("unblocked", "by hand");
    }

    /// Takes it out of action: all pass and nothing is counted, until it is [enabled](Self::enable). This goes
    /// before a block.
    pub fn disable(&self) {
        self.0.set(|state| state.disabled = true);
        self.0.tell("disabled", "by hand");
    }

    /// Puts it back into action: closed, with nothing counted. What was admitted before counts for nothing.
    pub fn enable(&self) {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.disabled) {
            state.machine.close(self.0.clock.now());
            self.0.turned(state, Cause::Operator("enabled"));
        }
    }

    /// Refuses this share of what it would let pass while it is closed, 0.0 to 1.0: for finding out what
    /// callers do about it before they have to. Zero ends it.
    ///
    /// # Errors
    /// If it is not between 0.0 and 1.0; nothing has changed then.
    pub fn set_fault(&self, share: f64) -> Result<(), ControlError> {
        check_rate(share)?;
        let threshold = Dice::threshold(share);
        self.0.set(|state| {
            self.0.fault.store(threshold, Ordering::Relaxed);
            state.fault = share;
        });
        Ok(())
    }

    /// Does what is due by time alone: ends a ramp that is over, and gives up a probe that is. Calls do it as
    /// well; this is for a breaker that nobody calls.
    pub fn tick(&self) {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        match state.machine.phase {
            CircuitState::Ramp if state.machine.until <= now => {
                state.machine.close(now);
                self.0.turned(state, Cause::Ramp);
            }
            CircuitState::HalfOpen if state.machine.is_hung(now) => {
                self.0.open(state, Cause::Hung);
            }
            _ => {}
        }
    }

    /// Whether nothing is lost with it but what it has counted: it is closed, and nobody has set anything;
    /// or its phase has had its time, and nobody has called since.
    pub(crate) fn may_go(&self, now: Instant) -> bool {
        let over = || Instant::from_nanos(self.0.until.load(Ordering::Relaxed)) <= now;
        match self.0.word.load(Ordering::Acquire) & LOW {
            CLOSED => true,
            OPEN | RAMP => over(),
            HALF_OPEN => self.0.lock().machine.is_idle(now),
            _ => false,
        }
    }

    /// How it stands, once what is due by time alone is [done](Self::tick).
    pub fn status(&self) -> Status {
        self.tick();
        self.stands()
    }

    /// As the last call or look has left it.
    fn stands(&self) -> Status {
        let state = self.0.lock();
        let Machine { phase, since, until, .. } = state.machine;
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

    /// In which phase it is.
    pub fn state(&self) -> CircuitState {
        match self.0.word.load(Ordering::Relaxed) & PHASE {
            CLOSED => CircuitState::Closed,
            OPEN => CircuitState::Open,
            HALF_OPEN => CircuitState::HalfOpen,
            _ => CircuitState::Ramp,
        }
    }

    /// The name its refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Its settings.
    pub fn config(&self) -> &CircuitBreakerConfig {
        &self.0.config
    }

    /// Whether a check of yours is due: the breaker is [`checked`](Config::checked), open, and has been
    /// so for its open time.
    pub fn check_due(&self) -> Option<Check> {
        let state = self.0.lock();
        let machine = &state.machine;
        let due = self.0.config.health_checked
            && machine.phase == CircuitState::Open
            && machine.until <= self.0.clock.now();
        due.then_some(Check(machine.generation))
    }

    /// The check's answer: it works again, or it has to stay open, for longer. Changes nothing if the breaker
    /// has turned since the check was [due](Self::check_due).
    pub fn record_check(&self, check: Check, works: bool) {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        if state.machine.generation != check.0 {
            return;
        }
        if works {
            state.machine.recover(now, &self.0.config.ramp);
            self.0.turned(state, Cause::Check);
        } else {
            self.0.open(state, Cause::Check);
        }
    }

    /// Looks after a [`checked`](Config::checked) breaker for ever: whenever it has been open for its open
    /// time, runs `check`, and closes it if that answers `true`. A check that takes longer than the
    /// [lease](crate::Probes::lease) counts as `false`. Spawn it, or drive it by [`check_due`](Self::check_due)
    /// and [`checked`](Self::checked) from a loop of your own.
    ///
    /// `every` says how often it looks, a hundred milliseconds or a second; it is a millisecond at least. A
    /// check that panics counts as `false`.
    ///
    /// # Cancel safety
    /// Dropped in the middle of a check, the check is dropped and the breaker stays open.
    pub async fn run_checks<F: Future<Output = bool>>(&self, every: Duration, mut check: impl FnMut() -> F) {
        let clock = &self.0.clock;
        let every = every.max(Duration::from_millis(1));
        loop {
            clock.sleep_until(clock.now() + every).await;
            if let Some(due) = self.check_due() {
                let mut checking = std::pin::pin!(check());
                let mut late = std::pin::pin!(clock.sleep_until(clock.now() + self.0.config.probes.lease));
                let works = std::future::poll_fn(|cx| {
                    // A panic is told by the panic hook; whoever tends goes on.
                    match catch_unwind(AssertUnwindSafe(|| checking.as_mut().poll(cx))) {
                        Ok(Poll::Ready(works)) => Poll::Ready(works),
                        Ok(Poll::Pending) => late.as_mut().poll(cx).map(|()| false),
                        Err(_) => Poll::Ready(false),
                    }
                });
                let works = works.await;
                self.record_check(due, works);
            }
        }
    }
}

impl Settle for CircuitBreaker {
    type Token = Pass;
    #[inline]
    fn settle(&self, pass: Pass, outcome: Outcome) {
        // Field by field, and as small as this: the permit around it is taken apart in registers then. Put
        // together in memory, and read back in other pieces than it was written in, it costs as much as the rest.
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

impl Inspect for CircuitBreaker {
    fn name(&self) -> &'static str {
        CircuitBreaker::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let status = self.status();
        let flag = |on: bool| if on { 1.0 } else { 0.0 };
        each("closed", flag(status.state == CircuitState::Closed));
        each("open", flag(status.state == CircuitState::Open));
        each("half_open", flag(status.state == CircuitState::HalfOpen));
        each("ramp", flag(status.state == CircuitState::Ramp));
        each("blocked", flag(status.blocked.is_some()));
        each("disabled", flag(status.disabled));
        // Unlocked before it is shown: what is shown to is somebody else's code.
        let fault = self.0.lock().fault;
        each("fault", fault);
    }
    /// Knobs: `fault` (a share), `open` (1: trips it; 0: resets it), `blocked` and `disabled` (1 or 0).
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        let flag = |field| match value {
            0.0 => Ok(false),
            1.0 => Ok(true),
            _ => Err(ControlError::new(field, value, "0 or 1")),
        };
        match knob {
            "fault" => self.set_fault(value)?,
            "open" if flag("open")? => self.trip("by hand"),
            "open" => self.reset(),
            "blocked" if flag("blocked")? => self.block("by hand"),
            "blocked" => self.unblock(),
            "disabled" if flag("disabled")? => self.disable(),
            "disabled" => self.enable(),
            other => return Err(ControlError::new("knob", other, "one of fault, open, blocked, disabled")),
        }
        Ok(())
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("name", &self.0.name).field("status", &self.stands()).finish()
    }
}
