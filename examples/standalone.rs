//! Plain threads, no runtime: a pool of workers in front of a resource that serves two at once.
//!
//! ```text
//! cargo run --example standalone
//! ```
//!
//! Eight producers make work faster than it can be done. The valve lets two in and three wait; all
//! others are told so at once, and do something else. Samples of the work are reported, and the
//! reporting sheds half of itself before a line is even written.

use plimsoll::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let valve =
        Valve::builder().name("disk").concurrency(2).queue(3).max_wait(Duration::from_millis(50)).build()?;
    let report = RandomDrop::new(0.5)?;
    let (served, rejected) = (AtomicU32::new(0), AtomicU32::new(0));

    std::thread::scope(|s| {
        for producer in 0..8 {
            let (valve, report, served, rejected) = (&valve, &report, &served, &rejected);
            s.spawn(move || {
                for job in 0..20 {
                    match valve.blocking_acquire_timeout(Duration::from_millis(20)) {
                        Ok(permit) => {
                            std::thread::sleep(Duration::from_millis(2)); // the disk
                            permit.done(Outcome::Success);
                            served.fetch_add(1, Relaxed);
                            if report.keep() {
                                println!("producer {producer}: job {job} done");
                            }
                        }
                        Err(no) => {
                            rejected.fetch_add(1, Relaxed);
                            if no.reason() == Reason::Full {
                                std::thread::sleep(Duration::from_millis(1)); // something else
                            }
                        }
                    }
                }
            });
        }
    });

    println!("{served:?} jobs done, {rejected:?} rejected; the valve now: {valve:?}");
    assert_eq!(served.into_inner() + rejected.into_inner(), 160);
    assert_eq!(valve.in_flight(), 0);
    Ok(())
}
