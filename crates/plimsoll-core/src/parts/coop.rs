//! Tokio's cooperative budget.
//!
//! A task that never has to wait would otherwise keep its thread for itself: no timer fires and no
//! other task runs there. So every future of ours spends a unit of the task's budget when it
//! completes, and is pending once when the budget is spent. Outside tokio there is no budget.

use std::future::Future;
use std::task::{Context, Poll};

/// Polls by `poll`, and spends a unit of the task's budget if that is ready.
///
/// Pending if the budget is spent. The task is polled again after the others had their turn.
#[inline]
pub fn within_budget<T>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    #[cfg(feature = "tokio")]
    {
        let budget = std::task::ready!(tokio::task::coop::poll_proceed(cx));
        let polled = poll(cx);
        if polled.is_ready() {
            budget.made_progress();
        }
        polled
    }
    #[cfg(not(feature = "tokio"))]
    poll(cx)
}

/// Spends a unit of the task's budget. If it is spent, waits until the other tasks had their turn.
pub async fn consume_budget() {
    std::future::poll_fn(|cx| within_budget(cx, |_| Poll::Ready(()))).await;
}

/// Returns `future` without a budget, to be polled by a blocked thread.
///
/// Tokio wakes a task without budget when its worker is free again. A thread that is blocked inside
/// a task would wait for itself.
pub(crate) fn unconstrained<F: Future>(future: F) -> impl Future<Output = F::Output> {
    #[cfg(feature = "tokio")]
    return tokio::task::coop::unconstrained(future);
    #[cfg(not(feature = "tokio"))]
    future
}
