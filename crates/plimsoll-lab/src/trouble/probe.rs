//! A probe around a stack of layers: it counts the useful answers and reads the gauge.

use std::cell::RefCell;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use plimsoll::{Clock, Dice, Instant};
use tower_service::Service;

use crate::sim::{CallError, Request, STEP};
use crate::trouble::far::Pause;

/// What happened within one step of 100 ms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Good answers that came while they were still useful.
    pub(crate) good: u32,
    /// The largest reading of the gauge.
    pub(crate) gauge: u64,
}

pub(crate) type Gauge = Box<dyn Fn() -> u64>;

/// The log of one day.
pub(crate) struct Log {
    clock: Clock,
    useful: Duration,
    pub(crate) gauge: RefCell<Option<Gauge>>,
    pub(crate) held: RefCell<Option<Gauge>>,
    steps: RefCell<Vec<Counts>>,
}

impl Log {
    pub(crate) fn new(clock: Clock, useful: Duration) -> Self {
        Log { clock, useful, gauge: RefCell::default(), held: RefCell::default(), steps: RefCell::default() }
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

    fn read_gauge(&self) {
        let gauge = self.gauge.borrow().as_ref().map_or(0, |gauge| gauge());
        self.count(|step| step.gauge = step.gauge.max(gauge));
    }

    fn ended(&self, sent: Instant, end: Result<(), CallError>) {
        let took = Duration::from_nanos(self.clock.now().as_nanos() - sent.as_nanos());
        if end.is_ok() && took <= self.useful {
            self.count(|step| step.good += 1);
        }
    }
}

/// The outermost service: counts the useful answers, and makes some callers leave.
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
        self.log.read_gauge();
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
