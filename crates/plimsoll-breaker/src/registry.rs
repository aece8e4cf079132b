//! A breaker for each key, and a bound on how many there are.

use crate::{Breaker, Config, Pass, Phase};
use plimsoll_core::{
    Bounds, By, ByRef, Clock, Dice, Discipline, Event, Gate, Instant, Key, Keyed, Line, Observer, Outcome,
    Permit, Rejected, Seeded, Settle,
};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A breaker for each key – a host, a tenant – of the same settings, and never more of them than a bound:
/// keys from outside cannot fill the memory. A cheap handle: clones share everything.
///
/// A breaker is made when its key is first asked for. When there is no room for one more, the least
/// recently used closed one goes, and with it only what it has counted. Open ones stay: if there is
/// nothing else among the oldest thousand, the newcomer passes unguarded, and an
/// [event](Event::Unguarded) says so.
///
/// ```
/// use plimsoll_breaker::{Breaker, Trip};
/// use plimsoll_core::Outcome;
///
/// let hosts = Breaker::builder().name("hosts").trip(Trip::failures().count(1)).keyed::<String>(1_000)?;
/// hosts.ask("sick.example")?.done(Outcome::Failure);
/// assert!(hosts.ask("sick.example").is_err());
/// assert!(hosts.ask("well.example").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Breakers<K>(Arc<Registry<K>>);

struct Registry<K> {
    name: &'static str,
    config: Config,
    clock: Clock,
    dice: Dice,
    observer: Observer,
    hasher: Seeded,
    shards: Box<[Mutex<Shard<K>>]>,
}

struct Shard<K> {
    slots: HashMap<K, Slot, Seeded>,
    // Least recently used first.
    order: Line<K>,
    most: usize,
}

struct Slot {
    breaker: Breaker,
    place: Key,
    used: Instant,
}

/// So many keys each may be asked for at once without waiting for each other.
const SHARDS: usize = 16;
/// A use is noted no more often than this.
const GRAIN: Duration = Duration::from_secs(1);
/// So many of the oldest are looked at for one that may go.
const LOOKS: usize = 1_000;

impl<K: Hash + Eq + Clone> Breakers<K> {
    pub(crate) fn of(
        name: &'static str,
        config: Config,
        most: usize,
        clock: Clock,
        dice: Dice,
        observer: Observer,
    ) -> Self {
        let hasher = dice.hasher();
        let shards = SHARDS.min(most);
        let shard = |n| {
            // What does not divide evenly goes to the first ones.
            let most = most / shards + usize::from(n < most % shards);
            let order = Line::new(Discipline::Fifo, Bounds::count(usize::MAX), false);
            Mutex::new(Shard { slots: HashMap::with_hasher(hasher), order, most })
        };
        let shards = (0..shards).map(shard).collect();
        Breakers(Arc::new(Registry { name, config, clock, dice, observer, hasher, shards }))
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, Shard<K>> {
        let n = self.0.hasher.hash_one(key) as usize % self.0.shards.len();
        #[expect(clippy::indexing_slicing, reason = "it is the remainder")]
        lock(&self.0.shards[n])
    }

    /// May I call this one, now?
    ///
    /// # Errors
    /// As for [`Breaker::ask`].
    pub fn ask<Q>(&self, key: &Q) -> Result<Permit<&Self>, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.admit_for(key).map(|pass| Permit::new(self, pass))
    }

    /// The breaker of this key, made if there is none; `None` if there is no room.
    pub fn breaker<Q>(&self, key: &Q) -> Option<Breaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let its = &*self.0;
        let now = its.clock.rough();
        let mut shard = self.shard(key);
        let Shard { slots, order, .. } = &mut *shard;
        if let Some(slot) = slots.get_mut(key) {
            let breaker = slot.breaker.clone();
            if now.since(slot.used) >= GRAIN {
                slot.used = now;
                if let Some(key) = order.remove(slot.place) {
                    shard.stand(key, now);
                }
            }
            return Some(breaker);
        }
        if slots.len() >= shard.most && !shard.evict(now) {
            drop(shard);
            its.observer.tell(|| Event::Unguarded { by: its.name });
            return None;
        }
        let (config, observer) = (its.config.clone(), its.observer.clone());
        let breaker = Breaker::of(its.name, config, its.clock.clone(), its.dice.clone(), observer);
        let slot = Slot { breaker: breaker.clone(), place: shard.order.back(), used: now };
        let key = key.to_owned();
        shard.slots.insert(key.clone(), slot);
        shard.stand(key, now);
        Some(breaker)
    }

    /// Forgets this key and its breaker: the next call with it finds a new one. What was admitted by the
    /// old one changes nothing in the new.
    pub fn remove<Q>(&self, key: &Q) -> Option<Breaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut shard = self.shard(key);
        let slot = shard.slots.remove(key)?;
        shard.order.remove(slot.place);
        shard.close_up();
        Some(slot.breaker)
    }

    /// Shows each key with its breaker, in no order.
    pub fn each(&self, mut show: impl FnMut(&K, &Breaker)) {
        for shard in &self.0.shards {
            // Taken out first: what is shown to is somebody else's code.
            let all: Vec<_> =
                lock(shard).slots.iter().map(|(k, slot)| (k.clone(), slot.breaker.clone())).collect();
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

impl<K> Breakers<K> {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| lock(shard).slots.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name that refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl<K: Hash + Eq + Clone> Shard<K> {
    /// The most recently used.
    fn stand(&mut self, key: K, now: Instant) {
        let place = self.order.back();
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.place = place;
            slot.used = now;
        }
        // It is bound to nothing, so nothing comes back.
        let _ = self.order.push(key, 0, now, &mut |_, _| {});
        self.close_up();
    }

    fn close_up(&mut self) {
        if self.order.is_sparse() {
            let slots = &mut self.slots;
            self.order.close_up(|key, place| {
                if let Some(slot) = slots.get_mut(key) {
                    slot.place = place;
                }
            });
        }
    }

    /// Makes room: the least recently used one that is closed goes. Those that are not count as used.
    fn evict(&mut self, now: Instant) -> bool {
        for _ in 0..LOOKS.min(self.slots.len()) {
            let Some(oldest) = self.order.pop(now, &mut |_, _| {}) else { return false };
            match self.slots.get(&oldest) {
                Some(slot) if slot.breaker.phase() != Phase::Closed => self.stand(oldest, now),
                _ => {
                    self.slots.remove(&oldest);
                    return true;
                }
            }
        }
        false
    }
}

/// What a call admitted by [`Breakers`] holds; of one that went on unguarded, nothing.
///
/// The breaker itself, not its key: when that has been evicted meanwhile, the result changes nothing, and
/// a result needs no look at the map.
#[derive(Debug)]
#[must_use = "a pass that is not settled is a call that never ends"]
pub struct KeyedPass(Option<(Breaker, Pass)>);

impl<K> Settle for Breakers<K> {
    type Token = KeyedPass;
    fn settle(&self, KeyedPass(token): KeyedPass, outcome: Outcome) {
        if let Some((breaker, pass)) = token {
            breaker.settle(pass, outcome);
        }
    }
    fn give_back(&self, KeyedPass(token): KeyedPass) {
        if let Some((breaker, pass)) = token {
            breaker.give_back(pass);
        }
    }
}

impl<K, Q> Keyed<Q> for Breakers<K>
where
    K: Hash + Eq + Clone + Borrow<Q>,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
{
    fn admit_for(&self, key: &Q) -> Result<KeyedPass, Rejected> {
        let Some(breaker) = self.breaker(key) else { return Ok(KeyedPass(None)) };
        let pass = breaker.admit(key)?;
        Ok(KeyedPass(Some((breaker, pass))))
    }
}

// Not derived: a key need not be `Clone` for a handle to be.
impl<K> Clone for Breakers<K> {
    fn clone(&self) -> Self {
        Breakers(self.0.clone())
    }
}

impl<K> fmt::Debug for Breakers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers").field("name", &self.0.name).field("len", &self.len()).finish()
    }
}
