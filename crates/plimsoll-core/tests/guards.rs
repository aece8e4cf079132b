//! Shadow, Then, Packed, the observer and the metrics adapter.
#![allow(clippy::unwrap_used)]

use plimsoll_core::parts::{Acquire, FixedCapacity, Place, Semaphore};
use plimsoll_core::{
    Event, Gate, Mode, Observe, Observer, Outcome, Packed, Reason, Rejected, Settle, Shadow, Then, Wait,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};

/// So many inside: the smallest guard that can leak.
#[derive(Clone)]
struct Few(Arc<Semaphore<FixedCapacity>>);

impl Few {
    fn new(name: &'static str, inside: u32, room: u32, observer: Observer) -> Self {
        let clock = plimsoll_core::ManualTime::new().clock();
        Few(Arc::new(
            Semaphore::new(name, FixedCapacity::new(inside), clock, room, Duration::from_secs(1))
                .observe(observer),
        ))
    }
    fn inside(&self) -> u32 {
        self.0.capacity().in_flight()
    }
}
impl Settle for Few {
    type Token = Place;
    fn settle(&self, place: Place, outcome: Outcome) {
        self.0.settle(place, outcome);
    }
    fn refund(&self, place: Place) {
        self.0.refund(place);
    }
}
impl<R: ?Sized> Gate<R> for Few {
    fn admit(&self, _: &R) -> Result<Place, Rejected> {
        self.0.try_acquire()
    }
}
impl<R: ?Sized> Wait<R> for Few {
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
struct Ear(Mutex<Vec<Event>>);
impl Observe for Ear {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}
impl Ear {
    fn heard(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn shadow_decides_and_tells_and_refuses_nobody() {
    let ear = Arc::new(Ear::default());
    let few = Few::new("few", 1, 0, Observer::none());
    let shadow = Shadow::new(few.clone(), Mode::Shadow).observe(ear.clone());
    let one = shadow.admit(&()).unwrap();
    let two = shadow.admit(&()).unwrap();
    assert!(
        matches!(&ear.heard()[..], [Event::Shadowed { rejected: no, .. }] if no.by() == "few" && no.reason() == Reason::Full)
    );
    assert_eq!(few.inside(), 1, "who was let through in shadow takes nobody's place");
    shadow.set_mode(Mode::On);
    assert_eq!(shadow.clone().admit(&()).unwrap_err().reason(), Reason::Full);
    shadow.set_mode(Mode::Off);
    let three = shadow.admit(&()).unwrap();
    // What was admitted in one mode is settled rightly in another.
    shadow.settle(two, Outcome::Success);
    shadow.settle(three, Outcome::Success);
    assert_eq!(few.inside(), 1);
    shadow.refund(one);
    assert_eq!(few.inside(), 0);
}

#[test]
fn then_asks_the_gates_when_the_turn_has_come() {
    let (wait, gate) = (Few::new("wait", 1, 1, Observer::none()), Few::new("gate", 1, 0, Observer::none()));
    let then = Then(wait.clone(), (gate.clone(),));
    let held = gate.admit(&()).unwrap();
    let place = assert_ready_ok!(task::spawn(then.wait(&())).poll());
    assert_eq!(then.enter(place, &()).map(|_| ()).unwrap_err().by(), "gate");
    assert_eq!(wait.inside(), 0, "the place is given back when a gate refuses");
    gate.refund(held);
    let place = assert_ready_ok!(task::spawn(then.wait(&())).poll());
    let token = then.enter(place, &()).unwrap();
    assert_eq!((wait.inside(), gate.inside()), (1, 1));
    then.settle(token, Outcome::Success);
    assert_eq!((wait.inside(), gate.inside()), (0, 0));
}

#[test]
fn packed_gates_of_different_types_fit_one_list() {
    let few = Few::new("few", 1, 0, Observer::none());
    struct Yes;
    impl Settle for Yes {
        type Token = ();
        fn settle(&self, (): (), _: Outcome) {}
        fn refund(&self, (): ()) {}
    }
    impl Gate<str> for Yes {
        fn admit(&self, _: &str) -> Result<(), Rejected> {
            Ok(())
        }
    }
    let gates: Vec<Box<dyn Gate<str, Token = plimsoll_core::Words>>> =
        vec![Box::new(Packed(Yes)), Box::new(Packed(few.clone()))];
    let tokens: Vec<_> = gates.iter().map(|g| g.admit("x").unwrap()).collect();
    assert_eq!(few.inside(), 1);
    gates.iter().zip(tokens).for_each(|(g, t)| g.settle(t, Outcome::Success));
    assert_eq!(few.inside(), 0);
}

#[test]
fn a_room_tells_each_decision_once() {
    let ear = Arc::new(Ear::default());
    let few = Few::new("few", 1, 1, Observer::new(ear.clone(), "few"));
    let by = "few";
    let one = Gate::admit(&few, &()).unwrap();
    let mut waits = task::spawn(few.0.acquire());
    assert_pending!(waits.poll());
    assert_ready_err!(task::spawn(few.0.acquire()).poll());
    drop(waits);
    few.settle(one, Outcome::Success);
    drop(few.0.acquire()); // never polled: never asked
    let heard = ear.heard();
    assert!(
        matches!(heard[..], [Event::Admitted { .. }, Event::Rejected { rejected: no, .. }, Event::Abandoned { .. }, Event::Completed { .. }]
            if no.reason() == Reason::Full),
        "{heard:?}"
    );
    assert_eq!(heard[3], Event::completed(by, Outcome::Success));

    // Granted, but gone before it was fetched: it left; the next one is admitted when it fetches.
    let one = Gate::admit(&few, &()).unwrap();
    let mut waits = task::spawn(few.0.acquire());
    assert_pending!(waits.poll());
    few.refund(one);
    drop(waits);
    let heard = ear.heard();
    assert_eq!(heard, [Event::admitted(by), Event::refunded(by), Event::abandoned(by)]);
    assert_eq!(few.inside(), 0);
}

#[cfg(feature = "metrics")]
mod counted {
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

    /// A counter of the `metrics` facade that is made while no recorder is installed stays a dead one:
    /// whoever builds his guards before his recorder would see nothing.
    #[test]
    fn a_guard_built_and_used_before_the_recorder_is_counted_all_the_same() {
        let metrics = Arc::new(Metrics::new());
        let few = Few::new("orders", 2, 0, Observer::new(metrics.clone(), "orders"));
        let one = Gate::admit(&few, &()).unwrap();
        let two = Gate::admit(&few, &()).unwrap();
        assert!(Gate::admit(&few, &()).is_err());
        metrics.publish(); // into nothing

        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            few.settle(one, Outcome::Failure);
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
            few.refund(two);
            metrics.publish();
            let again = self::read(snapshotter.snapshot());
            assert!(again.contains(&line(names::IN_FLIGHT, "orders", 0.0)), "{again:?}");
        });
    }

    #[test]
    fn threads_are_counted_exactly() {
        let metrics = Arc::new(Metrics::new());
        let few = Few::new("busy", 64, 0, Observer::new(metrics.clone(), "busy"));
        std::thread::scope(|s| {
            for _ in 0..12 {
                s.spawn(|| {
                    (0..1_000).for_each(|_| few.settle(Gate::admit(&few, &()).unwrap(), Outcome::Success))
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

    #[test]
    fn a_shadow_tells_under_the_name_of_the_gate_behind_it() {
        let metrics = Arc::new(Metrics::new());
        let few = Few::new("line", 0, 0, Observer::new(metrics.clone(), "line"));
        let shadow = Shadow::new(few, Mode::Shadow).observe(metrics.clone());
        assert!(shadow.admit(&()).unwrap().is_none());
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || metrics.publish());
        let read = read(snapshotter.snapshot());
        assert!(read.contains(&(format!("{} line rejected full", names::DECISIONS), 1.0)), "{read:?}");
        assert!(read.contains(&(format!("{} line shadowed full", names::DECISIONS), 1.0)), "{read:?}");
    }
}
