//! Rounds: every side once, in turn, again and again. Rounds that the kernel disturbed are
//! discarded.

use plimsoll_bench::Side;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// With fewer rounds the medians mean nothing.
pub(crate) const MIN_ROUNDS: usize = 21;
/// One pass of one side: long compared with a clock reading, short compared with a time slice.
const PASS: Duration = Duration::from_micros(400);
/// A pass this many times slower than the side's median was disturbed by something uncounted.
const OUTLIER: f64 = 2.0;
/// Rounds that may be tried per requested round on a busy machine.
const MAX_ATTEMPTS: usize = 25;

/// The time of each side in each kept round, and its allocations.
#[derive(Default)]
pub(crate) struct Measured {
    /// `nanos[side][round]`, per operation.
    pub(crate) nanos: Vec<Vec<f64>>,
    /// `allocs[side]`, per operation.
    pub(crate) allocs: Vec<f64>,
    pub(crate) discarded: usize,
}

impl Measured {
    /// Appends the rounds of another set.
    pub(crate) fn add(&mut self, other: Measured) {
        self.nanos.resize(other.nanos.len(), Vec::new());
        self.nanos.iter_mut().zip(other.nanos).for_each(|(all, more)| all.extend(more));
        self.allocs = other.allocs;
        self.discarded += other.discarded;
    }
}

/// Measures `sides` with `threads` threads on the same object.
pub(crate) fn run(sides: &[&Side], threads: usize, rounds: usize) -> Measured {
    thread::scope(|scope| {
        let (answer, answers) = channel();
        let workers: Vec<Sender<Pass>> = (0..threads)
            .map(|_| {
                let (pass_sender, passes) = channel();
                let answer = answer.clone();
                scope.spawn(move || work(sides, &passes, &answer));
                pass_sender
            })
            .collect();
        Workers { workers, answers }.measure(sides.len(), rounds)
    })
}

/// A job for all workers: run this side `times` times, starting together.
#[derive(Clone)]
struct Pass {
    side: usize,
    times: u64,
    count: bool,
    arrived: Arc<AtomicUsize>,
    threads: usize,
}

struct Answer {
    /// Per operation.
    nanos: f64,
    /// Of the whole pass, the untimed part included.
    whole: f64,
    disturbed: bool,
    /// Per operation.
    allocs: f64,
}

fn work(sides: &[&Side], passes: &Receiver<Pass>, answer: &Sender<Answer>) {
    let mut loops: Vec<_> = sides.iter().map(|side| side.looped()).collect();
    for pass in passes {
        let run = &mut loops[pass.side];
        if pass.count {
            run(pass.times);
            let mut times = 0;
            let count = allocation_counter::measure(|| times = run(pass.times).times).count_total;
            let allocs = count as f64 / times as f64;
            answer.send(Answer { nanos: 0.0, whole: 0.0, disturbed: false, allocs }).unwrap();
            continue;
        }
        let (mut nanos, mut whole) = (0.0, 0.0);
        let mut disturbed = false;
        // Allocations are not counted here, so that peers that allocate do not pay for the
        // counting.
        allocation_counter::opt_out(|| {
            run(pass.times / 8);
            let before = preempted();
            // A spinning barrier: threads woken by the kernel would start apart. The AcqRel
            // increments pair with the Acquire loads, so that no timed work begins before the last
            // thread has arrived.
            pass.arrived.fetch_add(1, Ordering::AcqRel);
            while pass.arrived.load(Ordering::Acquire) < pass.threads {
                std::hint::spin_loop();
            }
            let start = Instant::now();
            let ran = run(pass.times);
            let took = start.elapsed();
            whole = took.as_nanos() as f64;
            nanos = (took - ran.untimed).as_nanos() as f64 / ran.times as f64;
            disturbed = preempted() != before;
        });
        answer.send(Answer { nanos, whole, disturbed, allocs: 0.0 }).unwrap();
    }
}

/// Returns how often the kernel preempted this thread, or 0 if the system does not say.
fn preempted() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

struct Workers {
    workers: Vec<Sender<Pass>>,
    answers: Receiver<Answer>,
}

impl Workers {
    fn measure(self, sides: usize, rounds: usize) -> Measured {
        let times: Vec<u64> = (0..sides).map(|side| self.calibrate(side)).collect();
        let mut kept: Vec<Vec<f64>> = Vec::new();
        let mut tried = 0;
        while kept.len() < rounds && tried < rounds * MAX_ATTEMPTS {
            tried += 1;
            let round: Vec<_> = (0..sides).map(|side| self.time(side, times[side])).collect();
            if round.iter().all(|answer| !answer.disturbed) {
                kept.push(round.into_iter().map(|answer| answer.nanos).collect());
            }
        }
        let usual: Vec<f64> = (0..sides).map(|side| median(&column(&kept, side))).collect();
        kept.retain(|round| round.iter().zip(&usual).all(|(nanos, usual)| *nanos <= usual * OUTLIER));
        Measured {
            nanos: (0..sides).map(|side| column(&kept, side)).collect(),
            allocs: (0..sides).map(|side| self.allocs(side)).collect(),
            discarded: tried - kept.len(),
        }
    }

    /// Returns how many operations make a pass.
    fn calibrate(&self, side: usize) -> u64 {
        let mut times = 64;
        while self.time(side, times).whole < PASS.as_nanos() as f64 {
            times *= 2;
        }
        times
    }

    /// Returns the times of the slowest thread, and whether any was disturbed.
    fn time(&self, side: usize, times: u64) -> Answer {
        let threads = self.workers.len();
        let pass = Pass { side, times, count: false, arrived: Arc::default(), threads };
        self.workers.iter().for_each(|pass_sender| pass_sender.send(pass.clone()).unwrap());
        (0..threads)
            .map(|_| self.answers.recv().unwrap())
            .reduce(|one, other| Answer {
                nanos: one.nanos.max(other.nanos),
                whole: one.whole.max(other.whole),
                disturbed: one.disturbed || other.disturbed,
                allocs: 0.0,
            })
            .expect("at least one thread")
    }

    fn allocs(&self, side: usize) -> f64 {
        let pass = Pass { side, times: 1_000, count: true, arrived: Arc::default(), threads: 1 };
        self.workers[0].send(pass).unwrap();
        self.answers.recv().unwrap().allocs
    }
}

fn column(rounds: &[Vec<f64>], side: usize) -> Vec<f64> {
    rounds.iter().map(|round| round[side]).collect()
}

/// Returns the lower quartile, the median and the upper quartile, or NaN without values.
pub(crate) fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|q| sorted.get(sorted.len().saturating_sub(1) * q / 4).copied().unwrap_or(f64::NAN))
}

fn median(values: &[f64]) -> f64 {
    quartiles(values)[1]
}
