//! The future that waits for units.

use super::queues::Waiter;
use crate::setup::Common;
use pin_project_lite::pin_project;
use plimsoll_core::parts::{Acquire, FixedCapacity, Place, Sleep};
use plimsoll_core::{Account, Event, Instant, Reason, Rejected};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What a waiting request asks again and again. Sealed: implemented by limiters only.
pub trait Attempt: Unpin {
    /// What is charged.
    type Charge: Send;
    /// Charges the units, or says when to try again, as of `now`. Emits no event, and does not check
    /// whether others wait.
    fn charge(&self, units: u32, now: u64) -> Result<Self::Charge, Rejected>;
    /// The queue of the account.
    fn queue(&self) -> u64;
    /// The account, for events.
    fn account(&self) -> Option<Account>;
    /// The queue of a limit that many accounts share, if that rejected: one request of each account
    /// waits there.
    fn shared_queue(&self, _rejected: &Rejected) -> Option<u64> {
        None
    }
    /// Returns whether other requests go first: of the same account, or for a shared limit.
    fn is_behind(&self) -> bool {
        self.common().queues.has(self.queue())
    }
    /// What all limiters have in common.
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
        // In the queue of the account, and then in that of the shared limit that rejected it.
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
        // In the account's queue, or in the shared one.
        Queued { #[pin] head: Acquire<FixedCapacity>, shared: bool },
        Head { #[pin] sleep: Option<Sleep> },
        Done,
    }
}

/// A queue that the request has joined, and its head if the request has come so far.
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
                            // It would wait in vain: not in time, or never.
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
                    // After the waker is set: a quota that changes from now on wakes it.
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
                        // Its own quota: other accounts may use the shared limits meanwhile.
                        None => this.shared.leave(),
                        // One request of each account waits for a shared limit, so that one unit does
                        // not wake all of them.
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

/// Returns whether trying again may succeed in time.
fn is_in_time(rejected: &Rejected, now: Instant, until: Instant) -> bool {
    matches!(rejected.reason(), Reason::Limited | Reason::Throttled)
        && rejected.retry_after().is_some_and(|after| now + after <= until)
}

impl<A: Attempt> Future for AcquireUnits<A> {
    type Output = Result<A::Charge, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let decision = ready!(self.as_mut().step(cx));
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
