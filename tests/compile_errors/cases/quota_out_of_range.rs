//! A constant is checked when it is compiled.

use plimsoll::Quota;
use std::time::Duration;

const NO_UNITS: Quota = Quota::per_minute(0).assert_valid();
const NO_BURST: Quota = Quota::per_minute(60).burst(0).assert_valid();
const LARGE_BURST: Quota = Quota::at_most(100, Duration::from_secs(60)).burst(101).assert_valid();
const NO_PERIOD: Quota = Quota::per(60, Duration::ZERO).assert_valid();
const LONG_INTERVAL: Quota = Quota::per(1, Duration::from_secs(86_400 * 365)).assert_valid();
const LONG_FILL_TIME: Quota = Quota::per_day(1).burst(100_000).assert_valid();

fn main() {
    println!("{NO_UNITS} {NO_BURST} {LARGE_BURST} {NO_PERIOD} {LONG_INTERVAL} {LONG_FILL_TIME}");
}
