//! What a guard tells, and what can be looked at and turned while it runs.

use crate::{ControlError, Outcome, Reason, Rejected};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Something a guard did. Plain data, `Copy`.
///
/// The books balance: whoever asked was admitted, refused, or left while he waited; whoever was
/// admitted has ended, was given back, or is still inside. What a buffer was offered it kept or refused;
/// what it kept was delivered, was lost, or is still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request may begin.
    Admitted {
        /// The guard.
        by: &'static str,
    },
    /// A request may not begin.
    Rejected(Rejected),
    /// A caller went away while it waited for its turn.
    Abandoned {
        /// The guard.
        by: &'static str,
    },
    /// Admitted work has ended.
    Completed {
        /// The guard.
        by: &'static str,
        /// How.
        outcome: Outcome,
    },
    /// Admitted work never began: what it took was refunded.
    Refunded {
        /// The guard.
        by: &'static str,
    },
    /// A guard in [shadow](crate::Mode::Shadow) refused, and the request went on all the same. The
    /// guard itself has told the refusal as well.
    Shadowed(Rejected),
    /// A keyed guard had no room for one more key and nothing to evict: the request went on unguarded.
    Unguarded {
        /// The guard.
        by: &'static str,
    },
    /// A guard was built with settings that it works with, but not as well as it could.
    Misconfigured {
        /// The guard.
        by: &'static str,
        /// What is to be changed, and to what.
        what: &'static str,
    },
    /// A guard has turned to another state.
    StateChanged {
        /// The guard.
        by: &'static str,
        /// To which: "open", "closed" …
        to: &'static str,
        /// Why: "failures", "by hand" …
        why: &'static str,
    },
    /// A buffer has kept an item.
    Enqueued {
        /// The buffer.
        by: &'static str,
    },
    /// A buffer's items were handed to a consumer.
    Delivered {
        /// The buffer.
        by: &'static str,
        /// How many.
        count: u64,
    },
    /// A buffer had to let items go that it had kept.
    Lost {
        /// The buffer.
        by: &'static str,
        /// Why.
        reason: Reason,
        /// How many.
        count: u64,
    },
}

/// Is told what a guard does.
///
/// It is called in the middle of a decision, on the caller's thread and never under a lock: be
/// quick, and do not block. A panic in it is caught, once the panic hook has told it: the guard's books
/// must not depend on who reads them. A guard without an observer pays one branch.
pub trait Observe: Send + Sync {
    /// Something was done.
    fn event(&self, event: Event);

    /// An observer of its own for the guard named `name`, asked once when that is built. `None`
    /// (the default): this one serves.
    fn for_guard(&self, name: &'static str) -> Option<Arc<dyn Observe>> {
        let _ = name;
        None
    }
}

/// Who listens to a guard, if anyone. Guards keep one of these.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<dyn Observe>>);

impl Observer {
    /// Nobody listens.
    pub const fn none() -> Self {
        Observer(None)
    }

    /// `observer` listens to the guard named `name`.
    pub fn new(observer: Arc<dyn Observe>, name: &'static str) -> Self {
        Observer(Some(observer.for_guard(name).unwrap_or(observer)))
    }

    /// `observer` listens, to more than one guard.
    pub fn shared(observer: Arc<dyn Observe>) -> Self {
        Observer(Some(observer))
    }

    /// Whether somebody listens.
    #[inline]
    pub const fn is_listening(&self) -> bool {
        self.0.is_some()
    }

    /// Tells, if someone listens; the event is not even made otherwise.
    ///
    /// On an ask path, make `event` from plain numbers: a closure that borrows the refusal being
    /// returned forces that through memory once more, which costs more than the refusal.
    #[inline]
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        self.emit_all(|tell| tell(event()));
    }

    /// Tells several things at once, if someone listens.
    #[inline]
    pub fn emit_all(&self, events: impl FnOnce(&dyn Fn(Event))) {
        if let Some(observer) = &self.0 {
            told(&**observer, events);
        }
    }

    /// Tells a decision by the guard named `by`, and hands it on.
    #[inline]
    pub fn emit_decision<T>(&self, by: &'static str, result: Result<T, Rejected>) -> Result<T, Rejected> {
        self.emit(|| match &result {
            Ok(_) => Event::Admitted { by },
            Err(no) => Event::Rejected(*no),
        });
        result
    }
}

/// Out of line: most guards have no observer, and their path should stay short.
#[cold]
#[inline(never)]
fn told(observer: &dyn Observe, events: impl FnOnce(&dyn Fn(Event))) {
    let _ = catch_unwind(AssertUnwindSafe(|| events(&|event| observer.event(event))));
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(listening)" } else { "Observer(none)" })
    }
}

/// A guard that can be looked at and turned while it runs, by those who do not know its type: a
/// console, a settings file.
pub trait Inspect: Send + Sync {
    /// The guard's name.
    fn name(&self) -> &'static str;
    /// Shows each of its numbers by name. What can be [turned](Self::turn) has the same name here.
    fn read(&self, each: &mut dyn FnMut(&'static str, f64));
    /// Sets one of its knobs.
    ///
    /// # Errors
    /// If there is no such knob, or the value will not do; nothing has changed then.
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError>;
}
