//! A producer that never stops, and a consumer that takes everything there is.

use crate::BOUND;
use crate::table::{Row, met};
use crate::tally::{Item, MAX_CPU_WAIT, Tally, cpu_wait, mailbox};
use plimsoll::Discipline;
use std::fmt;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const TITLE: &str =
    "flood: a producer that never stops, a consumer that takes everything there is";
pub(crate) const SPAN: Duration = Duration::from_secs(1);

/// The minimum rate under flood, as a part of what the consumer handles alone.
const MIN_SHARE: f64 = 0.90;
/// Memory counts as constant below this growth, because threads and samples need some of their own.
const MAX_GROWTH: u64 = 1 << 20;
/// Steps of a small computation per item: about half a microsecond, so that the producer is far
/// ahead.
const WORK: u32 = 256;
const SAMPLE: Duration = Duration::from_millis(10);

pub(crate) struct Plan(Discipline);

pub(crate) const PLANS: &[Plan] = &[
    Plan(Discipline::Fifo),
    Plan(Discipline::KeepOldest),
    Plan(Discipline::Lifo),
    Plan(Discipline::LifoWithAge { max_age: Duration::from_millis(100) }),
    Plan(Discipline::CODEL),
    Plan(Discipline::ADAPTIVE_LIFO),
    Plan(Discipline::TimeBuckets { slice: Duration::from_millis(10), slices: 10 }),
];

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Plan {
    pub(crate) fn run(&self, span: Duration) -> Row {
        let before = self.alone(span / 2);
        let mut run = self.flood(span);
        let alone = (before + self.alone(span / 2)) / 2.0;
        let part = run.per_second / alone;
        let flat = run.max_held <= BOUND && run.growth.is_none_or(|bytes| bytes < MAX_GROWTH);
        run.row.extend([
            ("alone per s", (alone as u64).into()),
            ("of alone", part.into()),
            ("max held", run.max_held.into()),
            ("growth bytes", run.growth.into()),
            ("cpu wait", run.cpu_wait_share.into()),
            ("met", met(run.cpu_wait_share > MAX_CPU_WAIT, Some(part >= MIN_SHARE && flat && run.adds_up))),
        ]);
        run.row
    }

    /// Returns the consumer's rate on items that are there already, without a producer.
    fn alone(&self, span: Duration) -> f64 {
        let mailbox = mailbox(self.0);
        let mut inbox = mailbox.inbox();
        let mut tally = Tally::new();
        let mut busy = Duration::ZERO;
        while busy < span {
            (0..BOUND as u64).for_each(|n| drop(mailbox.offer(Item::new(n))));
            let start = Instant::now();
            tally.consume(&mut inbox, BOUND, work);
            busy += start.elapsed();
        }
        tally.delivered as f64 / busy.as_secs_f64()
    }

    fn flood(&self, span: Duration) -> Run {
        let mailbox = mailbox(self.0);
        let mut inbox = mailbox.inbox();
        let mut tally = Tally::new();
        let memory = resident();
        let (mut max_held, mut max_memory) = (0, memory);
        let stop = AtomicBool::new(false);
        let running = || !stop.load(Ordering::Relaxed);
        let (offered, took, cpu_wait_share) = thread::scope(|scope| {
            let producer = scope.spawn(|| {
                let mut offered = 0;
                while running() {
                    offered += 1;
                    drop(mailbox.offer(Item::new(offered)));
                }
                (offered, cpu_wait())
            });
            let consumer = scope.spawn(|| {
                let start = Instant::now();
                while running() {
                    tally.consume(&mut inbox, BOUND, work);
                }
                (start.elapsed(), cpu_wait())
            });
            let start = Instant::now();
            while start.elapsed() < span {
                thread::sleep(SAMPLE);
                max_held = max_held.max(mailbox.usage().len);
                max_memory = max_memory.max(resident());
            }
            stop.store(true, Ordering::Relaxed);
            let (offered, one) = producer.join().expect("a producer");
            let (took, other) = consumer.join().expect("a consumer");
            (offered, took, one.max(other).div_duration_f64(took))
        });
        let per_second = tally.delivered as f64 / took.as_secs_f64();
        let (columns, adds_up) = tally.columns(offered, &mut inbox);
        Run {
            row: std::iter::once(("discipline", self.to_string().into())).chain(columns).collect(),
            adds_up,
            per_second,
            max_held: max_held.max(tally.max_batch),
            growth: max_memory.zip(memory).map(|(max, at_first)| max - at_first),
            cpu_wait_share,
        }
    }
}

/// The result of a flood.
struct Run {
    row: Row,
    adds_up: bool,
    per_second: f64,
    max_held: usize,
    /// The growth of the resident memory, in bytes. `None` if the system does not say.
    growth: Option<u64>,
    /// The part of the time for which the producer or the consumer waited for a processor.
    cpu_wait_share: f64,
}

/// The consumer's work on one item.
fn work(number: u64) {
    let mut x = number | 1;
    for _ in 0..WORK {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    black_box(x);
}

/// Returns the resident memory of the process in bytes, if the system says.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1_024)
}
