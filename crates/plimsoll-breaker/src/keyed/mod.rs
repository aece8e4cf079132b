//! A breaker for each key, and a maximum number of keys.

mod config;
mod live;
mod lru;

pub use config::{KeyedCircuitBreakerBuilder, KeyedCircuitBreakerConfig};

use crate::breaker::CircuitBreaker;
use crate::config::CircuitBreakerConfig;
use crate::pass::Pass;
use lru::KeyShard;
use plimsoll_core::parts::sync::{AtomicUsize, Mutex, Ordering, recover};
use plimsoll_core::parts::{Identity, KeyedHashState};
use plimsoll_core::{Account, Event, Gate, Keyed, Outcome, Permit, Reason, Rejected, RequestInfo, Settle};
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, RwLock};

/// A breaker for each key, such as a host or a tenant, with common settings.
///
/// A cheap handle: clones share everything. The number of keys is bounded, so keys chosen by
/// clients cannot exhaust the memory.
///
/// A breaker is created when its key is first used. If there is no room for it, one of the oldest
/// 64 is evicted, preferably one that is closed, has counted nothing bad within the time of its
/// trips, and has not been used for long. If there is none, the counts of another are lost, or how
/// often it has opened. A breaker is not evicted within its open time, on a ramp, or while a probe
/// is in flight. One that is blocked or disabled, or has a [fault](CircuitBreaker::set_fault), is
/// never evicted. If none of the 64 can be evicted, the call is admitted without a breaker and an
/// [`Unguarded`](Event::Unguarded) event is emitted.
///
/// Rejections carry no key. Events carry the account, from which [`key_of`](Self::key_of) returns
/// the key.
///
/// 2,048 keys and more are spread over up to sixteen shards, each with its part of `max_keys`.
/// Calls with known keys do not wait for each other.
///
/// # Memory
///
/// With the default settings, a key takes 3 kB, and 0.6 kB for each thread that calls it, up to 33
/// threads. A thread takes 1.4 kB instead of 0.6 if calls of the key also fail, are rejected and
/// are cancelled. So the default of 1,024 keys takes 4 MB with one thread and 8 to 15 MB with
/// eight. Hostile keys that 33 threads call take at most 51 MB.
///
/// # Examples
///
/// ```
/// use plimsoll_breaker::{KeyedCircuitBreaker, Trip};
/// use plimsoll_core::Outcome;
///
/// let hosts = KeyedCircuitBreaker::<String>::builder()
///     .name("hosts")
///     .trip(Trip::failures().count(1))
///     .max_keys(1_000)
///     .build()?;
/// hosts.try_acquire("sick.example")?.done(Outcome::Failure);
/// assert!(hosts.try_acquire("sick.example").is_err());
/// assert!(hosts.try_acquire("well.example").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The methods of [`KeyedExt`](plimsoll_core::KeyedExt), such as
/// [`by`](plimsoll_core::KeyedExt::by), make it a gate for requests.
/// [`layer`](plimsoll_core::layer) makes that gate a tower layer.
#[doc(alias = "registry")]
#[doc(alias = "circuit breaker")]
pub struct KeyedCircuitBreaker<K>(Arc<Registry<K>>);

struct Registry<K> {
    identity: Identity,
    // Locked before a shard. Each shard has a copy, so that a new breaker has the same settings as
    // the others of its shard.
    config: Mutex<Arc<CircuitBreakerConfig>>,
    hasher: KeyedHashState,
    shards: Box<[RwLock<KeyShard<K>>]>,
    max_keys: AtomicUsize,
}

/// The minimum number of keys per shard. Small shards evict keys while others still have room.
const KEYS_A_SHARD: usize = 256;
/// The maximum number of shards.
const SHARDS: usize = 16;

/// Returns the part of the bound that the `n`th shard has. The first ones take the remainder.
fn part_of(max_keys: usize, shards: usize, n: usize) -> usize {
    max_keys / shards + usize::from(n < max_keys % shards)
}

impl<K: Hash + Eq + Clone> KeyedCircuitBreaker<K> {
    fn from_parts(config: Arc<CircuitBreakerConfig>, max_keys: usize, identity: Identity) -> Self {
        let hasher = identity.dice.hasher();
        let shards = if max_keys < 2_048 { 1 } else { (max_keys / KEYS_A_SHARD).clamp(1, SHARDS) };
        let shard = |n| RwLock::new(KeyShard::new(config.clone(), part_of(max_keys, shards, n), hasher));
        let shards = (0..shards).map(shard).collect();
        let (config, max_keys) = (Mutex::new(config), AtomicUsize::new(max_keys));
        KeyedCircuitBreaker(Arc::new(Registry { identity, config, hasher, shards, max_keys }))
    }

    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.0.hasher.hash_one(key)
    }

    fn shard(&self, hash: u64) -> &RwLock<KeyShard<K>> {
        let n = hash as usize % self.0.shards.len();
        #[expect(clippy::indexing_slicing, reason = "it is the remainder")]
        &self.0.shards[n]
    }

    /// Acquires a permit for one call, if the breaker of this key admits it. Never waits.
    ///
    /// # Errors
    /// Returns a rejection, as [`CircuitBreaker::try_acquire`] does.
    #[doc(alias = "ask")]
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<Permit<&Self>, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.admit_for(key, RequestInfo::new()).map(|pass| Permit::new(self, pass))
    }

    /// Acquires a permit that can be moved to another task or thread. Never waits.
    ///
    /// Otherwise like [`try_acquire`](Self::try_acquire). The permit owns a handle of the keyed
    /// breaker.
    ///
    /// # Errors
    /// Returns a rejection, as `try_acquire` does.
    pub fn try_acquire_owned<Q>(&self, key: &Q) -> Result<Permit<Self>, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.admit_for(key, RequestInfo::new()).map(|pass| Permit::new(self.clone(), pass))
    }

    /// Returns the breaker of this key, which is created if needed, or `None` if there is no room.
    pub fn breaker<Q>(&self, key: &Q) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (inner, hash) = (&*self.0, self.hash(key));
        // Shared, so that threads do not wait for each other once their keys are known.
        let known = recover(self.shard(hash).read()).get(key);
        if known.is_some() {
            return known;
        }
        let mut shard = recover(self.shard(hash).write());
        if let Some(breaker) = shard.get(key) {
            return Some(breaker);
        }
        let Identity { name, clock, observer, .. } = &inner.identity;
        let account = Account::new(hash);
        let mut evicted = vec![];
        if !shard.has_room(1) {
            evicted = shard.make_room(1, clock.now());
            if !shard.has_room(1) {
                drop(shard);
                observer.emit(|| Event::unguarded(name).account(account));
                return None;
            }
        }
        let config = shard.config.clone();
        let breaker = CircuitBreaker::from_parts(config, inner.identity.clone(), Some(account));
        shard.insert(key.to_owned(), breaker.clone());
        drop(shard);
        // Dropped without the lock, because the `Drop` of a key is foreign code.
        drop(evicted);
        Some(breaker)
    }

    /// Removes this key and returns its breaker. The next call with this key creates a new breaker.
    ///
    /// Calls that the old breaker has admitted do not count for the new one.
    pub fn remove<Q>(&self, key: &Q) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let removed = recover(self.shard(self.hash(key)).write()).remove(key);
        removed.map(lru::RemovedEntry::into_breaker)
    }

    /// Returns the key of this account, if it still has a breaker.
    ///
    /// [Events](Event) carry accounts. Looks through all keys of a shard.
    pub fn key_of(&self, account: Account) -> Option<K> {
        recover(self.shard(account.get()).read()).key_of(account).cloned()
    }

    /// Calls `each` with every key and its breaker, in no particular order.
    pub fn for_each(&self, mut each: impl FnMut(&K, &CircuitBreaker)) {
        for shard in &self.0.shards {
            // Copied first and unlocked, because `each` is foreign code.
            let all: Vec<_> =
                recover(shard.read()).iter().map(|(key, breaker)| (key.clone(), breaker.clone())).collect();
            all.iter().for_each(|(key, breaker)| each(key, breaker));
        }
    }
}

impl<K> KeyedCircuitBreaker<K> {
    /// Returns the number of keys that have a breaker.
    pub fn key_count(&self) -> usize {
        self.0.shards.iter().map(|shard| recover(shard.read()).len()).sum()
    }

    /// Returns the maximum number of keys that have a breaker.
    pub fn max_keys(&self) -> usize {
        self.0.max_keys.load(Ordering::Relaxed)
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.identity.name
    }
}

/// The token of a call that a [`KeyedCircuitBreaker`] has admitted.
///
/// It holds the breaker instead of the key. So recording an outcome needs no lookup, and has no
/// effect on a later breaker of the same key. It is empty if the call was admitted without a
/// breaker.
#[derive(Debug)]
#[must_use = "the call stays in flight until its pass is settled"]
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
    fn pass_without_key(&self) {
        let Identity { name, observer, .. } = &self.0.identity;
        observer.emit(|| Event::unguarded(name));
    }
    fn reject_without_key(&self) -> Rejected {
        let Identity { name, observer, .. } = &self.0.identity;
        observer.emit_rejection(Rejected::new(name, Reason::Unidentified))
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
        f.debug_struct("KeyedCircuitBreaker")
            .field("name", &self.name())
            .field("key_count", &self.key_count())
            .field("max_keys", &self.max_keys())
            .finish()
    }
}
