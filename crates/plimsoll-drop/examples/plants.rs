//! How well a load shedder holds the delay of a queue, as tables. All time is virtual.
//!
//! `cargo run --release -p plimsoll-drop --example plants` prints all tables. Names of tables after
//! the command, such as `alternatives`, select some of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../tests/plant/mod.rs"]
mod plant;

use plant::{
    Arrivals, Guard, HELD_OUT, LOADS, Measured, Phase, Plant, Traffic, WorkTime, important, phase, runs,
};
use plimsoll_drop::Control;

/// The service time in seconds and the number of servers, from 1,000 requests a second on.
const PLANTS: [(f64, usize); 6] = [(1e-4, 10), (1e-4, 1), (1e-3, 1), (1e-3, 10), (1e-2, 10), (1e-1, 100)];

const TABLES: [(&str, fn()); 11] = [
    ("even_work", even_work),
    ("held_out", held_out),
    ("uneven_work", uneven_work),
    ("arrivals", arrivals),
    ("capacity", capacity),
    ("priorities", priorities),
    ("accounts", accounts),
    ("pauses", pauses),
    ("few_requests", few_requests),
    ("in_flight", in_flight),
    ("alternatives", alternatives),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "| plant | delay | best and worst block | peak | used | used in all | dropped | important kept |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, print) in TABLES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            print();
        }
    }
}

/// The smallest and the largest value of each number over several runs.
#[derive(Clone, Copy, Debug)]
struct Spread {
    min: Measured,
    max: Measured,
}

impl Spread {
    fn new(runs: &[Measured]) -> Self {
        let mut spread = Spread { min: runs[0], max: runs[0] };
        for run in runs {
            let (min, max) = (&mut spread.min, &mut spread.max);
            macro_rules! fold {
                ($($field:ident)*) => {$(
                    min.$field = min.$field.min(run.$field);
                    max.$field = max.$field.max(run.$field);
                )*};
            }
            fold!(delay best worst peak used used_in_all dropped important);
        }
        spread
    }

    fn print(&self, name: &str) {
        let (a, b) = (&self.min, &self.max);
        println!(
            "| {name} | {:.2}–{:.2} | {:.2}–{:.2} | {:.1} | {:.3} | {:.3} | {:.4} | {:.5} |",
            a.delay, b.delay, a.best, b.worst, b.peak, a.used, a.used_in_all, b.dropped, a.important
        );
    }
}

/// Prints one row for each plant and phase, over the seeds.
fn rows(name: &str, plants: &[(f64, usize)], seeds: u64, phases: &[Phase], with: impl Fn(&mut Plant)) {
    let all = runs(plants, seeds, phases, with);
    for (at, phase) in phases.iter().enumerate() {
        for seeds in all.chunk_by(|a, b| (a.0.service, a.0.servers) == (b.0.service, b.0.servers)) {
            let measured: Vec<Measured> = seeds.iter().map(|(_, measured)| measured[at]).collect();
            let Plant { service, servers, .. } = seeds[0].0;
            let name = format!("{name}: {:.1} ms × {servers}, phase {at} at {}", service * 1e3, phase.load);
            Spread::new(&measured).print(&name);
        }
    }
}

fn at_loads(name: &str, plants: &[(f64, usize)], loads: &[f64], seeds: u64, with: impl Fn(&mut Plant)) {
    for load in loads {
        rows(name, plants, seeds, &[phase(30.0, *load)], &with);
    }
}

fn even_work() {
    at_loads("even work", &PLANTS, &LOADS, 3, |_| {});
    at_loads("even work, half the load", &PLANTS, &[0.5], 3, |_| {});
}

fn held_out() {
    at_loads("held out", &HELD_OUT, &[0.6, 1.3, 3.0, 7.0, 15.0], 3, |_| {});
}

fn uneven_work() {
    at_loads("exponential", &PLANTS, &[0.5, 1.1, 2.0, 5.0], 2, |p| p.work_time = WorkTime::Exponential);
    at_loads("bimodal", &PLANTS, &[0.5, 1.1, 2.0, 5.0], 2, |p| p.work_time = WorkTime::Bimodal);
}

fn arrivals() {
    at_loads("Poisson", &PLANTS, &[0.5, 1.1, 2.0, 5.0], 2, |p| p.arrivals = Arrivals::Poisson);
    at_loads("bursts", &PLANTS, &[0.5, 2.0, 5.0], 2, |p| p.arrivals = Arrivals::Bursts);
    at_loads("noise", &PLANTS, &[0.5, 1.1, 2.0, 5.0], 2, |p| p.noise = true);
    at_loads("clock of 4 ms", &PLANTS, &[0.5, 1.1, 2.0, 5.0], 2, |p| p.grid = 4_000_000);
}

fn capacity() {
    let half = Phase { slow: 2.0, ..phase(30.0, 1.5) };
    rows(
        "halved and back",
        &PLANTS,
        2,
        &[phase(30.0, 1.5), half, phase(30.0, 1.5), phase(30.0, 0.5)],
        |_| {},
    );
}

fn priorities() {
    for to in [1.1, 2.0, 5.0, 10.0] {
        rows("important, unknown", &PLANTS, 5, &[phase(12.0, 0.7), phase(20.0, to)], important);
    }
    rows("important, hint", &PLANTS, 5, &[phase(12.0, 0.7), phase(20.0, 10.0)], |p| {
        important(p);
        p.hint = true;
    });
    let known = [phase(12.0, 1.5), phase(12.0, 0.7), phase(20.0, 10.0)];
    rows("important, known", &PLANTS, 5, &known, important);
    rows("important, known, Poisson", &PLANTS, 5, &known, |p| {
        important(p);
        p.arrivals = Arrivals::Poisson;
    });
    rows("important, bimodal", &PLANTS, 3, &known, |p| {
        important(p);
        p.work_time = WorkTime::Bimodal;
    });
}

fn accounts() {
    for share in [0.5, 0.9] {
        rows(
            "one dominant account",
            &PLANTS,
            3,
            &[phase(12.0, 0.5), phase(20.0, 2.0), phase(20.0, 5.0)],
            |p| {
                p.traffic = Traffic::Dominant(share);
            },
        );
    }
}

fn pauses() {
    rows(
        "a pause of an hour",
        &PLANTS,
        2,
        &[phase(12.0, 0.5), phase(3_600.0, 0.0), phase(20.0, 5.0), phase(3_600.0, 0.0), phase(20.0, 5.0)],
        |_| {},
    );
    rows("10 million served before", &PLANTS, 2, &[phase(20.0, 5.0)], |p| p.served = 10_000_000);
    rows(
        "steps",
        &PLANTS,
        2,
        &[phase(20.0, 1.1), phase(20.0, 5.0), phase(20.0, 1.1), phase(20.0, 20.0), phase(20.0, 0.5)],
        |_| {},
    );
    rows("hint", &PLANTS, 2, &[phase(20.0, 20.0)], |p| p.hint = true);
}

fn few_requests() {
    at_loads("few requests", &[(1e-1, 1)], &[1.1, 2.0, 5.0, 20.0], 5, |_| {});
    at_loads("few requests, exponential", &[(1e-1, 1)], &[1.1, 2.0, 5.0, 20.0], 5, |p| {
        p.work_time = WorkTime::Exponential
    });
}

fn in_flight() {
    at_loads("in flight", &PLANTS, &[0.5, 1.1, 2.0, 5.0], 2, |p| p.guard = Guard::InFlight);
    at_loads("in flight, Poisson, exponential", &PLANTS, &[0.5, 1.1, 2.0, 5.0], 2, |p| {
        (p.guard, p.arrivals, p.work_time) = (Guard::InFlight, Arrivals::Poisson, WorkTime::Exponential);
    });
}

fn alternatives() {
    let plants = [(1e-3, 10)];
    at_loads("rate", &plants, &LOADS, 2, |_| {});
    at_loads("delay alone", &plants, &LOADS, 2, |p| p.guard = Guard::DelayOnly);
    at_loads("PIE", &plants, &LOADS, 2, |p| p.guard = Guard::Shedder(Control::Pie));
    at_loads("fixed for 2×", &plants, &[0.5, 1.1, 2.0, 5.0, 20.0], 2, |p| p.guard = Guard::Fixed(0.5));
}
