//! Sleeping by the timer of the tokio runtime.

use super::Instant;
use super::system::origin;
use crate::parts::sync::recover;
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Handle, Id};

pin_project! {
    /// A sleep of the runtime in which it was created.
    #[derive(Debug)]
    pub(super) struct RuntimeSleep {
        runtime: Id,
        #[pin]
        sleep: tokio::time::Sleep,
    }
}

/// Returns the runtime that drives the task that is polled now.
///
/// Without a task, a runtime may be entered without being driven, and its timer never fires. A
/// paused clock only advances if its runtime's own timer is used, so tests do not distinguish.
fn current() -> Option<Id> {
    if !cfg!(feature = "test-util") {
        tokio::task::try_id()?;
    }
    Handle::try_current().ok().map(|handle| handle.id())
}

/// The runtimes that are known to have no timer.
static UNTIMED: Mutex<Vec<Id>> = Mutex::new(Vec::new());
/// Whether there are any.
static ANY_UNTIMED: AtomicBool = AtomicBool::new(false);
/// The maximum number of runtimes in the list.
const MAX_UNTIMED: usize = 64;

fn is_untimed(runtime: Id) -> bool {
    // Relaxed: the list is read under its lock, and a miss only costs another attempt.
    ANY_UNTIMED.load(Ordering::Relaxed) && recover(UNTIMED.lock()).contains(&runtime)
}

#[cold]
fn note_untimed(runtime: Id) {
    let mut untimed = recover(UNTIMED.lock());
    if untimed.len() == MAX_UNTIMED {
        untimed.remove(0);
    }
    untimed.push(runtime);
    ANY_UNTIMED.store(true, Ordering::Relaxed);
}

impl RuntimeSleep {
    /// Creates a sleep of the current runtime. `None` if there is none or it has no timer.
    ///
    /// Tokio only says by a panic whether a runtime has a timer. It is caught, once for each
    /// runtime.
    #[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
    pub(super) fn new(at: Instant) -> Option<Self> {
        let runtime = current().filter(|&runtime| !is_untimed(runtime))?;
        let far = Duration::from_secs(86_400 * 365 * 30);
        let at = origin() + Duration::from_nanos(at.as_nanos()).min(far);
        let create = || tokio::time::sleep_until(tokio::time::Instant::from_std(at));
        match catch_unwind(create) {
            Ok(sleep) => Some(RuntimeSleep { runtime, sleep }),
            Err(_) => {
                note_untimed(runtime);
                None
            }
        }
    }

    /// Polls the sleep. `None` if it is polled outside its runtime, which may have been dropped.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<Poll<()>> {
        let this = self.project();
        (current() == Some(*this.runtime)).then(|| this.sleep.poll(cx))
    }
}
