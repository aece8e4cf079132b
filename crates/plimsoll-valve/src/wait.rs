//! Waiting for a place: tasks and threads in one queue.

use crate::Valve;
use plimsoll_core::{Overload, Permit, Rejected};
use std::future::Future;
use std::time::Duration;

impl Valve {
    /// Waits for a permit, for at most [`max_wait`](Self::max_wait).
    ///
    /// The [discipline](Self::discipline) determines the order of waiting requests. A valve without
    /// a queue, such as [`Valve::new`] creates, decides at once.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future leaves the queue and releases a place already granted.
    /// Its position in the queue is lost: a new `acquire` joins as a newcomer.
    ///
    /// # Errors
    /// - `Full` at once if there is no queue, or if it is full and the discipline rejects
    ///   newcomers.
    /// - `Evicted` if the discipline evicts this request for a newcomer.
    /// - `Expired` after the longest wait, or earlier under a discipline with an age limit.
    /// - `Closed` if the valve is closed.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_valve::Valve;
    /// # plimsoll_core::Clock::system().block_on(async {
    /// let valve = Valve::builder().concurrency(1).queue(8).build()?;
    /// let permit = valve.acquire().await?;
    /// assert_eq!(valve.in_flight(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn acquire(&self) -> Result<Permit<&Valve>, Rejected> {
        let place = self.0.acquire().await?;
        Ok(Permit::new(self, place))
    }

    /// Waits for a permit that owns its handle, for at most [`max_wait`](Self::max_wait).
    ///
    /// The future and the permit can be moved to another task.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn acquire_owned(&self) -> impl Future<Output = Result<Permit<Valve>, Rejected>> + Send + use<> {
        let valve = self.clone();
        async move {
            let place = valve.0.acquire().await?;
            Ok(Permit::new(valve, place))
        }
    }

    /// Waits for a permit on the calling thread, for at most [`max_wait`](Self::max_wait).
    ///
    /// No runtime is needed. The thread waits in the same queue as the tasks, in the same order.
    /// Inside an async task use [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire(&self) -> Result<Permit<&Valve>, Rejected> {
        self.blocking_acquire_timeout(Duration::MAX)
    }

    /// Waits for a permit on the calling thread, for at most `timeout`.
    ///
    /// The longest wait of the valve applies, too.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire), with `Expired` after the shorter of `timeout` and
    /// [`max_wait`](Self::max_wait).
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_valve::Valve;
    /// # use std::time::Duration;
    /// let minute = Duration::from_secs(60);
    /// let valve = Valve::builder().concurrency(1).queue(8).max_wait(minute).build()?;
    /// let held = valve.blocking_acquire_timeout(Duration::from_millis(5))?;
    /// std::thread::scope(|s| {
    ///     let waiter = s.spawn(|| valve.blocking_acquire_timeout(minute).map(|_| ()));
    ///     drop(held); // releases the place to the waiter
    ///     assert_eq!(waiter.join().unwrap(), Ok(()));
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocking_acquire_timeout(&self, timeout: Duration) -> Result<Permit<&Valve>, Rejected> {
        let place = self.0.clock().block_on(self.0.acquire_within(timeout))?;
        Ok(Permit::new(self, place))
    }

    /// Waits for a permit, as [`acquire`](Self::acquire) does, then runs `work`.
    ///
    /// `work` is not polled before the permit is granted.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future leaves the queue. Dropped later, it drops the unfinished
    /// work and releases the place.
    ///
    /// # Errors
    /// [`Overload::Rejected`] if no permit was granted, so that `work` never began.
    /// [`Overload::Inner`] with the error of `work` itself.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_valve::Valve;
    /// # plimsoll_core::Clock::system().block_on(async {
    /// let valve = Valve::new(16)?;
    /// let answer = valve.run(async { Ok::<_, std::io::Error>(42) }).await?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Overload<E>> {
        self.acquire().await?.run(work).await.map_err(Overload::Inner)
    }
}
