//! Try a line before you draw it: a valve in shadow, with someone who listens.
//!
//! ```text
//! cargo run --example watching
//! ```
//!
//! The valve is set too tight. In shadow it decides and tells, and refuses nobody; what it would have
//! rejected is counted. Then it is turned on, found too tight, and widened while it runs.

use plimsoll::prelude::*;
use plimsoll::{Event, Inspect, Mode, Observe, Shadow, layer};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// Counts what it is told.
#[derive(Debug, Default)]
struct Watch {
    admitted: AtomicU32,
    rejected: AtomicU32,
    would_refuse: AtomicU32,
}

impl Observe for Watch {
    fn event(&self, event: Event) {
        let count = match event {
            Event::Admitted { .. } => &self.admitted,
            Event::Rejected { .. } => &self.rejected,
            Event::Shadowed { .. } => &self.would_refuse,
            _ => return,
        };
        count.fetch_add(1, Relaxed);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let watch = Arc::new(Watch::default());
    let valve = Valve::builder().name("orders").concurrency(2).observe(watch.clone()).build()?;
    let line = Shadow::new(valve.clone(), Mode::Shadow).observe(watch.clone());
    // A refusal is answered in the service's own words: its error type is `Infallible`.
    let service = ServiceBuilder::new()
        .layer(layer(line.clone()).respond(|no: Rejected| format!("later, please: {no}")))
        .service(service_fn(async |n: u32| {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(format!("order {n}"))
        }));

    println!("shadow: {:?}", burst(&service).await?);
    println!("        {watch:?}");
    line.set_mode(Mode::On);
    println!("on:     {:?}", burst(&service).await?);
    valve.set("limit", 4.0)?;
    println!("wider:  {:?}", burst(&service).await?);
    valve.read(&mut |name, value| println!("        {name} = {value}"));
    Ok(())
}

/// Four calls at once.
async fn burst<S>(service: &S) -> Result<Vec<String>, Infallible>
where
    S: Service<u32, Response = String, Error = Infallible> + Clone,
{
    let call = |n| service.clone().oneshot(n);
    let (a, b, c, d) = tokio::join!(call(1), call(2), call(3), call(4));
    Ok(vec![a?, b?, c?, d?])
}
