//! The client's own throttle.

use plimsoll_core::parts::{SlidingWindow, intern};
use plimsoll_core::{
    Clock, ConfigError, ControlError, Dice, Event, Gate, Inspect, Instant, Observe, Observer, Outcome,
    Permit, Reason, Rejected, Settle,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A client that stops asking a server which refuses: before it costs either of them anything. A cheap handle:
/// clones share everything.
///
/// After *Site Reliability Engineering* (Beyer et al., 2016), chapter 21. Over the last two minutes it counts the
/// requests and how many of them the server accepted, and refuses locally with the probability
/// max(0, (requests − K · accepts) / (requests + 1)). With K = 2 a server that refuses everything is asked by about one
/// request for each that it last accepted; the more it accepts again, the more it is asked.
///
/// Only [`Overloaded`](Outcome::Overloaded) counts as not accepted: a server that answers with an error has done the
/// work, and what was cancelled says nothing. What was rejected locally counts as a request, which is
/// what makes it last; it is forgotten with the window. So after a long outage it takes minutes until nothing is
/// rejected any more, and the longer the more one asks: choose a shorter [window](AdaptiveThrottleBuilder::within), or a larger
/// [floor](AdaptiveThrottleBuilder::floor), where that is too long.
///
/// ```
/// use plimsoll_drop::AdaptiveThrottle;
/// use plimsoll_core::Outcome;
///
/// let throttle = AdaptiveThrottle::new()?;
/// let permit = throttle.try_acquire()?;
/// // … the call …
/// permit.done(Outcome::Overloaded); // or Success, Failure …
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AdaptiveThrottle(Arc<Inner>);

struct Inner {
    name: &'static str,
    clock: Clock,
    dice: Dice,
    observer: Observer,
    k: f64,
    floor: f64,
    timeouts: bool,
    // Requests and accepts.
    window: SlidingWindow<2>,
    span: Duration,
    // The chance to be rejected, as a threshold, and when it is worked out again.
    refuse: AtomicU64,
    due: AtomicU64,
    // A bucket of attempts that always may: the instant when it is full again.
    free: AtomicU64,
}

const REQUESTS: usize = 0;
const ACCEPTS: usize = 1;

impl AdaptiveThrottle {
    /// With K = 2 over two minutes, and one attempt a second in any case.
    ///
    /// # Errors
    /// Never; as [`build`](AdaptiveThrottleBuilder::build).
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// Sets everything else.
    pub fn builder() -> AdaptiveThrottleBuilder {
        AdaptiveThrottleBuilder::default()
    }

    /// May I ask the server, now?
    ///
    /// # Errors
    /// `Dropped`.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.decide().map(|()| Permit::new(self, ()))
    }

    /// [`try_acquire`](Self::try_acquire), with a permit that owns its handle.
    ///
    /// # Errors
    /// As for `try_acquire`.
    pub fn try_acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.decide().map(|()| Permit::new(self.clone(), ()))
    }

    fn decide(&self) -> Result<(), Rejected> {
        let its = &*self.0;
        let now = its.clock.coarse().as_nanos();
        if now >= its.due.load(Ordering::Relaxed) {
            its.work_out(now);
        }
        let refuse = its.refuse.load(Ordering::Relaxed);
        let rejected = refuse > 0 && its.dice.under(refuse) && !its.attempt(now);
        if rejected {
            its.window.add(REQUESTS, 0, Instant::from_nanos(now));
        }
        let no = Rejected::new(its.name, Reason::Dropped);
        its.observer.emit_decision(its.name, if rejected { Err(no) } else { Ok(()) })
    }

    /// The chance to be rejected now.
    pub fn rejection_rate(&self) -> f64 {
        self.0.chance(self.0.clock.now()).max(0.0)
    }

    /// Requests and accepts in the window.
    pub fn counts(&self) -> (u64, u64) {
        let [requests, accepts] = self.0.window.sum(0, self.0.clock.now());
        (requests, accepts)
    }

    /// The name that refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// A layer that asks before each call. Say what an overload looks like by
    /// [`classify`](plimsoll_core::GuardLayer::classify), or by `.http()` from `plimsoll-http`: 429 and 503.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> plimsoll_core::GateLayer<Self> {
        plimsoll_core::layer(self.clone())
    }
}

impl Inner {
    /// The chance to be rejected; below 0 for never.
    fn chance(&self, now: Instant) -> f64 {
        let [requests, accepts] = self.window.sum(0, now);
        (requests as f64 - self.k * accepts as f64) / (requests as f64 + 1.0)
    }

    /// A hundredth of the window later it is worked out again, and after 20 ms at the latest.
    #[cold]
    fn work_out(&self, now: u64) {
        let next = (self.span.as_nanos() as u64 / 100).min(20_000_000);
        self.due.store(now.saturating_add(next), Ordering::Relaxed);
        self.refuse.store(Dice::threshold(self.chance(Instant::from_nanos(now))), Ordering::Relaxed);
    }

    /// One of the attempts that may be made in any case.
    fn attempt(&self, now: u64) -> bool {
        if self.floor <= 0.0 {
            return false;
        }
        let interval = (1e9 / self.floor) as u64;
        let free = self.free.load(Ordering::Relaxed);
        // One at once: it is full as soon as its interval is over.
        free <= now
            && self
                .free
                .compare_exchange(free, now.saturating_add(interval), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Settle for AdaptiveThrottle {
    type Token = ();
    fn settle(&self, (): (), outcome: Outcome) {
        let its = &*self.0;
        its.observer.emit(|| Event::completed(its.name, outcome));
        let accepted = match outcome {
            Outcome::Overloaded => false,
            Outcome::TimedOut => !its.timeouts,
            Outcome::Success | Outcome::Failure => true,
            // They say nothing of the server.
            _ => return,
        };
        let now = its.clock.coarse();
        its.window.add(REQUESTS, 0, now);
        if accepted {
            its.window.add(ACCEPTS, 0, now);
        }
    }
    fn refund(&self, (): ()) {
        self.0.observer.emit(|| Event::refunded(self.0.name));
    }
}

impl<R: ?Sized> Gate<R> for AdaptiveThrottle {
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        self.decide()
    }
}

impl Inspect for AdaptiveThrottle {
    fn name(&self) -> &'static str {
        self.0.name
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let (requests, accepts) = self.counts();
        each("refuse", self.rejection_rate());
        each("requests", requests as f64);
        each("accepts", accepts as f64);
    }
    fn set(&self, knob: &str, _: f64) -> Result<(), ControlError> {
        Err(ControlError::new("knob", knob, "none: it steers itself"))
    }
}

impl fmt::Debug for AdaptiveThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, accepts) = self.counts();
        f.debug_struct("Throttle")
            .field("name", &self.name())
            .field("requests", &requests)
            .field("accepts", &accepts)
            .field("refuse", &self.rejection_rate())
            .finish()
    }
}

/// Builds a [`AdaptiveThrottle`]; from [`AdaptiveThrottle::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct AdaptiveThrottleBuilder {
    name: String,
    k: f64,
    span: Duration,
    floor: f64,
    timeouts: bool,
    clock: Clock,
    dice: Dice,
    observer: Option<Arc<dyn Observe>>,
}

impl Default for AdaptiveThrottleBuilder {
    fn default() -> Self {
        AdaptiveThrottleBuilder {
            name: "throttle".into(),
            k: 2.0,
            span: Duration::from_secs(120),
            floor: 1.0,
            timeouts: false,
            clock: Clock::system(),
            dice: Dice::thread(),
            observer: None,
        }
    }
}

impl AdaptiveThrottleBuilder {
    /// The name that refusals carry. Default "throttle". See [`intern`] for what a name costs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many requests are sent for each that the server accepts, 1 and more. Default 2, as in the book: less
    /// spares the server more, and learns later that it is well again.
    pub fn k(mut self, k: f64) -> Self {
        self.k = k;
        self
    }

    /// Over what time it is counted, 1 s to 1 h. Default 2 minutes.
    pub fn window(mut self, span: Duration) -> Self {
        self.span = span;
        self
    }

    /// So many attempts a second are made in any case: a slow client would otherwise not learn that the server is
    /// well again. Default 1; 0: none.
    pub fn floor(mut self, a_second: f64) -> Self {
        self.floor = a_second;
        self
    }

    /// Whether a call that timed out was not accepted either. Default `false`.
    pub fn count_timeouts(mut self, count: bool) -> Self {
        self.timeouts = count;
        self
    }

    /// The clock; the system's unless set.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The dice; the thread's unless set.
    pub fn dice(mut self, dice: Dice) -> Self {
        self.dice = dice;
        self
    }

    /// Tells `observer` each decision.
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The throttle.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<AdaptiveThrottle, ConfigError> {
        plimsoll_core::parts::check::name(&self.name)?;
        if !(1.0..=1e6).contains(&self.k) {
            return Err(ConfigError::new("k", self.k, "1.0 to 1000000.0"));
        }
        if self.span < Duration::from_secs(1) || self.span > Duration::from_secs(3_600) {
            return Err(ConfigError::new("within", format!("{:?}", self.span), "1 s to 1 h"));
        }
        if !(0.0..=1e6).contains(&self.floor) {
            return Err(ConfigError::new("floor", self.floor, "0.0 to 1000000.0 attempts a second"));
        }
        let name = intern(&self.name);
        Ok(AdaptiveThrottle(Arc::new(Inner {
            name,
            observer: self.observer.map_or(Observer::none(), |o| Observer::new(o, name)),
            k: self.k,
            floor: self.floor,
            timeouts: self.timeouts,
            window: SlidingWindow::new(self.span),
            span: self.span,
            refuse: AtomicU64::new(0),
            due: AtomicU64::new(0),
            free: AtomicU64::new(0),
            clock: self.clock,
            dice: self.dice,
        })))
    }
}

impl fmt::Debug for AdaptiveThrottleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleBuilder")
            .field("name", &self.name)
            .field("k", &self.k)
            .field("within", &self.span)
            .field("floor", &self.floor)
            .field("timeouts_count", &self.timeouts)
            .finish()
    }
}
