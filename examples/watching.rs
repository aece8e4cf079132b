//! Try a limit before it rejects anything: a valve in shadow mode, with an observer.
//!
//! ```text
//! cargo run --example watching
//! ```
//!
//! The valve is too small for the load. In shadow mode it decides and reports, and rejects nothing,
//! so the observer counts what it would reject. Then it is turned on, and its concurrency is raised
//! while it runs.

use plimsoll::prelude::*;
use plimsoll::{Event, Inspect, Mode, Observe, Shadow, layer};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// Counts the decisions of the valve.
#[derive(Debug, Default)]
struct Decisions {
    admitted: AtomicU32,
    rejected: AtomicU32,
    /// Rejections that shadow mode did not carry out.
    shadowed: AtomicU32,
}

impl Observe for Decisions {
    fn event(&self, event: Event) {
        let count = match event {
            Event::Admitted { .. } => &self.admitted,
            Event::Rejected { .. } => &self.rejected,
            Event::Shadowed { .. } => &self.shadowed,
            _ => return,
        };
        count.fetch_add(1, Relaxed);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let decisions = Arc::new(Decisions::default());
    let valve = Valve::builder().name("orders").concurrency(2).observe(decisions.clone()).build()?;
    let shadow = Shadow::new(valve.clone(), Mode::Shadow).observe(decisions.clone());
    // The error type of the service is `Infallible`, so a rejection becomes a response.
    let service = ServiceBuilder::new()
        .layer(layer(shadow.clone()).respond(|rejected: Rejected| format!("try again: {rejected}")))
        .service(service_fn(async |n: u32| {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(format!("order {n}"))
        }));

    println!("shadow mode:   {:?}", four_calls(&service).await?);
    println!("               {decisions:?}");
    shadow.set_mode(Mode::On);
    println!("turned on:     {:?}", four_calls(&service).await?);
    valve.set("concurrency", 4.0)?;
    println!("concurrency 4: {:?}", four_calls(&service).await?);
    valve.read(&mut |name, value| println!("               {name} = {value}"));
    Ok(())
}

/// Makes four calls at once.
async fn four_calls<S>(service: &S) -> Result<Vec<String>, Infallible>
where
    S: Service<u32, Response = String, Error = Infallible> + Clone,
{
    let call = |n| service.clone().oneshot(n);
    let (a, b, c, d) = tokio::join!(call(1), call(2), call(3), call(4));
    Ok(vec![a?, b?, c?, d?])
}
