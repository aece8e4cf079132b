//! The caps of the accounts that have one, in a table of their own.

use super::Fair;
use crate::quota::gcra::Rate;
use crate::setup::rejected;
use crate::table::Crowd;
use crate::table::gcra_table::{GcraTable, NotBefore};
use crate::table::when_full::WhenFull;
use plimsoll_core::Rejected;

impl<K: ?Sized> Fair<K> {
    /// Returns the table, which is created for the first account with a cap.
    pub(super) fn caps(&self) -> &GcraTable {
        self.caps.get_or_init(|| {
            let crowd = Crowd::new(self.cap_name, self.common.observer.clone());
            GcraTable::new(self.table.capacity(), WhenFull::Evict, &self.dice, crowd)
        })
    }

    /// Charges the account's cap.
    pub(super) fn take_cap(&self, hash: u64, rate: Rate, now: u64, units: u32) -> Result<(), Rejected> {
        let taken = self.caps().take(hash, rate, now, units);
        let rejected =
            |refused: NotBefore| rejected(self.cap_name, refused.reason(), rate, units, now, refused.at);
        taken.map(drop).map_err(rejected)
    }
}
