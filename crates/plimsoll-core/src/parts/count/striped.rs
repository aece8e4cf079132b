//! A counter whose adding costs no locked instruction.

use crate::parts::sync::recover;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};

/// The number of threads that have a cell of their own. Further threads share one.
pub(crate) const CELLS: usize = 32;

#[derive(Debug, Default)]
#[repr(align(128))] // two lines: the prefetcher of x86 fetches them in pairs
struct Padded(AtomicU64);

/// A counter that many threads increment often and few threads read seldom.
///
/// Each thread writes a cell that no other thread writes. So an increment is a load and a store,
/// about a nanosecond for any number of threads up to 32. Further threads of the process share one
/// cell, until one of the 32 ends. An atomic addition costs seven, and a contended one sixty. The
/// counter takes four kilobytes. No increment is lost; a total may miss increments that happen
/// while it is read.
///
/// A thread may increment the counter and then read a flag while another changes the flag and then
/// reads the total. Each may miss the other, unless the second calls [`catch_up`](Self::catch_up)
/// in between.
#[derive(Debug)]
pub struct StripedCounter {
    own: Box<[Padded]>,
    // For threads without a cell of their own.
    shared: Padded,
    // Whether `catch_up` can issue a barrier on all threads, so that `add` needs none.
    asymmetric: bool,
}

impl Default for StripedCounter {
    fn default() -> Self {
        let own = (0..CELLS).map(|_| Padded::default()).collect();
        StripedCounter { own, shared: Padded::default(), asymmetric: barrier::register() }
    }
}

/// A barrier on all threads of the process, paid for by the calling thread.
#[cfg(target_os = "linux")]
mod barrier {
    use rustix::thread::{MembarrierCommand, membarrier};

    pub(super) fn register() -> bool {
        membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    pub(super) fn everywhere() -> bool {
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod barrier {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn everywhere() -> bool {
        false
    }
}

impl StripedCounter {
    /// Adds one.
    #[inline]
    pub fn add(&self) {
        match self.own.get(known_index()) {
            // Relaxed, and no read-modify-write: only this thread writes the cell. A later owner of
            // the cell got its index under a lock, so it sees the last value.
            Some(Padded(cell)) => cell.store(cell.load(Ordering::Relaxed) + 1, Ordering::Relaxed),
            None => self.add_elsewhere(),
        }
        // Pairs with `catch_up`: the store above comes before what this thread reads next. If that
        // issues a barrier on all threads, only the compiler must keep the order here.
        if self.asymmetric {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// Orders the increments of other threads against this call.
    ///
    /// Every increment of another thread is included in the next [`total`](Self::total), or that
    /// thread then sees what the caller wrote before this call. It takes some microseconds, so use
    /// it where the caller is about to wait anyway.
    pub fn catch_up(&self) {
        // Pairs with the fence in `add`.
        fence(Ordering::SeqCst);
        if self.asymmetric {
            // The process is registered, so this does not fail.
            barrier::everywhere();
        }
    }

    /// Counts for a thread that has no index yet, or none of its own.
    #[cold]
    #[inline(never)]
    fn add_elsewhere(&self) {
        let Padded(cell) = self.own.get(index()).unwrap_or(&self.shared);
        cell.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the total.
    pub fn total(&self) -> u64 {
        let load = |cell: &Padded| cell.0.load(Ordering::Relaxed);
        self.own.iter().map(load).fold(load(&self.shared), u64::wrapping_add)
    }
}

/// The index is not assigned yet.
const UNSET: usize = usize::MAX - 1;
/// The index of a thread that is ending or found none free. It is beyond every cell.
const NONE: usize = usize::MAX;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(UNSET) };
    static LEASE: IndexLease = const { IndexLease(Cell::new(NONE)) };
}

/// Returns this thread's index if it has one, and a number beyond every cell otherwise.
#[inline]
pub(crate) fn known_index() -> usize {
    INDEX.get()
}

/// Returns this thread's index, which no other living thread has.
#[inline]
pub(crate) fn index() -> usize {
    match INDEX.get() {
        UNSET => lease(),
        index => index,
    }
}

/// Frees the thread's index when the thread ends.
struct IndexLease(Cell<usize>);

impl Drop for IndexLease {
    fn drop(&mut self) {
        // From here on this thread uses the shared cell.
        INDEX.set(NONE);
        if self.0.get() != NONE {
            free().0.push(Reverse(self.0.get()));
        }
    }
}

/// The indices of threads that have ended, and the first index that was never assigned.
type Free = (BinaryHeap<Reverse<usize>>, usize);

fn free() -> std::sync::MutexGuard<'static, Free> {
    static FREE: Mutex<Free> = Mutex::new((BinaryHeap::new(), 0));
    recover(FREE.lock())
}

#[cold]
#[inline(never)]
fn lease() -> usize {
    let index = LEASE.try_with(|lease| {
        let mut free = free();
        let index = match free.0.pop() {
            Some(Reverse(index)) => index,
            None if free.1 < CELLS => {
                free.1 += 1;
                free.1 - 1
            }
            None => NONE,
        };
        lease.0.set(index);
        index
    });
    let index = index.unwrap_or(NONE);
    INDEX.set(index);
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn more_short_lived_threads_than_cells_lose_no_increment() {
        let counter = Arc::new(StripedCounter::default());
        for _ in 0..3 {
            std::thread::scope(|s| {
                for _ in 0..CELLS + 8 {
                    s.spawn(|| (0..1_000).for_each(|_| counter.add()));
                }
            });
        }
        assert_eq!(counter.total(), 3 * (CELLS as u64 + 8) * 1_000);
    }

    /// One thread increments and then reads the flag. The other clears the flag and then reads the
    /// total. Without `catch_up`, each misses what the other wrote in some of these rounds.
    #[test]
    fn a_thread_whose_increment_the_total_missed_sees_the_flag() {
        use std::hint::spin_loop;
        use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
        const ROUNDS: u64 = 30_000;
        let (counter, flag) = (StripedCounter::default(), AtomicBool::new(false));
        let (go, done, saw_clear) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let mut missed = 0;
        let wait = |word: &AtomicU64, round| {
            let mut spins = 0;
            while word.load(SeqCst) < round {
                spins += 1;
                if spins % 1_000 == 0 {
                    std::thread::yield_now(); // on a single core, so that the other thread runs
                }
                spin_loop();
            }
        };
        std::thread::scope(|s| {
            s.spawn(|| {
                for round in 1..=ROUNDS {
                    wait(&go, round);
                    counter.add();
                    let set = flag.load(Ordering::Relaxed);
                    saw_clear.store(u64::from(!set), Ordering::Relaxed);
                    done.store(round, SeqCst);
                }
            });
            for round in 1..=ROUNDS {
                flag.store(true, SeqCst);
                go.store(round, SeqCst);
                // A different delay in each round, so that the two threads meet at every distance.
                (0..round % 100).for_each(|_| spin_loop());
                flag.store(false, Ordering::Relaxed);
                counter.catch_up();
                let counted = counter.total() >= round;
                wait(&done, round);
                missed += u64::from(!counted && saw_clear.load(Ordering::Relaxed) == 0);
            }
        });
        assert_eq!(missed, 0, "rounds in which both missed, of {ROUNDS}");
    }

    #[test]
    fn the_index_of_an_ended_thread_is_reused() {
        let index_of_new_thread = || std::thread::spawn(index).join().unwrap();
        let seen: Vec<_> = (0..10 * CELLS).map(|_| index_of_new_thread()).collect();
        assert!(seen.iter().any(|&index| index < CELLS), "{seen:?}");
    }
}
