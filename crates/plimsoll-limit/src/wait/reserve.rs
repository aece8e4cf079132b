//! The division of a shared rate while requests wait for it. Numbers in, numbers out.
//!
//! All amounts are in nanoseconds: the time in which the rate replenishes them.

use crate::quota::gcra::Rate;

/// Whether a request needs more than its turn. The two kinds wait in queues of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// At most one unit, or what is replenished in [`TURN`].
    Small,
    /// More than that.
    Large,
}

/// The largest turn of a request, unless one unit takes longer.
const TURN: u64 = 10_000_000;
/// What is kept for requests that do not wait, at most, unless one unit takes longer.
const OPEN: u64 = 100_000_000;
/// An account that does not wait is counted for one to two of these after each request.
const WINDOW: u64 = 1_000_000_000;

impl Size {
    pub(crate) fn of(units: u32, rate: Rate) -> Size {
        let cost = rate.interval.saturating_mul(u64::from(units));
        if cost > TURN.max(rate.interval) { Size::Large } else { Size::Small }
    }
}

/// What is kept of a shared rate: for the large request that is saving up, and for requests that do
/// not wait.
///
/// Each waiting account has an equal share, and so has each account that sends requests without
/// waiting. Large requests pool their shares: the first of them saves up until it is served. Small
/// ones are served in turn from what is not kept.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    // The waiting accounts, by the size of their request.
    waiting: [u32; 2],
    at: u64,
    saved: u64,
    // What the large request at the head needs.
    goal: u64,
    open: u64,
    most_open: u64,
    // The accounts that did not wait, one bit each by hash: in this window, and in the one before.
    seen: [u64; 2],
    window: u64,
}

impl Reserve {
    /// Returns the numbers of waiting accounts, and of those that do not wait.
    fn accounts(&self) -> [u64; 3] {
        let [small, large] = self.waiting;
        let [this, before] = self.seen;
        [u64::from(small), u64::from(large), u64::from((this | before).count_ones())]
    }

    /// Adds the shares of the time since the last call.
    fn advance(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.at);
        self.at += elapsed;
        let window = self.at / WINDOW;
        match window - self.window {
            0 => {}
            1 => self.seen = [0, self.seen[0]],
            _ => self.seen = [0, 0],
        }
        self.window = window;
        let [small, large, passing] = self.accounts();
        let all = small + large + passing;
        self.saved = match large {
            0 => 0,
            _ => (self.saved + share(elapsed, large, all)).min(self.goal),
        };
        self.open = match passing {
            0 => 0,
            _ => (self.open + share(elapsed, passing, all)).min(self.most_open),
        };
    }

    /// Adds or removes a waiting account. Returns how many of each size there are then.
    pub(crate) fn resize(&mut self, size: Size, joins: bool, now: u64) -> [u32; 2] {
        self.advance(now);
        let [small, large] = &mut self.waiting;
        let waiting = match size {
            Size::Small => small,
            Size::Large => large,
        };
        *waiting = if joins { *waiting + 1 } else { waiting.saturating_sub(1) };
        self.waiting
    }

    /// Returns what has to remain when the request at the head of its queue is served.
    pub(crate) fn kept_from(&mut self, size: Size, units: u32, rate: Rate, now: u64) -> u64 {
        self.fit(rate);
        self.advance(now);
        let cost = rate.interval.saturating_mul(u64::from(units));
        let kept = match size {
            Size::Small => self.saved.saturating_add(self.open),
            Size::Large => {
                self.goal = cost;
                self.open
            }
        };
        // A full bucket serves it in any case.
        kept.min(rate.span().saturating_sub(cost))
    }

    /// Records that a large request was served.
    pub(crate) fn spend(&mut self) {
        (self.saved, self.goal) = (0, 0);
    }

    /// Returns how long the head of its queue sleeps, if it needs `missing` more.
    ///
    /// A large one tries again after each [`TURN`], because the others may leave what is theirs.
    pub(crate) fn patience(&self, size: Size, missing: u64) -> u64 {
        let [small, large, passing] = self.accounts();
        let (to_save, to_open) = (self.goal.saturating_sub(self.saved), self.most_open - self.open);
        match size {
            Size::Small => {
                let saving = if to_save > 0 { large } else { 0 };
                let opening = if to_open > 0 { passing } else { 0 };
                let most = if saving > 0 { to_save } else { 0 } + if opening > 0 { to_open } else { 0 };
                let small = small.max(1);
                stretched(missing, small + saving + opening, small).min(missing.saturating_add(most))
            }
            Size::Large if small + passing == 0 => missing,
            Size::Large => missing.max(TURN.min(stretched(to_save, small + large + passing, large.max(1)))),
        }
    }

    /// Takes what is kept for requests that do not wait. Returns the time until there is enough as
    /// an error.
    pub(crate) fn pass(&mut self, account: u64, units: u32, rate: Rate, now: u64) -> Result<(), u64> {
        self.fit(rate);
        self.advance(now);
        // The low bits choose the place in tables.
        self.seen[0] |= 1 << (account >> 58);
        let cost = rate.interval.saturating_mul(u64::from(units));
        match self.open.checked_sub(cost) {
            Some(open) => {
                self.open = open;
                Ok(())
            }
            None => {
                let [small, large, passing] = self.accounts();
                Err(stretched(cost - self.open, small + large + passing, passing))
            }
        }
    }

    /// Returns what [`pass`](Self::pass) took.
    pub(crate) fn unpass(&mut self, units: u32, rate: Rate) {
        let cost = rate.interval.saturating_mul(u64::from(units));
        self.open = self.open.saturating_add(cost).min(self.most_open);
    }

    fn fit(&mut self, rate: Rate) {
        self.most_open = OPEN.min(rate.span() / 2).max(rate.interval);
        self.open = self.open.min(self.most_open);
    }
}

/// Returns the share of an amount that `part` of `all` accounts have, rounded down.
fn share(amount: u64, part: u64, all: u64) -> u64 {
    (u128::from(amount) * u128::from(part) / u128::from(all.max(1))) as u64
}

/// Returns the time in which `part` of `all` accounts are given an amount, rounded up.
fn stretched(amount: u64, all: u64, part: u64) -> u64 {
    let exact = (u128::from(amount) * u128::from(all)).div_ceil(u128::from(part.max(1)));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const RATE: Rate = Rate { interval: 1_000_000, burst: 1_000, at_most: 0 };

    #[derive(Clone, Debug)]
    enum Step {
        Join(bool),
        Leave(bool),
        Pass(u64, u32),
        Spend,
    }

    fn size(large: bool) -> Size {
        if large { Size::Large } else { Size::Small }
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<bool>().prop_map(Step::Join),
            any::<bool>().prop_map(Step::Leave),
            (any::<u64>(), 1u32..5).prop_map(|(account, units)| Step::Pass(account, units)),
            Just(Step::Spend),
        ]
    }

    proptest! {
        /// What is kept never grows faster than the limit is replenished, so it is always there.
        /// A head that slept as long as it was advised has enough, and no other event was needed.
        #[test]
        fn what_is_kept_is_replenished_and_the_head_wakes_in_time(
            steps in vec((step(), 0u64..300_000_000), 1..60),
            missing in 1u64..200_000_000,
        ) {
            let (mut reserve, mut now, mut kept) = (Reserve::default(), 0, 0);
            let mut waiting = [0u32; 2];
            for (step, after) in steps {
                now += after;
                let advanced = reserve.at;
                match step {
                    Step::Join(large) => waiting = reserve.resize(size(large), true, now),
                    Step::Leave(large) if waiting[usize::from(large)] > 0 => {
                        waiting = reserve.resize(size(large), false, now);
                    }
                    Step::Leave(_) => {}
                    Step::Pass(account, units) => {
                        let _ = reserve.pass(account, units, RATE, now);
                    }
                    Step::Spend => reserve.spend(),
                }
                if waiting[1] > 0 {
                    let _ = reserve.kept_from(Size::Large, 500, RATE, now);
                }
                let kept_now = reserve.saved + reserve.open;
                let grown = kept_now.saturating_sub(kept);
                prop_assert!(grown <= reserve.at - advanced, "{grown} in {} ns", reserve.at - advanced);
                kept = kept_now;
                prop_assert!(reserve.saved <= reserve.goal && reserve.open <= reserve.most_open);
            }
            if waiting[0] > 0 {
                let before = reserve.kept_from(Size::Small, 1, RATE, now);
                let wait = reserve.patience(Size::Small, missing);
                let grown = reserve.kept_from(Size::Small, 1, RATE, now + wait).saturating_sub(before);
                prop_assert!(grown + missing <= wait, "{grown} + {missing} after {wait}");
            }
        }

        /// While others wait and pass without end, a large request has saved up what it needs
        /// after its share of the rate.
        #[test]
        fn large_request_saves_its_share(small in 0u32..50, large in 1u32..5, passing in 0u64..64) {
            let mut reserve = Reserve::default();
            for (size, n) in [(Size::Small, small), (Size::Large, large)] {
                for _ in 0..n {
                    reserve.resize(size, true, 0);
                }
            }
            reserve.kept_from(Size::Large, 500, RATE, 0);
            let all = u64::from(small) + u64::from(large) + passing;
            let end = 500 * RATE.interval * all / u64::from(large) + RATE.interval;
            for now in (0..=end).step_by(end as usize / 1_000) {
                for n in 0..passing {
                    let _ = reserve.pass(n << 58, 1, RATE, now);
                }
                reserve.kept_from(Size::Large, 500, RATE, now);
            }
            reserve.advance(end);
            let missing = reserve.goal - reserve.saved;
            prop_assert!(missing <= 2_000, "{missing} ns are missing");
        }
    }
}
