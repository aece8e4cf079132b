//! A counter whose adding costs no locked instruction.

use crate::parts::sync::recover;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};

/// How many threads have a cell of their own; those beyond share one.
pub(crate) const CELLS: usize = 32;

#[derive(Debug, Default)]
#[repr(align(128))] // two lines: the prefetcher of x86 fetches them in pairs
struct Padded(AtomicU64);

/// A count that is added to by many threads, often, and read by few, seldom.
///
/// Each thread writes a cell that no other thread writes, so adding one is a load and a store: about
/// a nanosecond, however many threads add at once, where an atomic add costs seven and, shared, sixty.
/// It takes four kilobytes. Nothing is ever lost; a total may miss what is added while it is read.
///
/// Who adds one and then looks at a flag, while another changes the flag and then reads the total, may
/// miss the other and be missed by it – unless the other calls [`catch_up`](Self::catch_up) in between.
#[derive(Debug)]
pub struct StripedCounter {
    own: Box<[Padded]>,
    // For threads beyond the cells.
    shared: Padded,
    // Whether `catch_up` can make every other thread catch up, so that they need not see to it themselves.
    asymmetric: bool,
}

impl Default for StripedCounter {
    fn default() -> Self {
        let own = (0..CELLS).map(|_| Padded::default()).collect();
        StripedCounter { own, shared: Padded::default(), asymmetric: barrier::register() }
    }
}

/// A barrier on all threads of the process, paid for by the one who asks for it.
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
    /// Counts one.
    #[inline]
    pub fn add(&self) {
        match self.own.get(index()) {
            // Relaxed, and no read-modify-write: only this thread writes the cell. A thread that gets
            // the cell after it got the index under a lock, so it sees the last value.
            Some(Padded(cell)) => cell.store(cell.load(Ordering::Relaxed) + 1, Ordering::Relaxed),
            None => self.add_shared(),
        }
        if self.asymmetric {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// Whoever has added one before this has been seen by the next [`total`](Self::total), or sees what
    /// the caller has written before this. Costs some microseconds; for those who are about to wait.
    pub fn catch_up(&self) {
        fence(Ordering::SeqCst);
        if self.asymmetric {
            // It was registered, so it does not fail.
            barrier::everywhere();
        }
    }

    #[cold]
    fn add_shared(&self) {
        self.shared.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        let load = |cell: &Padded| cell.0.load(Ordering::Relaxed);
        self.own.iter().map(load).fold(load(&self.shared), u64::wrapping_add)
    }
}

/// Not yet given.
const UNSET: usize = usize::MAX - 1;
/// Of a thread that is ending, or came when all were given: beyond every cell.
const NONE: usize = usize::MAX;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(UNSET) };
    static LEASE: IndexLease = const { IndexLease(Cell::new(NONE)) };
}

/// This thread's own index, which no other living thread has.
#[inline]
pub(crate) fn index() -> usize {
    match INDEX.get() {
        UNSET => lease(),
        index => index,
    }
}

/// Gives the index back when the thread ends.
struct IndexLease(Cell<usize>);

impl Drop for IndexLease {
    fn drop(&mut self) {
        // From here on this thread counts in the shared cell.
        INDEX.set(NONE);
        if self.0.get() != NONE {
            free().0.push(Reverse(self.0.get()));
        }
    }
}

/// The indices that were given back, and the next one that never was given.
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
    fn nothing_is_lost_by_more_threads_than_cells_that_come_and_go() {
        let stripes = Arc::new(StripedCounter::default());
        for _ in 0..3 {
            std::thread::scope(|s| {
                for _ in 0..CELLS + 8 {
                    s.spawn(|| (0..1_000).for_each(|_| stripes.add()));
                }
            });
        }
        assert_eq!(stripes.total(), 3 * (CELLS as u64 + 8) * 1_000);
    }

    /// One adds and then looks whether anyone watches; the other ceases to watch and then reads. Without
    /// the catching up both miss each other in some of these rounds.
    #[test]
    fn who_is_not_seen_by_the_total_sees_the_flag() {
        use std::hint::spin_loop;
        use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
        const ROUNDS: u64 = 30_000;
        let (stripes, watched) = (StripedCounter::default(), AtomicBool::new(false));
        let (go, done, unwatched) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let mut missed = 0;
        let wait = |word: &AtomicU64, round| {
            let mut spins = 0;
            while word.load(SeqCst) < round {
                spins += 1;
                if spins % 1_000 == 0 {
                    std::thread::yield_now(); // on a single core nothing happens while we spin
                }
                spin_loop();
            }
        };
        std::thread::scope(|s| {
            s.spawn(|| {
                for round in 1..=ROUNDS {
                    wait(&go, round);
                    stripes.add();
                    let seen = watched.load(Ordering::Relaxed);
                    unwatched.store(u64::from(!seen), Ordering::Relaxed);
                    done.store(round, SeqCst);
                }
            });
            for round in 1..=ROUNDS {
                watched.store(true, SeqCst);
                go.store(round, SeqCst);
                // They are to meet at every distance.
                (0..round % 100).for_each(|_| spin_loop());
                watched.store(false, Ordering::Relaxed);
                stripes.catch_up();
                let seen = stripes.total() >= round;
                wait(&done, round);
                missed += u64::from(!seen && unwatched.load(Ordering::Relaxed) == 0);
            }
        });
        assert_eq!(missed, 0, "of {ROUNDS} rounds");
    }

    #[test]
    fn an_index_is_given_again() {
        let of_a_thread = || std::thread::spawn(index).join().unwrap();
        let seen: Vec<_> = (0..10 * CELLS).map(|_| of_a_thread()).collect();
        assert!(seen.iter().any(|&index| index < CELLS), "{seen:?}");
    }
}
