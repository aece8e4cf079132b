//! Calls that wait for a guard, polled when they are woken, under a manual clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use plimsoll::{Instant, Rejected};

use crate::trouble::alone::Alone;

/// The group of a call: the greedy, the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Greedy,
    Other,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) who: Who,
    pub(crate) waited: Duration,
    pub(crate) admitted: bool,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        // Relaxed: a simulation runs on one thread.
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Call {
    who: Who,
    since: Instant,
    leaves: Option<Instant>,
    woken: Arc<Flag>,
    future: Pin<Box<dyn Future<Output = Result<(), Rejected>>>>,
}

/// Calls that wait.
pub(crate) struct Waiting<'a> {
    alone: &'a Alone,
    calls: Vec<Call>,
    pub(crate) ended: Vec<Ended>,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(alone: &'a Alone) -> Self {
        Waiting { alone, calls: vec![], ended: vec![] }
    }

    /// Starts a call. It gives up after `patience`, if it has any.
    pub(crate) fn start(
        &mut self,
        who: Who,
        patience: Option<Duration>,
        call: impl Future<Output = Result<(), Rejected>> + 'static,
    ) {
        let since = self.alone.now();
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let leaves = patience.map(|patience| since + patience);
        self.calls.push(Call { who, since, leaves, woken, future: Box::pin(call) });
        self.poll();
    }

    /// Records a call that did not wait.
    pub(crate) fn record(&mut self, who: Who, admitted: bool) {
        self.ended.push(Ended { who, waited: Duration::ZERO, admitted });
    }

    fn poll(&mut self) {
        let now = self.alone.now();
        loop {
            let ended = &mut self.ended;
            let before = self.calls.len();
            let mut woken = false;
            self.calls.retain_mut(|call| {
                if call.leaves.is_some_and(|leaves| leaves <= now) {
                    return false;
                }
                if !call.woken.0.swap(false, Ordering::Relaxed) {
                    return true;
                }
                woken = true;
                let waker = Waker::from(call.woken.clone());
                let Poll::Ready(result) = call.future.as_mut().poll(&mut Context::from_waker(&waker)) else {
                    return true;
                };
                ended.push(Ended { who: call.who, waited: now.since(call.since), admitted: result.is_ok() });
                false
            });
            if !woken && self.calls.len() == before {
                return;
            }
        }
    }

    /// Advances the time by `lasts`, and polls each call when it is woken.
    pub(crate) fn run(&mut self, lasts: Duration) {
        let end = self.alone.now() + lasts;
        loop {
            let leaves = self.calls.iter().filter_map(|call| call.leaves).min();
            let next = self.alone.time().next_sleeper().into_iter().chain(leaves).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.alone.time().advance_to(at.max(self.alone.now()));
            self.poll();
        }
        self.alone.time().advance_to(end);
        self.poll();
    }

    /// Returns the calls that have ended, of one group.
    pub(crate) fn of(&self, who: Who) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(move |ended| ended.who == who)
    }

    /// Returns the share of a group's calls that were admitted, in per cent.
    pub(crate) fn admitted(&self, who: Who) -> f64 {
        let admitted = self.of(who).filter(|ended| ended.admitted).count();
        admitted as f64 / self.of(who).count().max(1) as f64 * 100.0
    }

    /// Returns the longest wait of a group's calls, in milliseconds.
    pub(crate) fn longest_wait(&self, who: Who) -> f64 {
        self.of(who).map(|ended| ended.waited.as_secs_f64() * 1e3).fold(0.0, f64::max)
    }
}
