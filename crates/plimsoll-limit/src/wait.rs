//! Waiting for units: in order for each account, no account for another.

use crate::Spent;
use crate::common::Common;
use crate::keyed::Standing;
use pin_project_lite::pin_project;
use plimsoll_core::{Event, Instant, Place, Places, Reason, Rejected, Sleep, Turn};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What one who waits asks, again and again. It is nobody's business but this crate's.
pub trait Asks: Unpin {
    /// Takes the units or says when; tells nobody, and does not look whether others wait.
    fn take(&self, units: u32) -> Result<Spent, Rejected>;
    /// Gives them back.
    fn undo(&self, spent: Spent);
    /// For whom.
    fn account(&self) -> u64;
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
    pub struct Acquire<A: Asks> {
        asks: A,
        units: u32,
        patience: Duration,
        since: Instant,
        until: Instant,
        // Before the line, which it holds.
        place: Option<Place>,
        standing: Option<Standing>,
        #[pin]
        stage: Stage,
    }

    impl<A: Asks> PinnedDrop for Acquire<A> {
        fn drop(this: Pin<&mut Self>) {
            let mut me = this.project();
            let left = !matches!(*me.stage, Stage::New | Stage::Over);
            me.stage.set(Stage::Over);
            pass_on(me.place, me.standing);
            if left {
                let common = me.asks.common();
                common.observer.tell(|| Event::Left { by: common.name });
            }
        }
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage {
        New,
        Behind { #[pin] turn: Turn<Places> },
        Head { #[pin] sleep: Option<Sleep> },
        Over,
    }
}

fn pass_on(place: &mut Option<Place>, standing: &mut Option<Standing>) {
    if let (Some(place), Some(standing)) = (place.take(), standing.as_ref()) {
        standing.pass_on(place);
    }
    *standing = None;
}

impl<A: Asks> Acquire<A> {
    pub(crate) fn new(asks: A, units: u32, patience: Duration) -> Self {
        let (since, until) = (Instant::default(), Instant::default());
        Acquire { asks, units, patience, since, until, place: None, standing: None, stage: Stage::New }
    }

    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Spent, Rejected>> {
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
                    if common.yard.is_quiet() || !common.yard.has(me.asks.account()) {
                        match me.asks.take(*me.units) {
                            // In vain however long it waits: not in time, or never.
                            Err(no) if !comes_in_time(&no, *me.since, *me.until) => {
                                return Poll::Ready(Err(no));
                            }
                            Err(_) => {}
                            spent => return Poll::Ready(spent),
                        }
                    }
                    let standing = match common.yard.stand(me.asks.account()) {
                        Ok(standing) => me.standing.insert(standing),
                        Err(waiting) => return Poll::Ready(Err(common.full(waiting))),
                    };
                    let turn = standing.turn(me.until.since(*me.since));
                    me.stage.set(Stage::Behind { turn });
                }
                StageProj::Behind { turn } => {
                    *me.place = Some(ready!(turn.poll(cx))?);
                    me.stage.set(Stage::Head { sleep: None });
                }
                StageProj::Head { mut sleep } => {
                    if let Some(standing) = me.standing.as_ref() {
                        standing.be_woken_by(cx.waker().clone());
                    }
                    // After it can be woken: a quota that is changed from now on wakes it.
                    if common.yard.is_closed() {
                        return Poll::Ready(Err(common.closed()));
                    }
                    let no = match me.asks.take(*me.units) {
                        Ok(spent) => return Poll::Ready(Ok(spent)),
                        Err(no) => no,
                    };
                    let now = common.clock.now();
                    if now >= *me.until {
                        return Poll::Ready(Err(common.expired(now.since(*me.since))));
                    }
                    if !comes_in_time(&no, now, *me.until) {
                        return Poll::Ready(Err(no));
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

impl<A: Asks> Future for Acquire<A> {
    type Output = Result<Spent, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let decision = ready!(self.as_mut().step(cx));
        let mut me = self.project();
        me.stage.set(Stage::Over);
        pass_on(me.place, me.standing);
        let common = me.asks.common();
        Poll::Ready(common.told(decision))
    }
}

impl<A: Asks> fmt::Debug for Acquire<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::New => "new",
            Stage::Behind { .. } => "in line",
            Stage::Head { .. } => "head of the line",
            Stage::Over => "over",
        };
        f.debug_struct("Acquire").field("units", &self.units).field("stage", &stage).finish()
    }
}
