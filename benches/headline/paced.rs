//! Evenly paced items, twice as many as the consumer can handle.

use crate::BOUND;
use crate::table::{Row, met, millis};
use crate::tally::{Item, MAX_CPU_WAIT, Tally, cpu_wait, mailbox};
use plimsoll::Discipline;
use std::fmt;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const TITLE: &str = "paced: twice as many items as the consumer can handle";
pub(crate) const SPAN: Duration = Duration::from_secs(2);

const PER_MILLISECOND: u32 = 200;
const WORK: Duration = Duration::from_micros(10);
const TICK: Duration = Duration::from_millis(1);
/// Short enough that half of it is below the target of the stack.
const SHORT_TICK: Duration = Duration::from_micros(100);
/// With a larger lag of the producer, the row shows the machine and not the mailbox.
const LAG: Duration = Duration::from_millis(10);

/// The target of a row.
#[derive(Clone, Copy)]
enum Target {
    Median(Duration),
    /// The 99th percentile.
    Tail(Duration),
    /// The 99th percentile. It is at most the time that the consumer needs for all items that can
    /// be ahead: those in the mailbox and those in the same batch.
    Queue,
    None,
}

pub(crate) struct Plan {
    discipline: Discipline,
    batch: usize,
    tick: Duration,
    target: Target,
}

const fn plan(discipline: Discipline, batch: usize, target: Target) -> Plan {
    Plan { discipline, batch, tick: TICK, target }
}

const FRESH: Target = Target::Median(Duration::from_micros(100));

pub(crate) const PLANS: &[Plan] = &[
    plan(Discipline::Fifo, BOUND, Target::Queue),
    plan(Discipline::Fifo, 1, Target::Queue),
    plan(Discipline::KeepOldest, BOUND, Target::Queue),
    plan(Discipline::KeepOldest, 1, Target::Queue),
    plan(Discipline::Lifo, 1, FRESH),
    plan(Discipline::Lifo, 16, FRESH),
    Plan { tick: SHORT_TICK, ..plan(Discipline::Lifo, 1, FRESH) },
    Plan { tick: SHORT_TICK, ..plan(Discipline::Lifo, 16, FRESH) },
    plan(Discipline::LifoWithAge { max_age: Duration::from_millis(100) }, 16, Target::None),
    plan(Discipline::CODEL, 16, Target::None),
    plan(Discipline::ADAPTIVE_LIFO, 16, Target::None),
    plan(
        Discipline::TimeBuckets { slice: Duration::from_millis(10), slices: 10 },
        16,
        Target::Tail(Duration::from_millis(100)),
    ),
];

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, batches of {}, tick {:?}", self.discipline, self.batch, self.tick)
    }
}

impl Plan {
    pub(crate) fn run(&self, span: Duration) -> Row {
        let mailbox = mailbox(self.discipline);
        let mut inbox = mailbox.inbox();
        let mut tally = Tally::new();
        let stop = AtomicBool::new(false);
        let before = cpu_wait();
        let start = Instant::now();
        let (offered, lag, producer_wait) = thread::scope(|scope| {
            let producer = scope.spawn(|| {
                let (mut offered, mut lag, mut due) = (0, Duration::ZERO, Duration::ZERO);
                while due < span {
                    lag = lag.max(wait_until(start + due));
                    for _ in 0..(self.tick * PER_MILLISECOND).as_millis() {
                        offered += 1;
                        drop(mailbox.offer(Item::new(offered)));
                    }
                    due += self.tick;
                }
                wait_until(start + span);
                stop.store(true, Ordering::Relaxed);
                (offered, lag, cpu_wait())
            });
            while !stop.load(Ordering::Relaxed) {
                if tally.consume(&mut inbox, self.batch, |_| work(&stop)) == 0 {
                    spin_loop();
                }
            }
            producer.join().expect("a producer")
        });
        let took = start.elapsed();
        let each = took.div_f64(tally.delivered.max(1) as f64);
        let cpu_wait_share = producer_wait.max(cpu_wait() - before).div_duration_f64(took);
        let (p50, p99) = (tally.percentile(50.0), tally.percentile(99.0));
        let (columns, _) = tally.columns(offered, &mut inbox);
        let target = match self.target {
            Target::None => None,
            Target::Median(max) => Some(("p50", p50, max)),
            Target::Tail(max) => Some(("p99", p99, max)),
            // 5 % more, because `each` is a mean over the run and the tail comes from its slow
            // moments.
            Target::Queue => Some(("p99", p99, each * (BOUND + self.batch) as u32 * 21 / 20)),
        };
        let plan = [
            ("discipline", self.discipline.to_string().into()),
            ("batch", self.batch.into()),
            ("tick ms", millis(self.tick)),
        ];
        let outcome = [
            ("lag ms", millis(lag)),
            ("cpu wait", cpu_wait_share.into()),
            ("target", target.map(|(name, _, max)| format!("{name} ≤ {max:.1?}")).into()),
            ("met", met(lag > LAG || cpu_wait_share > MAX_CPU_WAIT, target.map(|(_, got, max)| got <= max))),
        ];
        plan.into_iter().chain(columns).chain(outcome).collect()
    }
}

/// Works for ten microseconds, or until the end of the run.
fn work(stop: &AtomicBool) {
    let start = Instant::now();
    while start.elapsed() < WORK && !stop.load(Ordering::Relaxed) {
        spin_loop();
    }
}

/// Waits until `due`, spinning at the end because a sleep is not precise. Returns how late it is.
fn wait_until(due: Instant) -> Duration {
    let left = due.saturating_duration_since(Instant::now());
    thread::sleep(left.saturating_sub(Duration::from_micros(200)));
    while Instant::now() < due {
        spin_loop();
    }
    due.elapsed()
}
