//! The service behind the guard: does as it is told, and notices when it is treated wrongly.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tower_service::Service;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the inner service is to do with a request. The answer to it is its `id`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// What it answers.
    pub id: u64,
    /// How many polls of its future are pending before that.
    pub pending: u32,
    /// Panic in `call`.
    pub panic_in_call: bool,
    /// Panic at the end of the pending polls.
    pub panic_in_poll: bool,
    /// Answer [`InnerError`].
    pub fail: bool,
}

/// The inner service's own error, with the request's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerError(pub u64);

impl fmt::Display for InnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the inner service failed at {}", self.0)
    }
}
impl std::error::Error for InnerError {}

#[derive(Debug, Default)]
struct Shared {
    unready: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
    unready_calls: AtomicU64,
    calls: AtomicU64,
}

/// The inner service. Each clone has to be readied for itself; a call of one that was not is noted.
#[derive(Debug, Default)]
pub struct Inner {
    shared: Arc<Shared>,
    ready: bool,
}

impl Clone for Inner {
    /// Readiness belongs to an instance: a clone has none.
    fn clone(&self) -> Self {
        Inner { shared: self.shared.clone(), ready: false }
    }
}

impl Inner {
    /// From now on nobody becomes ready, until [`allow`](Self::allow).
    pub fn hold(&self) {
        self.shared.unready.store(true, SeqCst);
    }

    /// Lets all become ready, and wakes those who wait for it.
    pub fn allow(&self) {
        self.shared.unready.store(false, SeqCst);
        let waiting = std::mem::take(&mut *self.shared.waiting.lock().unwrap());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How many calls came to an instance that had not been readied.
    pub fn unready_calls(&self) -> u64 {
        self.shared.unready_calls.load(SeqCst)
    }

    /// How many calls came.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(SeqCst)
    }
}

impl Service<Request> for Inner {
    type Response = u64;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<u64, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.shared.unready.load(SeqCst) {
            self.shared.waiting.lock().unwrap().push(cx.waker().clone());
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.shared.calls.fetch_add(1, SeqCst);
        if !std::mem::take(&mut self.ready) {
            self.shared.unready_calls.fetch_add(1, SeqCst);
        }
        if request.panic_in_call {
            panic!("as told, in call");
        }
        let mut left = request.pending;
        Box::pin(std::future::poll_fn(move |cx| {
            if left > 0 {
                left -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if request.panic_in_poll {
                panic!("as told, in poll");
            }
            Poll::Ready(if request.fail { Err(InnerError(request.id).into()) } else { Ok(request.id) })
        }))
    }
}
