//! Running a future on a plain thread.

use super::sleep::Blocking;
use super::{Clock, Instant};
use crate::parts::coop::unconstrained;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

impl Clock {
    /// Runs `future` to completion on the calling thread. No runtime is needed.
    ///
    /// Blocks the thread: inside an async task, await the future instead. Tokio's paused time does
    /// not advance while a thread is blocked, so a test that blocks needs a
    /// [`ManualTime`](crate::ManualTime).
    ///
    /// ```
    /// assert_eq!(plimsoll_core::Clock::system().block_on(async { 7 }), 7);
    /// ```
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.block_until(None, future) {
            Some(output) => output,
            None => unreachable!("without a limit it runs to completion"),
        }
    }

    /// Runs `future` on the calling thread, until the clock reaches `at` at the latest.
    ///
    /// Returns `None` if the future has not completed by then; the future is dropped. If `at` is
    /// `None`, there is no limit. Blocks the thread, as [`block_on`](Self::block_on) does.
    ///
    /// ```
    /// use plimsoll_core::Clock;
    /// use std::{future, time::Duration};
    ///
    /// let clock = Clock::system();
    /// let soon = clock.now() + Duration::from_millis(1);
    /// assert_eq!(clock.block_until(Some(soon), future::pending::<()>()), None);
    /// ```
    pub fn block_until<F: Future>(&self, at: Option<Instant>, future: F) -> Option<F::Output> {
        let parker = Arc::new(Parker { thread: std::thread::current(), woken: AtomicBool::new(false) });
        let waker = Waker::from(parker.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(unconstrained(future));
        let mut alarm = pin!(unconstrained(self.sleep_until(at.unwrap_or(Instant::FAR_FUTURE))));
        let _blocking = Blocking::enter();
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Some(output);
            }
            if at.is_some() && alarm.as_mut().poll(&mut cx).is_ready() {
                return None;
            }
            // Acquire: pairs with the Release store in `wake_by_ref`.
            while !parker.woken.swap(false, Ordering::Acquire) {
                std::thread::park();
            }
        }
    }
}

struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with the Acquire swap in `block_until`, so the woken thread sees what the
        // waker did.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
