//! The settings of a pool.

use crate::SlotPick;
use crate::slots::MAX_SLOTS;
use plimsoll_core::ConfigError;
use plimsoll_core::parts::check;
use std::time::Duration;

/// The settings of a [`Dispatch`](crate::Dispatch). Plain data; validated when a pool is built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct DispatchConfig {
    /// The name that rejections carry. Default: "dispatch".
    pub name: String,
    /// The number of slots. Default: 10, as in dispcount. Range: 1 to 2²⁰.
    pub slots: u32,
    /// Which slot is tried first. Default: [`Random`](SlotPick::Random).
    pub pick: SlotPick,
    /// The number of slots that a request tries before it is rejected.
    ///
    /// Default: 8. Range: 1 or more.
    ///
    /// With the default, a pool of up to eight slots is busy only if all of them are in use.
    /// dispcount tries one slot.
    pub probes: u32,
    /// The longest time a resource may lie idle. Default: `None`, which means no limit.
    ///
    /// A resource that was idle for longer is dropped at its next checkout, or by
    /// [`sweep`](crate::Dispatch::sweep).
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", with = "plimsoll_core::parts::duration_text::option")
    )]
    pub max_idle: Option<Duration>,
    /// Whether the resource of a lease that was only dropped is kept. Default: `true`.
    ///
    /// A lease that is [put back](crate::Lease::put_back) always keeps its resource. A lease is
    /// only dropped when, for example, the future that uses it is cancelled. Set `false` if a
    /// resource is useless after half an operation. After a panic the resource is never kept.
    pub keep_dropped: bool,
}

impl Default for DispatchConfig {
    fn default() -> Self {
        DispatchConfig {
            name: "dispatch".into(),
            slots: 10,
            pick: SlotPick::Random,
            probes: 8,
            max_idle: None,
            keep_dropped: true,
        }
    }
}

impl DispatchConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        check_slots(self.slots)?;
        check_probes(self.probes)
    }
}

pub(super) fn check_slots(slots: u32) -> Result<(), ConfigError> {
    check::within("slots", slots, 1..=MAX_SLOTS)
}

pub(super) fn check_probes(probes: u32) -> Result<(), ConfigError> {
    check::within("probes", probes, 1..=u32::MAX)
}
