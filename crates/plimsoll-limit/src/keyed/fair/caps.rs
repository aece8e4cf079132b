//! The caps of the accounts that have one, in a table of their own.

use super::Fair;
use super::charge::CapEntry;
use crate::Quota;
use crate::setup::rejected;
use crate::table::Crowd;
use crate::table::entry::EMPTY;
use crate::table::gcra_table::GcraTable;
use crate::table::when_full::WhenFull;
use plimsoll_core::Rejected;

impl<K: ?Sized> Fair<K> {
    /// Charges the account's cap.
    pub(super) fn take_cap(&self, hash: u64, cap: Quota, now: u64, units: u32) -> Result<u32, Rejected> {
        let caps = self.caps.get_or_init(|| {
            let crowd = Crowd::new(self.cap_name, self.common.observer.clone());
            GcraTable::new(self.table.capacity(), WhenFull::Evict, &self.dice, crowd)
        });
        let (by, rate) = (self.cap_name, cap.gcra());
        let taken = caps.take(hash, rate, now, units);
        taken.map_err(|refused| rejected(by, refused.reason(), rate, units, now, refused.at))
    }

    /// Refunds what the cap was charged at `at`, if its entry is still that of the account `hash`.
    /// [`EMPTY`] stands for an account that is not known.
    pub(super) fn refund_cap(&self, cap: Option<CapEntry>, hash: u64, units: u32, now: u64, at: u64) {
        if let (Some(caps), Some(cap)) = (self.caps.get(), cap) {
            let is_owner = |owner| hash == EMPTY || owner == hash;
            caps.refund(cap.get(), is_owner, now, units, at, u64::MAX);
        }
    }
}
