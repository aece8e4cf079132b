//! The part that all guards over a semaphore of fixed capacity have in common.

/// Implements [`Settle`](crate::Settle), [`Wait`](crate::Wait), [`Inspect`](crate::Inspect),
/// `Debug`, the readings and the live settings of a guard.
///
/// The guard is declared as `struct Guard(Arc<Semaphore<FixedCapacity>>)`.
#[macro_export]
#[doc(hidden)]
macro_rules! semaphore_guard {
    ($guard:ident) => {
        impl $guard {
            /// Changes the maximum number of requests in flight. Range: 1 to 2³¹ − 1.
            ///
            /// A higher limit admits waiting requests at once. Under a lower limit requests in
            /// flight continue, and none is admitted until enough of them have completed.
            ///
            /// # Errors
            /// Returns an error, and changes nothing, if `concurrency` is out of range.
            #[doc(alias = "add_permits")]
            #[doc(alias = "resize")]
            pub fn set_concurrency(&self, concurrency: u32) -> Result<(), $crate::ControlError> {
                use $crate::parts::{FixedCapacity, check};
                check::within("concurrency", concurrency, 1..=FixedCapacity::MAX)?;
                if self.0.capacity().set_limit(concurrency) {
                    self.0.admit_waiters();
                }
                Ok(())
            }

            /// Changes the maximum number of waiting requests. Range: 0 to 2³¹ − 1.
            ///
            /// Requests that wait already stay until the next one arrives. If the discipline
            /// evicts, the oldest of those beyond the limit are rejected then. Under
            /// [`KeepOldest`](plimsoll_core::Discipline::KeepOldest) they stay.
            ///
            /// # Errors
            /// Returns an error, and changes nothing, if `queue` is out of range, or if it is above
            /// 0 while `max_wait` is zero.
            pub fn set_queue(&self, queue: u32) -> Result<(), $crate::ControlError> {
                Ok(self.0.set_queue(queue)?)
            }

            /// Changes the longest wait. A shorter one applies to waiting requests, too.
            ///
            /// # Errors
            /// Returns an error, and changes nothing, if `max_wait` is zero while requests may
            /// wait.
            pub fn set_max_wait(&self, max_wait: std::time::Duration) -> Result<(), $crate::ControlError> {
                Ok(self.0.set_max_wait(max_wait)?)
            }

            /// Changes the queue discipline. It applies to waiting requests, too.
            ///
            /// # Errors
            /// Returns an error, and changes nothing, if a number of the discipline is out of
            /// range.
            pub fn set_discipline(&self, discipline: $crate::Discipline) -> Result<(), $crate::ControlError> {
                discipline.validate()?;
                self.0.set_discipline(discipline);
                Ok(())
            }

            /// Rejects waiting requests and all later ones with `Closed`.
            ///
            /// Requests in flight continue. When the last has ended, [`in_flight`](Self::in_flight)
            /// returns 0.
            pub fn close(&self) {
                self.0.close();
            }

            /// Returns whether this guard was closed.
            pub fn is_closed(&self) -> bool {
                use $crate::parts::Capacity;
                self.0.capacity().is_closed()
            }

            /// Returns the number of requests in flight.
            #[doc(alias = "available_permits")]
            pub fn in_flight(&self) -> u32 {
                self.0.capacity().in_flight()
            }

            /// Returns the maximum number of requests in flight.
            pub fn concurrency(&self) -> u32 {
                self.0.capacity().limit()
            }

            /// Returns the number of waiting requests.
            pub fn queued(&self) -> u32 {
                self.0.queued()
            }

            /// Returns the maximum number of waiting requests.
            #[doc(alias = "queue")]
            pub fn queue_limit(&self) -> u32 {
                self.0.queue_limit()
            }

            /// Returns the longest wait.
            pub fn max_wait(&self) -> std::time::Duration {
                self.0.max_wait()
            }

            /// Returns the queue discipline.
            pub fn discipline(&self) -> $crate::Discipline {
                self.0.discipline()
            }

            /// Returns the name that rejections carry.
            pub fn name(&self) -> &'static str {
                self.0.name()
            }
        }

        impl $crate::Settle for $guard {
            type Token = $crate::parts::Place;
            #[inline]
            fn settle(&self, place: $crate::parts::Place, outcome: $crate::Outcome) {
                self.0.settle(place, outcome);
            }
            #[inline]
            fn refund(&self, place: $crate::parts::Place) {
                self.0.refund(place);
            }
        }

        impl<R: ?Sized> $crate::Wait<R> for $guard {
            type Place = $crate::parts::Place;
            type Waiting = $crate::parts::Acquire<$crate::parts::FixedCapacity>;
            fn wait(&self, _: &R) -> Self::Waiting {
                self.0.acquire()
            }
            fn enter(&self, place: Self::Place, _: &R) -> Result<Self::Token, $crate::Rejected> {
                Ok(place)
            }
        }

        impl $crate::Inspect for $guard {
            fn name(&self) -> &'static str {
                self.0.name()
            }
            fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
                each("in_flight", f64::from(self.in_flight()));
                each("concurrency", f64::from(self.concurrency()));
                each("queued", f64::from(self.queued()));
                each("queue", f64::from(self.queue_limit()));
                each("max_wait", self.max_wait().as_secs_f64());
            }
            /// Settings: `concurrency` and `queue` (requests), `max_wait` (seconds).
            fn set(&self, setting: &str, value: f64) -> Result<(), $crate::ControlError> {
                use $crate::parts::check;
                match setting {
                    "concurrency" => self.set_concurrency(check::whole("concurrency", value)?),
                    "queue" => self.set_queue(check::whole("queue", value)?),
                    "max_wait" => self.set_max_wait(check::seconds("max_wait", value)?),
                    _ => {
                        let settings = &["concurrency", "queue", "max_wait"];
                        Err($crate::ControlError::unknown(setting, settings))
                    }
                }
            }
        }

        impl std::fmt::Debug for $guard {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($guard))
                    .field("name", &self.name())
                    .field("in_flight", &self.in_flight())
                    .field("concurrency", &self.concurrency())
                    .field("queued", &self.queued())
                    .field("queue_limit", &self.queue_limit())
                    .field("max_wait", &self.max_wait())
                    .field("discipline", &self.discipline())
                    .field("closed", &self.is_closed())
                    .finish()
            }
        }
    };
}
