//! The harness measured by itself: the same work must come out at 1.00, twice the work at 2.00.

use crate::side::{Case, Peer, Side, Target};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn counter(times: u32) -> Side {
    let counter = Arc::new(AtomicU64::new(0));
    Side::new(
        move || counter.clone(),
        move |counter| {
            (0..times).for_each(|_| {
                black_box(black_box(&*counter).fetch_add(1, Ordering::Relaxed));
            });
        },
    )
}

pub(crate) fn cases() -> Vec<Case> {
    let once = || Peer::new("plimsoll-bench", "one addition", counter(1));
    vec![
        Case::new("one addition", counter(1), vec![once().target(1, Target::Ratio(1.05))]),
        Case::new("two additions", counter(2), vec![once().target(1, Target::Ratio(2.10))]),
    ]
}
