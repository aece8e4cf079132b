//! The settings that calls read without the lock.

use crate::config::CircuitBreakerConfig;
use crate::meter::Kinds;
use crate::trip::Trip;
use plimsoll_core::parts::nanos;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};
use plimsoll_core::{Instant, Outcome};
use std::time::Duration;

/// A copy of the settings that calls read. It is written under the lock.
pub(super) struct LiveSettings {
    flags: AtomicU64,
    // In nanoseconds. `u64::MAX` means no call time-out.
    call_timeout: AtomicU64,
    // How long after the open time no call is a probe, in nanoseconds.
    probe_delay: AtomicU64,
}

/// The kinds of the trips, and the flags that nearly every call reads, in one word.
#[derive(Clone, Copy)]
pub(super) struct Flags(u64);

const NO_TIMEOUT: u64 = u64::MAX;
const TIMED: u64 = 1 << Kinds::BITS;
const PRECISE: u64 = 2 << Kinds::BITS;
const SLOW: u64 = 4 << Kinds::BITS;
const CANCELLED: u32 = Kinds::BITS + 3;

/// The outcomes that a cancelled call can count as. Their indices are stored in the flags.
const OUTCOMES: [Outcome; 6] = [
    Outcome::Success,
    Outcome::Failure,
    Outcome::TimedOut,
    Outcome::Overloaded,
    Outcome::Ignored,
    Outcome::Cancelled,
];

/// The minimum time for which the coarse clock is precise enough.
const COARSE: Duration = Duration::from_secs(2);

impl Flags {
    fn new(config: &CircuitBreakerConfig) -> Self {
        let flag = |on: bool, flag: u64| if on { flag } else { 0 };
        let trips = &config.trips;
        let slow = trips.iter().any(Trip::needs_elapsed);
        let coarse = |time: Duration| time >= COARSE;
        let coarse = trips.iter().all(|trip| coarse(trip.within) && trip.slow_after().is_none_or(coarse))
            && config.call_timeout.is_none_or(coarse);
        let cancelled = OUTCOMES.iter().position(|outcome| *outcome == config.cancelled);
        Flags(
            Kinds::new(trips).0
                | flag(slow || config.call_timeout.is_some(), TIMED)
                | flag(!coarse, PRECISE)
                | flag(slow, SLOW)
                | (cancelled.unwrap_or(OUTCOMES.len()) as u64) << CANCELLED,
        )
    }

    /// Returns the kinds of the trips.
    #[inline]
    pub(super) fn kinds(self) -> Kinds {
        Kinds(self.0 & (TIMED - 1))
    }

    /// Returns whether calls are timed.
    #[inline]
    pub(super) fn is_timed(self) -> bool {
        self.0 & TIMED != 0
    }

    /// Returns whether a time of the settings is too short for the coarse clock.
    #[inline]
    pub(super) fn is_precise(self) -> bool {
        self.0 & PRECISE != 0
    }

    /// Returns whether a trip counts slow calls.
    #[inline]
    pub(super) fn has_slow(self) -> bool {
        self.0 & SLOW != 0
    }

    /// Returns what a cancelled call counts as.
    pub(super) fn cancelled(self) -> Outcome {
        OUTCOMES.get((self.0 >> CANCELLED) as usize).copied().unwrap_or(Outcome::Ignored)
    }
}

// Relaxed throughout: each setting stands for itself. If a life begins with the change, `publish`
// makes the settings visible together with it.
impl LiveSettings {
    pub(super) fn new(config: &CircuitBreakerConfig) -> Self {
        let this = LiveSettings { flags: 0.into(), call_timeout: 0.into(), probe_delay: 0.into() };
        this.set(config);
        this
    }

    /// Copies the settings. The caller holds the lock.
    pub(super) fn set(&self, config: &CircuitBreakerConfig) {
        let timeout = config.call_timeout.map_or(NO_TIMEOUT, nanos);
        self.call_timeout.store(timeout, Ordering::Relaxed);
        let delay =
            if config.health_checked { 2 * nanos(config.probes.lease).min(NO_TIMEOUT / 4) } else { 0 };
        self.probe_delay.store(delay, Ordering::Relaxed);
        self.flags.store(Flags::new(config).0, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn flags(&self) -> Flags {
        Flags(self.flags.load(Ordering::Relaxed))
    }

    /// Returns whether a call has exceeded the call time-out.
    #[inline]
    pub(super) fn is_late(&self, started: Instant, now: Instant) -> bool {
        // No call takes 584 years, which stands for no time-out.
        now.as_nanos().saturating_sub(started.as_nanos()) >= self.call_timeout.load(Ordering::Relaxed)
    }

    /// Returns the call time-out.
    pub(super) fn call_timeout(&self) -> Option<Duration> {
        let timeout = self.call_timeout.load(Ordering::Relaxed);
        (timeout != NO_TIMEOUT).then(|| Duration::from_nanos(timeout))
    }

    /// Returns how long after the open time no call is a probe, in nanoseconds: 0 without health
    /// checks.
    pub(super) fn probe_delay(&self) -> u64 {
        self.probe_delay.load(Ordering::Relaxed)
    }
}
