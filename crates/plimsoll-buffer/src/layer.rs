//! Requests that wait in front of a service: the buffer as a tower layer.

use crate::config::check_bounds;
use plimsoll_core::{
    Acquire, Bounds, Capacity, Clock, ConfigError, ControlError, Discipline, FixedCapacity, Inspect, Observe,
    Observer, Outcome, Place, Rejected, Semaphore, Settle, Wait, check_name, intern,
};
#[cfg(feature = "tower")]
use plimsoll_core::{WaitLayer, wait_layer};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The layer of [`Buffer::layer`].
#[cfg(feature = "tower")]
pub type BufferLayer = WaitLayer<Buffer>;

/// Requests wait here, in any discipline, in front of a service that serves so many at once. A cheap
/// handle: clones, and all services of all its layers, share one line.
///
/// Whoever is evicted or has waited too long gets his [`Rejected`] at that moment. There is no worker:
/// each call runs in its caller's task, so a panic in one harms no other.
///
#[cfg_attr(feature = "tower", doc = "```")]
#[cfg_attr(not(feature = "tower"), doc = "```ignore")]
/// use plimsoll_buffer::{Buffer, Discipline};
/// use std::time::Duration;
/// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
///
/// # let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # rt.block_on(async {
/// // Eight are served at once; of those who wait the newest is next, and nobody waits for 200 ms.
/// let buffer = Buffer::builder()
///     .concurrency(8)
///     .count(100)
///     .discipline(Discipline::Lifo)
///     .age(Duration::from_millis(200))
///     .build()?;
/// let service = ServiceBuilder::new()
///     .layer(buffer.layer())
///     .service(service_fn(async |name: &str| Ok::<_, BoxError>(format!("hello {name}"))));
/// assert_eq!(service.oneshot("world").await?, "hello world");
/// # Ok::<(), BoxError>(()) })?;
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone)]
pub struct Buffer(Arc<Semaphore<FixedCapacity>>);

/// The settings of a [`Buffer`]. Plain data; checked when a buffer is built from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferConfig {
    /// The name that refusals carry. Default "buffer".
    pub name: String,
    /// How many requests the service serves at once, 1 to 2³¹ − 1. Default 1; set it to what the
    /// bottleneck can serve at once.
    pub concurrency: u32,
    /// How many may wait, 0 to 2³¹ − 1. Default 1,024.
    pub count: u32,
    /// Who of those who wait is next, and who goes when there are too many. Default
    /// [`Discipline::Fifo`]: the oldest is next, and is evicted for a newcomer.
    pub discipline: Discipline,
    /// How long one may wait, whatever the discipline. Default 100 ms. Choose a fraction of the callers'
    /// own time-out, so that enough of it is left for the work.
    pub age: Duration,
}

impl Default for BufferConfig {
    fn default() -> Self {
        BufferConfig {
            name: "buffer".into(),
            concurrency: 1,
            count: 1_024,
            discipline: Discipline::Fifo,
            age: Duration::from_millis(100),
        }
    }
}

impl BufferConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that will not do, the value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_name(&self.name)?;
        check_concurrency(self.concurrency)?;
        check_count(self.count)?;
        self.discipline.validate()?;
        check_age(self.age)
    }
}

fn check_concurrency(given: u32) -> Result<(), ConfigError> {
    if (1..=FixedCapacity::MAX).contains(&given) {
        Ok(())
    } else {
        Err(ConfigError::new("concurrency", given, "1 to 2147483647"))
    }
}

fn check_count(given: u32) -> Result<(), ConfigError> {
    if given <= FixedCapacity::MAX {
        Ok(())
    } else {
        Err(ConfigError::new("count", given, "0 to 2147483647"))
    }
}

fn check_age(age: Duration) -> Result<(), ConfigError> {
    check_bounds(Bounds { max_age: Some(age), ..Bounds::with_capacity(1) })
}

/// Builds a [`Buffer`]; from [`Buffer::builder`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct BufferBuilder {
    config: BufferConfig,
    clock: Clock,
    observer: Option<Arc<dyn Observe>>,
}

impl BufferBuilder {
    /// Starts from these settings.
    pub fn config(mut self, config: BufferConfig) -> Self {
        self.config = config;
        self
    }

    /// The name that refusals carry. See [`intern`] for what a name costs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// How many requests the service serves at once, 1 to 2³¹ − 1.
    pub fn concurrency(mut self, concurrency: u32) -> Self {
        self.config.concurrency = concurrency;
        self
    }

    /// How many may wait, 0 to 2³¹ − 1.
    pub fn count(mut self, count: u32) -> Self {
        self.config.count = count;
        self
    }

    /// Who of those who wait is next, and who goes when there are too many.
    pub fn discipline(mut self, discipline: Discipline) -> Self {
        self.config.discipline = discipline;
        self
    }

    /// How long one may wait.
    pub fn age(mut self, age: Duration) -> Self {
        self.config.age = age;
        self
    }

    /// The clock to wait by; the system's unless set.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Tells `observer` each decision.
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The buffer.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<Buffer, ConfigError> {
        self.config.validate()?;
        let BufferConfig { name, concurrency, count, discipline, age } = self.config;
        let name = intern(&name);
        let observer = self.observer.map_or(Observer::none(), |o| Observer::new(o, name));
        let room =
            Semaphore::new(name, FixedCapacity::new(concurrency), self.clock, count, age).observe(observer);
        room.set_discipline(discipline);
        Ok(Buffer(Arc::new(room)))
    }
}

impl fmt::Debug for BufferBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = self.observer.is_some();
        f.debug_struct("BufferBuilder").field("config", &self.config).field("observed", &observed).finish()
    }
}

impl Buffer {
    /// Sets everything.
    pub fn builder() -> BufferBuilder {
        BufferBuilder::default()
    }

    /// The layer: calls wait here for their turn. It clones the inner service once a call.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> BufferLayer {
        wait_layer(self.clone())
    }

    /// Changes how many are served at once. More: those who wait begin at once. Fewer: nobody is
    /// thrown out.
    ///
    /// # Errors
    /// If it is 0 or above 2³¹ − 1; nothing has changed then.
    pub fn set_concurrency(&self, concurrency: u32) -> Result<(), ControlError> {
        check_concurrency(concurrency)?;
        if self.0.capacity().set_limit(concurrency) {
            self.0.pump();
        }
        Ok(())
    }

    /// Changes how many may wait, 0 to 2³¹ − 1. Those who wait already stay.
    ///
    /// # Errors
    /// If it is above 2³¹ − 1; nothing has changed then.
    pub fn resize(&self, count: u32) -> Result<(), ControlError> {
        check_count(count)?;
        self.0.set_queue(count);
        Ok(())
    }

    /// Changes how long newcomers may wait.
    ///
    /// # Errors
    /// If it is zero; nothing has changed then.
    pub fn set_age(&self, age: Duration) -> Result<(), ControlError> {
        check_age(age)?;
        self.0.set_max_wait(age);
        Ok(())
    }

    /// Changes who is next and who goes. Those who wait stay, as far as the new discipline lets them.
    ///
    /// # Errors
    /// If one of its numbers will not do; nothing has changed then.
    pub fn set_discipline(&self, discipline: Discipline) -> Result<(), ControlError> {
        discipline.validate()?;
        self.0.set_discipline(discipline);
        Ok(())
    }

    /// Lets nobody in from now on: newcomers and all who wait are refused with `Closed`. Those who
    /// are being served finish in peace.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.capacity().is_closed()
    }

    /// How many are being served now.
    pub fn serving(&self) -> u32 {
        self.0.capacity().in_flight()
    }

    /// How many are served at once.
    pub fn concurrency(&self) -> u32 {
        self.0.capacity().limit()
    }

    /// How many wait now.
    pub fn waiting(&self) -> u32 {
        self.0.queued()
    }

    /// How many may wait.
    pub fn count(&self) -> u32 {
        self.0.queue_limit()
    }

    /// How long one may wait.
    pub fn age(&self) -> Duration {
        self.0.max_wait()
    }

    /// Who of those who wait is next, and who goes when there are too many.
    pub fn discipline(&self) -> Discipline {
        self.0.discipline()
    }

    /// The name its refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }
}

impl Settle for Buffer {
    type Token = Place;
    #[inline]
    fn settle(&self, place: Place, outcome: Outcome) {
        self.0.settle(place, outcome);
    }
    #[inline]
    fn refund(&self, place: Place) {
        self.0.refund(place);
    }
}

impl<R: ?Sized> Wait<R> for Buffer {
    type Place = Place;
    type Waiting = Acquire<FixedCapacity>;
    fn wait(&self, _: &R) -> Acquire<FixedCapacity> {
        self.0.acquire()
    }
    fn enter(&self, place: Place, _: &R) -> Result<Place, Rejected> {
        Ok(place)
    }
}

impl Inspect for Buffer {
    fn name(&self) -> &'static str {
        Buffer::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("serving", f64::from(self.serving()));
        each("concurrency", f64::from(self.concurrency()));
        each("waiting", f64::from(self.waiting()));
        each("count", f64::from(self.count()));
        each("age", self.age().as_secs_f64());
    }
    /// Knobs: `concurrency` (whole places), `count` (whole requests), `age` (seconds).
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        let whole = |field| {
            if value.fract() == 0.0 && (0.0..=f64::from(FixedCapacity::MAX)).contains(&value) {
                Ok(value as u32)
            } else {
                Err(ControlError::new(field, value, "a whole number from 0 to 2147483647"))
            }
        };
        match knob {
            "concurrency" => self.set_concurrency(whole("concurrency")?),
            "count" => self.resize(whole("count")?),
            "age" => match Duration::try_from_secs_f64(value) {
                Ok(age) => self.set_age(age),
                Err(_) => Err(ControlError::new("age", value, "a number of seconds above 0")),
            },
            other => Err(ControlError::new("knob", other, "one of concurrency, count, age")),
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("name", &self.name())
            .field("serving", &self.serving())
            .field("concurrency", &self.concurrency())
            .field("waiting", &self.waiting())
            .field("count", &self.count())
            .field("age", &self.age())
            .field("discipline", &self.discipline())
            .field("closed", &self.is_closed())
            .finish()
    }
}
