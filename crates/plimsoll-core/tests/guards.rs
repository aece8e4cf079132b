//! Shadow, Then, Packed, the observer and the metrics adapter.
#![allow(clippy::unwrap_used)]

use plimsoll_core::parts::{Acquire, FixedCapacity, Place, Semaphore};
use plimsoll_core::{
    Event, Gate, Mode, Observe, Observer, Outcome, Packed, Reason, Rejected, Settle, Shadow, Then, Wait,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};

/// A guard with a fixed number of places, which a permit that is not released would leak.
#[derive(Clone)]
struct TestGuard(Arc<Semaphore<FixedCapacity>>);

impl TestGuard {
    fn new(name: &'static str, concurrency: u32, queue: u32, observer: Observer) -> Self {
        let clock = plimsoll_core::ManualTime::new().clock();
        TestGuard(Arc::new(
            Semaphore::new(name, FixedCapacity::new(concurrency), clock, queue, Duration::from_secs(1))
                .observe(observer),
        ))
    }
    fn in_flight(&self) -> u32 {
        self.0.capacity().in_flight()
    }
}
impl Settle for TestGuard {
    type Token = Place;
    fn settle(&self, place: Place, outcome: Outcome) {
        self.0.settle(place, outcome);
    }
    fn refund(&self, place: Place) {
        self.0.refund(place);
    }
}
impl<R: ?Sized> Gate<R> for TestGuard {
    fn admit(&self, _: &R) -> Result<Place, Rejected> {
        self.0.try_acquire()
    }
}
impl<R: ?Sized> Wait<R> for TestGuard {
    type Place = Place;
    type Waiting = Acquire<FixedCapacity>;
    fn wait(&self, _: &R) -> Acquire<FixedCapacity> {
        self.0.acquire()
    }
    fn enter(&self, place: Place, _: &R) -> Result<Place, Rejected> {
        Ok(place)
    }
}

#[derive(Default)]
struct EventLog(Mutex<Vec<Event>>);
impl Observe for EventLog {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}
impl EventLog {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn shadow_mode_emits_the_rejection_and_admits_the_request() {
    let log = Arc::new(EventLog::default());
    let guard = TestGuard::new("test", 1, 0, Observer::none());
    let shadow = Shadow::new(guard.clone(), Mode::Shadow).observe(log.clone());
    let one = shadow.admit(&()).unwrap();
    let two = shadow.admit(&()).unwrap();
    assert!(
        matches!(&log.take()[..], [Event::Shadowed { rejected, .. }] if rejected.by() == "test" && rejected.reason() == Reason::Full)
    );
    assert_eq!(guard.in_flight(), 1, "a request that only the shadow admitted takes no place");
    shadow.set_mode(Mode::On);
    assert_eq!(shadow.clone().admit(&()).unwrap_err().reason(), Reason::Full);
    shadow.set_mode(Mode::Off);
    let three = shadow.admit(&()).unwrap();
    // Requests admitted in one mode are settled correctly in another.
    shadow.settle(two, Outcome::Success);
    shadow.settle(three, Outcome::Success);
    assert_eq!(guard.in_flight(), 1);
    shadow.refund(one);
    assert_eq!(guard.in_flight(), 0);
}

#[test]
fn then_consults_the_gate_after_the_wait() {
    let (wait, gate) =
        (TestGuard::new("wait", 1, 1, Observer::none()), TestGuard::new("gate", 1, 0, Observer::none()));
    let then = Then(wait.clone(), (gate.clone(),));
    let held = gate.admit(&()).unwrap();
    let place = assert_ready_ok!(task::spawn(then.wait(&())).poll());
    assert_eq!(then.enter(place, &()).map(|_| ()).unwrap_err().by(), "gate");
    assert_eq!(wait.in_flight(), 0, "the place is released when the gate rejects");
    gate.refund(held);
    let place = assert_ready_ok!(task::spawn(then.wait(&())).poll());
    let token = then.enter(place, &()).unwrap();
    assert_eq!((wait.in_flight(), gate.in_flight()), (1, 1));
    then.settle(token, Outcome::Success);
    assert_eq!((wait.in_flight(), gate.in_flight()), (0, 0));
}

#[test]
fn packed_gates_of_different_types_fit_one_list() {
    let guard = TestGuard::new("test", 1, 0, Observer::none());
    struct AlwaysAdmits;
    impl Settle for AlwaysAdmits {
        type Token = ();
        fn settle(&self, (): (), _: Outcome) {}
        fn refund(&self, (): ()) {}
    }
    impl Gate<str> for AlwaysAdmits {
        fn admit(&self, _: &str) -> Result<(), Rejected> {
            Ok(())
        }
    }
    let gates: Vec<Box<dyn Gate<str, Token = plimsoll_core::Words>>> =
        vec![Box::new(Packed(AlwaysAdmits)), Box::new(Packed(guard.clone()))];
    let tokens: Vec<_> = gates.iter().map(|g| g.admit("x").unwrap()).collect();
    assert_eq!(guard.in_flight(), 1);
    gates.iter().zip(tokens).for_each(|(g, t)| g.settle(t, Outcome::Success));
    assert_eq!(guard.in_flight(), 0);
}

#[test]
fn a_semaphore_emits_each_decision_once() {
    let log = Arc::new(EventLog::default());
    let guard = TestGuard::new("test", 1, 1, Observer::new(log.clone(), "test"));
    let by = "test";
    let one = Gate::admit(&guard, &()).unwrap();
    let mut waiter = task::spawn(guard.0.acquire());
    assert_pending!(waiter.poll());
    assert_ready_err!(task::spawn(guard.0.acquire()).poll());
    drop(waiter);
    guard.settle(one, Outcome::Success);
    drop(guard.0.acquire()); // never polled, so it made no request
    let events = log.take();
    assert!(
        matches!(events[..], [Event::Admitted { .. }, Event::Rejected { rejected, .. }, Event::Abandoned { .. }, Event::Completed { .. }]
            if rejected.reason() == Reason::Full),
        "{events:?}"
    );
    assert_eq!(events[3], Event::completed(by, Outcome::Success));

    // A waiter that is dropped between the grant and its next poll has abandoned its request.
    let one = Gate::admit(&guard, &()).unwrap();
    let mut waiter = task::spawn(guard.0.acquire());
    assert_pending!(waiter.poll());
    guard.refund(one);
    drop(waiter);
    let events = log.take();
    assert_eq!(events, [Event::admitted(by), Event::refunded(by), Event::abandoned(by)]);
    assert_eq!(guard.in_flight(), 0);
}

#[cfg(feature = "metrics")]
mod metrics_adapter {
    use super::*;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshot};
    use plimsoll_core::{Metrics, metric_names as names};

    fn read(snapshot: Snapshot) -> Vec<(String, f64)> {
        let mut lines: Vec<_> = snapshot
            .into_vec()
            .into_iter()
            .map(|(key, _, _, value)| {
                let labels: Vec<_> = key.key().labels().map(|l| l.value().to_owned()).collect();
                let value = match value {
                    DebugValue::Counter(n) => n as f64,
                    DebugValue::Gauge(n) => n.into_inner(),
                    DebugValue::Histogram(_) => f64::NAN,
                };
                (format!("{} {}", key.key().name(), labels.join(" ")), value)
            })
            .collect();
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        lines
    }

    /// A counter of the `metrics` facade that is created while no recorder is installed never
    /// counts. A program that builds its guards before its recorder would see nothing of them.
    #[test]
    fn events_before_the_recorder_is_installed_are_counted() {
        let metrics = Arc::new(Metrics::new());
        let guard = TestGuard::new("orders", 2, 0, Observer::new(metrics.clone(), "orders"));
        let one = Gate::admit(&guard, &()).unwrap();
        let two = Gate::admit(&guard, &()).unwrap();
        assert!(Gate::admit(&guard, &()).is_err());
        metrics.publish(); // no recorder is installed yet

        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            guard.settle(one, Outcome::Failure);
            metrics.publish();
            let read = read(snapshotter.snapshot());
            let line = |name: &str, labels: &str, n: f64| (format!("{name} {labels}"), n);
            assert_eq!(
                read,
                [
                    line(names::COMPLETED, "orders failure", 1.0),
                    line(names::DECISIONS, "orders admitted ", 2.0),
                    line(names::DECISIONS, "orders rejected full", 1.0),
                    line(names::IN_FLIGHT, "orders", 1.0),
                ]
            );
            guard.refund(two);
            metrics.publish();
            let again = self::read(snapshotter.snapshot());
            assert!(again.contains(&line(names::IN_FLIGHT, "orders", 0.0)), "{again:?}");
        });
    }

    #[test]
    fn events_of_many_threads_are_counted_exactly() {
        let metrics = Arc::new(Metrics::new());
        let guard = TestGuard::new("busy", 64, 0, Observer::new(metrics.clone(), "busy"));
        std::thread::scope(|s| {
            for _ in 0..12 {
                s.spawn(|| {
                    (0..1_000).for_each(|_| guard.settle(Gate::admit(&guard, &()).unwrap(), Outcome::Success))
                });
            }
        });
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || metrics.publish());
        let read = read(snapshotter.snapshot());
        assert_eq!(read[0], (format!("{} busy success", names::COMPLETED), 12_000.0));
        assert_eq!(read[1], (format!("{} busy admitted ", names::DECISIONS), 12_000.0));
    }

    /// A rejection for want of a key was published as a shadowed one for another reason: the table
    /// of reasons was one too short.
    #[test]
    fn every_reason_is_counted_as_itself() {
        use Reason::*;
        let reasons = [
            Limited,
            Open,
            Full,
            Dropped,
            Expired,
            Evicted,
            Busy,
            Overdue,
            Closed,
            Unavailable,
            TooLarge,
            Filtered,
            Throttled,
            Unidentified,
        ];
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            for reason in reasons {
                let metrics = Metrics::new();
                metrics.event(Event::rejected(Rejected::new("orders", reason)));
                metrics.publish();
                let rejected = format!("{} orders rejected {}", names::DECISIONS, reason.as_str());
                let mut read = read(snapshotter.snapshot());
                read.retain(|(_, n)| *n > 0.0);
                assert_eq!(read, [(rejected, 1.0)]);
            }
        });
    }

    /// A dashboard showed ten rejections although a shadow had let all ten requests pass.
    #[test]
    fn a_shadow_counts_each_request_once_under_the_name_of_its_gate() {
        let metrics = Arc::new(Metrics::new());
        let guard = TestGuard::new("orders", 0, 0, Observer::new(metrics.clone(), "orders"));
        let shadow = Shadow::new(guard, Mode::Shadow).observe(metrics.clone());
        assert!(shadow.admit(&()).unwrap().is_none());
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || metrics.publish());
        let read = read(snapshotter.snapshot());
        assert!(!read.iter().any(|(name, _)| name.contains("rejected")), "{read:?}");
        assert!(read.contains(&(format!("{} orders shadowed full", names::DECISIONS), 1.0)), "{read:?}");
    }
}
