//! Buffering requests in front of a service.

use plimsoll_core::parts::{FixedCapacity, Semaphore};
use plimsoll_core::{WaitLayer, semaphore_guard, semaphore_setup, wait_layer};
use std::sync::Arc;

/// Buffers requests in front of a service, as a queue, a stack or in time buckets.
///
/// A service that serves `concurrency` requests at once gets a bounded queue in front of it. A
/// request that is evicted or has waited too long is rejected at that moment. There is no worker
/// task: each call runs in its caller's task, so a panic in one harms no other.
///
/// A cheap handle: clones, and all services of all its layers, share one queue. Its queue is
/// that of a valve, with other defaults: they suit callers that give up soon. A buffer is used only
/// as a layer. To acquire permits yourself, take a valve.
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

semaphore_setup! {
    Buffer, BufferConfig, BufferBuilder:
    name "buffer", queue 1_024 "1,024", discipline Fifo "evicts the oldest"
}

impl Buffer {
    /// Creates a layer whose calls wait in the buffer. It clones the inner service for each call.
    pub fn layer(&self) -> BufferLayer {
        wait_layer(self.clone())
    }
}
