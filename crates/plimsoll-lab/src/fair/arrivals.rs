//! The requests of all accounts over time. They are drawn from dice, the same for every policy.

use plimsoll::Dice;

use crate::fair::case::{Case, Group};
use crate::sim::nanos;

/// Arrivals are generated in slices of a millisecond, and sorted within a slice.
pub(super) const SLICE: u64 = 1_000_000;
/// From here on, keys belong to accounts that send one request only.
pub(super) const FIRST_NEW_KEY: u64 = 1 << 40;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Request {
    pub(super) at: u64,
    /// The number of the account, or a new key.
    pub(super) key: u64,
    /// The number of earlier attempts.
    pub(super) tries: u32,
}

/// One account during its lifetime.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) group: u32,
    /// Its number within the group.
    pub(super) n: u32,
    /// The rate at which it sends, in requests per second.
    pub(super) rate: f64,
    pub(super) from: u64,
    pub(super) until: u64,
}

/// The origin of the requests of one account and its successors.
#[derive(Clone, Copy, Debug)]
struct Source {
    account: u32,
    next: u64,
}

#[derive(Debug)]
pub(super) struct Arrivals<'a> {
    case: &'a Case,
    dice: Dice,
    retry_dice: Dice,
    sources: Vec<Source>,
    accounts: Vec<Account>,
    /// The sources by the slice of their next request.
    wheel: Vec<Vec<u32>>,
    retries: Vec<Vec<Request>>,
    last_new_key: u64,
    span: u64,
}

impl<'a> Arrivals<'a> {
    pub(super) fn new(case: &'a Case, dice: Dice, retry_dice: Dice) -> Self {
        let span = nanos(case.span);
        let slices = usize::try_from(span / SLICE + 1).unwrap_or_default();
        let mut arrivals = Arrivals {
            case,
            dice,
            retry_dice,
            sources: Vec::new(),
            accounts: Vec::new(),
            wheel: vec![Vec::new(); slices],
            retries: vec![Vec::new(); slices],
            last_new_key: FIRST_NEW_KEY,
            span,
        };
        for (number, group) in case.groups.iter().enumerate() {
            for (n, rate) in group.demands().into_iter().enumerate() {
                arrivals.add(number as u32, group, n as u32, rate);
            }
        }
        arrivals
    }

    fn add(&mut self, number: u32, group: &Group, n: u32, rate: f64) {
        let (from, until) = (nanos(group.from), nanos(group.until).min(self.span));
        let ends = match group.lifetime {
            // Drawn, so that the accounts do not all end at once.
            Some(lifetime) => from + (self.dice.uniform() * nanos(lifetime) as f64) as u64,
            None => until,
        };
        let account = self.accounts.len() as u32;
        self.accounts.push(Account { group: number, n, rate, from, until: ends.min(until) });
        let first = from as f64 + self.dice.uniform() * 1e9 / rate;
        let source = Source { account, next: in_turn(group, n, first as u64) };
        self.sources.push(source);
        self.schedule(self.sources.len() as u32 - 1, source.next, until);
    }

    fn schedule(&mut self, source: u32, next: u64, until: u64) {
        if next < until
            && let Some(slice) = self.wheel.get_mut((next / SLICE) as usize)
        {
            slice.push(source);
        }
    }

    /// Returns all accounts there have been so far.
    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Returns the number of slices.
    pub(super) fn slices(&self) -> usize {
        self.wheel.len()
    }

    /// Fills in the requests of a slice, in order. Slices must be requested in order, too.
    pub(super) fn slice(&mut self, slice: usize, into: &mut Vec<Request>) {
        into.clear();
        let end = (slice as u64 + 1) * SLICE;
        let sources = self.wheel.get_mut(slice).map(std::mem::take).unwrap_or_default();
        for number in sources {
            let Some(mut source) = self.sources.get(number as usize).copied() else { continue };
            let Some(account) = self.accounts.get(source.account as usize).copied() else { continue };
            let Some(group) = self.case.groups.get(account.group as usize) else { continue };
            let until = nanos(group.until).min(self.span);
            while source.next < end.min(until) {
                let key = self.key_of(&mut source, group, until);
                into.push(Request { at: source.next, key, tries: 0 });
                let gap = if self.case.poisson {
                    -(1.0 - self.dice.uniform()).ln()
                } else {
                    0.8 + 0.4 * self.dice.uniform()
                };
                let next = source.next + (gap * 1e9 / account.rate).max(1.0) as u64;
                source.next = in_turn(group, account.n, next);
            }
            if let Some(place) = self.sources.get_mut(number as usize) {
                *place = source;
            }
            self.schedule(number, source.next, until);
        }
        into.extend(self.retries.get_mut(slice).map(std::mem::take).unwrap_or_default());
        into.sort_unstable();
    }

    /// Returns the key of a request. The successor of an account takes over when its lifetime has
    /// ended.
    fn key_of(&mut self, source: &mut Source, group: &Group, until: u64) -> u64 {
        if group.new_key_per_request {
            self.last_new_key += 1;
            return self.last_new_key;
        }
        if let (Some(lifetime), Some(mut account)) =
            (group.lifetime, self.accounts.get(source.account as usize).copied())
        {
            while account.until <= source.next && account.until < until {
                let from = account.until;
                account = Account { from, until: (from + nanos(lifetime)).min(until), ..account };
                source.account = self.accounts.len() as u32;
                self.accounts.push(account);
            }
        }
        u64::from(source.account)
    }

    /// Schedules a retry of a rejected request, if it has one left.
    pub(super) fn rejected(&mut self, request: Request) {
        let Some(retries) = self.case.retries.filter(|retries| request.tries < retries.times) else { return };
        let after = (0.5 + self.retry_dice.uniform()) * nanos(retries.after) as f64;
        let at = request.at + after as u64;
        if let Some(slice) = self.retries.get_mut((at / SLICE) as usize).filter(|_| at < self.span) {
            slice.push(Request { at, tries: request.tries + 1, ..request });
        }
    }
}

/// Returns `at`, or the beginning of the next turn of the group's n-th account.
fn in_turn(group: &Group, n: u32, at: u64) -> u64 {
    let Some(turns) = group.turns else { return at };
    let (each, all) = (nanos(turns.each).max(1), u64::from(group.accounts.max(1)));
    let ahead = (u64::from(n) + all - at / each % all) % all;
    // A request that falls into another account's turn keeps its offset within the own turn.
    if ahead == 0 { at } else { (at / each + ahead) * each + at % each % (each / 4).max(1) }
}

/// Returns how many seconds of a span an account is active.
pub(super) fn active_seconds(account: &Account, group: &Group, from: u64, until: u64) -> f64 {
    let (from, until) = (from.max(account.from), until.min(account.until));
    let seconds = until.saturating_sub(from) as f64 / 1e9;
    // A window is long compared with a turn.
    if group.turns.is_some() { seconds / f64::from(group.accounts.max(1)) } else { seconds }
}
