//! Waiting for units: in order for each account, no account for another.

use crate::Charge;
use crate::common::Common;
use crate::keyed::Waiter;
use pin_project_lite::pin_project;
use plimsoll_core::{Acquire, Event, FixedCapacity, Instant, Place, Reason, Rejected, Sleep};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What one who waits asks, again and again. It is nobody's business but this crate's.
pub trait Asks: Unpin {
    /// Takes the units or says when, as of `now`; tells nobody, and does not look whether others wait.
    fn take(&self, units: u32, now: u64) -> Result<Charge, Rejected>;
    /// For whom.
    fn account(&self) -> u64;
    /// If what refused is a limit of many accounts: the line of all who wait for that, one from each account.
    fn shared(&self, _no: &Rejected) -> Option<u64> {
        None
    }
    /// Whether others go first: of the same account, or of those who wait for a limit of many.
    fn is_behind(&self) -> bool {
        self.common().yard.has(self.account())
    }
    /// What all limiters have.
    fn common(&self) -> &Common;
}

pin_project! {
    /// Waiting for units.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it leaves the line; the next one takes its place. Units are taken in the poll
    /// that answers, so none are lost.
    ///
    /// # Panics
    /// When polled after its end.
    #[must_use = "a future does nothing until it is polled"]
    pub struct AcquireUnits<A: Asks> {
        asks: A,
        units: u32,
        patience: Duration,
        since: Instant,
        until: Instant,
        // In the line of its account, and then in that of the limit of many that refused it.
        own: Queued,
        many: Queued,
        #[pin]
        stage: Stage,
    }

    impl<A: Asks> PinnedDrop for AcquireUnits<A> {
        fn drop(this: Pin<&mut Self>) {
            let mut me = this.project();
            let left = !matches!(*me.stage, Stage::New | Stage::Over);
            me.stage.set(Stage::Over);
            me.many.leave();
            me.own.leave();
            if left {
                let common = me.asks.common();
                common.observer.emit(|| Event::Abandoned { by: common.name });
            }
        }
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage {
        New,
        // In the first line, or in the second.
        Behind { #[pin] turn: Acquire<FixedCapacity>, many: bool },
        Head { #[pin] sleep: Option<Sleep> },
        Over,
    }
}

/// A line that one stands in, and its head if one has come so far.
#[derive(Default)]
struct Queued {
    // Before the line, which holds it.
    place: Option<Place>,
    standing: Option<Waiter>,
}

impl Queued {
    fn is_in(&self, line: u64) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.account() == line)
    }

    /// The next one has the place.
    fn leave(&mut self) {
        if let (Some(place), Some(standing)) = (self.place.take(), self.standing.as_ref()) {
            standing.pass_on(place);
        }
        self.standing = None;
    }
}

impl<A: Asks> AcquireUnits<A> {
    pub(crate) fn new(asks: A, units: u32, patience: Duration) -> Self {
        let (since, until) = (Instant::default(), Instant::default());
        let (own, many) = Default::default();
        AcquireUnits { asks, units, patience, since, until, own, many, stage: Stage::New }
    }

    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Charge, Rejected>> {
        let mut me = self.project();
        let common = me.asks.common();
        loop {
            match me.stage.as_mut().project() {
                StageProj::New => {
                    if common.yard.is_closed() {
                        return Poll::Ready(Err(common.closed()));
                    }
                    *me.since = common.clock.now();
                    *me.until = *me.since + common.yard.longest_wait().min(*me.patience);
                    if common.yard.is_quiet() || !me.asks.is_behind() {
                        match me.asks.take(*me.units, me.since.as_nanos()) {
                            // In vain however long it waits: not in time, or never.
                            Err(no) if !comes_in_time(&no, *me.since, *me.until) => {
                                return Poll::Ready(Err(no));
                            }
                            Err(_) => {}
                            spent => return Poll::Ready(spent),
                        }
                    }
                    let standing = match common.yard.stand(me.asks.account(), true) {
                        Ok(standing) => me.own.standing.insert(standing),
                        Err(waiting) => return Poll::Ready(Err(common.full(waiting))),
                    };
                    let turn = standing.turn(me.until.since(*me.since));
                    me.stage.set(Stage::Behind { turn, many: false });
                }
                StageProj::Behind { turn, many } => {
                    let place = ready!(turn.poll(cx))?;
                    let queued = if *many { &mut *me.many } else { &mut *me.own };
                    queued.place = Some(place);
                    me.stage.set(Stage::Head { sleep: None });
                }
                StageProj::Head { mut sleep } => {
                    for standing in me.own.standing.iter().chain(&me.many.standing) {
                        standing.be_woken_by(cx.waker().clone());
                    }
                    // After it can be woken: a quota that is changed from now on wakes it.
                    if common.yard.is_closed() {
                        return Poll::Ready(Err(common.closed()));
                    }
                    let now = common.clock.now();
                    let no = match me.asks.take(*me.units, now.as_nanos()) {
                        Ok(spent) => return Poll::Ready(Ok(spent)),
                        Err(no) => no,
                    };
                    if now >= *me.until {
                        return Poll::Ready(Err(common.expired(now.since(*me.since))));
                    }
                    if !comes_in_time(&no, now, *me.until) {
                        return Poll::Ready(Err(no));
                    }
                    match me.asks.shared(&no) {
                        // A limit of its own: others may have those of many meanwhile.
                        None => me.many.leave(),
                        // One from each account waits for a limit of many, so that not all wake for one unit.
                        Some(line) if !me.many.is_in(line) => {
                            me.many.leave();
                            if let Ok(standing) = common.yard.stand(line, false) {
                                let turn = me.many.standing.insert(standing).turn(me.until.since(now));
                                me.stage.set(Stage::Behind { turn, many: true });
                                continue;
                            }
                        }
                        Some(_) => {}
                    }
                    let at = now + no.retry_after().unwrap_or_default().max(Duration::from_nanos(1));
                    sleep.set(Some(common.clock.sleep_until(at)));
                    if let Some(sleep) = sleep.as_pin_mut() {
                        ready!(sleep.poll(cx));
                    }
                }
                StageProj::Over => panic!("an acquire was polled after its end"),
            }
        }
    }
}

fn comes_in_time(no: &Rejected, now: Instant, until: Instant) -> bool {
    no.reason() == Reason::Limited && no.retry_after().is_some_and(|after| now + after <= until)
}

impl<A: Asks> Future for AcquireUnits<A> {
    type Output = Result<Charge, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let decision = ready!(self.as_mut().step(cx));
        let mut me = self.project();
        me.stage.set(Stage::Over);
        me.many.leave();
        me.own.leave();
        let common = me.asks.common();
        Poll::Ready(common.told(decision))
    }
}

impl<A: Asks> fmt::Debug for AcquireUnits<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::New => "new",
            Stage::Behind { .. } => "in line",
            Stage::Head { .. } => "head of the line",
            Stage::Over => "over",
        };
        f.debug_struct("AcquireUnits").field("units", &self.units).field("stage", &stage).finish()
    }
}
