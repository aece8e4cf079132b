//! Running work behind a breaker.

use crate::breaker::CircuitBreaker;
use plimsoll_core::{Outcome, Overload};
use std::future::Future;

impl CircuitBreaker {
    /// Runs `work` if the breaker admits it. `Ok` counts as a success and `Err` as a failure.
    ///
    /// # Cancel safety
    /// Dropped, the call counts as cancelled: as nothing, or as timed out after the call time-out.
    ///
    /// # Errors
    /// [`Overload::Rejected`] if the call was not admitted: `work` never began. [`Overload::Inner`] is
    /// the error of `work`.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_breaker::CircuitBreaker;
    /// # plimsoll_core::Clock::system().block_on(async {
    /// let breaker = CircuitBreaker::new("orders-db")?;
    /// let answer = breaker.run(async { Ok::<_, std::io::Error>(42) }).await?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Overload<E>> {
        self.try_acquire()?.run(work).await.map_err(Overload::Inner)
    }

    /// [`run`](Self::run), with `classify` deciding what a result counts as.
    ///
    /// An error that is the caller's own fault is [`Outcome::Ignored`].
    ///
    /// # Cancel safety
    /// As for `run`.
    ///
    /// # Errors
    /// As for `run`.
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

    /// [`run`](Self::run) on the calling thread. A panic of `work` counts as a failure and is resumed.
    ///
    /// # Errors
    /// As for `run`.
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
