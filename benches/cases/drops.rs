//! Random drop: one draw, one comparison.

use crate::side::{Case, Peer, Side, Target};
use plimsoll::RandomDrop;
use rand::RngExt;
use rand::rngs::SmallRng;
use std::cell::RefCell;
use std::hint::black_box;

pub(crate) fn keep() -> Vec<Case> {
    at("95 % kept", 0.95)
}

pub(crate) fn shed() -> Vec<Case> {
    at("5 % kept", 0.05)
}

fn at(subject: &'static str, rate: f64) -> Vec<Case> {
    let random = RandomDrop::new(rate).expect("a valid rate");
    let ours = Side::new(
        move || random.clone(),
        |random| {
            black_box(black_box(&*random).keep());
        },
    );
    let level = Target::Ratio(1.0);
    let peers = vec![
        Peer::new("rand", "SmallRng of the thread", small(rate)).target(1, level).target(2, level),
        Peer::new("rand", "rng().random_bool", thread_rng(rate)),
        Peer::new("fastrand", "f64() of the thread", fast(rate)),
    ];
    vec![Case::new(subject, ours, peers)]
}

thread_local! {
    static SMALL: RefCell<SmallRng> = RefCell::new(rand::make_rng());
}

fn small(rate: f64) -> Side {
    Side::new(
        move || rate,
        |rate| {
            let rate = black_box(*rate);
            black_box(SMALL.with_borrow_mut(|rng| rng.random::<f64>() < rate));
        },
    )
}

fn fast(rate: f64) -> Side {
    Side::new(
        move || rate,
        |rate| {
            let rate = black_box(*rate);
            black_box(fastrand::f64() < rate);
        },
    )
}

fn thread_rng(rate: f64) -> Side {
    Side::new(
        move || rate,
        |rate| {
            black_box(rand::rng().random_bool(black_box(*rate)));
        },
    )
}
