//! A mailbox in front of a worker that is too slow, and that some of the jobs kill.
//!
//! ```text
//! cargo run --example job_worker
//! ```
//!
//! Three producers offer jobs to a mailbox, and one worker takes them, one at a time. A poisoned
//! job makes the worker panic. Its inbox is dropped, but the mailbox keeps the jobs that wait. The
//! supervisor learns that the mailbox has no inbox any more, pauses, and starts the next worker. It
//! pauses longer each time, in case the next job is poisoned as well.
//!
//! Only the job in the hands of the worker is lost, and the jobs that the mailbox had no room for.
//! Both are counted exactly.

use plimsoll::Dice;
use plimsoll::buffer::Delivery;
use plimsoll::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::sleep;

const JOBS: u64 = 3_000;
const PRODUCERS: u64 = 3;

#[derive(Default)]
struct Tally {
    done: AtomicU64,
    lost: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One line for each panic, instead of a backtrace.
    std::panic::set_hook(Box::new(|panic| println!("worker died: {}", panic.to_string().replace('\n', " "))));

    // New jobs are worth more than old ones. At most 40 wait.
    let jobs = Mailbox::builder().name("jobs").capacity(40).discipline(Discipline::Lifo).build()?;
    let tally = Arc::new(Tally::default());
    let supervisor = tokio::spawn(supervise(jobs.clone(), tally.clone()));

    let producers: Vec<_> =
        (0..PRODUCERS).map(|producer| tokio::spawn(produce(jobs.clone(), producer))).collect();
    for producer in producers {
        producer.await?;
    }
    jobs.close(); // the jobs that wait are still delivered
    let died = supervisor.await?;

    let (done, lost) = (tally.done.load(Relaxed), tally.lost.load(Relaxed));
    println!("{done} jobs done, {died} died with the worker, {lost} evicted");
    assert_eq!(done + died + lost, JOBS, "every job is accounted for");
    Ok(())
}

async fn produce(jobs: Mailbox<u64>, producer: u64) {
    for n in 0..JOBS / PRODUCERS {
        // Never waits. If the mailbox is full, it evicts the oldest job and counts it as lost.
        let _ = jobs.offer(PRODUCERS * n + producer);
        if n % 10 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Keeps one worker running. Returns the number of workers that died.
async fn supervise(jobs: Mailbox<u64>, tally: Arc<Tally>) -> u64 {
    let (min_pause, max_pause) = (Duration::from_millis(2), Duration::from_millis(100));
    let (mut died, mut pause) = (0, min_pause);
    loop {
        let before = tally.done.load(Relaxed);
        let worker = tokio::spawn(work(jobs.inbox(), tally.clone()));
        jobs.orphaned().await; // the worker has ended, in one way or another
        match worker.await {
            Ok(()) => return died,
            Err(_panicked) => died += 1,
        }
        // A worker that finished a job was healthy. If it did not, the next one may die at once,
        // too.
        let worked = tally.done.load(Relaxed) > before;
        pause = if worked { min_pause } else { (pause * 2).min(max_pause) };
        sleep(Dice::default().jitter(pause)).await;
    }
}

async fn work(inbox: Inbox<u64>, tally: Arc<Tally>) {
    // One job at a time: a worker that dies loses all the jobs that it has taken.
    let mut jobs = inbox.into_stream();
    while let Some(delivery) = jobs.next().await {
        match delivery {
            Delivery::Item(job) => {
                assert!(job % 500 != 499, "job {job} is poisoned");
                tokio::task::yield_now().await; // the work
                if job % 16 == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
                tally.done.fetch_add(1, Relaxed);
            }
            // The number of jobs that were lost since the previous delivery.
            Delivery::Lost(lost) => {
                tally.lost.fetch_add(lost.total(), Relaxed);
            }
        }
    }
}
