//! Requests that wait in a `Buffer` in front of a service.
#![cfg(feature = "tower")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Buffer, BufferConfig, Discipline};
use plimsoll_core::{ConfigError, Inspect, ManualTime, Reason, Rejected};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};
use tower::{BoxError, Service, ServiceExt, layer::Layer, service_fn, util::BoxCloneService};

const MS: Duration = Duration::from_millis(1);

/// A service that completes a request when the test says so, with the begun requests in order.
#[derive(Clone, Default)]
struct Inner {
    begun: Arc<Mutex<Vec<Begun>>>,
}

type Begun = (u32, oneshot::Sender<()>);

type Guarded = BoxCloneService<u32, u32, BoxError>;

impl Inner {
    fn behind(&self, buffer: &Buffer) -> Guarded {
        let inner = self.clone();
        BoxCloneService::new(buffer.layer().layer(service_fn(move |n: u32| {
            assert!(n != 13, "unlucky");
            let (sender, receiver) = oneshot::channel();
            inner.begun.lock().unwrap().push((n, sender));
            async move {
                receiver.await?;
                Ok(n)
            }
        })))
    }

    fn begun(&self) -> Vec<u32> {
        self.begun.lock().unwrap().iter().map(|b| b.0).collect()
    }

    /// Completes the request that began first.
    fn finish(&self) {
        let (_, sender) = self.begun.lock().unwrap().remove(0);
        let _ = sender.send(());
    }
}

type Call = Spawn<tower::util::Oneshot<Guarded, u32>>;

fn call(service: &Guarded, n: u32) -> Call {
    let mut call = task::spawn(service.clone().oneshot(n));
    assert_pending!(call.poll());
    call
}

fn buffer(time: &ManualTime, queue: u32, discipline: Discipline) -> Buffer {
    let builder = Buffer::builder().concurrency(1).queue(queue).discipline(discipline).max_wait(100 * MS);
    builder.clock(time.clock()).build().unwrap()
}

fn rejection(call: &mut Call) -> Rejected {
    *assert_ready!(call.poll()).unwrap_err().downcast::<Rejected>().unwrap()
}

#[test]
fn invalid_settings_name_field_value_and_range() {
    let error = |built: Result<Buffer, ConfigError>| built.map(|_| ()).unwrap_err().to_string();
    let new = Buffer::builder;
    assert_eq!(
        error(new().concurrency(0).build()),
        "concurrency = 0 is not allowed: it must be 1 to 2147483647"
    );
    assert!(error(new().queue(u32::MAX).build()).starts_with("queue = 4294967295"));
    assert!(error(new().max_wait(Duration::ZERO).build()).starts_with("max_wait = 0ns"));
    assert!(error(new().name("").build()).starts_with("name"));
    let lifo = Discipline::LifoWithAge { max_age: Duration::ZERO };
    assert!(
        error(new().config(BufferConfig { discipline: lifo, ..Default::default() }).build())
            .starts_with("max_age")
    );
    let live = new().build().unwrap();
    assert!(
        live.set_concurrency(0).is_err()
            && live.set_queue(u32::MAX).is_err()
            && live.set_max_wait(Duration::ZERO).is_err()
    );
    assert!(
        live.set_discipline(lifo).is_err() && live.set("queue", 0.5).is_err() && live.set("x", 1.0).is_err()
    );
    live.set("queue", 3.0).unwrap();
    live.set("max_wait", 0.5).unwrap();
    live.set("concurrency", 2.0).unwrap();
    assert_eq!((live.queue_limit(), live.max_wait(), live.concurrency()), (3, 500 * MS, 2));
    assert!(format!("{live:?}").contains("discipline: Fifo"));
}

#[cfg(feature = "serde")]
#[test]
fn config_round_trips_through_json() {
    let config = BufferConfig { concurrency: 8, discipline: Discipline::CODEL, ..Default::default() };
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<BufferConfig>(&json).unwrap(), config, "{json}");
    let read = serde_json::from_str::<BufferConfig>(r#"{"max_wait": "2s"}"#).unwrap();
    assert_eq!(read, BufferConfig { max_wait: 2_000 * MS, ..Default::default() });
    assert!(serde_json::from_str::<BufferConfig>(r#"{"count": 5}"#).is_err(), "an unknown setting");
}

#[test]
fn evicted_request_is_rejected_at_once_and_never_begins() {
    let time = ManualTime::new();
    let (inner, buffer) = (Inner::default(), buffer(&time, 2, Discipline::Fifo));
    let service = inner.behind(&buffer);
    let mut served = call(&service, 0);
    let mut calls: Vec<_> = (1..=3).map(|n| call(&service, n)).collect();
    assert!(calls[0].is_woken(), "woken when it is evicted");
    let rejected = rejection(&mut calls[0]);
    assert_eq!((rejected.by(), rejected.reason()), ("buffer", Reason::Evicted));
    assert_eq!(inner.begun(), [0]);
    inner.finish();
    assert_eq!(assert_ready!(served.poll()).unwrap(), 0);
    assert_pending!(calls[1].poll());
    assert_eq!(inner.begun(), [2], "the oldest of the remaining requests");
    assert_eq!((buffer.in_flight(), buffer.queued()), (1, 1));
}

#[test]
fn lifo_serves_the_newest_request_first() {
    let time = ManualTime::new();
    let (inner, buffer) = (Inner::default(), buffer(&time, 8, Discipline::Lifo));
    let service = inner.behind(&buffer);
    let mut calls: Vec<_> = (0..4).map(|n| call(&service, n)).collect();
    for n in [3, 2, 1] {
        inner.finish();
        calls.iter_mut().filter(|c| c.is_woken()).for_each(|c| drop(c.poll()));
        // The first poll releases the place, which wakes the next request.
        calls.iter_mut().filter(|c| c.is_woken()).for_each(|c| drop(c.poll()));
        assert_eq!(inner.begun(), [n]);
    }
}

#[test]
fn request_expires_after_its_longest_wait() {
    let time = ManualTime::new();
    let slices = Discipline::TimeBuckets { slice: 10 * MS, slices: 2 };
    for (discipline, longest) in [(Discipline::Fifo, 100 * MS), (slices, 20 * MS)] {
        let (inner, buffer) = (Inner::default(), buffer(&time, 8, discipline));
        let service = inner.behind(&buffer);
        let _served = call(&service, 0);
        let mut waiting = call(&service, 1);
        time.advance(longest);
        assert!(waiting.is_woken(), "{discipline}");
        let rejected = rejection(&mut waiting);
        assert_eq!((rejected.reason(), rejected.window()), (Reason::Expired, Some(longest)), "{discipline}");
        assert_eq!(inner.begun(), [0]);
        assert_eq!(buffer.queued(), 0);
        time.advance(100 * MS); // until the next slice begins
    }
}

/// The `Buffer` of tower has a worker. A panic in the inner service kills it, and every later call
/// fails.
#[test]
fn panic_in_one_call_leaves_the_others_unharmed() {
    let time = ManualTime::new();
    let (inner, buffer) = (Inner::default(), buffer(&time, 8, Discipline::Fifo));
    let service = inner.behind(&buffer);
    let mut served = call(&service, 0);
    let mut unlucky = call(&service, 13);
    let mut after = call(&service, 2);
    inner.finish();
    assert!(assert_ready!(served.poll()).is_ok());
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| unlucky.poll()));
    assert!(died.is_err());
    drop(unlucky);
    assert!(after.is_woken());
    assert_pending!(after.poll());
    inner.finish();
    assert_eq!(assert_ready!(after.poll()).unwrap(), 2);
    assert_eq!((buffer.in_flight(), buffer.queued()), (0, 0));
}

#[test]
fn cancelled_call_returns_its_turn_or_its_place() {
    for discipline in [Discipline::Fifo, Discipline::Lifo, Discipline::KeepOldest, Discipline::CODEL] {
        let time = ManualTime::new();
        let (inner, buffer) = (Inner::default(), buffer(&time, 8, discipline));
        let service = inner.behind(&buffer);
        let served = call(&service, 0);
        let waiting = call(&service, 1);
        let granted = call(&service, 2);
        drop(waiting);
        assert_eq!(buffer.queued(), 1, "{discipline}");
        drop(served); // in the middle of its work
        assert!(granted.is_woken());
        drop(granted); // cancelled after the place was granted
        assert_eq!((buffer.in_flight(), buffer.queued()), (0, 0), "{discipline}");
        let _again = call(&service, 3);
        assert_eq!(inner.begun().last(), Some(&3));
    }
}

#[test]
fn close_rejects_waiting_and_new_requests() {
    let time = ManualTime::new();
    let (inner, buffer) = (Inner::default(), buffer(&time, 8, Discipline::Lifo));
    let service = inner.behind(&buffer);
    let mut served = call(&service, 0);
    let mut waiting = call(&service, 1);
    buffer.close();
    assert_eq!(rejection(&mut waiting).reason(), Reason::Closed);
    inner.finish();
    assert!(assert_ready!(served.poll()).is_ok(), "a request in flight completes");
    let mut late = task::spawn(service.clone().oneshot(2));
    assert_eq!(rejection(&mut late).reason(), Reason::Closed);
    assert!(buffer.is_closed());
}

#[test]
fn idle_service_is_ready_and_holds_no_place() {
    let time = ManualTime::new();
    let (inner, buffer) = (Inner::default(), buffer(&time, 1, Discipline::Fifo));
    let mut service = inner.behind(&buffer);
    let mut idle = task::spawn(());
    idle.enter(|cx, _| {
        for _ in 0..3 {
            assert!(service.poll_ready(cx).is_ready());
        }
    });
    assert_eq!((buffer.in_flight(), buffer.queued()), (0, 0));
}
