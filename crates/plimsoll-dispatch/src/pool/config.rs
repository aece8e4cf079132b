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
    /// The maximum number of callers that wait for a slot. Default: 1,024. Range: 0 to 2³¹ − 1.
    ///
    /// It bounds [`checkout_within`](crate::Dispatch::checkout_within). Each caller brings its own
    /// longest wait. More callers than get a slot within it only hold memory.
    pub queue: u32,
    /// Which of the free slots is granted. Default: [`Random`](SlotPick::Random).
    pub pick: SlotPick,
    /// The longest time a resource may lie idle. Default: `None`, which means no limit.
    ///
    /// A resource that was idle for longer is dropped at its next checkout, or by
    /// [`sweep`](crate::Dispatch::sweep).
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", with = "plimsoll_core::parts::duration_text::option")
    )]
    pub max_idle: Option<Duration>,
    /// Whether the resource of a lease that was only dropped is used again. Default: `false`.
    ///
    /// The resource of a lease that was [put back](crate::Lease::put_back) is always used again. A
    /// lease is only dropped if, for example, the future that uses it is cancelled. With most
    /// protocols its resource then holds half of the caller's answer, which the next caller would
    /// read. Set `true` if half an operation leaves nothing behind. After a panic a resource is
    /// never used again.
    pub reuse_dropped: bool,
}

impl Default for DispatchConfig {
    fn default() -> Self {
        DispatchConfig {
            name: "dispatch".into(),
            slots: 10,
            queue: 1_024,
            pick: SlotPick::Random,
            max_idle: None,
            reuse_dropped: false,
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
        check::queue(self.queue, Duration::MAX)
    }
}

pub(super) fn check_slots(slots: u32) -> Result<(), ConfigError> {
    check::within("slots", slots, 1..=MAX_SLOTS)
}
