//! The layers, and known bugs of other limiters that they must not have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg(feature = "tower")]

use plimsoll_core::{ManualTime, Reason, Rejected};
use plimsoll_valve::Valve;
use std::future::{Ready, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::load_shed::LoadShed;
use tower::{BoxError, Layer, Service, service_fn};

/// Is ready after `unready` polls, and responds after `polls` polls. May panic in one of the
/// latter.
#[derive(Clone)]
struct SlowService {
    polls: u32,
    unready: u32,
    panics_at: Option<u32>,
}

impl Service<()> for SlowService {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>>>>;
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.unready == 0 {
            return Poll::Ready(Ok(()));
        }
        self.unready -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
    fn call(&mut self, (): ()) -> Self::Future {
        let (mut polls_left, panics_at) = (self.polls, self.panics_at);
        Box::pin(poll_fn(move |cx| {
            assert_ne!(Some(polls_left), panics_at, "on purpose");
            if polls_left == 0 {
                return Poll::Ready(Ok(()));
            }
            polls_left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}

fn echo() -> impl Service<u32, Response = u32, Error = BoxError, Future = Ready<Result<u32, BoxError>>> + Clone
{
    service_fn(|n: u32| ready(Ok(n)))
}

fn valve(concurrency: u32, queue: u32) -> (Valve, ManualTime) {
    let time = ManualTime::new();
    let wait = Duration::from_millis(100);
    (
        Valve::builder()
            .concurrency(concurrency)
            .queue(queue)
            .max_wait(wait)
            .clock(time.clock())
            .build()
            .unwrap(),
        time,
    )
}

/// Some limiters reserve a permit in `poll_ready`. A handle whose call was shed then keeps a place
/// in the limiter's queue. It gets the next permit, and holds it until it is polled or dropped.
/// With a limit of one, two handles and nothing in flight, the other handle never succeeds.
#[test]
fn an_idle_handle_whose_call_was_shed_takes_no_capacity() {
    let (valve, _time) = valve(1, 0);
    let mut a = task::spawn(LoadShed::new(valve.layer().layer(echo())));
    let mut b = task::spawn(LoadShed::new(valve.layer().layer(echo())));

    let held = valve.try_acquire().unwrap();
    assert_ready_ok!(b.enter(|cx, mut s| s.poll_ready(cx)));
    assert_ready_err!(task::spawn(b.call(1)).poll()); // shed
    assert_ready_ok!(b.enter(|cx, mut s| s.poll_ready(cx))); // ready again, and then idle
    drop(held);

    for n in 0..5 {
        assert_ready_ok!(a.enter(|cx, mut s| s.poll_ready(cx)));
        assert_eq!(assert_ready_ok!(task::spawn(a.call(n)).poll()), n);
    }
    drop(b);
}

/// The same with the layer that waits: the handle is idle after its waiting call was dropped.
#[test]
fn an_idle_handle_whose_waiting_call_was_dropped_takes_nothing() {
    let (valve, _time) = valve(1, 8);
    let mut a = valve.wait_layer().layer(echo());
    let mut b = valve.wait_layer().layer(echo());
    let held = valve.try_acquire().unwrap();
    let mut waiter = task::spawn(b.call(1));
    assert_pending!(waiter.poll());
    drop(waiter);
    drop(held);
    for n in 0..5 {
        assert_eq!(assert_ready_ok!(task::spawn(a.call(n)).poll()), n);
    }
    assert_eq!((valve.in_flight(), valve.queued()), (0, 0));
}

/// If `layer()` created new state, axum would have a limit for each route, and none in all.
#[test]
fn all_services_of_all_layers_of_a_valve_share_its_places() {
    let (valve, _time) = valve(1, 0);
    let layer = valve.layer();
    let never = service_fn(|(): ()| std::future::pending::<Result<(), BoxError>>());
    let (mut one, mut two, mut three) = (layer.layer(never), layer.layer(never), valve.layer().layer(never));
    let mut first = task::spawn(one.call(()));
    assert_pending!(first.poll());
    for other in [&mut two, &mut three] {
        let error = assert_ready_err!(task::spawn(other.call(())).poll());
        let rejected = *error.downcast_ref::<Rejected>().unwrap();
        assert_eq!(
            (rejected.reason(), rejected.limit(), rejected.observed()),
            (Reason::Full, Some(1), Some(1))
        );
    }
    drop(first);
    assert_pending!(task::spawn(three.call(())).poll());
}

#[test]
fn a_call_dropped_at_any_poll_releases_its_place() {
    for waits in [false, true] {
        for polls in 0..8 {
            let (valve, _time) = valve(1, 4);
            let mut service = valve.wait_layer().layer(SlowService { polls: 3, unready: 2, panics_at: None });
            let held = waits.then(|| valve.try_acquire().unwrap());
            let mut call = task::spawn(service.call(()));
            let mut next = task::spawn(service.call(()));
            let mut held = held;
            let mut ended = false;
            for n in 0..polls {
                if n == 2 {
                    held = None;
                }
                ended = ended || call.poll().is_ready();
            }
            assert_pending!(next.poll());
            drop(call);
            drop(held);
            // The second call gets the place that the first held.
            while next.poll().is_pending() {}
            assert_eq!((valve.in_flight(), valve.queued()), (0, 0), "after {polls} polls, ended: {ended}");
        }
    }
}

#[test]
fn a_panic_in_the_inner_service_releases_the_place() {
    for at in 0..=3 {
        let (valve, _time) = valve(1, 4);
        let service = SlowService { polls: 3, unready: 0, panics_at: Some(at) };
        let mut call = task::spawn(valve.wait_layer().layer(service.clone()).call(()));
        catch_unwind(AssertUnwindSafe(|| while call.poll().is_pending() {})).unwrap_err();
        assert_eq!(valve.in_flight(), 0, "released before the future is dropped");
        let mut call = task::spawn(valve.layer().layer(service).call(()));
        catch_unwind(AssertUnwindSafe(|| while call.poll().is_pending() {})).unwrap_err();
        assert_eq!(valve.in_flight(), 0);
    }
}

#[test]
fn a_waiting_call_expires_after_the_longest_wait() {
    let (valve, time) = valve(1, 1);
    let mut service = valve.wait_layer().layer(echo());
    let _held = valve.try_acquire().unwrap();
    let mut waiter = task::spawn(service.call(1));
    assert_pending!(waiter.poll());
    let full = assert_ready_err!(task::spawn(service.call(2)).poll());
    let full = *full.downcast_ref::<Rejected>().unwrap();
    assert_eq!((full.reason(), full.limit(), full.observed()), (Reason::Full, Some(2), Some(2)));
    time.advance(Duration::from_millis(100));
    assert!(waiter.is_woken());
    let error = assert_ready_err!(waiter.poll());
    assert_eq!(error.downcast_ref::<Rejected>().unwrap().reason(), Reason::Expired);
    assert_eq!(error.to_string(), "valve rejected: expired after 100ms");
}

#[cfg(feature = "test-util")]
#[tokio::test(start_paused = true)]
async fn a_wait_expires_by_tokios_paused_time() {
    let valve = Valve::builder().concurrency(1).queue(1).max_wait(Duration::from_secs(3600)).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    assert_eq!(valve.acquire().await.unwrap_err().reason(), Reason::Expired);
}
