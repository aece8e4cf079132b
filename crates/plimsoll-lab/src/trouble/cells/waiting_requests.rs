//! Requests that wait for a rate limiter: what the cells of all four have in common.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use plimsoll::Rejected;

use crate::trouble::alone::Alone;
use crate::trouble::cell::Size;
use crate::trouble::row::{Phase, Row};
use crate::trouble::waiting::{Waiting, Who};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

pub(crate) type Call = Pin<Box<dyn Future<Output = Result<(), Rejected>>>>;

/// A limiter under test: a call of an account for some units, that waits.
pub(crate) type Acquire<'a> = &'a dyn Fn(u64, u32) -> Call;

/// A thousand calls arrive at once, at ten units a second with a burst of ten and the default
/// `max_wait` of 10 s. `accounts` of them share what can be served.
pub(crate) fn hopeless(alone: &Alone, accounts: u64, served: f64, acquire: Acquire<'_>) -> Vec<Row> {
    let mut waiting = Waiting::new(alone);
    for n in 0..1_000 {
        waiting.start(Who::Other, None, acquire(n % accounts, 1));
    }
    waiting.run(11 * S);
    let of = match accounts {
        1 => "one account".to_owned(),
        n => format!("{n} accounts"),
    };
    let rejected = waiting.of(Who::Other).filter(|ended| !ended.admitted);
    let in_vain = rejected.filter(|ended| ended.waited > Duration::ZERO).count() as f64;
    let admitted = waiting.admitted(Who::Other) * 10.0;
    vec![
        Row::at_most(format!("calls that waited in vain, of 1,000 of {of}"), in_vain, 0.0, "calls"),
        Row::at_least(format!("calls served in time, of 1,000 of {of}"), admitted, served, "calls"),
    ]
}

/// One account keeps `large` units and a crowd of small requests waiting, twice what `rate` serves
/// a second. Twenty others send a fiftieth of the rate each: half of their requests wait, and the
/// others `attempt` once.
pub(crate) fn greedy(
    alone: &Alone,
    size: Size,
    rate: u32,
    large: u32,
    longest_wait: Duration,
    acquire: Acquire<'_>,
    attempt: &dyn Fn(u64) -> bool,
) -> Vec<Row> {
    let mut waiting = Waiting::new(alone);
    // Each other account sends a request in fifty units' time.
    for step in 0..size.pick(1_200 + rate * 4, 24_000) {
        waiting.run(S * 5 / (2 * rate));
        if large > 0 && step % 40 == 0 {
            waiting.start(Who::Greedy, None, acquire(0, large));
        }
        for _ in 0..5 {
            waiting.start(Who::Greedy, None, acquire(0, 1));
        }
        let account = u64::from(1 + step % 20);
        if step / 20 % 2 == 0 {
            waiting.start(Who::Other, None, acquire(account, 1));
        } else {
            let admitted = attempt(account);
            waiting.record(Who::Other, admitted);
        }
    }
    waiting.run(20 * S);
    let what = if large > 0 { "a crowd and large requests" } else { "a crowd" };
    let longest = longest_wait.as_secs_f64() * 1e3;
    vec![
        Row::at_least(
            format!("others' requests admitted, one account keeps {what} waiting"),
            waiting.admitted(Who::Other),
            90.0,
            "%",
        )
        .phase(Phase::During),
        Row::at_most("longest wait of the others", waiting.longest_wait(Who::Other), longest, "ms")
            .phase(Phase::During),
    ]
}

/// Ten per cent of the calls leave at a random moment. The others use the whole rate, and nothing
/// stays behind.
pub(crate) fn leaving(alone: &Alone, size: Size, acquire: Acquire<'_>, queued: &dyn Fn() -> u32) -> Vec<Row> {
    let lasts = size.pick(20, 600);
    let admitted = |leave: bool| {
        let mut waiting = Waiting::new(alone);
        for n in 0..lasts * 20 {
            waiting.run(50 * MS);
            let leaves = leave && alone.chance(0.1);
            let after = (0..10).filter(|_| alone.chance(0.5)).count() as u32 * S;
            waiting.start(Who::Other, leaves.then_some(after), acquire(n % 3, 1));
        }
        waiting.run(12 * S);
        waiting.of(Who::Other).filter(|ended| ended.admitted).count() as f64
    };
    let all = admitted(false);
    let share = admitted(true) / all * 100.0;
    vec![
        Row::at_least("admitted, of what is admitted if nobody leaves", share, 95.0, "%"),
        Row::at_most("requests that still wait at the end", f64::from(queued()), 0.0, "calls"),
    ]
}
