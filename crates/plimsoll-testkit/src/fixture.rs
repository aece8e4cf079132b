//! A guard in front of an inner service, and how to bring it to its limits.

use crate::{BoxError, Inner, Request};
use plimsoll_core::{Gate, Mode, Shadow};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use tower::util::BoxCloneService;
use tower_layer::Layer;

/// A guarded [`Inner`], whatever the type of the guard.
pub type Service = BoxCloneService<Request, u64, BoxError>;

type Action = Box<dyn Fn()>;
type MakeService = Box<dyn Fn(Inner) -> Service>;

/// A guard under test, and how to bring it to its limits.
///
/// Most methods take a handle of the guard and a closure. The closure is called with a clone of the
/// handle, so that callers need not clone one for each closure.
///
/// | a fixture states | by |
/// |---|---|
/// | how to saturate and relieve the guard | [`permits`](Self::permits), or [`saturate`](Self::saturate) and [`relieve`](Self::relieve) |
/// | how much is held | [`held`](Self::held), [`held_in_queue`](Self::held_in_queue) or [`holds_nothing`](Self::holds_nothing) |
/// | if the guard queues: how to make the next request wait | [`queue`](Self::queue), or [`occupy`](Self::occupy) |
/// | if it does not: the gate, for shadow mode | [`gate`](Self::gate), or [`shadow`](Self::shadow) |
///
/// What is missing becomes a [`Gap`](crate::Verdict::Gap).
#[must_use = "a fixture is what `build` of a subject returns"]
pub struct Fixture {
    pub(crate) layer: MakeService,
    pub(crate) shadow: Option<MakeService>,
    pub(crate) saturate: Vec<Action>,
    pub(crate) occupy: Vec<Action>,
    pub(crate) relieve: Vec<Action>,
    pub(crate) waits: bool,
    pub(crate) held: Option<Held>,
    pub(crate) concurrency: Option<u64>,
    pub(crate) guards: u64,
}

/// How much is held, and by which requests.
pub(crate) enum Held {
    All(Box<dyn Fn() -> u64>),
    Waiting(Box<dyn Fn() -> u64>),
    Nothing(&'static str),
}

impl Fixture {
    /// Creates a fixture of a layer.
    ///
    /// Use it for layers that guards create themselves, such as `valve.layer()`.
    pub fn new<L>(layer: L) -> Self
    where
        L: Layer<Inner> + 'static,
        L::Service: tower_service::Service<Request, Response = u64, Error = BoxError, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        Fixture {
            layer: Box::new(move |inner| BoxCloneService::new(layer.layer(inner))),
            shadow: None,
            saturate: vec![],
            occupy: vec![],
            relieve: vec![],
            waits: false,
            held: None,
            concurrency: None,
            guards: 1,
        }
    }

    /// Creates a fixture of a gate, which is probed in shadow mode as well.
    pub fn gate<G>(gate: G) -> Self
    where
        G: Gate<Request> + Clone + Send + Sync + 'static,
    {
        Fixture::new(plimsoll_core::layer(gate.clone())).shadow(gate)
    }

    /// Sets the gate that is probed in shadow mode.
    pub fn shadow<G>(self, gate: G) -> Self
    where
        G: Gate<Request> + Clone + Send + Sync + 'static,
    {
        self.shadow_layer(plimsoll_core::layer(Shadow::new(gate, Mode::Shadow)))
    }

    /// Sets the layer that is probed in shadow mode.
    pub fn shadow_layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Inner> + 'static,
        L::Service: tower_service::Service<Request, Response = u64, Error = BoxError, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        self.shadow = Some(Box::new(move |inner| BoxCloneService::new(layer.layer(inner))));
        self
    }

    /// Saturates the guard by permits, which `acquire` acquires until it returns an error.
    ///
    /// To relieve the guard, the permits are dropped. If the guard queues, the next request waits
    /// while they are held.
    pub fn permits<H, P, E>(self, handle: &H, acquire: impl Fn(&H) -> Result<P, E> + 'static) -> Self
    where
        H: Clone + 'static,
        P: 'static,
    {
        let (handle, permits) = (handle.clone(), Rc::new(RefCell::new(Vec::new())));
        let held = permits.clone();
        let fill = Rc::new(move || {
            while let Ok(permit) = acquire(&handle) {
                held.borrow_mut().push(permit);
            }
        });
        let mut fixture = self.saturate(&fill, |fill| fill()).relieve(&permits, |permits| {
            permits.borrow_mut().clear();
        });
        fixture.occupy.push(Box::new(move || fill()));
        fixture
    }

    /// Adds an action after which the next request is rejected.
    pub fn saturate<H: Clone + 'static>(mut self, handle: &H, action: impl Fn(&H) + 'static) -> Self {
        let handle = handle.clone();
        self.saturate.push(Box::new(move || action(&handle)));
        self
    }

    /// Adds an action after which the next request waits. States that the guard queues.
    pub fn occupy<H: Clone + 'static>(mut self, handle: &H, action: impl Fn(&H) + 'static) -> Self {
        let handle = handle.clone();
        self.occupy.push(Box::new(move || action(&handle)));
        self.waits = true;
        self
    }

    /// Adds an action that undoes `saturate` and `occupy`. The last one added runs first.
    pub fn relieve<H: Clone + 'static>(mut self, handle: &H, action: impl Fn(&H) + 'static) -> Self {
        let handle = handle.clone();
        self.relieve.push(Box::new(move || action(&handle)));
        self
    }

    /// States that the guard queues, and how to set the maximum number of waiting requests.
    ///
    /// The number is set to 0 to saturate the guard, and to `length` to relieve it.
    pub fn queue<H: Clone + 'static>(
        mut self,
        handle: &H,
        length: u32,
        set: impl Fn(&H, u32) + Clone + 'static,
    ) -> Self {
        self.waits = true;
        let close = set.clone();
        self.saturate(handle, move |handle| close(handle, 0))
            .relieve(handle, move |handle| set(handle, length))
    }

    /// States how to read the number of places, slots or permits that requests hold.
    ///
    /// Count the requests in flight and those that wait.
    pub fn held<H: Clone + 'static, N: Into<u64>>(
        mut self,
        handle: &H,
        held: impl Fn(&H) -> N + 'static,
    ) -> Self {
        let handle = handle.clone();
        self.held = Some(Held::All(Box::new(move || held(&handle).into())));
        self
    }

    /// States how to read the number of places that waiting requests hold, if admitted ones hold
    /// none.
    pub fn held_in_queue<H: Clone + 'static, N: Into<u64>>(
        mut self,
        handle: &H,
        held: impl Fn(&H) -> N + 'static,
    ) -> Self {
        let handle = handle.clone();
        self.held = Some(Held::Waiting(Box::new(move || held(&handle).into())));
        self
    }

    /// States that requests hold nothing, and why.
    ///
    /// This is not the default: a guard that leaks, and does not state what it holds, would pass.
    pub fn holds_nothing(mut self, reason: &'static str) -> Self {
        self.held = Some(Held::Nothing(reason));
        self
    }

    /// Sets the maximum number of requests in flight. Default: unlimited.
    pub fn concurrency(mut self, limit: u32) -> Self {
        self.concurrency = Some(u64::from(limit));
        self
    }

    /// Sets the number of guards, each of which reports every request. Default: 1.
    pub fn guards(mut self, guards: u64) -> Self {
        self.guards = guards;
        self
    }

    /// Returns what the fixture lacks.
    pub(crate) fn gap(&self) -> Option<&'static str> {
        if self.held.is_none() {
            Some("the fixture does not state what is held")
        } else if self.saturate.is_empty() || self.relieve.is_empty() {
            Some("the fixture does not state how to saturate and relieve the guard")
        } else if self.waits && self.occupy.is_empty() {
            Some("the fixture does not state how to make the next request wait")
        } else {
            None
        }
    }

    /// Returns how much is held now.
    pub(crate) fn held_now(&self) -> u64 {
        match &self.held {
            Some(Held::All(held) | Held::Waiting(held)) => held(),
            Some(Held::Nothing(_)) | None => 0,
        }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = match &self.held {
            Some(Held::Nothing(reason)) => format!("nothing: {reason}"),
            _ => self.held_now().to_string(),
        };
        f.debug_struct("Fixture")
            .field("waits", &self.waits)
            .field("held", &held)
            .field("concurrency", &self.concurrency)
            .field("guards", &self.guards)
            .finish_non_exhaustive()
    }
}
