//! Running something behind a breaker.

use crate::CircuitBreaker;
use plimsoll_core::{Outcome, Overload};
use std::future::Future;

fn by_result<T, E>(result: &Result<T, E>) -> Outcome {
    if result.is_ok() { Outcome::Success } else { Outcome::Failure }
}

impl CircuitBreaker {
    /// Asks, then runs `work`: `Ok` is a success and `Err` a failure.
    ///
    /// # Cancel safety
    /// Dropped, the call counts as cancelled: as nothing, or as timed out after the call time-out.
    ///
    /// # Errors
    /// [`Overload::Rejected`] if it refuses: `work` never began. [`Overload::Inner`] is the error of `work`.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_breaker::CircuitBreaker;
    /// # plimsoll_core::Clock::system().block_until(None, async {
    /// let breaker = CircuitBreaker::new("orders-db")?;
    /// let answer = breaker.run(async { Ok::<_, std::io::Error>(42) }).await?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap().unwrap();
    /// ```
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Overload<E>> {
        self.run_as(by_result, work).await
    }

    /// [`run`](Self::run) where `classify` says what a result counts as: an error that is the caller's own
    /// fault is [`Outcome::Ignored`].
    ///
    /// # Cancel safety
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub async fn run_as<T, E>(
        &self,
        classify: impl FnOnce(&Result<T, E>) -> Outcome,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Overload<E>> {
        let permit = self.try_acquire()?;
        let result = work.await;
        permit.done(classify(&result));
        result.map_err(Overload::Inner)
    }

    /// [`run`](Self::run) on the calling thread. A panic of `work` counts as a failure, and goes on.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_breaker::CircuitBreaker;
    /// let breaker = CircuitBreaker::new("disk")?;
    /// let text = breaker.call(|| std::fs::read_to_string("no such file"));
    /// assert!(text.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, Overload<E>> {
        let permit = self.try_acquire()?;
        let result = work();
        permit.done(by_result(&result));
        result.map_err(Overload::Inner)
    }
}
