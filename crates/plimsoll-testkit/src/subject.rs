//! What a guard has to say about itself to be put through the probes.

use crate::tally::Tally;
use crate::{BoxError, Inner, Request};
use plimsoll_core::{Clock, Dice, ManualTime, Observe};
use std::fmt;
use std::sync::Arc;
use tower::util::BoxCloneService;
use tower_layer::Layer;

/// A guarded [`Inner`], whatever the guard's type.
pub type Service = BoxCloneService<Request, u64, BoxError>;

/// What a guard under test is built with.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The time it lives in; stands still until a probe moves it.
    pub time: ManualTime,
    /// The dice it rolls.
    pub dice: Dice,
    pub(crate) tally: Arc<Tally>,
}

impl Kit {
    pub(crate) fn new(seed: u64) -> Self {
        Kit { time: ManualTime::new(), dice: Dice::seeded(seed), tally: Arc::default() }
    }

    /// A clock of the kit's time.
    pub fn clock(&self) -> Clock {
        self.time.clock()
    }

    /// The observer that does the books. Every guard of the subject has to tell it.
    pub fn observer(&self) -> Arc<dyn Observe> {
        self.tally.clone()
    }
}

/// How much a guard holds.
pub enum Held {
    /// This much.
    By(Box<dyn Fn() -> u64>),
    /// So many in line. Who was admitted has spent something, and holds nothing.
    InLine(Box<dyn Fn() -> u64>),
    /// It has nothing to hold; why. A guard that holds something and does not say what would pass for
    /// one that gives everything back.
    Nothing(&'static str),
}

impl Held {
    pub(crate) fn now(&self) -> u64 {
        match self {
            Held::By(held) | Held::InLine(held) => held(),
            Held::Nothing(_) => 0,
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::By(held) | Held::InLine(held) => write!(f, "{}", held()),
            Held::Nothing(why) => write!(f, "nothing: {why}"),
        }
    }
}

/// A guard, built.
pub struct Built {
    /// Puts the guard's layer around the inner service. Each call is a `layer()` of its own.
    pub layer: Box<dyn Fn(Inner) -> Service>,
    /// Brings it to where the next request is rejected.
    pub saturate: Box<dyn FnMut()>,
    /// For a waiter: brings it to where the next request waits.
    pub busy: Option<Box<dyn FnMut()>>,
    /// Takes back what `saturate` or `busy` did.
    pub relieve: Box<dyn FnMut()>,
    /// How much is held: places inside and in line, slots, permits.
    pub held: Held,
    /// How many requests can be inside at once, where that is bounded.
    pub limit: Option<u64>,
    /// The same guard in shadow, around the inner service. Gates have one.
    pub shadow: Option<Box<dyn Fn(Inner) -> Service>>,
    /// How many guards there are, each of which tells each decision: 1, but for tuples.
    pub guards: u64,
}

impl fmt::Debug for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Built")
            .field("held", &self.held)
            .field("limit", &self.limit)
            .field("guards", &self.guards)
            .finish_non_exhaustive()
    }
}

/// A setting at the edge: what it is, and the refusal's text, or `None` if it was taken.
pub type Edge = (&'static str, Option<String>);

/// A guard that can be put through the probes.
#[derive(Clone, Copy)]
pub struct Subject {
    /// What the matrix calls it.
    pub name: &'static str,
    /// Builds a fresh one.
    pub build: fn(&Kit) -> Built,
    /// Tries settings that must be rejected.
    pub edges: fn() -> Vec<Edge>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subject").field(&self.name).finish()
    }
}

/// Boxes what `layer` makes of `inner`.
pub fn service<L>(layer: &L, inner: Inner) -> Service
where
    L: Layer<Inner>,
    L::Service: tower_service::Service<Request, Response = u64, Error = BoxError, Future: Send>
        + Clone
        + Send
        + 'static,
{
    BoxCloneService::new(layer.layer(inner))
}
