//! Calls in progress: a slab of reused pinned futures, and their wakers.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::sim::clients::Attempt;

/// The tasks that were woken.
#[derive(Debug, Default)]
struct Woken {
    /// Whether there are any. Read without the lock, because it is mostly false.
    any: AtomicBool,
    /// Their ids, in the order of the wake-ups.
    ids: Mutex<Vec<u32>>,
}

/// The waker of one entry of the slab. It is created once. A late wake-up for an earlier call polls
/// the present one in vain.
#[derive(Debug)]
struct TaskWaker {
    id: u32,
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        // Relaxed: a simulation runs on one thread. `Wake` only requires an atomic.
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.woken.ids.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
            self.woken.any.store(true, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct Entry<F> {
    future: Pin<Box<Option<F>>>,
    attempt: Attempt,
    generation: u32,
    task_waker: Arc<TaskWaker>,
    waker: Waker,
}

/// Names a call. `generation` distinguishes it from earlier calls in the same entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id {
    entry: u32,
    generation: u32,
}

/// The calls in progress. Allocates only when there are more of them than ever before.
#[derive(Debug)]
pub(crate) struct Tasks<F> {
    entries: Vec<Entry<F>>,
    free: Vec<u32>,
    woken: Arc<Woken>,
    /// The tasks being polled. Kept for its memory.
    round: Vec<u32>,
}

impl<F: Future> Tasks<F> {
    pub(crate) fn new() -> Self {
        Tasks { entries: Vec::new(), free: Vec::new(), woken: Arc::default(), round: Vec::new() }
    }

    /// Adds a call and polls it for the first time. Returns its output, or its name.
    pub(crate) fn begin(&mut self, future: F, attempt: Attempt) -> Result<F::Output, Id> {
        let id = self.free.pop().unwrap_or_else(|| self.grow(attempt));
        let Some(entry) = self.entries.get_mut(id as usize) else { unreachable!("grown above") };
        entry.attempt = attempt;
        entry.future.set(Some(future));
        let generation = entry.generation;
        match self.poll(id) {
            Some((output, _)) => Ok(output),
            None => Err(Id { entry: id, generation }),
        }
    }

    fn grow(&mut self, attempt: Attempt) -> u32 {
        let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let task_waker =
            Arc::new(TaskWaker { id, queued: AtomicBool::new(false), woken: self.woken.clone() });
        let waker = Waker::from(task_waker.clone());
        self.entries.push(Entry { future: Box::pin(None), attempt, generation: 0, task_waker, waker });
        id
    }

    /// Polls the woken tasks in turn. Returns the next output, or `None` when none is left.
    pub(crate) fn next_woken(&mut self) -> Option<(F::Output, Attempt)> {
        loop {
            while let Some(id) = self.round.pop() {
                if let Some(done) = self.poll(id) {
                    return Some(done);
                }
            }
            if !self.woken.any.load(Ordering::Relaxed) {
                return None;
            }
            self.woken.any.store(false, Ordering::Relaxed);
            let mut ids = self.woken.ids.lock().unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut *ids, &mut self.round);
            drop(ids);
            self.round.reverse();
        }
    }

    fn poll(&mut self, id: u32) -> Option<(F::Output, Attempt)> {
        let entry = self.entries.get_mut(id as usize)?;
        entry.task_waker.queued.store(false, Ordering::Relaxed);
        let future = entry.future.as_mut().as_pin_mut()?;
        let Poll::Ready(output) = future.poll(&mut Context::from_waker(&entry.waker)) else { return None };
        let attempt = entry.attempt;
        self.free_entry(id);
        Some((output, attempt))
    }

    /// Drops the call of a client that gives up. Returns `None` if it had ended before.
    pub(crate) fn cancel(&mut self, id: Id) -> Option<Attempt> {
        let entry = self.entries.get(id.entry as usize).filter(|entry| entry.generation == id.generation)?;
        let attempt = entry.attempt;
        self.free_entry(id.entry);
        Some(attempt)
    }

    fn free_entry(&mut self, id: u32) {
        if let Some(entry) = self.entries.get_mut(id as usize) {
            entry.generation = entry.generation.wrapping_add(1);
            entry.future.set(None);
            self.free.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;

    const ATTEMPT: Attempt = Attempt { sent: 0, tries: 0, herd: false };

    #[test]
    fn entries_are_reused_and_stale_ids_do_nothing() {
        let open = Rc::new(Cell::new(false));
        let waker: Rc<Cell<Option<Waker>>> = Rc::default();
        let call = |n: u32| {
            let (open, kept) = (open.clone(), waker.clone());
            poll_fn(move |cx| {
                kept.set(Some(cx.waker().clone()));
                if open.get() { Poll::Ready(n) } else { Poll::Pending }
            })
        };
        let mut tasks = Tasks::new();
        let first = tasks.begin(call(1), ATTEMPT).unwrap_err();
        assert!(tasks.cancel(first).is_some() && tasks.cancel(first).is_none());
        let second = tasks.begin(call(2), ATTEMPT).unwrap_err();
        assert_eq!(second.entry, first.entry);
        assert!(tasks.next_woken().is_none());
        open.set(true);
        let woken = waker.take().unwrap();
        woken.wake_by_ref();
        woken.wake();
        assert_eq!(tasks.next_woken(), Some((2, ATTEMPT)));
        assert!(tasks.next_woken().is_none() && tasks.cancel(second).is_none());
        assert_eq!(tasks.begin(call(3), ATTEMPT).ok(), Some(3));
        assert_eq!(tasks.entries.len(), 1);
    }
}
