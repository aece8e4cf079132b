//! The future that waits for units.

use super::queues::Waiter;
use crate::setup::Common;
use pin_project_lite::pin_project;
use plimsoll_core::parts::{Acquire, FixedCapacity, Place, Sleep, within_budget};
use plimsoll_core::{Account, Event, Instant, Reason, Rejected};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What a waiting request tries until it succeeds. Sealed: implemented by limiters only.
pub trait Attempt: Unpin {
    /// The units that were charged.
    type Charge: Send;
    /// Charges the units as of `now`, or returns when to try again. Emits no event, and does not
    /// check whether other requests wait.
    fn charge(&self, units: u32, now: u64) -> Result<Self::Charge, Rejected>;
    /// Returns the queue of the account.
    fn queue(&self) -> u64;
    /// Returns the account, for events.
    fn account(&self) -> Option<Account>;
    /// Returns the queue of the limit that rejected the request, if many accounts share that limit.
    /// One request of each account waits there.
    fn shared_queue(&self, _rejected: &Rejected) -> Option<u64> {
        None
    }
    /// Returns whether other requests are served first: of the same account, or for a shared limit.
    fn is_behind(&self) -> bool {
        self.common().queues.has(self.queue())
    }
    /// Returns what all limiters have in common.
    fn common(&self) -> &Common;
}

pin_project! {
    /// The future that waits for units.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it leaves the queue, and the next request takes its place. Units are
    /// charged in the poll that completes, so none are lost.
    ///
    /// # Panics
    /// Panics when polled after completion.
    #[must_use = "a future does nothing until it is polled"]
    pub struct AcquireUnits<A: Attempt> {
        attempt: A,
        units: u32,
        max_wait: Duration,
        since: Instant,
        until: Instant,
        // The queue of the account, and then also that of the shared limit that rejected the
        // request.
        own: Joined,
        shared: Joined,
        #[pin]
        stage: Progress,
    }

    impl<A: Attempt> PinnedDrop for AcquireUnits<A> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let abandoned = !matches!(*this.stage, Progress::New | Progress::Done);
            this.stage.set(Progress::Done);
            this.shared.leave();
            this.own.leave();
            if abandoned {
                let common = this.attempt.common();
                common.observer.emit(|| {
                    let event = Event::abandoned(common.name);
                    this.attempt.account().map_or(event, |account| event.account(account))
                });
            }
        }
    }
}

pin_project! {
    #[project = ProgressProj]
    enum Progress {
        New,
        // Waits to be the head of the account's queue, or of the shared one.
        Queued { #[pin] head: Acquire<FixedCapacity>, shared: bool },
        Head { #[pin] sleep: Option<Sleep> },
        Done,
    }
}

/// A queue that the request has joined, and its place at the head once it is there.
#[derive(Default)]
struct Joined {
    // Declared before the waiter, which holds the queue that the place belongs to.
    place: Option<Place>,
    waiter: Option<Waiter>,
}

impl Joined {
    fn is_in(&self, queue: u64) -> bool {
        self.waiter.as_ref().is_some_and(|waiter| waiter.account() == queue)
    }

    /// Leaves the queue. The next waiter becomes its head.
    fn leave(&mut self) {
        if let (Some(place), Some(waiter)) = (self.place.take(), self.waiter.as_ref()) {
            waiter.pass_on(place);
        }
        self.waiter = None;
    }
}

impl<A: Attempt> AcquireUnits<A> {
    pub(crate) fn new(attempt: A, units: u32, max_wait: Duration) -> Self {
        let (since, until) = (Instant::default(), Instant::default());
        let (own, shared) = Default::default();
        AcquireUnits { attempt, units, max_wait, since, until, own, shared, stage: Progress::New }
    }

    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<A::Charge, Rejected>> {
        let mut this = self.project();
        let common = this.attempt.common();
        loop {
            match this.stage.as_mut().project() {
                ProgressProj::New => {
                    if common.queues.is_closed() {
                        return Poll::Ready(Err(common.closed()));
                    }
                    *this.since = common.clock.now();
                    *this.until = *this.since + common.queues.max_wait().min(*this.max_wait);
                    if common.queues.is_quiet() || !this.attempt.is_behind() {
                        match this.attempt.charge(*this.units, this.since.as_nanos()) {
                            // There are not enough units in time, or never.
                            Err(rejected) if !is_in_time(&rejected, *this.since, *this.until) => {
                                return Poll::Ready(Err(rejected));
                            }
                            Err(_) => {}
                            charged => return Poll::Ready(charged),
                        }
                    }
                    let waiter = match common.queues.join(this.attempt.queue(), true) {
                        Ok(waiter) => this.own.waiter.insert(waiter),
                        Err(queued) => return Poll::Ready(Err(common.full(queued))),
                    };
                    let head = waiter.become_head(this.until.since(*this.since));
                    this.stage.set(Progress::Queued { head, shared: false });
                }
                ProgressProj::Queued { head, shared } => {
                    let place = ready!(head.poll(cx))?;
                    let joined = if *shared { &mut *this.shared } else { &mut *this.own };
                    joined.place = Some(place);
                    this.stage.set(Progress::Head { sleep: None });
                }
                ProgressProj::Head { mut sleep } => {
                    for waiter in this.own.waiter.iter().chain(&this.shared.waiter) {
                        waiter.set_waker(cx.waker().clone());
                    }
                    // After the waker is set, so that a change of the quota from now on wakes it.
                    if common.queues.is_closed() {
                        return Poll::Ready(Err(common.closed()));
                    }
                    let now = common.clock.now();
                    let rejected = match this.attempt.charge(*this.units, now.as_nanos()) {
                        Ok(charge) => return Poll::Ready(Ok(charge)),
                        Err(rejected) => rejected,
                    };
                    if now >= *this.until {
                        return Poll::Ready(Err(common.expired(now.since(*this.since))));
                    }
                    if !is_in_time(&rejected, now, *this.until) {
                        return Poll::Ready(Err(rejected));
                    }
                    match this.attempt.shared_queue(&rejected) {
                        // Its own quota rejects it. Other accounts may use the shared limits
                        // meanwhile.
                        None => this.shared.leave(),
                        // One request of each account waits for a shared limit, in order, so that
                        // one unit does not wake all of them.
                        Some(queue) if !this.shared.is_in(queue) => {
                            this.shared.leave();
                            if let Ok(waiter) = common.queues.join(queue, false) {
                                let waiter = this.shared.waiter.insert(waiter);
                                let head = waiter.become_head(this.until.since(now));
                                this.stage.set(Progress::Queued { head, shared: true });
                                continue;
                            }
                        }
                        Some(_) => {}
                    }
                    let at = now + rejected.retry_after().unwrap_or_default().max(Duration::from_nanos(1));
                    sleep.set(Some(common.clock.sleep_until(at)));
                    if let Some(sleep) = sleep.as_pin_mut() {
                        ready!(sleep.poll(cx));
                    }
                }
                ProgressProj::Done => panic!("an acquire was polled after completion"),
            }
        }
    }
}

/// Returns whether a later attempt may succeed in time.
fn is_in_time(rejected: &Rejected, now: Instant, until: Instant) -> bool {
    matches!(rejected.reason(), Reason::Limited | Reason::Throttled)
        && rejected.retry_after().is_some_and(|after| now + after <= until)
}

impl<A: Attempt> Future for AcquireUnits<A> {
    type Output = Result<A::Charge, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let decision = ready!(within_budget(cx, |cx| self.as_mut().step(cx)));
        let mut this = self.project();
        this.stage.set(Progress::Done);
        this.shared.leave();
        this.own.leave();
        Poll::Ready(this.attempt.common().emit(this.attempt.account(), decision))
    }
}

impl<A: Attempt> fmt::Debug for AcquireUnits<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Progress::New => "new",
            Progress::Queued { .. } => "queued",
            Progress::Head { .. } => "head of the queue",
            Progress::Done => "done",
        };
        f.debug_struct("AcquireUnits").field("units", &self.units).field("stage", &stage).finish()
    }
}
