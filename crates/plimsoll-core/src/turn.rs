//! Waiting for a place in a room.

use crate::room::Semaphore;
use crate::sync::Ordering;
use crate::waiters::{Key, Left};
use crate::{Capacity, Event, Instant, Rejected, Sleep, Start};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How far a [`Turn`] has come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    New,
    Queued { key: Key, since: Instant, until: Instant, wakes_at: Instant },
    Over,
}

pin_project! {
    /// Waiting for a place: the future of [`Room::wait`].
    ///
    /// # Cancel safety
    /// Dropped while it waits, it leaves the line; dropped after a place was granted but before it
    /// was polled again, it passes the place on. Until one of the two it holds the place: do not leave
    /// it lying unpolled.
    ///
    /// # Panics
    /// When polled after its end.
    #[must_use = "a future does nothing until it is polled"]
    pub struct Acquire<S: Capacity> {
        room: Arc<Semaphore<S>>,
        stage: Stage,
        patience: Duration,
        #[pin]
        sleep: Option<Sleep>,
    }

    impl<S: Capacity> PinnedDrop for Acquire<S> {
        fn drop(this: Pin<&mut Self>) {
            let me = this.project();
            if let Stage::Queued { key, .. } = *me.stage {
                match me.room.leave(key) {
                    Some(Left::Called(Ok(token))) => me.room.release(token),
                    // Told before it left: the refusal stands.
                    Some(Left::Called(Err(no))) => return me.room.observer.emit(|| Event::Rejected(no)),
                    Some(Left::Waiting(waker)) => drop(waker),
                    None => {}
                }
                me.room.observer.emit(|| Event::Abandoned { by: me.room.by });
            }
        }
    }
}

impl<S: Capacity> Future for Acquire<S> {
    type Output = Result<S::Token, Rejected>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.as_mut().project();
        // Most need not wait, and should not pay for what waiting takes.
        if *me.stage == Stage::New
            && let Start::Go(token) = me.room.source.start(true)
        {
            *me.stage = Stage::Over;
            me.room.observer.emit(|| Event::Admitted { by: me.room.by });
            return Poll::Ready(Ok(token));
        }
        let decision = ready!(self.as_mut().turn(cx));
        let me = self.project();
        *me.stage = Stage::Over;
        Poll::Ready(me.room.observer.emit_decision(me.room.by, decision))
    }
}

impl<S: Capacity> Acquire<S> {
    pub(crate) fn new(room: Arc<Semaphore<S>>, patience: Duration) -> Self {
        Acquire { room, stage: Stage::New, patience, sleep: None }
    }

    #[inline(never)]
    fn turn(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Token, Rejected>> {
        let mut me = self.project();
        let room = &**me.room;
        let (key, since, until) = match *me.stage {
            Stage::Queued { key, since, until, wakes_at } => {
                // Cloned before the lock: a waker is somebody else's code.
                let waker = cx.waker().clone();
                let mut line = room.lock();
                if let Some(told) = line.fetch(key) {
                    return Poll::Ready(told);
                }
                let old = line.renew(key, waker);
                let gone_by = line.gone_by(since);
                drop(line);
                drop(old);
                // The discipline may have changed.
                if gone_by < wakes_at {
                    me.sleep.set(Some(room.clock.sleep_until(gone_by)));
                    *me.stage = Stage::Queued { key, since, until, wakes_at: gone_by };
                }
                (key, since, until)
            }
            Stage::New => {
                if room.source.is_closed() {
                    return Poll::Ready(Err(room.closed()));
                }
                // A full room refuses by three loads.
                let (waiting, size) = (room.queued(), room.queue_limit());
                if waiting >= size && (size == 0 || room.refuses.load(Ordering::Relaxed)) {
                    return Poll::Ready(Err(room.full(waiting)));
                }
                let since = room.clock.now();
                let until = since + room.max_wait().min(*me.patience);
                let (key, wakes_at) = match room.enqueue(cx.waker().clone(), since, until) {
                    Ok(queued) => queued,
                    Err(no) => return Poll::Ready(Err(no)),
                };
                *me.stage = Stage::Queued { key, since, until, wakes_at };
                me.sleep.set(Some(room.clock.sleep_until(wakes_at)));
                // The place that was missed may have been freed before we stood in line.
                room.pump();
                if let Some(told) = room.lock().fetch(key) {
                    return Poll::Ready(told);
                }
                (key, since, until)
            }
            Stage::Over => panic!("a turn was polled after its end"),
        };
        while me.sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
            let now = room.clock.now();
            if until <= now {
                return match room.leave(key) {
                    // Called in the very moment of giving up: the place is ours.
                    Some(Left::Called(told)) => Poll::Ready(told),
                    _ => Poll::Ready(Err(room.expired(now.since(since)))),
                };
            }
            // Perhaps too old by the discipline: the line decides, and tells all who are.
            room.expire(now);
            let mut line = room.lock();
            if let Some(told) = line.fetch(key) {
                return Poll::Ready(told);
            }
            let gone_by = line.gone_by(since);
            // Past that and still here: for the sake of a newer one, or because the line counts from later.
            let gone_by = if gone_by <= now { line.next_expiry() } else { gone_by };
            drop(line);
            let wakes_at = gone_by.min(until);
            me.sleep.set(Some(room.clock.sleep_until(wakes_at)));
            *me.stage = Stage::Queued { key, since, until, wakes_at };
        }
        Poll::Pending
    }
}

impl<S: Capacity> fmt::Debug for Acquire<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("room", &self.room).field("stage", &self.stage).finish()
    }
}
