//! A valve in front of a disk, on plain threads, without a runtime.
//!
//! ```text
//! cargo run --example standalone
//! ```
//!
//! Eight threads have more jobs than the disk can serve. The valve admits two jobs at once and lets
//! three wait. All others are rejected at once, and their threads do something else. Every second
//! result is printed: random drop rejects the others before they are formatted.

use plimsoll::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

const THREADS: u32 = 8;
const JOBS: u32 = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let valve =
        Valve::builder().name("disk").concurrency(2).queue(3).max_wait(Duration::from_millis(50)).build()?;
    let log = RandomDrop::new(0.5)?;
    let (served, rejected) = (AtomicU32::new(0), AtomicU32::new(0));

    thread::scope(|s| {
        for id in 0..THREADS {
            let (valve, log, served, rejected) = (&valve, &log, &served, &rejected);
            s.spawn(move || {
                for job in 0..JOBS {
                    // Waits in the queue, for at most 20 ms.
                    match valve.blocking_acquire_timeout(Duration::from_millis(20)) {
                        Ok(permit) => {
                            write_to_disk();
                            permit.done(Outcome::Success);
                            served.fetch_add(1, Relaxed);
                            if log.keep() {
                                println!("thread {id}: job {job} done");
                            }
                        }
                        Err(rejection) => {
                            rejected.fetch_add(1, Relaxed);
                            if rejection.reason() == Reason::Full {
                                do_something_else();
                            }
                        }
                    }
                }
            });
        }
    });

    println!("{served:?} jobs done, {rejected:?} rejected");
    assert_eq!(served.into_inner() + rejected.into_inner(), THREADS * JOBS);
    assert_eq!(valve.in_flight(), 0);
    Ok(())
}

fn write_to_disk() {
    thread::sleep(Duration::from_millis(2));
}

fn do_something_else() {
    thread::sleep(Duration::from_millis(1));
}
