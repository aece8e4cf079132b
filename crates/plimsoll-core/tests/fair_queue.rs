//! The fair queue against plain lists, by random steps. Then what it promises about shares.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::Account;
use plimsoll_core::parts::{FairQueue, FairTicket};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Accounts in the order of their turns, each with its items in the order of arrival.
#[derive(Debug, Default)]
struct Oracle {
    capacity: usize,
    accounts: Vec<(u64, Vec<(u32, u32)>)>,
}

impl Oracle {
    fn len(&self) -> usize {
        self.accounts.iter().map(|(_, items)| items.len()).sum()
    }

    fn len_of(&self, account: u64) -> usize {
        self.accounts.iter().find(|(owner, _)| *owner == account).map_or(0, |(_, items)| items.len())
    }

    fn most(&self) -> usize {
        self.accounts.iter().map(|(_, items)| items.len()).max().unwrap_or(0)
    }

    fn weight_of(&self, account: u64) -> u64 {
        let own = self.accounts.iter().filter(|(owner, _)| *owner == account);
        own.flat_map(|(_, items)| items).map(|(_, weight)| u64::from(*weight)).sum()
    }

    /// Returns the accounts whose newest item may be displaced, or `None` if the newcomer has to
    /// leave.
    fn displaceable(&self, account: u64) -> Option<Vec<u64>> {
        if self.len() < self.capacity {
            return Some(vec![]);
        }
        let most = self.most();
        let heaviest = self.accounts.iter().filter(|(_, items)| items.len() == most).map(|(owner, _)| *owner);
        (self.capacity > 0 && self.len_of(account) + 1 < most).then(|| heaviest.collect())
    }

    fn push(&mut self, account: u64, item: (u32, u32)) {
        match self.accounts.iter_mut().find(|(owner, _)| *owner == account) {
            Some((_, items)) => items.push(item),
            None => self.accounts.push((account, vec![item])),
        }
    }

    fn pop(&mut self) -> Option<(u64, u32)> {
        if self.accounts.is_empty() {
            return None;
        }
        let (account, mut items) = self.accounts.remove(0);
        let (id, _) = items.remove(0);
        if !items.is_empty() {
            self.accounts.push((account, items));
        }
        Some((account, id))
    }

    fn remove(&mut self, id: u32) -> bool {
        let before = self.len();
        for (_, items) in &mut self.accounts {
            items.retain(|(item, _)| *item != id);
        }
        self.accounts.retain(|(_, items)| !items.is_empty());
        self.len() < before
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push { account: u64, weight: u32 },
    Pop,
    Remove(Index),
    SetCapacity(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u64..6, 0u32..5).prop_map(|(account, weight)| Step::Push { account: account * account / 3, weight }),
        3 => Just(Step::Pop),
        2 => any::<Index>().prop_map(Step::Remove),
        1 => (0usize..12).prop_map(Step::SetCapacity),
    ]
}

proptest! {
    #[test]
    fn random_steps_agree_with_plain_lists(steps in vec(step(), 1..200)) {
        let mut queue = FairQueue::with_capacity(8);
        let mut oracle = Oracle { capacity: 8, ..Oracle::default() };
        let mut tickets: Vec<FairTicket> = vec![];
        for step in steps {
            match step {
                Step::Push { account, weight } => {
                    let id = tickets.len() as u32;
                    let displaceable = oracle.displaceable(account + 1);
                    match queue.push(Account::new(account + 1), weight, id) {
                        Ok((ticket, displaced)) => {
                            let from = displaceable.expect("it was rejected");
                            prop_assert_eq!(displaced.is_some(), !from.is_empty());
                            if let Some(lost) = displaced {
                                let newest = |owner: &u64| {
                                    let own = oracle.accounts.iter().find(|(account, _)| account == owner);
                                    own.and_then(|(_, items)| items.last()).map(|(id, _)| *id)
                                };
                                prop_assert!(from.iter().any(|owner| newest(owner) == Some(lost)));
                                oracle.remove(lost);
                            }
                            oracle.push(account + 1, (id, weight));
                            tickets.push(ticket);
                        }
                        Err(returned) => {
                            prop_assert_eq!(returned, id);
                            prop_assert_eq!(displaceable, None);
                        }
                    }
                }
                Step::Pop => {
                    let popped = queue.pop().map(|(account, id)| (account.get(), id));
                    prop_assert_eq!(popped, oracle.pop());
                }
                Step::Remove(index) => {
                    if !tickets.is_empty() {
                        let ticket = tickets[index.index(tickets.len())];
                        // The ticket of an item that has left never names a later item.
                        let there = queue.get_mut(ticket).copied();
                        let removed = queue.remove(ticket);
                        prop_assert_eq!(removed, there);
                        if let Some(id) = removed {
                            prop_assert_eq!(tickets.iter().filter(|other| **other == ticket).count(), 1);
                            prop_assert!(oracle.remove(id));
                        }
                        prop_assert_eq!(queue.remove(ticket), None);
                    }
                }
                Step::SetCapacity(capacity) => {
                    queue.set_capacity(capacity);
                    oracle.capacity = capacity;
                }
            }
            prop_assert_eq!(queue.len(), oracle.len());
            prop_assert_eq!(queue.is_empty(), oracle.len() == 0);
            prop_assert_eq!((queue.accounts(), queue.most()), (oracle.accounts.len(), oracle.most()));
            let mut all = 0;
            for account in 1..=12 {
                prop_assert_eq!(queue.len_of(Account::new(account)), oracle.len_of(account));
                let weight = queue.weight_of(Account::new(account));
                prop_assert_eq!(weight, oracle.weight_of(account));
                all += weight;
            }
            prop_assert_eq!(queue.weight(), all);
        }
    }

    /// Accounts push in any order, each as often as it likes. An account that pushes no more than
    /// its max-min fair share of the places has all of its items in the queue in the end. No other
    /// has fewer than that share, less one.
    #[test]
    fn places_are_shared_max_min_fairly(pushes in vec(0usize..6, 1..400), capacity in 1usize..40) {
        let mut queue = FairQueue::with_capacity(capacity);
        let mut wanted = [0usize; 6];
        for account in pushes {
            // Skewed, so that some are light.
            for _ in 0..=account * account {
                wanted[account] += 1;
                let _ = queue.push(Account::new(account as u64 + 1), 1, ());
            }
        }
        let share = (0..=capacity).rev().find(|share| wanted.iter().map(|n| n.min(share)).sum::<usize>() <= capacity);
        let share = share.unwrap_or(0);
        for (account, wanted) in wanted.iter().enumerate() {
            let held = queue.len_of(Account::new(account as u64 + 1));
            prop_assert!(held >= (*wanted).min(share), "{held} of {wanted}, share {share}");
        }
        prop_assert_eq!(queue.len(), capacity.min(wanted.iter().sum()));
    }
}

/// A million strange accounts: no more memory than the capacity takes.
#[test]
fn strange_accounts_take_no_more_than_the_capacity() {
    let mut queue = FairQueue::with_capacity(64);
    let mut push = |from: u64| {
        for n in from..from + 10_000 {
            let _ = queue.push(Account::new(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), 1, n);
            if n % 3 == 0 {
                queue.pop();
            }
        }
    };
    push(0);
    let allocated = allocation_counter::measure(|| push(10_000));
    assert_eq!(allocated.bytes_current, 0, "nothing more stays allocated");
}

/// One account fills the queue. Another one finds a place, up to half of them.
#[test]
fn account_that_fills_the_queue_leaves_others_their_share() {
    let (heavy, light) = (Account::new(1), Account::new(2));
    let mut queue = FairQueue::with_capacity(1_024);
    for n in 0..5_000 {
        let _ = queue.push(heavy, 1, n);
    }
    assert_eq!(queue.len_of(heavy), 1_024);
    let admitted = (0..2_000).filter(|n| queue.push(light, 1, *n).is_ok()).count();
    assert_eq!((admitted, queue.len_of(light), queue.len_of(heavy)), (512, 512, 512));
    // The oldest items of both are still there.
    let served: Vec<_> = (0..6).filter_map(|_| queue.pop()).map(|(_, n)| n).collect();
    assert_eq!(served, [0, 0, 1, 1, 2, 2]);
}
