//! The contract of every Plimsoll layer, as probes that any layer can be put through.
//!
//! A [`Subject`] describes a guard: how it is built, which settings are invalid, how it is
//! saturated and relieved, and how much it holds. Each [`Probe`] checks one clause of the contract,
//! and a [`Matrix`] puts every subject through every probe. For each probe, the tests of this crate
//! have a guard that is broken in one way and must be caught.
//!
//! Guards under test are built with a manual clock, seeded dice and an observer, so that a verdict
//! is the same on every machine.
//!
//! *Not* for load tests: a probe makes a few calls, on one thread.
//!
//! ```
//! use plimsoll_core::parts::{FixedCapacity, Semaphore};
//! use plimsoll_core::{Gate, Observer, Outcome, Permit, Rejected, Settle};
//! use plimsoll_testkit::{Fixture, Kit, Matrix, Subject, invalid};
//! use std::{sync::Arc, time::Duration};
//!
//! /// Admits two requests at once.
//! #[derive(Clone)]
//! struct Two(Arc<Semaphore<FixedCapacity>>);
//! # use plimsoll_core::parts::Place;
//! # impl Settle for Two {
//! #     type Token = Place;
//! #     fn settle(&self, place: Place, outcome: Outcome) { self.0.settle(place, outcome) }
//! #     fn refund(&self, place: Place) { self.0.refund(place) }
//! # }
//! # impl<R: ?Sized> Gate<R> for Two {
//! #     fn admit(&self, _: &R) -> Result<Place, Rejected> { self.0.try_acquire() }
//! # }
//! # impl Two {
//! #     fn new(kit: &Kit) -> Self {
//! #         let capacity = FixedCapacity::new(2);
//! #         let semaphore = Semaphore::new("two", capacity, kit.clock(), 0, Duration::ZERO);
//! #         Two(Arc::new(semaphore.observe(Observer::new(kit.observer(), "two"))))
//! #     }
//! # }
//! // impl Settle for Two, impl Gate for Two …
//!
//! fn two(kit: &Kit) -> Fixture {
//!     let two = Two::new(kit);
//!     Fixture::gate(two.clone())
//!         .permits(&two, |two| two.admit(&()).map(|token| Permit::new(two.clone(), token)))
//!         .held(&two, |two| two.0.capacity().in_flight())
//!         .concurrency(2)
//! }
//!
//! # fn two_of(name: &str) -> Result<Two, plimsoll_core::ConfigError> {
//! #     plimsoll_core::parts::check::name(name).map(|()| Two::new(&Kit::new(0)))
//! # }
//! let subjects = [Subject::new("two", two, || vec![invalid("empty name", two_of(""))])];
//! let matrix = Matrix::run(&subjects);
//! assert!(matrix.faults().is_empty(), "{matrix}");
//! ```

mod fixture;
mod inner;
mod kit;
mod matrix;
mod probes;
mod stage;
mod subject;
mod verdict;

pub use fixture::{Fixture, Service};
pub use inner::{BoxError, Inner, InnerError, Request};
pub use kit::Kit;
pub use matrix::{Matrix, silence_panics};
pub use probes::{PROBES, Probe};
pub use subject::{InvalidSetting, Subject, invalid};
pub use verdict::Verdict;
