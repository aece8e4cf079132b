//! The consumer's counts, the same in both workloads.

use crate::BOUND;
use crate::table::{Row, millis};
use hdrhistogram::Histogram;
use plimsoll::buffer::Lost;
use plimsoll::{Discipline, Inbox, Mailbox};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// A row is void if a thread waited for a processor for a larger part of the time.
pub(crate) const MAX_CPU_WAIT: f64 = 0.05;

/// An item: when it was offered, and something to work on.
pub(crate) struct Item {
    at: u64,
    number: u64,
}

impl Item {
    pub(crate) fn new(number: u64) -> Self {
        Item { at: nanos(), number }
    }
}

/// Returns nanoseconds since the first reading.
fn nanos() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

/// Returns how long this thread was runnable without a processor, or 0 if the system does not say.
pub(crate) fn cpu_wait() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').nth(1).and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

pub(crate) fn mailbox(discipline: Discipline) -> Mailbox<Item> {
    Mailbox::builder().capacity(BOUND).discipline(discipline).build().expect("valid settings")
}

/// The consumer's counts, and the vector it takes into.
pub(crate) struct Tally {
    items: Vec<Item>,
    pub(crate) delivered: u64,
    lost: Lost,
    /// The largest batch it took.
    pub(crate) max_batch: usize,
    // From the offer to the start of work.
    latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let mut latency = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds");
        // Touches its memory, so that none of it counts as the workload's.
        latency.reset();
        Tally { items: Vec::with_capacity(BOUND), delivered: 0, lost: Lost::default(), max_batch: 0, latency }
    }

    /// Takes at most `max` items and works on each. Returns how many there were.
    pub(crate) fn consume(&mut self, inbox: &mut Inbox<Item>, max: usize, work: impl Fn(u64)) -> usize {
        self.items.clear();
        self.lost += inbox.take_into(max, &mut self.items);
        for item in &self.items {
            self.latency.saturating_record(nanos().saturating_sub(item.at));
            work(item.number);
        }
        self.delivered += self.items.len() as u64;
        self.max_batch = self.max_batch.max(self.items.len());
        self.items.len()
    }

    /// Returns the latency that this percentage of items stays within.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.latency.value_at_percentile(percent))
    }

    /// Returns the final columns, and whether they add up: what was offered was delivered, reported
    /// as lost, or is still held.
    pub(crate) fn columns(&mut self, offered: u64, inbox: &mut Inbox<Item>) -> (Row, bool) {
        self.lost += inbox.lost();
        let adds_up = offered == self.delivered + self.lost.total() + inbox.usage().len as u64;
        let row = vec![
            ("offered", offered.into()),
            ("delivered", self.delivered.into()),
            ("evicted", self.lost.evicted.into()),
            ("expired", self.lost.expired.into()),
            ("rejected", self.lost.rejected.into()),
            ("adds up", adds_up.into()),
            ("p50 ms", millis(self.percentile(50.0))),
            ("p99 ms", millis(self.percentile(99.0))),
            ("p99.9 ms", millis(self.percentile(99.9))),
        ];
        (row, adds_up)
    }
}
