//! The handle of an adaptive throttle.

mod config;
mod controls;
mod recovery;
mod window;

pub use config::{AdaptiveThrottleBuilder, AdaptiveThrottleConfig};

use plimsoll_core::parts::TWO_TICKS;
use plimsoll_core::{Clock, Dice, Event, Gate, Instant, Observer, Outcome, Permit, Reason, Rejected, Settle};
use recovery::Recovery;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use window::{Window, WindowCounts};

/// A client-side throttle for a server that rejects requests under overload. A cheap handle: clones
/// share everything.
///
/// It implements the adaptive throttling of chapter 21 of *Site Reliability Engineering* (Beyer et
/// al., 2016). It counts the requests of the last half minute, and how many of them the server
/// accepted. It rejects a request locally with the probability max(0, (requests − multiplier ·
/// accepts) / (requests + 1)).
///
/// With a multiplier of 2, an overloaded server receives about two requests for each one that it
/// accepts. As it accepts more, it receives more.
///
/// Only [`Overloaded`](Outcome::Overloaded) counts as not accepted. A server that answers with an
/// error has done the work. A cancelled call shows nothing about the server.
///
/// In the book every request counts until it leaves the window, so a throttle rejects most requests
/// for minutes after an outage. Here those that were not accepted weigh less once the server
/// rejects less than in balance: by a factor of e in half a second if it rejects nothing. All
/// requests are sent within ten seconds after an outage, at a [minimum
/// rate](AdaptiveThrottleBuilder::min_rate) of 1 or more.
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
#[doc(alias = "adaptive throttling")]
#[doc(alias = "client-side throttling")]
#[doc(alias = "retry throttling")]
pub struct AdaptiveThrottle(Arc<Inner>);

struct Inner {
    name: &'static str,
    clock: Clock,
    dice: Dice,
    observer: Observer,
    multiplier: AtomicU64,
    min_rate: AtomicU64,
    count_timeouts: AtomicBool,
    window: Window,
    recovery: Recovery,
    // The probability of a rejection as a threshold of the dice and as bits, and the instant of its
    // next update. Until an answer is counted, it stays up to `held_until`.
    rejection: AtomicU64,
    last_rate: AtomicU64,
    held_until: AtomicU64,
    due: AtomicU64,
    // The instant of the last request of the minimum rate, or `NEVER`.
    last_free: AtomicU64,
}

/// Stands for the instant of a request before the first one.
const NEVER: u64 = u64::MAX;

/// The layer that [`AdaptiveThrottle::layer`] creates.
#[cfg(feature = "tower")]
pub type AdaptiveThrottleLayer = plimsoll_core::GateLayer<AdaptiveThrottle>;

impl AdaptiveThrottle {
    /// Admits a request to the server, or rejects it locally.
    ///
    /// # Errors
    /// `Dropped` if the request is rejected.
    #[inline]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.decide().map(|()| Permit::new(self, ()))
    }

    /// Admits or rejects a request like [`try_acquire`](Self::try_acquire), with a permit that owns
    /// its handle.
    ///
    /// # Errors
    /// `Dropped` if the request is rejected.
    pub fn try_acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.decide().map(|()| Permit::new(self.clone(), ()))
    }

    fn decide(&self) -> Result<(), Rejected> {
        let inner = &*self.0;
        let now = inner.clock.coarse().as_nanos();
        if now >= inner.due.load(Ordering::Relaxed) {
            inner.update(now);
        }
        let rejection = inner.rejection.load(Ordering::Relaxed);
        let is_rejected = rejection > 0 && inner.dice.under(rejection) && !inner.take_free(now);
        if is_rejected {
            inner.window.add_local(Instant::from_nanos(now));
        }
        let rejected = Rejected::new(inner.name, Reason::Dropped);
        inner.observer.emit_decision(inner.name, if is_rejected { Err(rejected) } else { Ok(()) })
    }

    /// Returns the probability that a request is rejected now.
    pub fn rejection_rate(&self) -> f64 {
        self.0.rejection_rate(self.0.clock.now()).max(0.0)
    }

    /// Returns the number of requests within the window, and how many of them were accepted.
    pub fn counts(&self) -> (u64, u64) {
        let WindowCounts { sent, accepts, local } = self.0.window.sum(self.0.clock.now());
        (sent + local, accepts)
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Creates a layer that admits or rejects each call before it is sent.
    ///
    /// The layer must recognize an overload: set [`classify`](plimsoll_core::GuardLayer::classify).
    /// For HTTP, `outcome_for` of `plimsoll-http` maps a status to an outcome: 429 and 503 are an
    /// overload.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> AdaptiveThrottleLayer {
        plimsoll_core::layer(self.clone())
    }
}

impl Inner {
    /// Returns the probability of a rejection. A negative value stands for 0.
    fn rejection_rate(&self, now: Instant) -> f64 {
        let WindowCounts { sent, accepts, local } = self.window.sum(now);
        if sent == 0 && now.as_nanos() < self.held_until.load(Ordering::Relaxed) {
            return f64::from_bits(self.last_rate.load(Ordering::Relaxed));
        }
        let refused = sent.saturating_sub(accepts) + local;
        let requests = accepts as f64 + self.recovery.weight() * refused as f64;
        (requests - self.multiplier() * accepts as f64) / (requests + 1.0)
    }

    fn multiplier(&self) -> f64 {
        f64::from_bits(self.multiplier.load(Ordering::Relaxed))
    }

    /// Updates the probability of a rejection. The next update is due after a hundredth of the
    /// window, and after at most 20 ms.
    #[cold]
    fn update(&self, now: u64) {
        let next = (self.window.length().as_nanos() as u64 / 100).min(20_000_000);
        let due = self.due.load(Ordering::Relaxed);
        // Relaxed: the exchange lets one thread update.
        let taken =
            self.due.compare_exchange(due, now.saturating_add(next), Ordering::Relaxed, Ordering::Relaxed);
        if now < due || taken.is_err() {
            return;
        }
        let at = Instant::from_nanos(now);
        let WindowCounts { sent, accepts, local } = self.window.sum(at);
        let multiplier = self.multiplier();
        let is_throttling = (sent + local) as f64 > multiplier * accepts as f64;
        self.recovery.update(at, multiplier, is_throttling);
        let rate = self.rejection_rate(at);
        self.last_rate.store(rate.to_bits(), Ordering::Relaxed);
        self.rejection.store(Dice::threshold(rate), Ordering::Relaxed);
    }

    /// Returns whether a request of the minimum rate is due, and takes it.
    fn take_free(&self, coarse: u64) -> bool {
        let min_rate = f64::from_bits(self.min_rate.load(Ordering::Relaxed));
        if min_rate <= 0.0 {
            return false;
        }
        let interval = (1e9 / min_rate) as u64;
        let now = if interval < TWO_TICKS { self.clock.now().as_nanos() } else { coarse };
        self.take_free_each(interval, now)
    }

    /// Returns whether a request is due, one in each interval, and takes it.
    fn take_free_each(&self, interval: u64, now: u64) -> bool {
        // Relaxed: the instant publishes nothing else. The exchange lets one thread take the
        // request. It stores no interval, because the rate may have changed since it was read.
        let last = self.last_free.load(Ordering::Relaxed);
        let since = now.saturating_sub(last);
        let taken = if last == NEVER || since >= interval.saturating_mul(2) {
            // Requests of the minimum rate do not accumulate.
            now
        } else if since >= interval {
            // A request that is a little late does not delay the next one. Otherwise fewer than the
            // minimum rate would be sent.
            last + interval
        } else {
            return false;
        };
        self.last_free.compare_exchange(last, taken, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Settle for AdaptiveThrottle {
    type Token = ();
    fn settle(&self, (): (), outcome: Outcome) {
        let inner = &*self.0;
        inner.observer.emit(|| Event::completed(inner.name, outcome));
        let is_accepted = match outcome {
            Outcome::Overloaded => false,
            Outcome::TimedOut => !inner.count_timeouts.load(Ordering::Relaxed),
            Outcome::Success | Outcome::Failure => true,
            // The other outcomes show nothing about the server.
            _ => return,
        };
        let now = inner.clock.coarse();
        inner.window.add(is_accepted, now);
        inner.recovery.add(is_accepted, now);
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

impl fmt::Debug for AdaptiveThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, accepts) = self.counts();
        f.debug_struct("AdaptiveThrottle")
            .field("name", &self.name())
            .field("requests", &requests)
            .field("accepts", &accepts)
            .field("rejection_rate", &self.rejection_rate())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::ManualTime;

    /// The setter once stored that a request was due, and a request with the interval of the old
    /// rate then replaced it by an instant far ahead.
    #[test]
    fn set_min_rate_race_leaves_the_new_rate_in_force() {
        let throttle =
            AdaptiveThrottle::builder().clock(ManualTime::new().clock()).min_rate(0.001).build().unwrap();
        // A request loads the old rate, then the rate changes, and then the request proceeds.
        let interval = 1_000_000_000_000;
        throttle.set_min_rate(10.0).unwrap();
        assert!(throttle.0.take_free_each(interval, 0), "the first request is due at once");
        let taken: Vec<bool> = [99, 100, 199, 200].map(|ms| throttle.0.take_free(ms * 1_000_000)).into();
        assert_eq!(taken, [false, true, false, true]);
    }
}
