//! Reading the settings of a pool, and changing them while it runs.

use super::Dispatch;
use super::config::check_probes;
use crate::SlotPick;
use plimsoll_core::parts::check;
use plimsoll_core::{ControlError, Inspect};
use std::sync::atomic::Ordering;

impl<T> Dispatch<T> {
    /// Changes the number of slots that a request tries. Range: 1 and above.
    ///
    /// # Errors
    /// Returns an error if `probes` is 0. Nothing has changed then.
    pub fn set_probes(&self, probes: u32) -> Result<(), ControlError> {
        check_probes(probes)?;
        self.0.slots.set_probes(probes);
        Ok(())
    }

    /// Changes which slot is tried first.
    pub fn set_pick(&self, pick: SlotPick) {
        self.0.slots.set_pick(pick);
    }

    /// Changes whether the resource of a lease that was only dropped is kept.
    ///
    /// It applies to leases that are in use now, too.
    pub fn set_keep_dropped(&self, keep: bool) {
        self.0.keep_dropped.store(keep, Ordering::Relaxed);
    }

    /// Returns the number of slots.
    pub fn slots(&self) -> u32 {
        self.0.slots.limit()
    }

    /// Returns the number of slots in use. It reads every slot.
    ///
    /// It may exceed [`slots`](Self::slots) for a while after that was lowered.
    #[doc(alias = "taken")]
    pub fn in_use(&self) -> u32 {
        self.0.slots.in_use()
    }

    /// Returns the number of slots that a request tries.
    pub fn probes(&self) -> u32 {
        self.0.slots.probes()
    }

    /// Returns which slot is tried first.
    pub fn pick(&self) -> SlotPick {
        self.0.slots.pick()
    }

    /// Returns whether the resource of a lease that was only dropped is kept.
    pub fn keep_dropped(&self) -> bool {
        self.0.keep_dropped.load(Ordering::Relaxed)
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl<T: Send> Inspect for Dispatch<T> {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("slots", f64::from(self.slots()));
        each("in_use", f64::from(self.in_use()));
        each("idle", self.idle() as f64);
        each("probes", f64::from(self.probes()));
        each("max_idle", self.max_idle().map_or(f64::INFINITY, |max_idle| max_idle.as_secs_f64()));
        each("keep_dropped", f64::from(u8::from(self.keep_dropped())));
    }

    /// Settings: `slots` and `probes` (slots), `max_idle` (seconds, infinite for no limit) and
    /// `keep_dropped` (0 or 1).
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match setting {
            "slots" => self.set_slots(check::whole("slots", value)?)?,
            "probes" => self.set_probes(check::whole("probes", value)?)?,
            "max_idle" if value == f64::INFINITY => self.set_max_idle(None),
            "max_idle" => self.set_max_idle(check::seconds("max_idle", value)?),
            "keep_dropped" => self.set_keep_dropped(check::flag("keep_dropped", value)?),
            _ => {
                let settings = &["slots", "probes", "max_idle", "keep_dropped"];
                return Err(ControlError::unknown(setting, settings));
            }
        }
        Ok(())
    }
}
