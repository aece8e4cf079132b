//! What each account had, over its share.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fair::arrivals::{Account, active};
use crate::fair::case::Case;
use crate::fair::share::{Claim, share_out};

/// Accounts with a smaller share in a window are not judged: one request would be more than a tenth.
const LEAST_SHARE: f64 = 10.0;
/// Below so much of its share an account fell short.
const SHORT: f64 = 0.9;

/// What became of one run, or of several.
///
/// Of an account in a window, x is what it was admitted over its share. That is the smaller of two: what a
/// max-min fair division of the rate would have given it by hindsight, of the requests that really came
/// in that window; and the same of the rates at which they were meant to come.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Jain's index of all x in a window, those above 1 as 1: the least of all windows.
    pub jain: f64,
    /// The least x of all accounts and windows.
    pub worst: f64,
    /// The least (admitted + 1)/share: of a share of 20, one request is a twentieth.
    pub worst_plus_one: f64,
    /// What was admitted over what could have been, the least of all windows.
    pub used: f64,
    /// How often an account was judged in a window.
    pub judged: u64,
    /// How often its x was below 0.9.
    pub short: u64,
    /// What was admitted above the bound on what may be in any span.
    pub over_bound: u64,
    /// The same, by the groups that fell short.
    pub fell: BTreeMap<String, Fell>,
}

/// How a group fared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Fell {
    /// How often one of it was judged in a window.
    pub judged: u64,
    /// How often it was below 0.9.
    pub short: u64,
    /// The least x.
    pub worst: f64,
}

impl Verdict {
    /// Nothing judged yet.
    pub(super) fn new() -> Self {
        Verdict {
            jain: 1.0,
            worst: f64::INFINITY,
            worst_plus_one: f64::INFINITY,
            used: f64::INFINITY,
            judged: 0,
            short: 0,
            over_bound: 0,
            fell: BTreeMap::new(),
        }
    }

    /// With what another run says.
    pub(super) fn and(&mut self, other: &Verdict) {
        self.jain = self.jain.min(other.jain);
        self.worst = self.worst.min(other.worst);
        self.worst_plus_one = self.worst_plus_one.min(other.worst_plus_one);
        self.used = self.used.min(other.used);
        self.judged += other.judged;
        self.short += other.short;
        self.over_bound += other.over_bound;
        for (name, fell) in &other.fell {
            let mine = self.group(name);
            mine.judged += fell.judged;
            mine.short += fell.short;
            mine.worst = mine.worst.min(fell.worst);
        }
    }

    fn group(&mut self, name: &str) -> &mut Fell {
        let none = Fell { judged: 0, short: 0, worst: f64::INFINITY };
        self.fell.entry(name.into()).or_insert(none)
    }

    /// How many in a hundred fell short.
    pub fn short_percent(&self) -> f64 {
        100.0 * self.short as f64 / self.judged.max(1) as f64
    }
}

/// The counts of one window.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By account: what came, and what was admitted.
    each: Vec<(u32, u32)>,
    admitted: u64,
    /// Of those who are not accounts.
    strangers: u64,
}

impl Counts {
    pub(super) fn clear(&mut self) {
        self.each.clear();
        (self.admitted, self.strangers) = (0, 0);
    }

    pub(super) fn asked(&mut self, who: u64, admitted: bool, is_stranger: bool) {
        self.admitted += u64::from(admitted);
        if is_stranger {
            self.strangers += 1;
            return;
        }
        let who = who as usize;
        if self.each.len() <= who {
            self.each.resize(who + 1, (0, 0));
        }
        if let Some((asked, had)) = self.each.get_mut(who) {
            *asked += 1;
            *had += u32::from(admitted);
        }
    }

    /// Judges the window from `from` until `until`.
    pub(super) fn judge(
        &self,
        case: &Case,
        accounts: &[Account],
        (from, until): (u64, u64),
        into: &mut Verdict,
    ) {
        let seconds = (until - from) as f64 / 1e9;
        let whole = f64::from(case.rate(from)) * seconds;
        let moved = case.moved(from);
        let (mut real, mut meant) = (Vec::new(), Vec::new());
        let mut who = Vec::new();
        for (n, account) in accounts.iter().enumerate() {
            let Some(group) = case.groups.get(account.group as usize).filter(|group| !group.strangers) else {
                continue;
            };
            let (asked, had) = self.each.get(n).copied().unwrap_or_default();
            let active = active(account, group, from, until);
            if active <= 0.0 && asked == 0 {
                continue;
            }
            let claim = group.claim(account.n, moved);
            let claim = Claim { floor: claim.floor * seconds, cap: claim.cap * seconds, ..claim };
            real.push((claim, f64::from(asked)));
            meant.push((claim, account.rate * active));
            who.push((group, f64::from(had)));
        }
        let levels = [share_out(whole * case.part, &real), share_out(whole * case.part, &meant)];
        let (mut sum, mut squares, mut judged) = (0.0, 0.0, 0_u64);
        for (((claim, asked), (_, demand)), (group, had)) in real.iter().zip(&meant).zip(&who) {
            let share = claim.at(levels[0], *asked).min(claim.at(levels[1], *demand));
            if !group.judged || share < LEAST_SHARE {
                continue;
            }
            let x = had / share;
            // More than a share is what others left lying; at whose cost it was, their x says.
            let part = x.min(1.0);
            (sum, squares, judged) = (sum + part, squares + part * part, judged + 1);
            into.worst = into.worst.min(x);
            into.worst_plus_one = into.worst_plus_one.min((had + 1.0) / share);
            let short = u64::from(x < SHORT);
            into.judged += 1;
            into.short += short;
            let fell = into.group(&group.name);
            fell.judged += 1;
            fell.short += short;
            fell.worst = fell.worst.min(x);
        }
        if squares > 0.0 {
            into.jain = into.jain.min(sum * sum / (judged as f64 * squares));
        } else if judged > 0 {
            into.jain = 0.0;
        }
        let wanted: f64 = real.iter().map(|(claim, asked)| claim.cap.min(*asked)).sum();
        let could = whole.min(wanted + self.strangers as f64);
        if could > 0.0 {
            into.used = into.used.min(self.admitted as f64 / could);
        }
    }
}
