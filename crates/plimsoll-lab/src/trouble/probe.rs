//! A probe around a stack of layers: when each call was sent, and how it ended.

use std::cell::RefCell;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use plimsoll::{Clock, Dice, Event, Instant, Observe};
use tower_service::Service;

use crate::sim::{CallError, Request, STEP};
use crate::trouble::far::Pause;

/// What happened within one step of 100 ms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Calls that were sent, retries included.
    pub(crate) sent: u32,
    /// Good answers that came while they were still useful.
    pub(crate) good: u32,
    /// Good answers that came too late to be useful.
    pub(crate) stale: u32,
    /// Rejections by a guard.
    pub(crate) rejected: u32,
    /// Failures of the far side.
    pub(crate) failed: u32,
    /// Callers that left.
    pub(crate) left: u32,
    /// The largest reading of the gauge.
    pub(crate) gauge: u64,
    /// Events of the guard.
    pub(crate) events: u64,
}

/// Counts the events of a guard.
#[derive(Debug, Default)]
pub(crate) struct EventCounter(AtomicU64);

impl Observe for EventCounter {
    fn event(&self, _: Event) {
        // Relaxed: a simulation runs on one thread.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) type Gauge = Box<dyn Fn() -> u64>;

/// The log of one day.
pub(crate) struct Log {
    clock: Clock,
    useful: Duration,
    pub(crate) gauge: RefCell<Option<Gauge>>,
    pub(crate) held: RefCell<Option<Gauge>>,
    pub(crate) events: Arc<EventCounter>,
    seen_events: RefCell<u64>,
    steps: RefCell<Vec<Counts>>,
}

impl Log {
    pub(crate) fn new(clock: Clock, useful: Duration) -> Self {
        Log {
            clock,
            useful,
            gauge: RefCell::default(),
            held: RefCell::default(),
            events: Arc::default(),
            seen_events: RefCell::default(),
            steps: RefCell::default(),
        }
    }

    /// Returns what happened in each step.
    pub(crate) fn take(&self) -> Vec<Counts> {
        self.steps.take()
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        let at = (self.clock.now().as_nanos() / STEP.as_nanos() as u64) as usize;
        let mut steps = self.steps.borrow_mut();
        if at >= steps.len() {
            steps.resize(at + 1, Counts::default());
        }
        if let Some(step) = steps.get_mut(at) {
            count(step);
        }
    }

    fn sent(&self) {
        let gauge = self.gauge.borrow().as_ref().map_or(0, |gauge| gauge());
        let events = self.events.0.load(Ordering::Relaxed);
        let new = events - self.seen_events.replace(events);
        self.count(|step| {
            step.sent += 1;
            step.gauge = step.gauge.max(gauge);
            step.events += new;
        });
    }

    fn ended(&self, sent: Instant, end: Result<(), CallError>) {
        let took = Duration::from_nanos(self.clock.now().as_nanos() - sent.as_nanos());
        self.count(|step| match end {
            Ok(()) if took <= self.useful => step.good += 1,
            Ok(()) => step.stale += 1,
            Err(CallError::Rejected | CallError::Throttled) => step.rejected += 1,
            Err(CallError::Failed | CallError::Status(_)) => step.failed += 1,
            Err(CallError::Left) => step.left += 1,
        });
    }
}

/// The outermost service: counts the calls, and makes some callers leave.
#[derive(Clone)]
pub(crate) struct Probe<S> {
    pub(crate) inner: S,
    pub(crate) log: Rc<Log>,
    pub(crate) dice: Rc<Dice>,
    /// When callers leave, and which share of them.
    pub(crate) leaving: (Range<Duration>, f64),
}

/// A caller that leaves does so within this time.
const LEAVES_WITHIN: Duration = Duration::from_millis(100);

impl<S> Service<Request> for Probe<S>
where
    S: Service<Request, Response = (), Error = CallError>,
{
    type Response = ();
    type Error = CallError;
    type Future = Visit<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Visit<S::Future> {
        self.log.sent();
        let sent = self.log.clock.now();
        let (when, share) = &self.leaving;
        let some_leave = when.contains(&Duration::from_nanos(sent.as_nanos()));
        let leaves = (some_leave && self.dice.chance(*share)).then(|| -> Pause {
            Box::pin(self.log.clock.sleep_until(sent + LEAVES_WITHIN.mul_f64(self.dice.uniform())))
        });
        Visit { call: Some(Box::pin(self.inner.call(request))), sent, leaves, log: self.log.clone() }
    }
}

/// One call.
pub(crate) struct Visit<F> {
    call: Option<Pin<Box<F>>>,
    sent: Instant,
    leaves: Option<Pause>,
    log: Rc<Log>,
}

impl<F: Future<Output = Result<(), CallError>>> Future for Visit<F> {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.call else { return Poll::Pending };
        let mut end = call.as_mut().poll(cx);
        if end.is_pending() && self.leaves.as_mut().is_some_and(|leaves| leaves.as_mut().poll(cx).is_ready())
        {
            end = Poll::Ready(Err(CallError::Left));
        }
        if let Poll::Ready(end) = end {
            self.call = None;
            self.log.ended(self.sent, end);
        }
        end
    }
}

impl<F> Drop for Visit<F> {
    fn drop(&mut self) {
        if self.call.take().is_some() {
            self.log.ended(self.sent, Err(CallError::Left));
        }
    }
}
