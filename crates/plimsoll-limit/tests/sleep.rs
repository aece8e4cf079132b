//! The machine sleeps, or time jumps: at most one burst more, and no lock-out.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::ManualTime;
use plimsoll_limit::{Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const QUOTA: Quota = Quota::per_second(100).burst(50);

/// Requests arrive at twice the rate. The monotonic clock jumps in between: after the machine has
/// slept for 30 s, or in a virtual machine that was suspended for an hour. Limiters read no wall
/// clock, so a step of that changes nothing.
#[test]
fn jump_of_time_costs_at_most_one_burst_and_no_lock_out() {
    for jump in [30 * S, 3_600 * S, 400 * 24 * 3_600 * S] {
        for tick in [Duration::ZERO, S / 250] {
            let time = ManualTime::new();
            time.set_tick(tick);
            let global = RateLimiter::builder().quota(QUOTA).clock(time.clock()).build().unwrap();
            let keyed = KeyedRateLimiter::<u64>::builder().quota(QUOTA).clock(time.clock()).build().unwrap();
            let class = Class::new("free").each(QUOTA).all(QUOTA);
            let tiered = TieredRateLimiter::<u64>::builder().global(QUOTA).class(class).clock(time.clock());
            let tiered = tiered.build().unwrap();
            let fair = FairRateLimiter::<u64>::builder().quota(QUOTA).clock(time.clock()).build().unwrap();
            type Check<'a> = &'a dyn Fn() -> bool;
            let checks: [(&str, Check<'_>); 4] = [
                ("global", &|| global.check().is_ok()),
                ("keyed", &|| keyed.check(&1).is_ok()),
                ("tiered", &|| tiered.check(&1).is_ok()),
                ("fair", &|| fair.check(&1).is_ok()),
            ];
            for (name, check) in checks {
                let second = || {
                    (0..200)
                        .map(|_| {
                            time.advance(S / 200);
                            u32::from(check())
                        })
                        .sum::<u32>()
                };
                let (first, before) = (second(), second());
                let burst = if name == "fair" { 98..=152 } else { 148..=152 };
                assert!(burst.contains(&first) && (98..=102).contains(&before), "{name}: {first}, {before}");
                time.advance(jump);
                let (after, later) = (second(), second());
                assert!(burst.contains(&after), "{name}: {after} in the second after {jump:?}");
                assert!((98..=102).contains(&later), "{name}: {later} in the next");
                time.advance(10 * S);
            }
        }
    }
}
