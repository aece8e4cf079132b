//! Sleeping until an instant: by the runtime's timer, or in a list of sleepers.

use super::clock::Kind;
#[cfg(not(feature = "tokio"))]
use super::no_runtime::NeverSleep as RuntimeSleep;
#[cfg(feature = "tokio")]
use super::runtime::RuntimeSleep;
use super::timers::{self, Sleeper};
use super::{Clock, Instant, system};
use crate::parts::coop::within_budget;
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

impl Clock {
    /// Returns a future that completes when this clock has reached `at`, never earlier.
    ///
    /// A task of a tokio runtime uses that runtime's timer. If the runtime has none, or it is
    /// dropped while the future waits, the timer thread takes its place.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the timer.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { clock: self.clone(), at, state: State::Unset }
    }
}

pin_project! {
    /// The future of [`Clock::sleep_until`].
    #[project = SleepProj]
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct Sleep {
        clock: Clock,
        at: Instant,
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State {
        Unset,
        Runtime { #[pin] sleep: RuntimeSleep },
        Listed { sleeper: Sleeper },
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        within_budget(cx, |cx| self.poll_due(cx))
    }
}

impl Sleep {
    fn poll_due(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            // Other events wake this task, too, so the clock decides.
            if this.clock.now() >= *this.at {
                return Poll::Ready(());
            }
            match this.state.as_mut().project() {
                StateProj::Unset => match runtime_sleep(this.clock, *this.at) {
                    Some(sleep) => this.state.set(State::Runtime { sleep }),
                    None => return enter(this, cx),
                },
                StateProj::Runtime { sleep } => match sleep.poll(cx) {
                    Some(polled) => {
                        ready!(polled);
                        if this.clock.now() < *this.at {
                            // The runtime's time is ahead of ours: it is paused, and `test-util` is
                            // off. Its timer would complete at once however often it is polled.
                            return enter(this, cx);
                        }
                    }
                    // Its runtime may be gone.
                    None => return enter(this, cx),
                },
                StateProj::Listed { sleeper } => {
                    sleeper.renew(cx.waker().clone());
                    return pending(this.clock, *this.at);
                }
            }
        }
    }
}

/// Reads the clock once more, now that the sleeper is in the list.
///
/// A clock that passed `at` before that has not woken it.
fn pending(clock: &Clock, at: Instant) -> Poll<()> {
    if clock.now() >= at { Poll::Ready(()) } else { Poll::Pending }
}

/// Adds the sleeper to the list of its manual clock or of the timer thread.
fn enter(mut this: SleepProj<'_>, cx: &mut Context<'_>) -> Poll<()> {
    let timers = match &this.clock.0 {
        Kind::Manual(shared) => Some(shared.timers()),
        Kind::System => timers::thread(system::now),
    };
    match timers {
        Some(timers) => {
            let sleeper = Sleeper::new(timers, *this.at, cx.waker().clone());
            this.state.set(State::Listed { sleeper });
        }
        // The timer thread cannot be started: poll all the time, rather than sleep for ever.
        None => cx.waker().wake_by_ref(),
    }
    pending(this.clock, *this.at)
}

/// Returns a sleep of the current runtime, if it has a timer.
///
/// Returns `None` if this thread is blocked in `block_until`: it may be the thread that drives the
/// runtime's timer.
fn runtime_sleep(clock: &Clock, at: Instant) -> Option<RuntimeSleep> {
    if matches!(clock.0, Kind::System) && BLOCKING.get() == 0 { RuntimeSleep::new(at) } else { None }
}

thread_local! {
    static BLOCKING: Cell<u32> = const { Cell::new(0) };
}

/// Marks this thread as blocked in [`Clock::block_until`] while it exists.
pub(super) struct Blocking;

impl Blocking {
    pub(super) fn enter() -> Self {
        BLOCKING.set(BLOCKING.get() + 1);
        Blocking
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        BLOCKING.set(BLOCKING.get() - 1);
    }
}
