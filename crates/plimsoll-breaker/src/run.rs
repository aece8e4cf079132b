//! Running work behind a breaker.

use crate::breaker::CircuitBreaker;
use plimsoll_core::{Outcome, Overload};
use std::future::Future;

impl CircuitBreaker {
    /// Runs `work` if the breaker admits it. `Ok` counts as a success and `Err` as a failure.
    ///
    /// # Cancel safety
    /// If the future is dropped, the call counts as cancelled. After the call time-out, it counts
    /// as timed out.
    ///
    /// # Errors
    /// Returns [`Overload::Rejected`] if the call was rejected, in which case `work` was not
    /// started. Returns [`Overload::Inner`] with the error of `work`.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_breaker::CircuitBreaker;
    /// # plimsoll_core::Clock::system().block_on(async {
    /// let breaker = CircuitBreaker::new("orders-db")?;
    /// let rows = breaker.run(async { Ok::<_, std::io::Error>(42) }).await?;
    /// assert_eq!(rows, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Overload<E>> {
        self.try_acquire()?.run(work).await.map_err(Overload::Inner)
    }

    /// Runs `work` if the breaker admits it. `classify` returns what the result counts as.
    ///
    /// Return [`Outcome::Ignored`] for an error that is the caller's own fault.
    ///
    /// # Cancel safety
    /// The same as for [`run`](Self::run).
    ///
    /// # Errors
    /// Returns the same errors as `run`.
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

    /// Calls `work` on this thread if the breaker admits it. A panic counts as a failure and is
    /// resumed.
    ///
    /// # Errors
    /// Returns the same errors as [`run`](Self::run).
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
        permit.done(Outcome::from_result(&result));
        result.map_err(Overload::Inner)
    }
}
