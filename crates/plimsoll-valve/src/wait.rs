//! Waiting for a place: tasks and threads in one room.

use crate::Valve;
use plimsoll_core::{Acquire, FixedCapacity, Outcome, Overload, Permit, Place, Rejected, Wait};
use std::future::Future;
use std::time::Duration;

impl Valve {
    /// Waits for a place, in order, at most [`max_wait`](Self::max_wait). A valve with no
    /// room – [`Valve::new`] makes one – answers at once.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it leaves the room and gives back a place already granted. The
    /// place in the order is lost: a new `acquire` stands at the end.
    ///
    /// # Errors
    /// `Full` at once if the room is full, `Expired` after the longest wait, `Closed` if closed. With a
    /// [discipline](Self::set_discipline) that keeps the fresh, `Evicted` as soon as a newcomer needs the place.
    ///
    /// # Panics
    /// When it has to wait inside a tokio runtime that was built without a timer
    /// (`enable_time` or `enable_all`). So do all that wait, but for `blocking_acquire_timeout`.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_valve::Valve;
    /// # plimsoll_core::Clock::system().block_until(None, async {
    /// let valve = Valve::builder().concurrency(1).queue(8).build()?;
    /// let permit = valve.acquire().await?;
    /// assert_eq!(valve.concurrency(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap().unwrap();
    /// ```
    pub async fn acquire(&self) -> Result<Permit<&Valve>, Rejected> {
        let place = self.0.acquire().await?;
        Ok(Permit::new(self, place))
    }

    /// [`acquire`](Self::acquire), with a permit that owns its handle; the future does, too, and may
    /// be spawned.
    ///
    /// # Cancel safety
    /// As for `acquire`.
    ///
    /// # Errors
    /// As for `acquire`.
    pub fn acquire_owned(&self) -> impl Future<Output = Result<Permit<Valve>, Rejected>> + Send + use<> {
        let valve = self.clone();
        async move {
            let place = valve.0.acquire().await?;
            Ok(Permit::new(valve, place))
        }
    }

    /// Waits for a place on the calling thread, no runtime needed: at most `timeout`, and at most
    /// the longest wait. It stands in the same room, in the same order, as the tasks do.
    ///
    /// It blocks the thread: inside an async task use [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// `Full` at once if the room is full, `Expired` after the time, `Closed` if closed.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_valve::Valve;
    /// # use std::time::Duration;
    /// let valve = Valve::builder().concurrency(1).queue(8).build()?;
    /// let held = valve.blocking_acquire_timeout(Duration::from_millis(5))?;
    /// std::thread::scope(|s| {
    ///     let waits = s.spawn(|| valve.blocking_acquire_timeout(Duration::from_secs(60)).map(|_| ()));
    ///     drop(held);
    ///     // Either it came before the drop and waited, or after.
    ///     assert!(matches!(waits.join(), Ok(Ok(())) | Ok(Err(_))));
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocking_acquire_timeout(&self, timeout: Duration) -> Result<Permit<&Valve>, Rejected> {
        match self.0.clock().block_until(None, self.0.acquire_within(timeout)) {
            Some(turn) => turn.map(|place| Permit::new(self, place)),
            None => unreachable!("it blocks until the turn is over"),
        }
    }

    /// Waits for a place – if the valve has a room; see [`acquire`](Self::acquire) – then runs `work`. `work` is not polled before it has its place.
    ///
    /// # Cancel safety
    /// Dropped, it leaves the room, or gives the place back along with the unfinished work.
    ///
    /// # Errors
    /// [`Overload::Rejected`] if there was no place: `work` never began. [`Overload::Inner`] is the
    /// error of `work` itself.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_valve::Valve;
    /// # plimsoll_core::Clock::system().block_until(None, async {
    /// let valve = Valve::new(16)?;
    /// let answer = valve.run(async { Ok::<_, std::io::Error>(42) }).await?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap().unwrap();
    /// ```
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Overload<E>> {
        let permit = self.acquire().await?;
        let result = work.await;
        permit.done(if result.is_ok() { Outcome::Success } else { Outcome::Failure });
        result.map_err(Overload::Inner)
    }
}

impl<R: ?Sized> Wait<R> for Valve {
    type Place = Place;
    type Waiting = Acquire<FixedCapacity>;
    fn wait(&self, _: &R) -> Acquire<FixedCapacity> {
        self.0.acquire()
    }
    fn enter(&self, place: Place, _: &R) -> Result<Place, Rejected> {
        Ok(place)
    }
}
