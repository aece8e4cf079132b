//! A breaker for each key, and a bound on how many there are.

use crate::{CircuitBreaker, CircuitBreakerConfig, Pass};
use plimsoll_core::parts::{Bounds, KeyedHashState, Queue, Ticket};
use plimsoll_core::{
    By, ByRef, Clock, Dice, Discipline, Event, Gate, Instant, Keyed, Observer, Outcome, Permit, Rejected,
    RequestInfo, Settle,
};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A breaker for each key – a host, a tenant – of the same settings, and never more of them than a bound:
/// keys from outside cannot fill the memory. A cheap handle: clones share everything.
///
/// A breaker is made when its key is first asked for. When there is no room for one more, a closed one goes
/// that has not been used for long, and with it only what it has counted. One that is open stays until its
/// time is over, and one that is blocked or disabled for good: if there is nothing else among the oldest 64,
/// the newcomer passes unguarded, and an [event](Event::Unguarded) says so.
///
/// From 2,048 keys on they are spread over up to sixteen shards, each with its part of the bound. A breaker
/// takes about half a kilobyte, and for each trip as much again for each thread that counts in it.
///
/// ```
/// use plimsoll_breaker::{CircuitBreaker, Trip};
/// use plimsoll_core::Outcome;
///
/// let hosts = CircuitBreaker::builder().name("hosts").trip(Trip::failures().count(1)).keyed::<String>(1_000)?;
/// hosts.try_acquire("sick.example")?.done(Outcome::Failure);
/// assert!(hosts.try_acquire("sick.example").is_err());
/// assert!(hosts.try_acquire("well.example").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyedCircuitBreaker<K>(Arc<Registry<K>>);

struct Registry<K> {
    name: &'static str,
    config: Arc<CircuitBreakerConfig>,
    clock: Clock,
    dice: Dice,
    observer: Observer,
    hasher: KeyedHashState,
    shards: Box<[Mutex<Shard<K>>]>,
}

struct Shard<K> {
    slots: Vec<Option<Slot<K>>>,
    free: Vec<u32>,
    by_key: HashMap<K, u32, KeyedHashState>,
    // Slots, the one first that was made or spared longest ago.
    order: Queue<u32>,
    most: usize,
}

struct Slot<K> {
    key: K,
    breaker: CircuitBreaker,
    place: Ticket,
    // Since it was last spared.
    used: bool,
}

/// Below so many keys there is one shard: what is evicted is a matter of the shard, and a small one evicts
/// what the whole would have had room for.
const KEYS_A_SHARD: usize = 256;
const SHARDS: usize = 16;
/// So many of the oldest are looked at for one that may go.
const LOOKS: usize = 64;

impl<K: Hash + Eq + Clone> KeyedCircuitBreaker<K> {
    pub(crate) fn of(
        name: &'static str,
        config: Arc<CircuitBreakerConfig>,
        most: usize,
        clock: Clock,
        dice: Dice,
        observer: Observer,
    ) -> Self {
        let hasher = dice.hasher();
        let shards = if most < 2_048 { 1 } else { (most / KEYS_A_SHARD).clamp(1, SHARDS) };
        let shard = |n| {
            // What does not divide evenly goes to the first ones.
            let most = most / shards + usize::from(n < most % shards);
            let order = Queue::new(Discipline::Fifo, Bounds::with_capacity(usize::MAX), false);
            let by_key = HashMap::with_hasher(hasher);
            Mutex::new(Shard { slots: vec![], free: vec![], by_key, order, most })
        };
        let shards = (0..shards).map(shard).collect();
        KeyedCircuitBreaker(Arc::new(Registry { name, config, clock, dice, observer, hasher, shards }))
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, Shard<K>> {
        let n = self.0.hasher.hash_one(key) as usize % self.0.shards.len();
        #[expect(clippy::indexing_slicing, reason = "it is the remainder")]
        lock(&self.0.shards[n])
    }

    /// May I call this one, now?
    ///
    /// # Errors
    /// As for [`CircuitBreaker::try_acquire`].
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<Permit<&Self>, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.admit_for(key, RequestInfo::new()).map(|pass| Permit::new(self, pass))
    }

    /// The breaker of this key, made if there is none; `None` if there is no room.
    pub fn breaker<Q>(&self, key: &Q) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let its = &*self.0;
        let mut shard = self.shard(key);
        if let Some(slot) = shard.find(key) {
            slot.used = true;
            return Some(slot.breaker.clone());
        }
        let mut gone = None;
        if shard.by_key.len() >= shard.most {
            gone = shard.evict(its.clock.now());
            if gone.is_none() {
                drop(shard);
                its.observer.emit(|| Event::unguarded(its.name));
                return None;
            }
        }
        let (config, observer) = (its.config.clone(), its.observer.clone());
        let breaker = CircuitBreaker::of(its.name, config, its.clock.clone(), its.dice.clone(), observer);
        shard.insert(key.to_owned(), breaker.clone());
        drop(shard);
        // Unlocked: dropping a key is somebody else's code.
        drop(gone);
        Some(breaker)
    }

    /// Forgets this key and its breaker: the next call with it finds a new one. What was admitted by the
    /// old one changes nothing in the new.
    pub fn remove<Q>(&self, key: &Q) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut shard = self.shard(key);
        let (key, n) = shard.by_key.remove_entry(key)?;
        let slot = shard.take(n)?;
        shard.order.remove(slot.place);
        shard.close_up();
        drop(shard);
        drop(key);
        Some(slot.breaker)
    }

    /// Shows each key with its breaker, in no order.
    pub fn for_each(&self, mut show: impl FnMut(&K, &CircuitBreaker)) {
        for shard in &self.0.shards {
            // Taken out first: what is shown to is somebody else's code.
            let all: Vec<_> = lock(shard)
                .slots
                .iter()
                .flatten()
                .map(|slot| (slot.key.clone(), slot.breaker.clone()))
                .collect();
            all.iter().for_each(|(key, breaker)| show(key, breaker));
        }
    }

    /// A gate that asks with what `key` makes of a request.
    pub fn by<R: ?Sized, F: Fn(&R) -> K>(&self, key: F) -> By<Self, F> {
        By::new(self.clone(), key)
    }

    /// A gate that asks with what `key` finds in a request.
    pub fn by_ref<R: ?Sized, Q: ?Sized, F: Fn(&R) -> &Q>(&self, key: F) -> ByRef<Self, F, Q> {
        ByRef::new(self.clone(), key)
    }
}

fn lock<K>(shard: &Mutex<Shard<K>>) -> MutexGuard<'_, Shard<K>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K> KeyedCircuitBreaker<K> {
    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.0.shards.iter().map(|shard| lock(shard).by_key.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.key_count() == 0
    }

    /// The name that refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl<K: Hash + Eq + Clone> Shard<K> {
    fn find<Q>(&mut self, key: &Q) -> Option<&mut Slot<K>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let n = *self.by_key.get(key)?;
        // A key's own code may have panicked in the middle of a change: believe the slot.
        self.slots.get_mut(n as usize)?.as_mut().filter(|slot| slot.key.borrow() == key)
    }

    fn insert(&mut self, key: K, breaker: CircuitBreaker) {
        let n = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let place = self.stand(n);
        if let Some(slot) = self.slots.get_mut(n as usize) {
            *slot = Some(Slot { key: key.clone(), breaker, place, used: false });
        }
        self.by_key.insert(key, n);
        self.close_up();
    }

    /// At the end of the order.
    fn stand(&mut self, n: u32) -> Ticket {
        let place = self.order.back();
        // It is bound to nothing, so nothing comes back.
        let _ = self.order.push(n, 0, Instant::default(), &mut |_, _| {});
        place
    }

    fn close_up(&mut self) {
        if self.order.is_sparse() {
            let slots = &mut self.slots;
            self.order.compact(|n, place| {
                if let Some(Some(slot)) = slots.get_mut(*n as usize) {
                    slot.place = place;
                }
            });
        }
    }

    fn take(&mut self, n: u32) -> Option<Slot<K>> {
        let slot = self.slots.get_mut(n as usize)?.take()?;
        self.free.push(n);
        Some(slot)
    }

    /// Makes room: of those that may go the one that was not used for longest, roughly – who was used since
    /// he was looked at last is spared once, as in CLOCK. What has gone is to be dropped unlocked.
    fn evict(&mut self, now: Instant) -> Option<(Option<K>, Slot<K>)> {
        let mut second = None;
        for _ in 0..LOOKS.min(self.order.len()) {
            let n = self.order.pop(now, &mut |_, _| {})?;
            let Some(Some(slot)) = self.slots.get_mut(n as usize) else { continue };
            let may_go = slot.breaker.may_go(now);
            if may_go && !std::mem::take(&mut slot.used) {
                return self.let_go(n);
            }
            if may_go && second.is_none() {
                second = Some(n);
            }
            let place = self.stand(n);
            if let Some(Some(slot)) = self.slots.get_mut(n as usize) {
                slot.place = place;
            }
        }
        let n = second?;
        if let Some(Some(slot)) = self.slots.get(n as usize) {
            self.order.remove(slot.place);
        }
        self.let_go(n)
    }

    fn let_go(&mut self, n: u32) -> Option<(Option<K>, Slot<K>)> {
        let slot = self.take(n)?;
        let key = self.by_key.remove_entry(&slot.key).map(|(key, _)| key);
        Some((key, slot))
    }
}

/// What a call admitted by [`KeyedCircuitBreaker`] holds; of one that went on unguarded, nothing.
///
/// The breaker itself, not its key: when that has been evicted meanwhile, the result changes nothing, and
/// a result needs no look at the map.
#[derive(Debug)]
#[must_use = "a pass that is not settled is a call that never ends"]
pub struct KeyedPass(Option<(CircuitBreaker, Pass)>);

impl<K> Settle for KeyedCircuitBreaker<K> {
    type Token = KeyedPass;
    fn settle(&self, KeyedPass(token): KeyedPass, outcome: Outcome) {
        if let Some((breaker, pass)) = token {
            breaker.settle(pass, outcome);
        }
    }
    fn refund(&self, KeyedPass(token): KeyedPass) {
        if let Some((breaker, pass)) = token {
            breaker.refund(pass);
        }
    }
}

impl<K, Q> Keyed<Q> for KeyedCircuitBreaker<K>
where
    K: Hash + Eq + Clone + Borrow<Q>,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
{
    fn admit_for(&self, key: &Q, _: RequestInfo) -> Result<KeyedPass, Rejected> {
        let Some(breaker) = self.breaker(key) else { return Ok(KeyedPass(None)) };
        let pass = breaker.admit(key)?;
        Ok(KeyedPass(Some((breaker, pass))))
    }
}

// Not derived: a key need not be `Clone` for a handle to be.
impl<K> Clone for KeyedCircuitBreaker<K> {
    fn clone(&self) -> Self {
        KeyedCircuitBreaker(self.0.clone())
    }
}

impl<K> fmt::Debug for KeyedCircuitBreaker<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers").field("name", &self.0.name).field("len", &self.key_count()).finish()
    }
}
