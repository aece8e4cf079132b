//! Reading the settings of a pool, and changing them while it runs.

use super::Dispatch;
use crate::SlotPick;
use plimsoll_core::parts::check;
use plimsoll_core::{ControlError, Inspect};
use std::sync::atomic::Ordering;

impl<T> Dispatch<T> {
    /// Changes the maximum number of callers that wait for a slot. Range: 0 to 2³¹ − 1.
    ///
    /// Callers that wait already stay.
    ///
    /// # Errors
    /// Returns an error, and changes nothing, if `queue` is out of range.
    pub fn set_queue(&self, queue: u32) -> Result<(), ControlError> {
        Ok(self.0.semaphore.set_queue(queue)?)
    }

    /// Changes which of the free slots is granted.
    pub fn set_pick(&self, pick: SlotPick) {
        self.0.slots().set_pick(pick);
    }

    /// Changes whether the resource of a lease that was only dropped is used again.
    ///
    /// It applies to leases that are in use now, too.
    pub fn set_reuse_dropped(&self, reuse: bool) {
        self.0.reuse_dropped.store(reuse, Ordering::Relaxed);
    }

    /// Returns the number of slots.
    pub fn slots(&self) -> u32 {
        self.0.slots().limit()
    }

    /// Returns the number of slots in use.
    ///
    /// It may exceed [`slots`](Self::slots) for a while after that was lowered.
    #[doc(alias = "taken")]
    pub fn in_use(&self) -> u32 {
        self.0.slots().in_use()
    }

    /// Returns the number of callers that wait in [`checkout_within`](Self::checkout_within).
    pub fn queued(&self) -> u32 {
        self.0.semaphore.queued()
    }

    /// Returns the maximum number of callers that wait for a slot.
    #[doc(alias = "queue")]
    pub fn queue_limit(&self) -> u32 {
        self.0.semaphore.queue_limit()
    }

    /// Returns which of the free slots is granted.
    pub fn pick(&self) -> SlotPick {
        self.0.slots().pick()
    }

    /// Returns whether the resource of a lease that was only dropped is used again.
    pub fn reuse_dropped(&self) -> bool {
        self.0.reuse_dropped.load(Ordering::Relaxed)
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
        each("queued", f64::from(self.queued()));
        each("queue", f64::from(self.queue_limit()));
        each("max_idle", self.max_idle().map_or(f64::INFINITY, |max_idle| max_idle.as_secs_f64()));
        each("reuse_dropped", f64::from(u8::from(self.reuse_dropped())));
    }

    /// Settings: `slots`, `queue` (callers), `max_idle` (seconds, infinite for no limit) and
    /// `reuse_dropped` (0 or 1).
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match setting {
            "slots" => self.set_slots(check::whole("slots", value)?)?,
            "queue" => self.set_queue(check::whole("queue", value)?)?,
            "max_idle" if value == f64::INFINITY => self.set_max_idle(None),
            "max_idle" => self.set_max_idle(check::seconds("max_idle", value)?),
            "reuse_dropped" => self.set_reuse_dropped(check::flag("reuse_dropped", value)?),
            _ => {
                let settings = &["slots", "queue", "max_idle", "reuse_dropped"];
                return Err(ControlError::unknown(setting, settings));
            }
        }
        Ok(())
    }
}
