//! The controller on a plant: a queue of so many servers, in virtual time.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, ManualTime, Priority};
use plimsoll_drop::{Reading, Shedder, Signal};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<f64>,
    delay: f64,
    departed: u64,
    was_empty: bool,
}

/// Deterministic work of `service` seconds by `servers`, paced arrivals at `load` times the capacity: the mean delay
/// over the target, after ten seconds, and the share of the capacity that was used.
fn plant(service: f64, servers: usize, load: f64, seconds: f64, target: f64) -> (f64, f64, f64) {
    let time = ManualTime::new();
    let queue = Arc::new(Mutex::new(Queue::default()));
    let seen = queue.clone();
    let clock = time.clock();
    let signal = Signal::of(move || {
        let mut queue = seen.lock().unwrap();
        let now = clock.now().as_nanos() as f64 / 1e9;
        let delay =
            if queue.delay > 0.0 { queue.delay } else { queue.waiting.front().map_or(0.0, |at| now - at) };
        queue.delay = 0.0;
        let busy = !std::mem::take(&mut queue.was_empty);
        Reading::new()
            .depth(queue.waiting.len() as u64)
            .delay(Duration::from_secs_f64(delay))
            .departed(queue.departed)
            .busy(busy)
    });
    let shedder = Shedder::builder()
        .target(Duration::from_secs_f64(target))
        .signal(signal)
        .clock(time.clock())
        .dice(Dice::seeded(1))
        .build()
        .unwrap();
    let capacity = servers as f64 / service;
    let step = 1.0 / (capacity * load);
    let mut free_at = vec![0.0_f64; servers];
    let (mut now, mut sum, mut n, mut done) = (0.0_f64, 0.0, 0.0, 0.0);
    let mut dropped = 0.0;
    let mut came = 0.0;
    while now < seconds {
        now += step;
        // Servers that have become free since take the first in line.
        let mut q = queue.lock().unwrap();
        loop {
            let (server, at) =
                free_at.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            if at > now {
                break;
            }
            let Some(&came) = q.waiting.front() else {
                q.was_empty = true;
                break;
            };
            q.waiting.pop_front();
            let begins = at.max(came);
            free_at[server] = begins + service;
            q.departed += 1;
            q.delay = begins - came;
            if begins > 10.0 {
                sum += begins - came;
                n += 1.0;
                done += 1.0;
            }
        }
        drop(q);
        time.advance_to(plimsoll_core::Instant::from_nanos((now * 1e9) as u64));
        came += 1.0;
        if shedder.keep(Priority::NORMAL) {
            queue.lock().unwrap().waiting.push_back(now);
        } else {
            dropped += 1.0;
        }
    }
    (sum / n / target, done / (seconds - 10.0) / capacity, dropped / came)
}

#[test]
fn the_delay_is_held_from_a_little_to_twenty_times_too_much() {
    for (service, servers) in [(1e-3, 10), (1e-4, 1), (1e-2, 10)] {
        for load in [1.1, 2.0, 5.0, 20.0] {
            let target = (5.0_f64 * service).max(5e-3);
            let (delay, used, dropped) = plant(service, servers, load, 20.0, target);
            println!(
                "{service} x {servers} at {load}: delay {delay:.3}, used {used:.4}, dropped {dropped:.4}"
            );
            assert!((0.75..1.25).contains(&delay), "{delay} at {load}");
            assert!(used > 0.95, "{used} at {load}");
        }
    }
}
