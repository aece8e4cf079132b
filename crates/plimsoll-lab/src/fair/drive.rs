//! Drives one simulation: every request in order. Each window is judged as it ends.

use plimsoll::ConfigError;

use crate::fair::arrivals::{Arrivals, FIRST_NEW_KEY};
use crate::fair::bound::Bound;
use crate::fair::case::{Case, Policy};
use crate::fair::deciders::decider;
use crate::fair::judge::{Counts, Verdict};
use crate::sim::{dice, nanos};

/// Drives `case` through `policy`. Returns the verdict and the number of requests.
///
/// # Errors
/// Returns an error if a limiter cannot be built from the case's numbers.
pub fn drive(case: &Case, policy: Policy, seed: u64) -> Result<(Verdict, u64), ConfigError> {
    let mut decider = decider(policy, case, seed)?;
    let mut arrivals = Arrivals::new(case, dice(seed, 1), dice(seed, 2));
    let mut bound = Bound::new(f64::from(case.rate(0)), f64::from(case.burst));
    let mut rates = case.rates.iter().skip(1).map(|(at, rate)| (nanos(*at), *rate)).peekable();
    let mut windows = case.windows().into_iter().peekable();
    let (mut verdict, mut counts, mut requests) = (Verdict::new(), Counts::default(), 0);
    let mut batch = Vec::new();
    for slice in 0..arrivals.slices() {
        arrivals.slice(slice, &mut batch);
        for request in &batch {
            while let Some((at, rate)) = rates.next_if(|(at, _)| *at <= request.at) {
                decider.set_rate(at, rate)?;
                bound.set_rate(at, f64::from(rate));
            }
            while let Some(window) = windows.next_if(|(_, until)| *until <= request.at) {
                counts.judge(case, arrivals.accounts(), window, &mut verdict);
                counts.clear();
            }
            let is_new_key = request.key >= FIRST_NEW_KEY;
            let account = arrivals.accounts().get(request.key as usize).copied();
            let of = account.and_then(|account| Some((case.groups.get(account.group as usize)?, account.n)));
            let entitlement = match of {
                Some((group, n)) => group.entitlement(n, case.permutations(request.at)),
                None => crate::fair::share::Entitlement { weight: 1.0, floor: 0.0, cap: f64::INFINITY },
            };
            let admitted = decider.admits(request.at, request.key, &entitlement);
            if admitted {
                bound.admitted(request.at);
            } else {
                arrivals.rejected(*request);
            }
            if windows.peek().is_some_and(|(from, _)| *from <= request.at) {
                counts.record(request.key, admitted, is_new_key);
            }
        }
        requests += batch.len() as u64;
    }
    for window in windows {
        counts.judge(case, arrivals.accounts(), window, &mut verdict);
        counts.clear();
    }
    verdict.over_bound = bound.over();
    Ok((verdict, requests))
}
