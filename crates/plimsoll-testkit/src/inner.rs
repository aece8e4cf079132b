//! The service behind the guard: does what a request says, and records wrong use.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tower_service::Service;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the inner service does with a request. Its response is the `id`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// The response.
    pub id: u64,
    /// The number of polls that are pending.
    pub pending: u32,
    /// Whether `call` panics.
    pub panic_in_call: bool,
    /// Whether the poll after the pending ones panics.
    pub panic_in_poll: bool,
    /// Whether the response is [`InnerError`].
    pub fail: bool,
}

/// The error of the inner service, with the `id` of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerError(pub u64);

impl fmt::Display for InnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the inner service failed at request {}", self.0)
    }
}

impl std::error::Error for InnerError {}

#[derive(Debug, Default)]
struct Shared {
    unready: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
    unready_calls: AtomicU64,
    calls: AtomicU64,
}

/// The service behind the guard. Each clone must be polled ready itself.
#[derive(Debug, Default)]
pub struct Inner {
    shared: Arc<Shared>,
    ready: bool,
}

impl Clone for Inner {
    // Readiness belongs to an instance: a clone has none.
    fn clone(&self) -> Self {
        Inner { shared: self.shared.clone(), ready: false }
    }
}

impl Inner {
    /// Sets whether the service becomes ready. Wakes the tasks that wait for it.
    pub fn set_ready(&self, ready: bool) {
        self.shared.unready.store(!ready, SeqCst);
        if ready {
            let wakers = std::mem::take(&mut *self.shared.wakers.lock().unwrap());
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Returns the number of calls of an instance that was not polled ready.
    pub fn unready_calls(&self) -> u64 {
        self.shared.unready_calls.load(SeqCst)
    }

    /// Returns the number of calls.
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
            self.shared.wakers.lock().unwrap().push(cx.waker().clone());
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
            panic!("the request asks for a panic in call");
        }
        let mut pending = request.pending;
        Box::pin(std::future::poll_fn(move |cx| {
            if pending > 0 {
                pending -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if request.panic_in_poll {
                panic!("the request asks for a panic in poll");
            }
            Poll::Ready(if request.fail { Err(InnerError(request.id).into()) } else { Ok(request.id) })
        }))
    }
}
