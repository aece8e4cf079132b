//! The producer's end.

use crate::bell::{Number, Order};
use crate::config::{MailboxBuilder, check_bounds, check_shards};
use crate::inbox::Inbox;
use crate::offer::{Displaced, OfferError};
use crate::shared::Shared;
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::parts::{Bounds, Sleep};
use plimsoll_core::{ConfigError, ControlError, Discipline, Inspect};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A bounded buffer between producers on any thread and one or many consumers. A cheap handle: clones
/// share everything. When the last one is dropped, the mailbox is [closed](Self::close).
///
/// | offer by | when there is no room | where |
/// |---|---|---|
/// | [`offer`](Self::offer) | another goes, or the item comes back: at once | anywhere |
/// | [`offer_wait`](Self::offer_wait) | waits for room | in async code |
/// | [`blocking_offer_timeout`](Self::blocking_offer_timeout) | waits for room, so long | on a plain thread |
///
/// What is held stays when nobody takes it: see [`inbox`](Self::inbox).
pub struct Mailbox<T>(Arc<Shared<T>>);

impl<T> Mailbox<T> {
    pub(crate) fn of(shared: Shared<T>) -> Self {
        shared.producers.fetch_add(1, Ordering::Relaxed);
        Mailbox(Arc::new(shared))
    }

    /// A queue of `count` items that evicts the oldest when it is full.
    ///
    /// # Errors
    /// If `count` is 0 or above 2³² − 1.
    pub fn new(count: usize) -> Result<Self, ConfigError> {
        Self::builder().capacity(count).build()
    }

    /// Sets everything else.
    pub fn builder() -> MailboxBuilder<T> {
        MailboxBuilder::default()
    }

    /// Offers an item; never waits.
    ///
    /// # Errors
    /// The item comes back with the reason: `Full` if the discipline keeps what it has, `TooLarge` if it
    /// is heavier than the whole bound, `Closed` after [`close`](Self::close).
    ///
    /// # Examples
    /// ```
    /// use plimsoll_buffer::{Discipline, Mailbox};
    /// use plimsoll_core::Reason;
    ///
    /// let fresh = Mailbox::new(2)?; // keeps the newest
    /// let displaced: Vec<_> = (1..=3).flat_map(|n| fresh.offer(n).unwrap()).collect();
    /// assert_eq!(displaced, [(1, Reason::Evicted)]);
    ///
    /// let firm = Mailbox::builder().capacity(2).discipline(Discipline::KeepOldest).build()?;
    /// let rejected: Vec<_> = (1..=3).filter_map(|n| firm.offer(n).err()).collect();
    /// assert_eq!(*rejected[0].item(), 3);
    /// assert_eq!(rejected[0].to_string(), "mailbox rejected: full (2 of 2)");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn offer(&self, item: T) -> Result<Displaced<T>, OfferError<T>> {
        self.0.offer(item)
    }

    /// Offers an item and waits for room, however long: nothing has to go for it, in any discipline.
    /// Producers get room in the order in which they came.
    ///
    /// # Cancel safety
    /// The item is in the future until it is kept. Dropped before, it is dropped with it, unless it is
    /// taken out by [`OfferWait::into_item`]; the turn goes to the next. Until it is kept or dropped, it has
    /// its turn: do not leave it lying unpolled. It counts as a producer, too.
    ///
    /// # Errors
    /// The item comes back with `TooLarge` if it is heavier than the whole bound, with `Closed` after
    /// [`close`](Self::close).
    ///
    /// # Panics
    /// As the weigher does, at once.
    pub fn offer_wait(&self, item: T) -> OfferWait<T> {
        let weight = self.0.weigh(&item);
        OfferWait { mailbox: self.clone(), item: Some(item), weight, number: None, expiry: None }
    }

    /// [`offer_wait`](Self::offer_wait) on the calling thread, no runtime needed, for `timeout` at most.
    ///
    /// It blocks the thread: inside an async task use `offer_wait`.
    ///
    /// # Errors
    /// As there, and with `Expired` if there was no room within the time; that counts as rejected.
    pub fn blocking_offer_timeout(&self, item: T, timeout: Duration) -> Result<(), OfferError<T>> {
        let clock = &self.0.clock;
        let mut offer = self.offer_wait(item);
        match clock.block_until(Some(clock.now() + timeout), &mut offer) {
            Some(done) => done,
            None => match offer.into_item() {
                Some(item) => Err(self.0.give_up(item)),
                None => Ok(()),
            },
        }
    }

    /// Opens a consumer's end. There may be several, who share what comes; each item goes to one.
    ///
    /// While there is none, the mailbox is passive: it goes on keeping what its bounds let it. So an
    /// owner's death loses nothing: whoever opens the next inbox finds what is held.
    pub fn inbox(&self) -> Inbox<T> {
        Inbox::open(self.0.clone())
    }

    /// How many inboxes are open.
    pub fn inboxes(&self) -> usize {
        self.0.inboxes.load(Ordering::Acquire)
    }

    /// Waits until no inbox is open: its owner has dropped it, or panicked. For the heir who is to open
    /// the next. HttpOptions at once if none is open now.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub fn orphaned(&self) -> impl Future<Output = ()> + Send + use<T>
    where
        T: Send,
    {
        Orphaned { shared: self.0.clone(), number: None }
    }

    /// Lets nothing in from now on. What is held can be taken; then consumers are told that it is over.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// How much it holds, and how much it may.
    pub fn usage(&self) -> Usage {
        Usage::of(&self.0)
    }

    /// What is taken first, and what goes when it is full.
    pub fn discipline(&self) -> Discipline {
        self.0.settings().0
    }

    /// The bounds of each shard.
    pub fn bounds(&self) -> Bounds {
        self.0.settings().1
    }

    /// Changes how many items each shard may hold, 1 to 2³² − 1. What is too much goes and is told as
    /// evicted: the newest under [`Discipline::KeepOldest`], else the oldest.
    ///
    /// # Errors
    /// If `count` is 0 or above 2³² − 1; nothing has changed then.
    pub fn set_capacity(&self, count: usize) -> Result<(), ControlError> {
        check_bounds(Bounds::with_capacity(count))?;
        self.0.set(|_, its| its.capacity = count);
        Ok(())
    }

    /// Changes all bounds of each shard at once. A bound by weight needs a weigher from the
    /// [builder](Self::builder).
    ///
    /// # Errors
    /// If one of them will not do; nothing has changed then.
    pub fn set_bounds(&self, bounds: Bounds) -> Result<(), ControlError> {
        self.check(bounds)?;
        self.0.set(|_, its| *its = bounds);
        Ok(())
    }

    fn check(&self, bounds: Bounds) -> Result<(), ControlError> {
        check_bounds(bounds)?;
        if bounds.max_weight != u64::MAX && !self.0.is_weighed() {
            let allowed = "18446744073709551615 (none) where items are not weighed";
            return Err(ControlError::new("weight", bounds.max_weight, allowed));
        }
        Ok(())
    }

    /// Changes the discipline. What is held stays, in the order of its arrival, as far as the new one
    /// lets it; ages count from now if the old one kept none.
    ///
    /// # Errors
    /// If one of its numbers will not do; nothing has changed then.
    pub fn set_discipline(&self, discipline: Discipline) -> Result<(), ControlError> {
        discipline.validate()?;
        self.0.set(|its, _| *its = discipline);
        Ok(())
    }

    /// Changes over how many shards producers are spread, 1 to 64. What a shard holds that is no longer
    /// offered to is still taken.
    ///
    /// # Errors
    /// If `shards` is 0 or above 64; nothing has changed then.
    pub fn set_shards(&self, shards: usize) -> Result<(), ControlError> {
        check_shards(shards)?;
        self.0.set_shards(shards);
        Ok(())
    }

    /// Over how many shards producers are spread.
    pub fn shards(&self) -> usize {
        self.0.active()
    }

    /// The name its refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        // Relaxed, as in `Arc`: whoever clones has one.
        self.0.producers.fetch_add(1, Ordering::Relaxed);
        Mailbox(self.0.clone())
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        // AcqRel: the last one sees what all others did.
        if self.0.producers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.close();
        }
    }
}

impl<T: Send> Inspect for Mailbox<T> {
    fn name(&self) -> &'static str {
        Mailbox::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let usage = self.usage();
        each("held", usage.len as f64);
        each("weight_held", usage.weight as f64);
        each("count", usage.bounds.capacity as f64);
        each("weight", usage.bounds.max_weight as f64);
        each("age", usage.bounds.max_age.map_or(f64::INFINITY, |age| age.as_secs_f64()));
        each("shards", usage.shards as f64);
        each("inboxes", self.inboxes() as f64);
    }
    /// Knobs: `count` (whole items), `weight` (whole units), `age` (seconds; infinite for any age),
    /// `shards` (whole).
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        let whole = |field, most: f64, allowed| {
            if value.fract() == 0.0 && (1.0..=most).contains(&value) {
                Ok(value)
            } else {
                Err(ControlError::new(field, value, allowed))
            }
        };
        match knob {
            "count" => self.set_capacity(whole("count", f64::from(u32::MAX), "1 to 4294967295")? as usize),
            "weight" => {
                let weight = whole("weight", u64::MAX as f64, "a whole number, at least 1")? as u64;
                self.check(Bounds { max_weight: weight, ..Bounds::with_capacity(1) })?;
                self.0.set(|_, its| its.max_weight = weight);
                Ok(())
            }
            "age" => {
                let age = match value == f64::INFINITY {
                    true => None,
                    false => Some(Duration::try_from_secs_f64(value).map_err(|_| {
                        ControlError::new("age", value, "a number of seconds above 0, or infinite")
                    })?),
                };
                self.check(Bounds { max_age: age, ..Bounds::with_capacity(1) })?;
                self.0.set(|_, its| its.max_age = age);
                Ok(())
            }
            "shards" => self.set_shards(whole("shards", 64.0, "1 to 64")? as usize),
            other => Err(ControlError::new("knob", other, "one of count, weight, age, shards")),
        }
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("name", &self.0.name)
            .field("discipline", &self.discipline())
            .field("usage", &self.usage())
            .field("inboxes", &self.inboxes())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// How much a mailbox holds, and how much it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// How many items it holds.
    pub len: usize,
    /// How heavy they are together; 0 if nothing is weighed.
    pub weight: u64,
    /// The bounds of each shard.
    pub bounds: Bounds,
    /// Over how many shards producers are spread.
    pub shards: usize,
}

impl Usage {
    pub(crate) fn of<T>(shared: &Shared<T>) -> Self {
        let (count, weight) = shared.held();
        Usage { len: count, weight, bounds: shared.settings().1, shards: shared.active() }
    }
}

/// The future of [`Mailbox::offer_wait`].
#[must_use = "a future does nothing until it is polled"]
pub struct OfferWait<T> {
    // A producer like any other: the mailbox stays open for it.
    mailbox: Mailbox<T>,
    item: Option<T>,
    weight: u32,
    number: Number,
    // Room may come about because something is too old.
    expiry: Option<Pin<Box<Sleep>>>,
}

// The item is never pinned.
impl<T> Unpin for OfferWait<T> {}

impl<T> OfferWait<T> {
    /// Gives up, and takes the item back; `None` if it was kept.
    pub fn into_item(mut self) -> Option<T> {
        self.item.take()
    }
}

impl<T> Future for OfferWait<T> {
    type Output = Result<(), OfferError<T>>;

    /// # Panics
    /// When polled after its end.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.get_mut();
        assert!(me.item.is_some(), "an offer was polled after its end");
        let (shared, item, weight) = (&*me.mailbox.0, &mut me.item, me.weight);
        loop {
            let done =
                shared.space.poll(&mut me.number, cx, Order::Turns, |_| shared.offer_if_room(item, weight));
            if done.is_ready() {
                return done;
            }
            // The first watches the clock, for all.
            let at = if shared.space.is_first(&me.number) { shared.next_expiry() } else { None };
            let Some(at) = at else { return Poll::Pending };
            let sleep = me.expiry.insert(Box::pin(shared.clock.sleep_until(at)));
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

impl<T> Drop for OfferWait<T> {
    fn drop(&mut self) {
        self.mailbox.0.space.leave(&mut self.number);
    }
}

impl<T> fmt::Debug for OfferWait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfferWait")
            .field("by", &self.mailbox.name())
            .field("kept", &self.item.is_none())
            .finish()
    }
}

/// The future of [`Mailbox::orphaned`].
struct Orphaned<T> {
    shared: Arc<Shared<T>>,
    number: Number,
}

impl<T> Future for Orphaned<T> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.get_mut();
        let shared = &me.shared;
        shared.orphan.poll(&mut me.number, cx, Order::Any, |_| shared.is_orphan().then_some(()))
    }
}

impl<T> Drop for Orphaned<T> {
    fn drop(&mut self) {
        self.shared.orphan.leave(&mut self.number);
    }
}
