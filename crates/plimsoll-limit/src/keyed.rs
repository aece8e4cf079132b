//! What is kept by account in maps, each seldom used: the lines of those who wait, and who was named.
//!
//! `dashmap` is named here and nowhere else.

use dashmap::DashMap;
use plimsoll_core::{Acquire, Clock, FixedCapacity, Outcome, Place, Semaphore};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// The keys are hashes already.
#[derive(Clone, Copy, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Map<V> = DashMap<u64, V, BuildHasherDefault<AsIs>>;

/// Accounts that were named by hand, by hash.
pub(crate) struct Overrides<V> {
    map: Map<V>,
    // How many. Nobody looks while there is none.
    any: AtomicU32,
}

impl<V: Copy> Overrides<V> {
    pub(crate) fn new() -> Self {
        Overrides { map: Map::default(), any: AtomicU32::new(0) }
    }

    #[inline(always)]
    pub(crate) fn get(&self, hash: u64) -> Option<V> {
        if self.any.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.map.get(&hash).map(|named| *named)
    }

    pub(crate) fn forget(&self, hash: u64) {
        if self.map.remove(&hash).is_some() {
            self.any.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Changes what there is; begins with `None`.
    pub(crate) fn alter(&self, hash: u64, change: impl FnOnce(Option<V>) -> V) {
        // By the entry, so that two changes of one account do not overwrite each other.
        match self.map.entry(hash) {
            dashmap::Entry::Occupied(mut entry) => {
                let value = change(Some(*entry.get()));
                *entry.get_mut() = value;
            }
            dashmap::Entry::Vacant(entry) => {
                // Before it is there: never fewer than there are, whoever forgets another meanwhile.
                self.any.fetch_add(1, Ordering::Relaxed);
                entry.insert(change(None));
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}

/// All lines of a limiter: one for each account that somebody waits for, none for the others.
pub(crate) struct WaitQueues {
    name: &'static str,
    clock: Clock,
    lines: Map<Arc<WaitQueue>>,
    // How many wait in all, and whether it was closed.
    state: AtomicU64,
    size: AtomicU32,
    longest: AtomicU64,
}

const CLOSED: u64 = 1 << 63;

/// Those who wait for one account. The room has one place: who is on it is the head of the line, and asks
/// the limiter again whenever its time has come; the others stand behind.
pub(crate) struct WaitQueue {
    room: Arc<Semaphore<FixedCapacity>>,
    head: Mutex<Option<Waker>>,
}

impl WaitQueue {
    /// Wakes the head on what may change its time.
    fn rouse(&self) {
        let waker = lock(&self.head).take();
        waker.into_iter().for_each(plimsoll_core::wake);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WaitQueues {
    pub(crate) fn new(name: &'static str, clock: Clock, size: u32, longest: Duration) -> Self {
        let yard = WaitQueues {
            name,
            clock,
            lines: Map::default(),
            state: AtomicU64::new(0),
            size: AtomicU32::new(0),
            longest: AtomicU64::new(0),
        };
        yard.set_room(size, longest);
        yard
    }

    pub(crate) fn set_room(&self, size: u32, longest: Duration) {
        self.longest.store(u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.size.store(size, Ordering::Relaxed);
    }

    /// Whether nobody waits for any account, and it is open: one load.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.state.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Relaxed) & CLOSED != 0
    }

    pub(crate) fn waiting(&self) -> u32 {
        (self.state.load(Ordering::Relaxed) & !CLOSED) as u32
    }

    pub(crate) fn size(&self) -> u32 {
        self.size.load(Ordering::Relaxed)
    }

    pub(crate) fn longest_wait(&self) -> Duration {
        Duration::from_nanos(self.longest.load(Ordering::Relaxed))
    }

    /// Whether somebody waits for this account.
    pub(crate) fn has(&self, account: u64) -> bool {
        self.lines.contains_key(&account)
    }

    pub(crate) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
        for (account, line) in self.lines() {
            line.room.close();
            line.rouse();
            drop(line);
            self.forget(account);
        }
    }

    /// Every head asks again.
    pub(crate) fn rouse_all(&self) {
        if !self.is_quiet() {
            for (account, line) in self.lines() {
                line.rouse();
                drop(line);
                // It may have been the last but for us.
                self.forget(account);
            }
        }
    }

    /// The head of this account's line asks again.
    #[inline]
    pub(crate) fn rouse(&self, account: u64) {
        if !self.is_quiet()
            && let Some(line) = self.lines.get(&account).map(|line| line.clone())
        {
            line.rouse();
            drop(line);
            self.forget(account);
        }
    }

    /// A line that nobody stands in goes. Under the lock of its part of the map nobody can come to it.
    fn forget(&self, account: u64) {
        self.lines.remove_if(&account, |_, line| Arc::strong_count(line) == 1);
    }

    // Taken out first: wakers are somebody else's code, and must not be called under a lock of the map.
    fn lines(&self) -> Vec<(u64, Arc<WaitQueue>)> {
        self.lines.iter().map(|line| (*line.key(), line.clone())).collect()
    }

    /// How many go first who wait for this account: as far as is known, one unit each.
    pub(crate) fn ahead(&self, account: u64) -> u64 {
        self.lines.get(&account).map_or(0, |line| u64::from(line.room.queued()) + 1)
    }

    /// One more waits in this line, if there is room for one more at all. `Err`: how many wait. Who stands
    /// in a second line is not counted again.
    pub(crate) fn stand(self: &Arc<Self>, account: u64, counted: bool) -> Result<Waiter, u32> {
        let size = if counted { u64::from(self.size()) } else { u64::MAX };
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state & !CLOSED >= size {
                return Err((state & !CLOSED) as u32);
            }
            let next = state + u64::from(counted);
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        // Cloned in one go: nothing is to be called under the lock of the map.
        let new = || {
            let places = FixedCapacity::new(1);
            let room =
                Semaphore::new(self.name, places, self.clock.clone(), FixedCapacity::MAX, Duration::MAX);
            Arc::new(WaitQueue { room: Arc::new(room), head: Mutex::new(None) })
        };
        let line = self.lines.entry(account).or_insert_with(new).clone();
        // Closed in this very moment: `close` may have missed the line.
        if self.is_closed() {
            line.room.close();
        }
        Ok(Waiter { yard: self.clone(), account, counted, line: Some(line) })
    }
}

/// One who waits. Dropped, it leaves; the last one takes the line with it.
pub(crate) struct Waiter {
    yard: Arc<WaitQueues>,
    account: u64,
    counted: bool,
    line: Option<Arc<WaitQueue>>,
}

impl Waiter {
    fn line(&self) -> &WaitQueue {
        match &self.line {
            Some(line) => line,
            None => unreachable!("it is taken when it is dropped"),
        }
    }

    pub(crate) fn account(&self) -> u64 {
        self.account
    }

    /// Waits to be the head of the line, for no longer than `patience`.
    pub(crate) fn turn(&self, patience: Duration) -> Acquire<FixedCapacity> {
        self.line().room.acquire_within(patience)
    }

    /// No longer the head: the next one is.
    pub(crate) fn pass_on(&self, place: Place) {
        self.line().room.settle(place, Outcome::Ignored);
    }

    /// The head is woken by this one from now on.
    pub(crate) fn be_woken_by(&self, waker: Waker) {
        let old = lock(&self.line().head).replace(waker);
        drop(old);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        drop(self.line.take());
        self.yard.forget(self.account);
        if self.counted {
            self.yard.state.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for WaitQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yard").field("waiting", &self.waiting()).field("size", &self.size()).finish()
    }
}
