//! Waiting for units: in order for each account, and no account for another.

pub(crate) mod acquire;
pub(crate) mod queues;
