//! What all limiters have in common: a name, a clock, an observer, and the queues of waiting
//! requests.

use crate::quota::gcra::{NEVER, Rate};
use crate::wait::queues::WaitQueues;
use plimsoll_core::parts::{Identity, TWO_TICKS, check};
use plimsoll_core::{Account, Clock, ConfigError, Event, Observer, Reason, Rejected};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub struct Common {
    pub(crate) name: &'static str,
    pub(crate) clock: Clock,
    pub(crate) observer: Observer,
    pub(crate) queues: Arc<WaitQueues>,
}

/// Returns whether the precise clock may admit what the coarse one rejected until `at`.
#[inline(always)]
pub(crate) fn is_close(at: u64, now: u64) -> bool {
    // A rejection ends after `now`. An `at` of 0, which stands for none, wraps and is far.
    at.wrapping_sub(now).wrapping_sub(1) < TWO_TICKS
}

impl Common {
    /// Creates what a limiter with `shared` limits needs, for which requests of many accounts wait.
    pub(crate) fn new(identity: Identity, queue: u32, max_wait: Duration, shared: usize) -> Self {
        let Identity { name, clock, observer, .. } = identity;
        let queues = Arc::new(WaitQueues::new(name, clock.clone(), queue, max_wait, shared));
        Common { name, clock, observer, queues }
    }

    /// Returns whether no request waits, no observer listens, and the limiter is open: the usual
    /// case.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        self.queues.is_quiet() && !self.observer.is_listening()
    }

    /// Returns the precise time in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    /// Returns the time for a decision about this rate: the coarse one, unless it limits the units
    /// of any window.
    #[inline(always)]
    pub(crate) fn time_of(&self, rate: Rate) -> u64 {
        self.time(rate.is_exact())
    }

    /// Returns the time in nanoseconds: the precise one if a limit `is_exact`, otherwise the coarse
    /// one.
    #[inline(always)]
    pub(crate) fn time(&self, is_exact: bool) -> u64 {
        if is_exact { self.now() } else { self.clock.coarse().as_nanos() }
    }

    /// Decides by the coarse clock, unless a limit `is_exact`. If the rejection ends soon, decides
    /// once more by the precise one.
    #[inline(always)]
    pub(crate) fn decide<T, E>(
        &self,
        is_exact: bool,
        take: impl Fn(u64) -> Result<T, E>,
        not_before: impl Fn(&E) -> u64,
    ) -> (u64, Result<T, E>) {
        if is_exact {
            return self.decide_precisely(take);
        }
        let now = self.clock.coarse().as_nanos();
        match take(now) {
            Err(refusal) if is_close(not_before(&refusal), now) => self.decide_precisely(take),
            decided => (now, decided),
        }
    }

    #[cold]
    #[inline(never)]
    fn decide_precisely<T, E>(&self, take: impl Fn(u64) -> Result<T, E>) -> (u64, Result<T, E>) {
        let now = self.now();
        (now, take(now))
    }

    #[cold]
    pub(crate) fn closed(&self) -> Rejected {
        Rejected::new(self.name, Reason::Closed)
    }

    #[cold]
    pub(crate) fn full(&self, queued: u32) -> Rejected {
        let limit = u64::from(self.queues.queue_limit());
        Rejected::new(self.name, Reason::Full).numbers(limit, u64::from(queued))
    }

    #[cold]
    pub(crate) fn evicted(&self, waited: Duration) -> Rejected {
        let (limit, queued) = (self.queues.queue_limit(), self.queues.queued());
        Rejected::new(self.name, Reason::Evicted).numbers(u64::from(limit), u64::from(queued)).over(waited)
    }

    #[cold]
    pub(crate) fn expired(&self, waited: Duration) -> Rejected {
        Rejected::new(self.name, Reason::Expired).over(waited)
    }

    /// Emits a decision under the name of the limiter, and returns it. The rejection itself carries
    /// the name of the tier.
    pub(crate) fn emit<T>(
        &self,
        account: Option<Account>,
        decision: Result<T, Rejected>,
    ) -> Result<T, Rejected> {
        self.observer.emit(|| {
            let event = match &decision {
                Ok(_) => Event::admitted(self.name),
                Err(rejected) if rejected.by() == self.name => Event::rejected(*rejected),
                Err(rejected) => Event::rejected(rejected.named(self.name)).tier(rejected.by()),
            };
            account.map_or(event, |account| event.account(account))
        });
        decision
    }
}

/// Creates the rejection by the limit named `by`, which has enough units at `at`.
#[inline(always)]
pub(crate) fn rejected(
    by: &'static str,
    reason: Reason,
    rate: Rate,
    units: u32,
    now: u64,
    at: u64,
) -> Rejected {
    if units != 1 || at == NEVER {
        return rejected_many(by, reason, (rate.interval, rate.units()), units, now, at);
    }
    // A rejection of one unit: none remains.
    let (limit, window) = rate.stated();
    Rejected::new(by, reason).numbers(limit, limit).over_nanos(window).retry_in_nanos(at - now)
}

/// The same for several units, or none ever: it takes a division to know how many remain.
///
/// A rate as one argument would be passed in memory, and written there before each decision.
#[cold]
#[inline(never)]
fn rejected_many(
    by: &'static str,
    reason: Reason,
    (interval, limits): (u64, u64),
    units: u32,
    now: u64,
    at: u64,
) -> Rejected {
    let rate = Rate::new(interval, limits);
    if at == NEVER {
        return Rejected::new(by, Reason::TooLarge).numbers(u64::from(rate.burst), u64::from(units));
    }
    let (limit, window) = rate.stated();
    // There are `units` at `at`, and one less for each interval until then.
    let remaining = u64::from(units).saturating_sub((at - now).div_ceil(rate.interval.max(1)));
    Rejected::new(by, reason)
        .numbers(limit, limit - remaining.min(limit))
        .over_nanos(window)
        .retry_in_nanos(at - now)
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").field("name", &self.name).field("queues", &self.queues).finish()
    }
}

/// The default bound of the keys that a keyed limiter remembers.
pub(crate) const MAX_KEYS: usize = 262_144;
/// The default length of the queue of waiting requests.
pub(crate) const QUEUE: u32 = 1_024;
/// The default longest wait.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(10);

/// Checks the bound of the keys that a keyed limiter remembers.
pub(crate) fn check_max_keys(max_keys: usize) -> Result<(), ConfigError> {
    check::within("max_keys", max_keys, 1..=1 << 30)
}

/// Writes the setters of a limiter's queue in its builder, `keyed` or not.
macro_rules! queue_setters {
    () => {
        queue_setters! {
            /// Sets the maximum number of waiting requests. Default: 1,024. Range: 0 to 2³¹ − 1.
        }
    };
    (keyed) => {
        queue_setters! {
            /// Sets the maximum number of waiting requests, of all accounts together.
            ///
            /// No account can occupy all places: a request of an account with fewer evicts the
            /// newest one of the account with the most. Default: 1,024. Range: 0 to 2³¹ − 1.
        }
    };
    ($(#[$doc:meta])+) => {
        $(#[$doc])+
        pub fn queue(mut self, queue: u32) -> Self {
            self.config.queue = queue;
            self
        }

        /// Sets the longest wait. Default: 10 s. Above 0 if requests may wait.
        pub fn max_wait(mut self, max_wait: std::time::Duration) -> Self {
            self.config.max_wait = max_wait;
            self
        }
    };
}

/// Writes the setter of a keyed limiter's bound in its builder.
macro_rules! max_keys_setter {
    () => {
        /// Sets the maximum number of keys that are remembered. Default: 262,144. Range: 1 to 2³⁰.
        ///
        /// It is rounded up to a multiple of 8. Each key takes 24 bytes, allocated when the limiter
        /// is built. Choose twice the number of keys that owe units at once: see the [crate's
        /// documentation](crate#memory).
        pub fn max_keys(mut self, max_keys: usize) -> Self {
            self.config.max_keys = max_keys;
            self
        }
    };
}

/// Writes the setter of what happens when the table of a keyed limiter is full, in its builder.
macro_rules! when_full_setter {
    () => {
        /// Sets what happens to a new account when the table is full of accounts that owe units.
        /// Default: [`Evict`](crate::WhenFull::Evict).
        pub fn when_full(mut self, when_full: crate::WhenFull) -> Self {
            self.config.when_full = when_full;
            self
        }
    };
}

/// Writes the control and the reading of the same.
macro_rules! when_full_controls {
    () => {
        /// Changes what happens to a new account when the table is full of accounts that owe units.
        pub fn set_when_full(&self, when_full: crate::WhenFull) {
            self.0.accounts.set_when_full(when_full);
        }

        /// Returns what happens to a new account when the table is full of accounts that owe units.
        pub fn when_full(&self) -> crate::WhenFull {
            self.0.accounts.when_full()
        }
    };
}

/// Writes the controls and readings of a limiter's queue.
macro_rules! queue_controls {
    ($limiter:ident => $common:expr) => {
        /// Changes the maximum number of waiting requests. Those that wait already stay.
        ///
        /// # Errors
        /// Returns an error if `queue` is above 2³¹ − 1, or above 0 while the longest wait is zero.
        /// Nothing has changed then.
        pub fn set_queue(&self, queue: u32) -> Result<(), plimsoll_core::ControlError> {
            let $limiter = self;
            Ok($common.queues.set_queue(queue)?)
        }

        /// Changes the longest wait of requests that arrive from now on.
        ///
        /// # Errors
        /// Returns an error if `max_wait` is zero while requests may wait. Nothing has changed
        /// then.
        pub fn set_max_wait(&self, max_wait: std::time::Duration) -> Result<(), plimsoll_core::ControlError> {
            let $limiter = self;
            Ok($common.queues.set_max_wait(max_wait)?)
        }

        /// Closes the limiter: rejects waiting requests and all later ones with `Closed`.
        pub fn close(&self) {
            let $limiter = self;
            $common.queues.close();
        }

        /// Returns whether the limiter is closed.
        pub fn is_closed(&self) -> bool {
            let $limiter = self;
            $common.queues.is_closed()
        }

        /// Returns the number of waiting requests.
        pub fn queued(&self) -> u32 {
            let $limiter = self;
            $common.queues.queued()
        }

        /// Returns the maximum number of waiting requests.
        pub fn queue_limit(&self) -> u32 {
            let $limiter = self;
            $common.queues.queue_limit()
        }

        /// Returns the longest wait.
        pub fn max_wait(&self) -> std::time::Duration {
            let $limiter = self;
            $common.queues.max_wait()
        }

        /// Returns the name that rejections carry.
        pub fn name(&self) -> &'static str {
            let $limiter = self;
            $common.name
        }
    };
}

pub(crate) use {max_keys_setter, queue_controls, queue_setters, when_full_controls, when_full_setter};
