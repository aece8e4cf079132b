//! Events that have left a sliding window.
#![allow(missing_docs)]

use plimsoll_core::Instant;
use plimsoll_core::parts::SlidingWindow;
use proptest::prelude::*;
use std::time::Duration;

proptest! {
    /// Each event is seen once, after it has been in the window for the span.
    #[test]
    fn each_event_leaves_the_window_once(
        steps in prop::collection::vec((0..20u64, 0..5_000u64), 1..200),
    ) {
        let window = SlidingWindow::<1>::new(Duration::from_nanos(10_000));
        let at = Instant::from_nanos;
        let (mut now, mut checked, mut events, mut seen) = (0, 0, 0, 0);
        for (count, pause) in steps {
            now += pause;
            // As a guard does: it looks before it counts, whenever a slice has passed.
            if now >= checked + 1_000 {
                window.each_that_left(0, at(checked), at(now), |[n]| seen += n);
                checked = now;
            }
            (0..count).for_each(|_| window.add(0, 0, at(now)));
            events += count;
            prop_assert_eq!(window.sum(0, at(checked))[0] + seen, events);
            prop_assert!(!window.has_left(at(now), at(now)) && !window.has_left(at(now), at(now + 10_000)));
            prop_assert!(window.has_left(at(now), at(now + 11_001)));
        }
    }
}
