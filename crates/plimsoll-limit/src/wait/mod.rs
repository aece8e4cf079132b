//! Waiting for units: each account has its own queue.

pub(crate) mod acquire;
pub(crate) mod queues;
