//! The one door of time: what time it is, and waiting until it is later.

use crate::Instant;
use crate::instant::nanos;
use crate::timers::{self, Entry, Timers};
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

/// Tells the time and waits for it. Cheap to clone; every guard takes one.
///
/// The default is the system's monotonic clock. A [`ManualTime`] gives clocks that stand still
/// until they are told to move, for tests and simulators.
///
/// Sleeping uses the timer of the tokio runtime it happens in (which must have been built with
/// `enable_time` or `enable_all`), and otherwise one timer thread that the first sleeper starts.
/// Under feature `test-util` the system clock follows tokio's paused time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Kind);

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    System,
    Manual(Arc<Hand>),
}

impl Clock {
    /// The system's monotonic clock.
    pub const fn system() -> Self {
        Clock(Kind::System)
    }

    /// What time it is, to the nanosecond where the system can tell.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Kind::System => system_now(),
            Kind::Manual(hand) => hand.now(),
        }
    }

    /// What time it is, roughly: never ahead of [`now`](Self::now), usually by no more than two ticks of
    /// the system (4 to 10 ms each) behind it, and a quarter of the price.
    ///
    /// For deciding about spans that are long against a tick. A clock that [is of a test](Self::is_test)
    /// tells the time exactly here, too, and so does a system without a coarse clock.
    #[inline]
    pub fn coarse(&self) -> Instant {
        match &self.0 {
            Kind::System => system_rough(),
            Kind::Manual(hand) => hand.now(),
        }
    }

    /// What a clock on the wall showed, or will show, at `at`. A [`ManualTime`] begins at the Unix epoch.
    pub fn wall(&self, at: Instant) -> SystemTime {
        match &self.0 {
            Kind::System => {
                let now = system_now();
                #[expect(clippy::disallowed_methods, reason = "this is the door")]
                let wall = SystemTime::now();
                let wall =
                    if at <= now { wall.checked_sub(now.since(at)) } else { wall.checked_add(at.since(now)) };
                wall.unwrap_or(SystemTime::UNIX_EPOCH)
            }
            Kind::Manual(_) => SystemTime::UNIX_EPOCH + Duration::from_nanos(at.as_nanos()),
        }
    }

    /// Whether this clock may show anything but the real time: it is manual, or `test-util` is on.
    pub fn is_test(&self) -> bool {
        cfg!(feature = "test-util") || matches!(self.0, Kind::Manual(_))
    }

    /// A future that is done when this clock has reached `at`; never earlier.
    ///
    /// # Cancel safety
    /// Dropping it cancels the timer.
    ///
    /// # Panics
    /// When it is first polled inside a tokio runtime that was built without a timer: build it with
    /// `enable_time` or `enable_all`, as for tokio's own sleep.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { clock: self.clone(), at, state: State::Unset }
    }

    /// Runs `future` on the calling thread, no runtime needed; gives up when the clock reaches
    /// `at` (`None`: never) and answers `None` then, with the future dropped.
    ///
    /// It blocks the thread: inside an async task, await the future instead. Tokio's paused time does
    /// not move while a thread is blocked; a test that blocks wants a [`ManualTime`].
    ///
    /// ```
    /// use plimsoll_core::Clock;
    /// use std::{future, time::Duration};
    ///
    /// let clock = Clock::system();
    /// assert_eq!(clock.block_until(None, async { 7 }), Some(7));
    /// let soon = clock.now() + Duration::from_millis(1);
    /// assert_eq!(clock.block_until(Some(soon), future::pending::<()>()), None);
    /// ```
    pub fn block_until<F: Future>(&self, at: Option<Instant>, future: F) -> Option<F::Output> {
        let parker = Arc::new(Parker { thread: std::thread::current(), woken: AtomicBool::new(false) });
        let waker = Waker::from(parker.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        let mut alarm = pin!(self.sleep_until(at.unwrap_or(Instant::FAR_FUTURE)));
        let _blocking = Blocking::enter();
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Some(output);
            }
            if at.is_some() && alarm.as_mut().poll(&mut cx).is_ready() {
                return None;
            }
            while !parker.woken.swap(false, Ordering::Acquire) {
                std::thread::park();
            }
        }
    }
}

/// The origin of all [`Instant`]s, with slack before it: a runtime made before the first reading
/// may have paused its clock at an earlier time, and that too must be after the origin.
#[cfg(any(feature = "tokio", not(all(target_os = "linux", not(feature = "test-util")))))]
fn origin() -> std::time::Instant {
    #[cfg(all(target_os = "linux", not(feature = "test-util")))]
    return linux::origin();
    #[cfg(not(all(target_os = "linux", not(feature = "test-util"))))]
    {
        static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        *ORIGIN.get_or_init(|| before(std::time::Instant::now()).0)
    }
}

/// As early as there is: the origin, and how long it was before `now`.
fn before(now: std::time::Instant) -> (std::time::Instant, Duration) {
    let slack = [86_400, 3_600, 60].map(Duration::from_secs);
    // Some systems count from boot and cannot go back a day.
    let found = slack.into_iter().find_map(|slack| Some((now.checked_sub(slack)?, slack)));
    found.unwrap_or((now, Duration::ZERO))
}

#[cfg(not(any(target_os = "linux", feature = "test-util")))]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn system_now() -> Instant {
    let origin = origin();
    Instant::from_nanos(nanos(std::time::Instant::now().saturating_duration_since(origin)))
}

/// The system's monotonic clocks, read without the detour of `std`, which takes a quarter more. The precise
/// and the coarse one count the same seconds, from an origin that only the system knows, so that the rough
/// time is never ahead.
#[cfg(all(target_os = "linux", not(feature = "test-util")))]
mod linux {
    use super::{OnceLock, before, nanos};
    use crate::Instant;
    use rustix::time::{ClockId, clock_gettime};

    /// Our origin in the time of `std`, and our time less the system's.
    static ORIGIN: OnceLock<(std::time::Instant, u64)> = OnceLock::new();

    #[cold]
    #[inline(never)]
    fn first() -> &'static (std::time::Instant, u64) {
        ORIGIN.get_or_init(|| {
            // In this order: whoever sleeps by the clock of `std` then wakes late rather than early.
            let system = read(ClockId::Monotonic);
            #[expect(clippy::disallowed_methods, reason = "this is the door")]
            let (origin, since) = before(std::time::Instant::now());
            // Wrapping: our origin may lie before the system's, which began to count when it was booted.
            (origin, nanos(since).wrapping_sub(system))
        })
    }

    #[cfg(feature = "tokio")]
    pub(super) fn origin() -> std::time::Instant {
        first().0
    }

    #[inline]
    fn read(clock: ClockId) -> u64 {
        let time = clock_gettime(clock);
        // Never negative; and what wraps here wraps back with the offset.
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }

    #[inline]
    fn since_origin(clock: ClockId) -> Instant {
        // First, so that nothing is before it.
        let (_, offset) = ORIGIN.get().unwrap_or_else(first);
        Instant::from_nanos(read(clock).wrapping_add(*offset))
    }

    pub(super) fn system_now() -> Instant {
        since_origin(ClockId::Monotonic)
    }

    pub(super) fn system_rough() -> Instant {
        since_origin(ClockId::MonotonicCoarse)
    }
}
#[cfg(all(target_os = "linux", not(feature = "test-util")))]
use linux::{system_now, system_rough};

#[cfg(not(all(target_os = "linux", not(feature = "test-util"))))]
fn system_rough() -> Instant {
    system_now()
}

#[cfg(feature = "test-util")]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn system_now() -> Instant {
    let origin = origin();
    Instant::from_nanos(nanos(tokio::time::Instant::now().into_std().saturating_duration_since(origin)))
}

/// Time that stands still until it is moved by hand: for tests and simulators.
///
/// ```
/// use plimsoll_core::ManualTime;
/// use std::time::{Duration, SystemTime};
///
/// let time = ManualTime::new();
/// let clock = time.clock();
/// let start = clock.now();
/// time.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now().since(start), Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualTime(Arc<Hand>);

#[derive(Debug, Default)]
struct Hand {
    nanos: AtomicU64,
    timers: Arc<Timers>,
}

impl Hand {
    fn now(&self) -> Instant {
        // SeqCst: see `Timers::next`.
        Instant::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    fn move_to(&self, at: Instant) {
        // Looked at first: many things happen at one instant, and a look costs less than a write.
        if self.now() < at {
            self.nanos.fetch_max(at.as_nanos(), Ordering::SeqCst);
        }
        self.timers.wake_due(at);
    }
}

impl ManualTime {
    /// Time at the origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that shows this time.
    pub fn clock(&self) -> Clock {
        Clock(Kind::Manual(self.0.clone()))
    }

    /// Moves time forward by `duration`, stopping at each sleeper's instant on the way.
    pub fn advance(&self, duration: Duration) {
        self.advance_to(self.0.now() + duration);
    }

    /// Moves time forward to `at`, stopping at each sleeper's instant on the way. Time never goes back.
    pub fn advance_to(&self, at: Instant) {
        while let Some(next) = self.next_sleeper().filter(|&next| next < at) {
            self.0.move_to(next);
        }
        self.0.move_to(at);
    }

    /// The earliest instant that anyone sleeps until.
    pub fn next_sleeper(&self) -> Option<Instant> {
        self.0.timers.next()
    }
}

pin_project! {
    /// The future of [`Clock::sleep_until`].
    #[project = SleepProj]
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct Sleep {
        clock: Clock,
        at: Instant,
        #[pin]
        state: State,
    }
}

#[cfg(feature = "tokio")]
type RuntimeSleep = tokio::time::Sleep;
#[cfg(not(feature = "tokio"))]
type RuntimeSleep = std::future::Pending<()>;

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State {
        Unset,
        Runtime { #[pin] sleep: RuntimeSleep },
        Book { entry: Entry },
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut me = self.project();
        loop {
            // Whoever wakes us, the clock decides.
            if me.clock.now() >= *me.at {
                return Poll::Ready(());
            }
            match me.state.as_mut().project() {
                StateProj::Unset => match runtime_sleep(me.clock, *me.at) {
                    Some(sleep) => me.state.set(State::Runtime { sleep }),
                    None => return enter(me, cx),
                },
                StateProj::Runtime { sleep } => {
                    ready!(sleep.poll(cx));
                    if me.clock.now() < *me.at {
                        // The runtime's time is not ours (it is paused, and `test-util` is off): asked
                        // again it would fire at once, for ever.
                        return enter(me, cx);
                    }
                }
                StateProj::Book { entry } => {
                    entry.renew(cx.waker().clone());
                    return pending(me.clock, *me.at);
                }
            }
        }
    }
}

/// We stand in the book; the clock may have moved past us before we did.
fn pending(clock: &Clock, at: Instant) -> Poll<()> {
    if clock.now() >= at { Poll::Ready(()) } else { Poll::Pending }
}

/// Enters the book of the clock, or of the timer thread.
fn enter(mut me: SleepProj<'_>, cx: &mut Context<'_>) -> Poll<()> {
    let timers = match &me.clock.0 {
        Kind::Manual(hand) => Some(hand.timers.clone()),
        Kind::System => timers::thread(system_now),
    };
    match timers {
        Some(timers) => {
            let entry = Entry::new(timers, *me.at, cx.waker().clone());
            me.state.set(State::Book { entry });
        }
        // The thread cannot be started: poll, rather than wait for ever.
        None => cx.waker().wake_by_ref(),
    }
    pending(me.clock, *me.at)
}

/// The runtime's own sleep, if we are in a runtime and not blocking one of its threads: a blocked
/// thread may be the very one that drives the timer.
#[cfg(feature = "tokio")]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn runtime_sleep(clock: &Clock, at: Instant) -> Option<RuntimeSleep> {
    if !matches!(clock.0, Kind::System) || Blocking::is_on() || tokio::runtime::Handle::try_current().is_err()
    {
        return None;
    }
    let far = Duration::from_secs(86_400 * 365 * 30);
    let at = origin() + Duration::from_nanos(at.as_nanos()).min(far);
    Some(tokio::time::sleep_until(tokio::time::Instant::from_std(at)))
}

#[cfg(not(feature = "tokio"))]
fn runtime_sleep(_: &Clock, _: Instant) -> Option<RuntimeSleep> {
    None
}

struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        // Release: what the waker did is seen by the thread it wakes.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    static BLOCKING: Cell<u32> = const { Cell::new(0) };
}

/// Set while [`Clock::block_until`] runs on this thread.
struct Blocking;

impl Blocking {
    fn enter() -> Self {
        BLOCKING.set(BLOCKING.get() + 1);
        Blocking
    }
    #[cfg(feature = "tokio")]
    fn is_on() -> bool {
        BLOCKING.get() > 0
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        BLOCKING.set(BLOCKING.get() - 1);
    }
}
