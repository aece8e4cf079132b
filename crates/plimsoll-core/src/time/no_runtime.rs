//! Without the feature `tokio` there is no runtime's timer.

use super::Instant;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A sleep that is never created.
#[derive(Debug)]
pub(super) struct NeverSleep(Infallible);

impl NeverSleep {
    pub(super) fn new(_: Instant) -> Option<Self> {
        None
    }

    pub(super) fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Option<Poll<()>> {
        match self.0 {}
    }
}
