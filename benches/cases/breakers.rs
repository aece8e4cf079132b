//! Circuit breakers: a successful call, a rejection, and a failure recorded with few or many in the
//! window.

use crate::layers::{Bare, Denied, call, service};
use crate::side::{Case, Peer, Side, Target};
use failsafe::failure_policy::{consecutive_failures, success_rate_over_time_window};
use failsafe::{CircuitBreaker as _, backoff};
use plimsoll::breaker::OpenTime;
use plimsoll::{CircuitBreaker, Outcome, Reason, Rejected, Trip};
use recloser::Recloser;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower::{Layer, Service};
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than a run: nothing expires, and an open breaker stays open.
const LONG: Duration = Duration::from_secs(3_600);

pub(crate) fn closed() -> Vec<Case> {
    let failsafe = |window| {
        let wait = backoff::constant(LONG);
        let policy = success_rate_over_time_window(0.5, 20, window, wait);
        failsafe_called(failsafe::Config::new().failure_policy(policy).build())
    };
    let peers = vec![
        Peer::new("recloser", "half of the last 100", recloser_called(recloser(100, 0.5)))
            .target(1, Target::ratio(0.70, 0.90))
            .target(2, Target::Ratio(0.30)),
        Peer::new("failsafe", "half, averaged over 10 s", failsafe(10 * SECOND))
            .target(1, Target::ratio(0.70, 0.90))
            .target(2, Target::Ratio(0.30)),
    ];
    // The peers do not know how long a call in flight has taken.
    let same = vec![
        Peer::new("recloser", "half of the last 100", recloser_called(recloser(100, 0.5)))
            .target(1, Target::ratio(0.70, 0.90)),
        Peer::new("failsafe", "half, averaged over 10 s", failsafe(10 * SECOND)),
    ];
    let no_timeout = CircuitBreaker::builder().trips([Trip::failures().ratio(0.5, 20)]).call_timeout(None);
    let no_timeout = no_timeout.build().expect("valid settings");
    // A window below 2 s is dated by the precise clock.
    let precise = vec![Peer::new("failsafe", "half, averaged over 1 s", failsafe(SECOND))];
    vec![
        Case::new("half within 10 s", called(half(10 * SECOND)), peers),
        Case::new("half within 10 s, no call time-out", called(no_timeout), same),
        Case::new("half within 1 s", called(half(SECOND)), precise),
    ]
}

pub(crate) fn open() -> Vec<Case> {
    let recloser = recloser(1, 0.5);
    // The first call fills its window, and the second opens it.
    let _ = [recloser.call(fail), recloser.call(fail)];
    let policy = consecutive_failures(1, backoff::constant(LONG));
    let failsafe = failsafe::Config::new().failure_policy(policy).build();
    let _ = failsafe.call(fail);
    assert!(recloser.call(succeed).is_err() && failsafe.call(succeed).is_err(), "they are open");
    let half = Target::Ratio(0.50);
    let peers = vec![
        Peer::new("recloser", "rejected", recloser_called(recloser)).target(1, half).target(2, half),
        Peer::new("failsafe", "rejected", failsafe_called(failsafe)).target(1, half).target(2, half),
    ];
    vec![Case::new("rejected", called(opened()), peers)]
}

pub(crate) fn record() -> Vec<Case> {
    let bare = |subject, n| {
        let peers = vec![
            Peer::new("plimsoll-breaker", "10² in the window", recording(100, all))
                .target(1, Target::Ratio(1.20)),
            Peer::new("recloser", "as many calls", recloser_recording(n)).target(1, Target::ratio(5.0, 3.5)),
        ];
        Case::new(subject, recording(n, all), peers).one_thread()
    };
    let layered = |subject, n| {
        let ours = recording(n, || {
            let breaker = all();
            Layered { service: breaker.layer().layer(Scripted), reset: move || breaker.reset() }
        });
        let peer = Peer::new("tower-resilience-circuitbreaker", "as long a time", resilience_recording(n));
        Case::new(subject, ours, vec![peer]).bare(service(Scripted)).one_thread()
    };
    vec![
        bare("10² in the window", 100),
        bare("10⁴ in the window", 10_000),
        bare("10⁶ in the window", 1_000_000),
        layered("10², breaker.layer()", 100),
        layered("10⁴, breaker.layer()", 10_000),
    ]
}

pub(crate) fn layer() -> Vec<Case> {
    let of = |subject, breaker: CircuitBreaker, is_open, max| {
        let (layer, handle) = CircuitBreakerLayer::builder()
            .wait_duration_in_open(LONG)
            .build_with_handle()
            .expect("valid settings");
        if is_open {
            poll_to_end(handle.force_open());
        }
        // The peer awaits a lock. It can be polled to the end only while no other thread holds the
        // lock.
        let peer =
            Peer::new("tower-resilience-circuitbreaker", "half of the last 100", service(layer.layer(Bare)));
        let peers = vec![peer.target(1, Target::Ratio(max)).one_thread()];
        Case::new(subject, service(breaker.layer().layer(Bare)), peers).bare(service(Bare))
    };
    vec![
        of("breaker.layer(), closed", half(10 * SECOND), false, 0.15),
        of("breaker.layer(), open", opened(), true, 0.10),
    ]
}

fn breaker(trip: Trip) -> CircuitBreaker {
    CircuitBreaker::builder().trips([trip]).open_time(OpenTime::fixed(LONG)).build().expect("valid settings")
}

fn half(window: Duration) -> CircuitBreaker {
    breaker(Trip::failures().ratio(0.5, 20).within(window))
}

/// Opens when all calls fail. One success keeps it closed.
fn all() -> CircuitBreaker {
    breaker(Trip::failures().ratio(1.0, 20).within(LONG))
}

/// Opened by a trip, so that its rejections carry numbers.
fn opened() -> CircuitBreaker {
    let breaker = breaker(Trip::failures().count(1).within(10 * SECOND));
    breaker.report(Outcome::Failure);
    assert!(breaker.try_acquire().is_err(), "it is open");
    breaker
}

/// Acquires a permit and records a success, or is rejected.
fn called(breaker: CircuitBreaker) -> Side {
    Side::new(
        move || breaker.clone(),
        |breaker| {
            // The whole result is used, so that a rejection must be written in full.
            match black_box(&*breaker).try_acquire() {
                Ok(permit) => permit.done(Outcome::Success),
                Err(rejected) => {
                    black_box(&rejected);
                }
            }
        },
    )
}

fn succeed() -> Result<u64, u64> {
    Ok(black_box(7))
}

fn fail() -> Result<u64, u64> {
    Err(black_box(7))
}

fn recloser(calls: usize, share: f32) -> Recloser {
    Recloser::custom().closed_len(calls).error_rate(share).open_wait(LONG).build()
}

fn recloser_called(recloser: Recloser) -> Side {
    let recloser = Arc::new(recloser);
    Side::new(
        move || recloser.clone(),
        |recloser| {
            black_box(&black_box(&**recloser).call(succeed));
        },
    )
}

fn failsafe_called<B: failsafe::CircuitBreaker + Clone + Sync + 'static>(breaker: B) -> Side {
    Side::new(
        move || breaker.clone(),
        |breaker| {
            black_box(&black_box(&*breaker).call(succeed));
        },
    )
}

/// Records outcomes and can be reset.
trait Recorder: 'static {
    fn record(&mut self, succeed: bool);
    fn clear(&mut self);
}

impl Recorder for CircuitBreaker {
    fn record(&mut self, succeed: bool) {
        let outcome = if succeed { Outcome::Success } else { Outcome::Failure };
        black_box(&*self).try_acquire().expect("closed").done(outcome);
    }
    fn clear(&mut self) {
        self.reset();
    }
}

/// A service with a breaker's layer around it, and how to reset the breaker.
struct Layered<S, F> {
    service: S,
    reset: F,
}

impl<S: Service<u64> + 'static, F: Fn() + 'static> Recorder for Layered<S, F> {
    fn record(&mut self, succeed: bool) {
        call(&mut self.service, if succeed { SUCCEED } else { FAIL });
    }
    fn clear(&mut self) {
        (self.reset)();
    }
}

/// Fails for one kind of request. The error is not a rejection, which no breaker would count.
#[derive(Clone)]
struct Scripted;

const SUCCEED: u64 = 0;
const FAIL: u64 = 7;

impl Service<u64> for Scripted {
    type Response = u64;
    type Error = Denied;
    type Future = Ready<Result<u64, Denied>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: u64) -> Self::Future {
        ready(if request == SUCCEED {
            Ok(request)
        } else {
            Err(Rejected::new("scripted", Reason::Full).into())
        })
    }
}

/// Failures recorded between two checks of their number.
const CHUNK: usize = 64;

/// Records failures with about `n` of them in the window, and one success.
fn recording<R: Recorder>(n: usize, make: impl Fn() -> R + Sync + 'static) -> Side {
    Side::prepared(
        CHUNK as u64,
        move || (make(), usize::MAX),
        move |(recorder, failures)| {
            // The number grows while it is measured. The window is filled again when it is 5 %
            // above `n`.
            if *failures > n + n / 20 {
                *failures = n - CHUNK / 2;
                recorder.clear();
                recorder.record(true);
                (0..*failures).for_each(|_| recorder.record(false));
            }
        },
        |(recorder, failures)| {
            *failures += CHUNK;
            (0..CHUNK).for_each(|_| recorder.record(false));
        },
    )
}

/// Its window counts calls and stays full. It never opens.
fn recloser_recording(n: usize) -> Side {
    let recloser = Arc::new(recloser(n, 2.0));
    (0..=n).for_each(|_| drop(recloser.call(fail)));
    Side::new(
        move || recloser.clone(),
        |recloser| {
            black_box(&black_box(&**recloser).call(fail));
        },
    )
}

fn resilience_recording(n: usize) -> Side {
    recording(n, || {
        let (layer, handle) = CircuitBreakerLayer::builder()
            .failure_rate_threshold(1.0)
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(LONG)
            .build_with_handle()
            .expect("valid settings");
        // Opened first, because a closed breaker ignores an order to close.
        let reset = move || {
            poll_to_end(handle.force_open());
            poll_to_end(handle.force_closed());
        };
        Layered { service: layer.layer(Scripted), reset }
    })
}

/// Polls to the end. No other thread holds the lock that is awaited.
fn poll_to_end(future: impl Future<Output = ()>) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready(), "not at once");
}
