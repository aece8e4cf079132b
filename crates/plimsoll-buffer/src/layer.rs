//! Buffering requests in front of a service.

use plimsoll_core::parts::{FixedCapacity, Semaphore, Setup, check};
use plimsoll_core::{ConfigError, Discipline, WaitLayer, semaphore_guard, setup_setters, wait_layer};
use std::sync::Arc;
use std::time::Duration;

/// Buffers requests in front of a service, as a queue, a stack or in time buckets.
///
/// A service that serves `concurrency` requests at once gets a bounded queue in front of it. A
/// request that is evicted or has waited too long is rejected at that moment. There is no worker
/// task: each call runs in its caller's task, so a panic in one harms no other.
///
/// A cheap handle: clones, and all services of all its layers, share one queue. It works as a valve
/// does. Only its defaults differ: they suit callers that give up soon.
///
/// ```
/// use plimsoll_buffer::{Buffer, Discipline};
/// use std::time::Duration;
/// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
///
/// # let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # rt.block_on(async {
/// // Eight requests are served at once. The newest waiting request is next. None waits longer
/// // than 200 ms.
/// let buffer = Buffer::builder()
///     .concurrency(8)
///     .queue(100)
///     .discipline(Discipline::Lifo)
///     .max_wait(Duration::from_millis(200))
///     .build()?;
/// let service = ServiceBuilder::new()
///     .layer(buffer.layer())
///     .service(service_fn(async |name: &str| Ok::<_, BoxError>(format!("hello {name}"))));
/// assert_eq!(service.oneshot("world").await?, "hello world");
/// # Ok::<(), BoxError>(()) })?;
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone)]
#[doc(alias = "request queue")]
#[doc(alias = "request buffer")]
#[doc(alias = "backpressure")]
#[doc(alias = "stack")]
#[doc(alias = "LIFO")]
#[doc(alias = "load shed")]
pub struct Buffer(Arc<Semaphore<FixedCapacity>>);

/// The layer that [`Buffer::layer`] creates.
pub type BufferLayer = WaitLayer<Buffer>;

semaphore_guard!(Buffer);

/// The settings of a [`Buffer`]. Plain data; validated when a buffer is built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct BufferConfig {
    /// The name that rejections carry. Default: "buffer".
    pub name: String,
    /// The maximum number of requests in flight. Default: 1. Range: 1 to 2³¹ − 1.
    pub concurrency: u32,
    /// The maximum number of waiting requests. Default: 1,024. Range: 0 to 2³¹ − 1.
    pub queue: u32,
    /// The longest wait. Default: 100 ms. Above 0.
    ///
    /// Choose a fraction of the callers' own time-out, so that enough of it is left for the work.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub max_wait: Duration,
    /// The order in which waiting requests are served, and which of them is evicted when the buffer
    /// is full. Default: [`Fifo`](Discipline::Fifo), which evicts the oldest.
    pub discipline: Discipline,
}

impl Default for BufferConfig {
    fn default() -> Self {
        BufferConfig {
            name: "buffer".into(),
            concurrency: 1,
            queue: 1_024,
            max_wait: Duration::from_millis(100),
            discipline: Discipline::Fifo,
        }
    }
}

impl BufferConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        check::within("concurrency", self.concurrency, 1..=FixedCapacity::MAX)?;
        check::queue(self.queue, self.max_wait)?;
        self.discipline.validate()
    }
}

/// Builds a [`Buffer`]. Created by [`Buffer::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct BufferBuilder {
    config: BufferConfig,
    setup: Setup,
}

impl Buffer {
    /// Returns a builder with the default settings.
    pub fn builder() -> BufferBuilder {
        BufferBuilder::default()
    }

    /// Creates a layer whose calls wait in the buffer. It clones the inner service for each call.
    pub fn layer(&self) -> BufferLayer {
        wait_layer(self.clone())
    }
}

impl BufferBuilder {
    /// Sets the maximum number of requests in flight. Default: 1. Range: 1 to 2³¹ − 1.
    pub fn concurrency(mut self, concurrency: u32) -> Self {
        self.config.concurrency = concurrency;
        self
    }

    /// Sets the maximum number of waiting requests. Default: 1,024. Range: 0 to 2³¹ − 1.
    pub fn queue(mut self, queue: u32) -> Self {
        self.config.queue = queue;
        self
    }

    /// Sets the longest wait. Default: 100 ms. Above 0.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.config.max_wait = max_wait;
        self
    }

    /// Sets the queue discipline: the order in which waiting requests are served, and which of them
    /// is evicted when the buffer is full. Default: [`Fifo`](Discipline::Fifo).
    pub fn discipline(mut self, discipline: Discipline) -> Self {
        self.config.discipline = discipline;
        self
    }

    setup_setters!(BufferConfig: clock, observe);

    /// Builds the buffer.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<Buffer, ConfigError> {
        self.config.validate()?;
        let BufferConfig { name, concurrency, queue, max_wait, discipline } = self.config;
        let setup = self.setup.identity(&name);
        let capacity = FixedCapacity::new(concurrency);
        let semaphore = Semaphore::new(setup.name, capacity, setup.clock, queue, max_wait);
        semaphore.set_discipline(discipline);
        Ok(Buffer(Arc::new(semaphore.observe(setup.observer))))
    }
}
