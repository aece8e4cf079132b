//! Observers: code that is called for each event of a guard.

use crate::{Event, Rejected};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Receives the events of guards.
///
/// It is called in the middle of a decision, on the caller's thread and never under a lock. So it
/// must be quick and must not block. Its panics are caught, after the panic hook has run, and do
/// not disturb the guard. A guard without an observer pays one branch.
pub trait Observe: Send + Sync {
    /// Handles an event.
    fn event(&self, event: Event);

    /// Returns an observer for the guard named `name`, or `None` to use this one. Default: `None`.
    ///
    /// Called once, when the guard is built.
    fn for_guard(&self, name: &'static str) -> Option<Arc<dyn Observe>> {
        let _ = name;
        None
    }
}

/// The observer of a guard, if there is one. Every guard has a field of this type.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<dyn Observe>>);

impl Observer {
    /// Creates an `Observer` that ignores all events.
    pub const fn none() -> Self {
        Observer(None)
    }

    /// Creates an `Observer` for the guard named `name`.
    pub fn new(observer: Arc<dyn Observe>, name: &'static str) -> Self {
        Observer(Some(observer.for_guard(name).unwrap_or(observer)))
    }

    /// Creates an `Observer` for more than one guard.
    pub fn shared(observer: Arc<dyn Observe>) -> Self {
        Observer(Some(observer))
    }

    /// Returns whether events are observed.
    #[inline]
    pub const fn is_listening(&self) -> bool {
        self.0.is_some()
    }

    /// Emits an event. Without an observer, `event` is not called.
    ///
    /// On a hot path, create the event from plain numbers. A closure that borrows the rejection
    /// being returned forces it through memory once more, which costs more than creating it.
    #[inline]
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        self.emit_all(|emit| emit(event()));
    }

    /// Emits several events at once.
    #[inline]
    pub fn emit_all(&self, events: impl FnOnce(&dyn Fn(Event))) {
        if let Some(observer) = &self.0 {
            call(&**observer, events);
        }
    }

    /// Emits a decision of the guard named `by`, and returns it.
    #[inline]
    pub fn emit_decision<T>(&self, by: &'static str, decision: Result<T, Rejected>) -> Result<T, Rejected> {
        self.emit(|| match &decision {
            Ok(_) => Event::admitted(by),
            Err(rejected) => Event::rejected(*rejected),
        });
        decision
    }

    /// Emits a rejection by the guard that it names, and returns it.
    pub fn emit_rejection(&self, rejected: Rejected) -> Rejected {
        self.emit(|| Event::rejected(rejected));
        rejected
    }
}

/// Calls the observer. Out of line, since most guards have none and their path should stay short.
#[cold]
#[inline(never)]
fn call(observer: &dyn Observe, events: impl FnOnce(&dyn Fn(Event))) {
    let _ = catch_unwind(AssertUnwindSafe(|| events(&|event| observer.event(event))));
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(listening)" } else { "Observer(none)" })
    }
}
