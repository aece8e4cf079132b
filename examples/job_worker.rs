//! Jobs come faster than they can be done, and some of them kill the worker.
//!
//! ```text
//! cargo run --example job_worker
//! ```
//!
//! Three producers offer jobs to a mailbox; one worker takes them, one by one. A poisoned job makes
//! it panic, and its inbox goes with it, but not what the mailbox holds. The supervisor is the heir: it
//! is told when nobody is left, waits a little – longer each time, in case the next job is poison as
//! well – and opens the next inbox. Nothing is lost but the job in the worker's hands and what the
//! mailbox had no room for, and both are known exactly.

use plimsoll::Dice;
use plimsoll::buffer::Delivery;
use plimsoll::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const JOBS: u64 = 3_000;

#[derive(Default)]
struct Tally {
    done: AtomicU64,
    lost: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The default panic message for each poisoned job would drown the story.
    std::panic::set_hook(Box::new(|panic| println!("worker died: {}", panic.to_string().replace('\n', " "))));

    // The newest jobs are worth most; forty wait at most.
    let jobs = Mailbox::builder().name("jobs").capacity(40).discipline(Discipline::Lifo).build()?;
    let tally = Arc::new(Tally::default());
    let supervisor = tokio::spawn(supervise(jobs.clone(), tally.clone()));

    let producers = (0..3).map(|producer| {
        let jobs = jobs.clone();
        tokio::spawn(async move {
            for n in 0..JOBS / 3 {
                let _ = jobs.offer(3 * n + producer); // never waits; what goes for it is counted
                if n % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        })
    });
    for producer in producers.collect::<Vec<_>>() {
        producer.await?;
    }
    jobs.close(); // what is held is still done
    let died = supervisor.await?;

    let (done, lost) = (tally.done.load(Relaxed), tally.lost.load(Relaxed));
    println!("{done} jobs done, {died} died with the worker, {lost} had to make room");
    assert_eq!(done + died + lost, JOBS, "every job is accounted for");
    Ok(())
}

/// Keeps one worker alive; answers how many have died.
async fn supervise(jobs: Mailbox<u64>, tally: Arc<Tally>) -> u64 {
    let (dice, shortest, longest) = (Dice::default(), Duration::from_millis(2), Duration::from_millis(100));
    let (mut died, mut pause) = (0, shortest);
    loop {
        let before = tally.done.load(Relaxed);
        let worker = tokio::spawn(work(jobs.inbox(), tally.clone()));
        jobs.orphaned().await; // its end, however it came about
        match worker.await {
            Ok(()) => return died,
            Err(_panicked) => died += 1,
        }
        // A worker that got something done was healthy; one that did not may die again at once.
        pause = if tally.done.load(Relaxed) > before { shortest } else { (pause * 2).min(longest) };
        tokio::time::sleep(dice.jitter(pause)).await;
    }
}

async fn work(inbox: Inbox<u64>, tally: Arc<Tally>) {
    // One by one: a batch in the hands of a worker that dies would die with it.
    let mut jobs = inbox.into_stream();
    while let Some(next) = jobs.next().await {
        match next {
            Delivery::Item(job) => {
                assert!(job % 500 != 499, "job {job} is poison");
                tokio::task::yield_now().await; // the work
                if job % 16 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tally.done.fetch_add(1, Relaxed);
            }
            // Under lasting overload there is a gap between any two jobs: add them up.
            Delivery::Lost(lost) => drop(tally.lost.fetch_add(lost.total(), Relaxed)),
        }
    }
}
