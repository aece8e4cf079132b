//! What all limiters have: a name, a clock, an observer, and lines to wait in.

use crate::gcra::{NEVER, Rate};
use crate::keyed::WaitQueues;
use plimsoll_core::{
    Clock, ConfigError, ControlError, Dice, Event, Observe, Observer, Reason, Rejected, check_name, intern,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Under so much, the precise clock is asked again before a refusal: the rough one is late by up to two of
/// the system's ticks, of 4 to 10 ms.
const TICKS: u64 = 20_000_000;

/// The most that may wait.
const ROOM: u32 = (1 << 31) - 1;

pub struct Common {
    pub(crate) name: &'static str,
    pub(crate) clock: Clock,
    pub(crate) observer: Observer,
    pub(crate) yard: Arc<WaitQueues>,
}

/// There is enough. Whoever refuses says a later instant than he was asked at, and no instant is before zero.
pub(crate) const NOW: u64 = 0;

/// Whether the precise clock may say yes where the rough one said "not before `at`".
#[inline(always)]
pub(crate) fn is_close(at: u64, now: u64) -> bool {
    // A refusal's instant is later than now; `NOW` is not, wraps, and is far.
    at.wrapping_sub(now).wrapping_sub(1) < TICKS
}

impl Common {
    /// Whether nobody waits, nothing is told, and it is open: what most are, most of the time.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        self.yard.is_quiet() && !self.observer.is_listening()
    }

    /// Decides by the rough time, and, if that refuses by a hair, once more by the precise one.
    #[inline(always)]
    pub(crate) fn decide<T, E>(
        &self,
        take: impl Fn(u64) -> Result<T, E>,
        not_before: impl Fn(&E) -> u64,
    ) -> (u64, Result<T, E>) {
        let now = self.clock.coarse().as_nanos();
        match take(now) {
            Err(no) if is_close(not_before(&no), now) => self.decide_precisely(take),
            decided => (now, decided),
        }
    }

    #[cold]
    #[inline(never)]
    fn decide_precisely<T, E>(&self, take: impl Fn(u64) -> Result<T, E>) -> (u64, Result<T, E>) {
        let now = self.clock.now().as_nanos();
        (now, take(now))
    }

    /// There will be enough at `at`.
    #[inline(always)]
    pub(crate) fn limited(&self, rate: Rate, units: u32, now: u64, at: u64) -> Rejected {
        refusal(self.name, rate, units, now, at)
    }

    #[cold]
    pub(crate) fn closed(&self) -> Rejected {
        Rejected::new(self.name, Reason::Closed)
    }

    #[cold]
    pub(crate) fn full(&self, waiting: u32) -> Rejected {
        Rejected::new(self.name, Reason::Full).numbers(u64::from(self.yard.size()), u64::from(waiting))
    }

    #[cold]
    pub(crate) fn expired(&self, waited: Duration) -> Rejected {
        Rejected::new(self.name, Reason::Expired).over(waited)
    }

    /// Tells a decision; a refusal is told by the name of the limiter, whatever part of it refused.
    pub(crate) fn told<T>(&self, result: Result<T, Rejected>) -> Result<T, Rejected> {
        self.observer.emit(|| match &result {
            Ok(_) => Event::Admitted { by: self.name },
            Err(no) => Event::Rejected(no.named(self.name)),
        });
        result
    }
}

/// A refusal in the name of `by`.
#[inline(always)]
pub(crate) fn refusal(by: &'static str, rate: Rate, units: u32, now: u64, at: u64) -> Rejected {
    if units != 1 || at == NEVER {
        return refusal_of_many(by, rate, units, now, at);
    }
    // Of one there is none left.
    let burst = u64::from(rate.burst);
    Rejected::new(by, Reason::Limited).numbers(burst, burst).over_nanos(rate.span()).retry_in_nanos(at - now)
}

/// It takes a division to say how many are left.
#[cold]
#[inline(never)]
fn refusal_of_many(by: &'static str, rate: Rate, units: u32, now: u64, at: u64) -> Rejected {
    let burst = u64::from(rate.burst);
    if at == NEVER {
        return Rejected::new(by, Reason::TooLarge).numbers(burst, u64::from(units));
    }
    // At `at` there will be `units`.
    let left = u64::from(units).saturating_sub((at - now).div_ceil(rate.interval.max(1)));
    Rejected::new(by, Reason::Limited)
        .numbers(burst, burst - left.min(burst))
        .over_nanos(rate.span())
        .retry_in_nanos(at - now)
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").field("name", &self.name).field("yard", &self.yard).finish()
    }
}

/// How a limiter is built, but for its quotas.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) accounts: usize,
    pub(crate) room: u32,
    pub(crate) longest_wait: Duration,
    pub(crate) clock: Clock,
    pub(crate) dice: Dice,
    pub(crate) observer: Option<Arc<dyn Observe>>,
}

impl Setup {
    pub(crate) fn new(name: &str) -> Self {
        Setup {
            name: name.into(),
            accounts: 65_536,
            room: 1_024,
            longest_wait: Duration::from_secs(10),
            clock: Clock::system(),
            dice: Dice::thread(),
            observer: None,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        check_name(&self.name)?;
        if self.accounts == 0 || self.accounts > 1 << 30 {
            return Err(ConfigError::new("accounts", self.accounts, "1 to 1073741824"));
        }
        check_room(self.room, self.longest_wait)
    }

    pub(crate) fn common(&self) -> Common {
        let name = intern(&self.name);
        let observer = self.observer.clone().map_or(Observer::none(), |o| Observer::new(o, name));
        let yard = WaitQueues::new(name, self.clock.clone(), self.room, self.longest_wait);
        Common { name, clock: self.clock.clone(), observer, yard: Arc::new(yard) }
    }
}

fn check_room(room: u32, longest: Duration) -> Result<(), ConfigError> {
    if room > ROOM {
        return Err(ConfigError::new("room", room, "0 to 2147483647"));
    }
    if room > 0 && longest.is_zero() {
        return Err(ConfigError::new("longest_wait", "0ns", "above 0 where anyone may wait (room > 0)"));
    }
    Ok(())
}

/// How many may wait, and how long, while it runs.
pub(crate) fn set_room(common: &Common, room: u32, longest: Duration) -> Result<(), ControlError> {
    check_room(room, longest)?;
    common.yard.set_room(room, longest);
    Ok(())
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("name", &self.name)
            .field("accounts", &self.accounts)
            .field("room", &self.room)
            .field("longest_wait", &self.longest_wait)
            .finish()
    }
}

/// What every builder can set.
macro_rules! setters {
    () => {
        /// The name that refusals carry. See [`plimsoll_core::intern`] for what a name costs.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.setup.name = name.into();
            self
        }

        /// How many may wait at once, all accounts together, 0 to 2³¹ − 1. Default 1,024; 0: nobody.
        pub fn room(mut self, room: u32) -> Self {
            self.setup.room = room;
            self
        }

        /// How long one may wait. Default 10 s.
        pub fn longest_wait(mut self, longest: std::time::Duration) -> Self {
            self.setup.longest_wait = longest;
            self
        }

        /// The clock to go by; the system's unless set.
        pub fn clock(mut self, clock: plimsoll_core::Clock) -> Self {
            self.setup.clock = clock;
            self
        }

        /// Tells `observer` each decision.
        pub fn observe(mut self, observer: std::sync::Arc<dyn plimsoll_core::Observe>) -> Self {
            self.setup.observer = Some(observer);
            self
        }
    };
    (accounts) => {
        $crate::common::setters!();

        /// How many accounts are remembered at most, 1 to 2³⁰. Default 65,536. Each takes 24 bytes, all of them
        /// from the beginning, and nothing more ever. Twice as many as are active at once is right: see the
        /// [crate's documentation](crate#memory).
        pub fn accounts(mut self, accounts: usize) -> Self {
            self.setup.accounts = accounts;
            self
        }

        /// The dice that the secret of the hashes comes from; the thread's unless set.
        pub fn dice(mut self, dice: plimsoll_core::Dice) -> Self {
            self.setup.dice = dice;
            self
        }
    };
}
pub(crate) use setters;

/// What every handle can do while it runs.
macro_rules! controls {
    () => {
        /// Changes how many may wait at once, and for how long. Those who wait keep their place and their time.
        ///
        /// # Errors
        /// If `room` is above 2³¹ − 1, or `max_wait` is zero while `room` is not; nothing has changed then.
        pub fn set_room(
            &self,
            room: u32,
            longest_wait: std::time::Duration,
        ) -> Result<(), plimsoll_core::ControlError> {
            $crate::common::set_room(&self.0.common, room, longest_wait)
        }

        /// Admits nobody from now on; all who wait are refused with `Closed`.
        pub fn close(&self) {
            self.0.common.yard.close();
        }

        /// Whether it was closed.
        pub fn is_closed(&self) -> bool {
            self.0.common.yard.is_closed()
        }

        /// How many wait now.
        pub fn waiting(&self) -> u32 {
            self.0.common.yard.waiting()
        }

        /// How many may wait.
        pub fn room(&self) -> u32 {
            self.0.common.yard.size()
        }

        /// How long one may wait.
        pub fn longest_wait(&self) -> std::time::Duration {
            self.0.common.yard.longest_wait()
        }

        /// The name its refusals carry.
        pub fn name(&self) -> &'static str {
            self.0.common.name
        }
    };
}
pub(crate) use controls;
