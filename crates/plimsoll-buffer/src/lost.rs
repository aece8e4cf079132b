//! What a consumer receives: items, and a report of what was lost.

use plimsoll_core::Reason;
use std::fmt;
use std::ops::{Add, AddAssign};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The items lost since the last report: how many, why, and since when.
///
/// The counts are exact. Every offered item is delivered, reported as lost, or still held.
///
/// ```
/// use plimsoll_buffer::Mailbox;
///
/// let mailbox = Mailbox::new(2)?;
/// let mut inbox = mailbox.inbox();
/// for n in 1..=5 {
///     mailbox.offer(n)?; // keeps the newest two
/// }
/// let mail = inbox.take_up_to(10);
/// assert_eq!(mail.items, [4, 5]);
/// assert_eq!(mail.lost.evicted, 3);
/// assert!(mail.lost.to_string().starts_with("3 items lost since "));
/// assert!(inbox.lost().is_empty(), "reported once");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Items evicted to make room for newer ones.
    pub evicted: u64,
    /// Items that grew too old.
    pub expired: u64,
    /// Items rejected by a full mailbox and returned to their producers.
    pub rejected: u64,
    /// Items heavier than the whole bound, returned to their producers.
    pub too_large: u64,
    /// Items discarded by the consumer's own [`Filter`](crate::Filter).
    pub filtered: u64,
    /// Items that were taken but not passed on, as counted by [`Mail::into_lost`].
    pub undelivered: u64,
    /// When the first of them was lost, by the wall clock. `None` if none was lost.
    ///
    /// For expired items it is the time at which the mailbox noticed.
    pub since: Option<SystemTime>,
}

impl Lost {
    /// Returns the number of lost items, whatever the reason.
    pub fn total(&self) -> u64 {
        self.counts().iter().fold(0, |sum, (n, _)| sum.saturating_add(*n))
    }

    /// Returns whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    fn counts(&self) -> [(u64, &'static str); 6] {
        [
            (self.evicted, "evicted"),
            (self.expired, "expired"),
            (self.rejected, "rejected"),
            (self.too_large, "too large"),
            (self.filtered, "filtered"),
            (self.undelivered, "undelivered"),
        ]
    }

    /// Clears the time of a report without losses.
    pub(crate) fn normalized(self) -> Self {
        if self.is_empty() { Lost::default() } else { self }
    }

    #[inline]
    pub(crate) fn count(&mut self, reason: Reason, count: u64) {
        let cell = match reason {
            Reason::Evicted => &mut self.evicted,
            Reason::Expired => &mut self.expired,
            Reason::TooLarge => &mut self.too_large,
            Reason::Filtered => &mut self.filtered,
            _ => &mut self.rejected,
        };
        *cell = cell.saturating_add(count);
    }
}

impl AddAssign for Lost {
    /// Adds the counts. `since` becomes the earlier of the two.
    fn add_assign(&mut self, other: Lost) {
        self.evicted = self.evicted.saturating_add(other.evicted);
        self.expired = self.expired.saturating_add(other.expired);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.too_large = self.too_large.saturating_add(other.too_large);
        self.filtered = self.filtered.saturating_add(other.filtered);
        self.undelivered = self.undelivered.saturating_add(other.undelivered);
        self.since = self.since.into_iter().chain(other.since).min();
    }
}

impl Add for Lost {
    type Output = Lost;
    /// Adds the counts. `since` becomes the earlier of the two.
    fn add(mut self, other: Lost) -> Lost {
        self += other;
        self
    }
}

/// Writes "312 items lost since 12:04:05.120: 300 evicted, 12 expired". The time is the time of day
/// in UTC.
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        match total {
            0 => return f.write_str("nothing lost"),
            1 => f.write_str("1 item lost")?,
            n => write!(f, "{n} items lost")?,
        }
        if let Some(since) = self.since {
            let day = since.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            let (s, ms) = (day.as_secs() % 86_400, day.subsec_millis());
            write!(f, " since {:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)?;
        }
        let mut before = ": ";
        for (count, reason) in self.counts() {
            if count > 0 {
                write!(f, "{before}{count} {reason}")?;
                before = ", ";
            }
        }
        Ok(())
    }
}

/// What a consumer takes at once: items and a report of losses.
///
/// The items are in the order of the discipline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mail<T> {
    /// The items.
    pub items: Vec<T>,
    /// What was lost since the last report.
    pub lost: Lost,
}

impl<T> Mail<T> {
    pub(crate) const fn new(items: Vec<T>, lost: Lost) -> Self {
        Mail { items, lost }
    }

    /// Counts the whole mail as lost and drops its items.
    ///
    /// For mail that could not be passed on: give the result to
    /// [`Inbox::restore_losses`](crate::Inbox::restore_losses).
    pub fn into_lost(self) -> Lost {
        let undelivered = self.lost.undelivered.saturating_add(self.items.len() as u64);
        Lost { undelivered, ..self.lost }
    }

    /// Returns whether there are neither items nor losses.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.lost.is_empty()
    }
}

/// An element of a [stream](crate::Inbox::into_stream): an item, or a loss report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery<T> {
    /// An item.
    Item(T),
    /// Items are missing here. The report is never empty.
    Lost(Lost),
}
