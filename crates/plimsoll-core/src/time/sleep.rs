//! Sleeping until an instant: by the runtime's timer, or in a list of sleepers.

use super::clock::Kind;
use super::timers::{self, Sleeper};
use super::{Clock, Instant, system};
use crate::parts::coop::within_budget;
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
#[cfg(feature = "tokio")]
use std::time::Duration;

impl Clock {
    /// Returns a future that completes when this clock has reached `at`, never earlier.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the timer.
    ///
    /// # Panics
    /// Panics when it is first polled inside a tokio runtime without a timer. Build the runtime
    /// with `enable_time` or `enable_all`, as for tokio's own sleep.
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

#[cfg(feature = "tokio")]
type RuntimeSleep = tokio::time::Sleep;
#[cfg(not(feature = "tokio"))]
type RuntimeSleep = std::future::Pending<()>;

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
                StateProj::Runtime { sleep } => {
                    ready!(sleep.poll(cx));
                    if this.clock.now() < *this.at {
                        // The runtime's time is ahead of ours: it is paused, and `test-util` is
                        // off. Its timer would complete at once however often it is polled.
                        return enter(this, cx);
                    }
                }
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

/// Returns a sleep of the current runtime, if there is one.
///
/// Returns `None` if this thread is blocked in `block_until`: it may be the thread that drives the
/// runtime's timer.
#[cfg(feature = "tokio")]
#[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
fn runtime_sleep(clock: &Clock, at: Instant) -> Option<RuntimeSleep> {
    if !matches!(clock.0, Kind::System) || Blocking::is_on() || tokio::runtime::Handle::try_current().is_err()
    {
        return None;
    }
    let far = Duration::from_secs(86_400 * 365 * 30);
    let at = system::origin() + Duration::from_nanos(at.as_nanos()).min(far);
    Some(tokio::time::sleep_until(tokio::time::Instant::from_std(at)))
}

#[cfg(not(feature = "tokio"))]
fn runtime_sleep(_: &Clock, _: Instant) -> Option<RuntimeSleep> {
    None
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

    #[cfg(feature = "tokio")]
    fn is_on() -> bool {
        BLOCKING.get() > 0
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        BLOCKING.set(BLOCKING.get() - 1);
    }
}
