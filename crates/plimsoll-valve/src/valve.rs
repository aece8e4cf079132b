//! The handle.

use crate::config::{ValveBuilder, check_inside, check_room};
use plimsoll_core::{
    Capacity, ConfigError, ControlError, Discipline, FixedCapacity, Gate, Inspect, Outcome, Permit, Place,
    Rejected, Semaphore, Settle,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// So many inside, so many waiting. A cheap handle: clones share everything.
///
/// | ask by | waits | where |
/// |---|---|---|
/// | [`try_acquire`](Self::try_acquire), [`try_acquire_owned`](Self::try_acquire_owned) | never | anywhere |
/// | [`acquire`](Self::acquire), [`acquire_owned`](Self::acquire_owned) | in the room | in async code |
/// | [`blocking_acquire_timeout`](Self::blocking_acquire_timeout) | in the same room | on a plain thread |
/// | [`run`](Self::run) | in the room, then runs a future | in async code |
#[derive(Clone)]
pub struct Valve(pub(crate) Arc<Semaphore<FixedCapacity>>);

impl Valve {
    /// A valve that lets `inside` in at once and lets nobody wait.
    ///
    /// # Errors
    /// If `inside` is 0 or above 2³¹ − 1.
    pub fn new(inside: u32) -> Result<Self, ConfigError> {
        Self::builder().concurrency(inside).build()
    }

    /// Sets everything else.
    pub fn builder() -> ValveBuilder {
        ValveBuilder::default()
    }

    /// May I, now? Never waits, and never overtakes those who do.
    ///
    /// # Errors
    /// `Full` if every place is taken or others wait for one; `Closed` after [`close`](Self::close).
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<Permit<&Valve>, Rejected> {
        self.0.try_acquire().map(|place| Permit::new(self, place))
    }

    /// [`try_acquire`](Self::try_acquire), with a permit that owns its handle and may go to another task or thread.
    ///
    /// # Errors
    /// As for `try_acquire`.
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<Permit<Valve>, Rejected> {
        self.0.try_acquire().map(|place| Permit::new(self.clone(), place))
    }

    /// Changes how many may be inside, 1 to 2³¹ − 1. More: those who wait enter at once. Fewer:
    /// nobody is thrown out; places are not given again until enough have left.
    ///
    /// # Errors
    /// If `inside` is 0 or above 2³¹ − 1; nothing has changed then.
    pub fn set_concurrency(&self, inside: u32) -> Result<(), ControlError> {
        check_inside(inside)?;
        if self.0.capacity().set_limit(inside) {
            self.0.pump();
        }
        Ok(())
    }

    /// Changes how many may wait and for how long. Those who wait already keep their place and
    /// the time they were promised.
    ///
    /// # Errors
    /// If `room` is above 2³¹ − 1, or `max_wait` is zero while `room` is not; nothing has changed then.
    pub fn set_queue_and_wait(&self, room: u32, longest_wait: Duration) -> Result<(), ControlError> {
        check_room(room, longest_wait)?;
        self.0.set_queue_and_wait(room, longest_wait);
        Ok(())
    }

    /// Changes who of those who wait is next, and who goes when the room is full. Those who wait
    /// stay, as far as the new discipline lets them.
    ///
    /// # Errors
    /// If one of its numbers will not do; nothing has changed then.
    pub fn set_discipline(&self, discipline: Discipline) -> Result<(), ControlError> {
        discipline.validate()?;
        self.0.set_discipline(discipline);
        Ok(())
    }

    /// Lets nobody in from now on: newcomers and all who wait are refused with `Closed`. Those
    /// inside finish in peace; [`inside`](Self::inside) tells when they have.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.capacity().is_closed()
    }

    /// How many are inside now.
    pub fn in_flight(&self) -> u32 {
        self.0.capacity().in_flight()
    }

    /// How many may be inside.
    pub fn concurrency(&self) -> u32 {
        self.0.capacity().limit()
    }

    /// How many wait now.
    pub fn queued(&self) -> u32 {
        self.0.queued()
    }

    /// How many may wait.
    pub fn queue_limit(&self) -> u32 {
        self.0.queue_limit()
    }

    /// Who of those who wait is next, and who goes when the room is full.
    pub fn discipline(&self) -> Discipline {
        self.0.discipline()
    }

    /// How long one may wait.
    pub fn max_wait(&self) -> Duration {
        self.0.max_wait()
    }

    /// The name its refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }
}

impl Settle for Valve {
    type Token = Place;
    #[inline]
    fn settle(&self, place: Place, outcome: Outcome) {
        self.0.settle(place, outcome);
    }
    #[inline]
    fn refund(&self, place: Place) {
        self.0.refund(place);
    }
}

impl<R: ?Sized> Gate<R> for Valve {
    #[inline(always)]
    fn admit(&self, _: &R) -> Result<Place, Rejected> {
        self.0.try_acquire()
    }
}

impl Inspect for Valve {
    fn name(&self) -> &'static str {
        Valve::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("inside", f64::from(self.in_flight()));
        each("limit", f64::from(self.concurrency()));
        each("waiting", f64::from(self.queued()));
        each("room", f64::from(self.queue_limit()));
        each("longest_wait", self.max_wait().as_secs_f64());
    }
    /// Knobs: `limit` (whole places), `room` (whole places), `max_wait` (seconds).
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        let whole = |field| {
            if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
                Ok(value as u32)
            } else {
                Err(ControlError::new(field, value, "a whole number from 0 to 2147483647"))
            }
        };
        match knob {
            "limit" => match whole("limit")? {
                0 => Err(ControlError::new("limit", value, "1 to 2147483647")),
                limit => self.set_concurrency(limit),
            },
            "room" => {
                let room = whole("room")?;
                check_room(room, self.max_wait())?;
                self.0.set_queue(room);
                Ok(())
            }
            "longest_wait" => match Duration::try_from_secs_f64(value) {
                Ok(longest) => {
                    check_room(self.queue_limit(), longest)?;
                    self.0.set_max_wait(longest);
                    Ok(())
                }
                Err(_) => Err(ControlError::new("longest_wait", value, "a number of seconds, 0 or more")),
            },
            other => Err(ControlError::new("knob", other, "one of limit, room, longest_wait")),
        }
    }
}

impl fmt::Debug for Valve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Valve")
            .field("name", &self.name())
            .field("inside", &self.in_flight())
            .field("limit", &self.concurrency())
            .field("waiting", &self.queued())
            .field("room", &self.queue_limit())
            .field("longest_wait", &self.max_wait())
            .field("discipline", &self.discipline())
            .field("closed", &self.is_closed())
            .finish()
    }
}
