//! Waiting for a place.

use super::waiters::{Removed, WaiterId};
use super::{Capacity, Semaphore, Start};
use crate::parts::coop::within_budget;
use crate::time::Sleep;
use crate::{Event, Instant, Rejected};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

impl<C: Capacity> Semaphore<C> {
    /// Returns a future that waits for a place. It joins the queue at its first poll.
    ///
    /// It is rejected with `Full` at once if there is no queue, or if the queue is full and the
    /// discipline rejects newcomers. It is rejected with `Expired` after the longest wait, and with
    /// `Closed` after [`close`](Self::close). The discipline may let it expire earlier, or have it
    /// `Evicted` for a newcomer.
    pub fn acquire(self: &Arc<Self>) -> Acquire<C> {
        self.acquire_within(Duration::MAX)
    }

    /// Returns a future that waits as [`acquire`](Self::acquire) does, for at most `max_wait`.
    pub fn acquire_within(self: &Arc<Self>, max_wait: Duration) -> Acquire<C> {
        Acquire { semaphore: self.clone(), stage: Stage::New, max_wait, sleep: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    New,
    Queued { id: WaiterId, since: Instant, until: Instant, wakes_at: Instant },
    Done,
}

pin_project! {
    /// The future of [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    /// Dropped while it waits, it leaves the queue. Dropped after a place was granted but before it
    /// was polled again, it passes the place on. Until then it holds the place, so do not leave it
    /// unpolled.
    ///
    /// # Panics
    /// Panics when polled after completion.
    #[must_use = "a future does nothing until it is polled"]
    pub struct Acquire<C: Capacity> {
        semaphore: Arc<Semaphore<C>>,
        stage: Stage,
        max_wait: Duration,
        #[pin]
        sleep: Option<Sleep>,
    }

    impl<C: Capacity> PinnedDrop for Acquire<C> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let semaphore = &**this.semaphore;
            if let Stage::Queued { id, .. } = *this.stage {
                match semaphore.leave(id) {
                    Some(Removed::Resolved(Ok(token))) => semaphore.release(token),
                    // It was rejected before it left, so it counts as rejected, not as abandoned.
                    Some(Removed::Resolved(Err(rejected))) => {
                        return semaphore.observer.emit(|| Event::rejected(rejected));
                    }
                    Some(Removed::Waiting(waker)) => drop(waker),
                    None => {}
                }
                semaphore.observer.emit(|| Event::abandoned(semaphore.name));
            }
        }
    }
}

impl<C: Capacity> Future for Acquire<C> {
    type Output = Result<C::Token, Rejected>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        within_budget(cx, |cx| self.try_or_wait(cx))
    }
}

impl<C: Capacity> Acquire<C> {
    #[inline]
    fn try_or_wait(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<C::Token, Rejected>> {
        let this = self.as_mut().project();
        // Most callers need not wait and should not pay for the path that waits.
        if *this.stage == Stage::New
            && let Start::Go(token) = this.semaphore.capacity.start(true)
        {
            *this.stage = Stage::Done;
            this.semaphore.observer.emit(|| Event::admitted(this.semaphore.name));
            return Poll::Ready(Ok(token));
        }
        let decision = ready!(self.as_mut().wait(cx));
        let this = self.project();
        *this.stage = Stage::Done;
        Poll::Ready(this.semaphore.observer.emit_decision(this.semaphore.name, decision))
    }

    #[inline(never)]
    fn wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<C::Token, Rejected>> {
        let mut this = self.project();
        let semaphore = &**this.semaphore;
        let (id, since, until) = match *this.stage {
            Stage::Queued { id, since, until, wakes_at } => {
                // Cloned before the lock is taken: a waker is foreign code.
                let waker = cx.waker().clone();
                let mut waiters = semaphore.lock();
                if let Some(result) = waiters.fetch(id) {
                    return Poll::Ready(result);
                }
                let old = waiters.renew(id, waker);
                let expires_at = waiters.expires_at(since);
                drop(waiters);
                drop(old);
                // The discipline or the longest wait may have changed.
                let until = until.min(since + semaphore.max_wait());
                let expires_at = expires_at.min(until);
                if expires_at < wakes_at {
                    this.sleep.set(Some(semaphore.clock.sleep_until(expires_at)));
                    *this.stage = Stage::Queued { id, since, until, wakes_at: expires_at };
                }
                (id, since, until)
            }
            Stage::New => {
                if semaphore.capacity.is_closed() {
                    return Poll::Ready(Err(semaphore.closed()));
                }
                let queued = semaphore.queued();
                if semaphore.rejects_newcomer(queued) {
                    return Poll::Ready(Err(semaphore.full(queued)));
                }
                let since = semaphore.clock.now();
                let until = since + semaphore.max_wait().min(*this.max_wait);
                let (id, wakes_at) = match semaphore.enqueue(cx.waker().clone(), since, until) {
                    Ok(queued) => queued,
                    Err(rejected) => return Poll::Ready(Err(rejected)),
                };
                *this.stage = Stage::Queued { id, since, until, wakes_at };
                this.sleep.set(Some(semaphore.clock.sleep_until(wakes_at)));
                // The place that was missed may have been released before this waiter was queued.
                semaphore.admit_waiters();
                if let Some(result) = semaphore.lock().fetch(id) {
                    return Poll::Ready(result);
                }
                (id, since, until)
            }
            Stage::Done => panic!("an acquire was polled after completion"),
        };
        while this.sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
            let now = semaphore.clock.now();
            if until <= now {
                return match semaphore.leave(id) {
                    // Granted at the very moment of giving up: the waiter takes the place.
                    Some(Removed::Resolved(result)) => Poll::Ready(result),
                    _ => Poll::Ready(Err(semaphore.expired(now.since(since)))),
                };
            }
            // This waiter may be too old for the discipline. The queue decides, for all waiters.
            semaphore.expire(now);
            let mut waiters = semaphore.lock();
            if let Some(result) = waiters.fetch(id) {
                return Poll::Ready(result);
            }
            let expires_at = waiters.expires_at(since);
            // If that has passed, this waiter stays because of a newer one, or because ages count
            // only from a change of discipline.
            let expires_at = if expires_at <= now { waiters.next_expiry() } else { expires_at };
            drop(waiters);
            let wakes_at = expires_at.min(until);
            this.sleep.set(Some(semaphore.clock.sleep_until(wakes_at)));
            *this.stage = Stage::Queued { id, since, until, wakes_at };
        }
        Poll::Pending
    }
}

impl<C: Capacity> fmt::Debug for Acquire<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("semaphore", &self.semaphore).field("stage", &self.stage).finish()
    }
}
