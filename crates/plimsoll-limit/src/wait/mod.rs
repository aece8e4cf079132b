//! Waiting for units: each account has its own queue, and shared limits are divided among them.

pub(crate) mod acquire;
mod queue;
pub(crate) mod queues;
pub(crate) mod reserve;
pub(crate) mod shared;
mod waiter;
