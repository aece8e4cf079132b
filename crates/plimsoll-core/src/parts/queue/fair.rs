//! A queue that is shared by accounts: round robin over the accounts that wait.
//!
//! Items, accounts and their order are stored in slabs, linked by numbers. Every operation takes
//! constant time, and allocates only when a slab or the map of accounts grows.
//!
//! Sources: round robin by source is J. Nagle, *On Packet Switches With Infinite Storage* (RFC 970,
//! 1985). Evicting from the longest queue is that of B. Suter, T. Lakshman, D. Stiliadis and
//! A. Choudhury, *Design Considerations for Supporting TCP with Per-flow Queueing* (1998).

use super::links::{Circle, Links, at, grow};
use crate::Account;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The place of an item in a [`FairQueue`]. It is valid until the item leaves, and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FairTicket {
    entry: u32,
    generation: u32,
}

/// Items of many accounts, within a common capacity that no account can occupy alone.
///
/// Each account has its items in the order of arrival. [`pop`](Self::pop) takes one item of each
/// account in turn. A new account is last in turn.
///
/// If the queue is full, a newcomer displaces the newest item of the account with the most items,
/// unless its own account would then have as many. So places are shared max-min fairly: an account
/// that holds less than its share never loses an item, and always finds a place.
///
/// ```
/// use plimsoll_core::Account;
/// use plimsoll_core::parts::FairQueue;
///
/// let (ann, bob) = (Account::new(1), Account::new(2));
/// let mut queue = FairQueue::with_capacity(3);
/// for n in 1..=3 {
///     assert!(queue.push(ann, 1, ("ann", n)).is_ok());
/// }
/// assert!(queue.push(ann, 1, ("ann", 4)).is_err());
/// let (_, displaced) = queue.push(bob, 1, ("bob", 1)).unwrap();
/// assert_eq!(displaced, Some(("ann", 3)));
/// assert_eq!(queue.pop(), Some((ann, ("ann", 1))));
/// assert_eq!(queue.pop(), Some((bob, ("bob", 1))));
/// ```
#[derive(Debug)]
pub struct FairQueue<T> {
    capacity: usize,
    len: usize,
    weight: u64,
    entries: Vec<FairEntry<T>>,
    free_entries: Vec<u32>,
    // The items of each account, in the order of arrival.
    order: Vec<Links>,
    accounts: Vec<Member>,
    free_accounts: Vec<u32>,
    by_account: HashMap<Account, u32, BuildHasherDefault<AccountHasher>>,
    // The accounts that have items, the next to be served first.
    ring: Circle,
    turns: Vec<Links>,
    // The accounts that have `n` items, at index `n`.
    by_len: Vec<Circle>,
    peers: Vec<Links>,
    most: usize,
}

#[derive(Debug)]
struct FairEntry<T> {
    item: Option<T>,
    weight: u32,
    account: u32,
    generation: u32,
}

#[derive(Debug)]
struct Member {
    account: Account,
    items: Circle,
    len: usize,
    weight: u64,
}

/// A hasher for accounts, which are hashes already.
#[derive(Default)]
struct AccountHasher(u64);

impl Hasher for AccountHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl<T> FairQueue<T> {
    /// Creates a queue for `capacity` items. Allocates nothing.
    pub fn with_capacity(capacity: usize) -> Self {
        FairQueue {
            capacity,
            len: 0,
            weight: 0,
            entries: vec![],
            free_entries: vec![],
            order: vec![],
            accounts: vec![],
            free_accounts: vec![],
            by_account: HashMap::default(),
            ring: Circle::EMPTY,
            turns: vec![],
            by_len: vec![],
            peers: vec![],
            most: 0,
        }
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the maximum number of items.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Changes the maximum number of items. Present items stay.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Returns the number of accounts that have items.
    pub fn accounts(&self) -> usize {
        self.by_account.len()
    }

    /// Returns the number of items of the account that has the most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Returns the number of items of this account.
    pub fn len_of(&self, account: Account) -> usize {
        self.member(account).map_or(0, |member| member.len)
    }

    /// Returns the sum of the weights of all items.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Returns the sum of the weights of the items of this account.
    pub fn weight_of(&self, account: Account) -> u64 {
        self.member(account).map_or(0, |member| member.weight)
    }

    fn member(&self, account: Account) -> Option<&Member> {
        self.accounts.get(*self.by_account.get(&account)? as usize)
    }

    /// Adds an item. Returns its ticket, and the item that it displaced if the queue was full.
    ///
    /// # Errors
    /// Returns the item if the queue is full, and no other account would have more items than this
    /// one.
    pub fn push(&mut self, account: Account, weight: u32, item: T) -> Result<(FairTicket, Option<T>), T> {
        let mut displaced = None;
        if self.len >= self.capacity {
            if self.capacity == 0 || self.len_of(account) + 1 >= self.most {
                return Err(item);
            }
            displaced = self.newest_of_heaviest().and_then(|entry| self.take(entry));
        }
        let member = match self.by_account.get(&account) {
            Some(member) => *member,
            None => self.add_account(account),
        };
        let entry = self.add_entry(FairEntry { item: Some(item), weight, account: member, generation: 0 });
        let Member { items, weight: weights, .. } = at(&mut self.accounts, member);
        items.push(&mut self.order, entry);
        *weights += u64::from(weight);
        self.weight += u64::from(weight);
        self.len += 1;
        self.resize(member, 1);
        let generation = at(&mut self.entries, entry).generation;
        Ok((FairTicket { entry, generation }, displaced))
    }

    /// Takes an item of the account whose turn it is.
    pub fn pop(&mut self) -> Option<(Account, T)> {
        let member = self.ring.first()?;
        let Member { account, items, .. } = at(&mut self.accounts, member);
        let (account, entry) = (*account, items.first()?);
        self.ring.advance(&self.turns);
        Some((account, self.take(entry)?))
    }

    /// Returns the item with this ticket, if it is still there.
    pub fn get_mut(&mut self, ticket: FairTicket) -> Option<&mut T> {
        let entry = self.entries.get_mut(ticket.entry as usize)?;
        if entry.generation == ticket.generation { entry.item.as_mut() } else { None }
    }

    /// Removes the item with this ticket, if it is still there.
    pub fn remove(&mut self, ticket: FairTicket) -> Option<T> {
        self.get_mut(ticket)?;
        self.take(ticket.entry)
    }

    fn newest_of_heaviest(&mut self) -> Option<u32> {
        let member = self.by_len.get(self.most)?.first()?;
        at(&mut self.accounts, member).items.last(&self.order)
    }

    /// Removes an item, and its account with the last one.
    fn take(&mut self, n: u32) -> Option<T> {
        let entry = at(&mut self.entries, n);
        let item = entry.item.take()?;
        // The ticket is void.
        entry.generation = entry.generation.wrapping_add(1);
        let (member, weight) = (entry.account, u64::from(entry.weight));
        let Member { account, items, weight: weights, .. } = at(&mut self.accounts, member);
        let account = *account;
        items.remove(&mut self.order, n);
        *weights -= weight;
        self.weight -= weight;
        self.len -= 1;
        self.free_entries.push(n);
        if self.resize(member, -1) == 0 {
            self.ring.remove(&mut self.turns, member);
            self.by_account.remove(&account);
            self.free_accounts.push(member);
        }
        Some(item)
    }

    fn add_entry(&mut self, mut entry: FairEntry<T>) -> u32 {
        if let Some(n) = self.free_entries.pop() {
            let free = at(&mut self.entries, n);
            entry.generation = free.generation;
            *free = entry;
            return n;
        }
        grow(&mut self.order, Links::default());
        grow(&mut self.entries, entry)
    }

    fn add_account(&mut self, account: Account) -> u32 {
        let member = Member { account, items: Circle::EMPTY, len: 0, weight: 0 };
        let n = match self.free_accounts.pop() {
            Some(n) => {
                *at(&mut self.accounts, n) = member;
                n
            }
            None => {
                grow(&mut self.turns, Links::default());
                grow(&mut self.peers, Links::default());
                grow(&mut self.accounts, member)
            }
        };
        self.by_account.insert(account, n);
        self.ring.push(&mut self.turns, n);
        n
    }

    /// Adds 1 or −1 to the number of items of an account, and returns it.
    fn resize(&mut self, n: u32, by: isize) -> usize {
        let member = at(&mut self.accounts, n);
        let before = member.len;
        member.len = before.saturating_add_signed(by);
        let after = member.len;
        if let Some(circle) = self.by_len.get_mut(before).filter(|_| before > 0) {
            circle.remove(&mut self.peers, n);
        }
        if after > 0 {
            if self.by_len.len() <= after {
                self.by_len.resize(after + 1, Circle::EMPTY);
            }
            if let Some(circle) = self.by_len.get_mut(after) {
                circle.push(&mut self.peers, n);
            }
        }
        // The longest became one longer, or the only longest became one shorter.
        let only = before == self.most && self.by_len.get(before).is_none_or(|circle| circle.is_empty());
        if after > self.most || only {
            self.most = after;
        }
        after
    }
}
