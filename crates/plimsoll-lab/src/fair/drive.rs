//! One run: every request in its order, and the windows judged as they end.

use plimsoll::ConfigError;

use crate::fair::arrivals::{Arrivals, STRANGERS};
use crate::fair::bound::Bound;
use crate::fair::case::{Case, Policy};
use crate::fair::deciders::decider;
use crate::fair::judge::{Counts, Verdict};
use crate::sim::{dice, nanos};

/// Drives `case` through `policy`; also says how many requests there were.
///
/// # Errors
/// If the limiters cannot be built from the case's numbers.
pub fn drive(case: &Case, policy: Policy, seed: u64) -> Result<(Verdict, u64), ConfigError> {
    let mut decider = decider(policy, case, seed)?;
    let mut arrivals = Arrivals::new(case, dice(seed, 1), dice(seed, 2));
    let mut bound = Bound::new(f64::from(case.rate(0)), f64::from(case.burst));
    let mut rates = case.rates.iter().skip(1).map(|(at, rate)| (nanos(*at), *rate)).peekable();
    let mut windows = case.windows().into_iter().peekable();
    let (mut verdict, mut counts, mut requests) = (Verdict::new(), Counts::default(), 0);
    let mut asks = Vec::new();
    for slice in 0..arrivals.slices() {
        arrivals.slice(slice, &mut asks);
        for ask in &asks {
            while let Some((at, rate)) = rates.next_if(|(at, _)| *at <= ask.at) {
                decider.set_rate(at, rate)?;
                bound.rate(at, f64::from(rate));
            }
            while let Some(window) = windows.next_if(|(_, until)| *until <= ask.at) {
                counts.judge(case, arrivals.accounts(), window, &mut verdict);
                counts.clear();
            }
            let is_stranger = ask.who >= STRANGERS;
            let account = arrivals.accounts().get(ask.who as usize).copied();
            let of = account.and_then(|account| Some((case.groups.get(account.group as usize)?, account.n)));
            let claim = match of {
                Some((group, n)) => group.claim(n, case.moved(ask.at)),
                None => crate::fair::share::Claim { weight: 1.0, floor: 0.0, cap: f64::INFINITY },
            };
            let admitted = decider.admits(ask.at, ask.who, &claim);
            if admitted {
                bound.admitted(ask.at);
            } else {
                arrivals.rejected(*ask);
            }
            if windows.peek().is_some_and(|(from, _)| *from <= ask.at) {
                counts.asked(ask.who, admitted, is_stranger);
            }
        }
        requests += asks.len() as u64;
    }
    for window in windows {
        counts.judge(case, arrivals.accounts(), window, &mut verdict);
        counts.clear();
    }
    verdict.over_bound = bound.over();
    Ok((verdict, requests))
}
