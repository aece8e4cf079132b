//! The future that waits for units.

use super::reserve::Size;
use super::waiter::{NotQueued, Waiter};
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
    /// check whether other requests of the account wait.
    ///
    /// `standing` is the shared limit at which the request is the head of the queue of its size.
    fn charge(&self, units: u32, now: u64, standing: Option<(usize, Size)>)
    -> Result<Self::Charge, Rejected>;
    /// Returns the queue for a request of this many units: that of its account.
    fn queue(&self, units: u32) -> u64;
    /// Returns the account, for events.
    fn account(&self) -> Option<Account>;
    /// Returns the rejection that holds until the request is served at the earliest, if requests of
    /// the account wait for `ahead` units. Returns `None` if there are enough for all of them.
    fn forecast(&self, units: u32, ahead: u64, now: u64) -> Option<Rejected>;
    /// Returns the limit that rejected the request, if many accounts share that limit. One request
    /// of each account waits there.
    fn shared_limit(&self, units: u32, rejected: &Rejected) -> Option<(usize, Size)>;
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
    /// Returns the shared limit for which the request waits.
    fn standing(&self) -> Option<(usize, Size)> {
        self.waiter.as_ref()?.standing()
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
        if let Some(waiter) = &this.own.waiter
            && !waiter.has_place(cx.waker().clone())
        {
            return Poll::Ready(Err(common.evicted(common.clock.now().since(*this.since))));
        }
        loop {
            match this.stage.as_mut().project() {
                ProgressProj::New => {
                    if common.queues.is_closed() {
                        return Poll::Ready(Err(common.closed()));
                    }
                    *this.since = common.clock.now();
                    *this.until = *this.since + common.queues.max_wait().min(*this.max_wait);
                    let (units, queue) = (*this.units, this.attempt.queue(*this.units));
                    let (since, until) = (*this.since, *this.until);
                    let now = since.as_nanos();
                    if common.queues.is_quiet() || !common.queues.has(queue) {
                        match this.attempt.charge(units, now, None) {
                            // There are not enough units in time, or never.
                            Err(rejected) if !is_in_time(&rejected, since, until) => {
                                return Poll::Ready(Err(rejected));
                            }
                            Err(_) => {}
                            charged => return Poll::Ready(charged),
                        }
                    }
                    let hopeless = |ahead| {
                        let rejected = this.attempt.forecast(units, ahead, now);
                        rejected.filter(|rejected| !is_in_time(rejected, since, until))
                    };
                    let waiter = match common.queues.join(queue, units, cx.waker().clone(), hopeless) {
                        Ok(waiter) => this.own.waiter.insert(waiter),
                        Err(NotQueued::Full(queued)) => return Poll::Ready(Err(common.full(queued))),
                        Err(NotQueued::Hopeless(rejected)) => return Poll::Ready(Err(rejected)),
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
                    let standing = this.shared.standing();
                    let charge = this.attempt.charge(*this.units, now.as_nanos(), standing);
                    let rejected = match charge {
                        Ok(charge) => {
                            if let Some((index, size)) = standing {
                                common.queues.shared(index).spend(size);
                            }
                            return Poll::Ready(Ok(charge));
                        }
                        Err(rejected) => rejected,
                    };
                    if now >= *this.until {
                        return Poll::Ready(Err(common.expired(now.since(*this.since))));
                    }
                    if !is_in_time(&rejected, now, *this.until) {
                        return Poll::Ready(Err(rejected));
                    }
                    let mut wait = rejected.retry_after().unwrap_or_default();
                    match (this.attempt.shared_limit(*this.units, &rejected), standing) {
                        // Its own quota rejects it. Other accounts may use the shared limits
                        // meanwhile.
                        (None, _) => this.shared.leave(),
                        (Some((index, _)), Some((same, size))) if index == same => {
                            wait = common.queues.shared(index).patience(size, wait);
                        }
                        // One request of each account waits for a shared limit, in order, so that
                        // one unit does not wake all of them.
                        (Some((index, size)), _) => {
                            this.shared.leave();
                            let waiter = this.shared.waiter.insert(common.queues.join_shared(index, size));
                            let head = waiter.become_head(this.until.since(now));
                            this.stage.set(Progress::Queued { head, shared: true });
                            continue;
                        }
                    }
                    let at = (now + wait.max(Duration::from_nanos(1))).min(*this.until);
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
