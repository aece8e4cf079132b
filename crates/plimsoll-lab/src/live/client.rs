//! The client: sends what is due, waits until the deadline at most, and records each outcome.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout_at;

use crate::error::LabError;
use crate::live::pacer::Arrival;
use crate::live::tally::{Outcome, Sent, Tally};
use crate::live::wire::Wire;

/// The client's side of a row. Clones share the idle connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    target: SocketAddr,
    deadline: Duration,
    /// Used as a stack, so that few connections stay warm and the others fall idle.
    idle: Arc<Mutex<Vec<Wire>>>,
}

impl Client {
    /// Creates a client without connections.
    pub(crate) fn new(target: SocketAddr, deadline: Duration) -> Self {
        Self { target, deadline, idle: Arc::default() }
    }

    /// Sends all `arrivals` and returns when each has its outcome.
    ///
    /// Runs in a runtime of its own on the calling thread. At most `rate × deadline` connections
    /// are open at a time.
    pub(crate) fn drive(
        &self,
        arrivals: UnboundedReceiver<Arrival>,
        row_end: Instant,
    ) -> Result<Tally, LabError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(LabError::io("start the client's runtime"))?;
        Ok(runtime.block_on(self.drive_async(arrivals, row_end)))
    }

    async fn drive_async(&self, mut arrivals: UnboundedReceiver<Arrival>, row_end: Instant) -> Tally {
        let mut tally = Tally::new();
        let mut due = 0;
        let (report, mut reports) = unbounded_channel();
        loop {
            tokio::select! {
                biased;
                arrival = arrivals.recv() => {
                    let Some(arrival) = arrival else { break };
                    due += u64::from(arrival.measured);
                    let (client, report) = (self.clone(), report.clone());
                    tokio::spawn(async move {
                        // The receiver outlives every task: it is drained to the end below.
                        let _ = report.send(client.send(arrival).await);
                    });
                }
                Some(sent) = reports.recv() => tally.record(sent, row_end),
            }
        }
        drop(report);
        while let Some(sent) = reports.recv().await {
            tally.record(sent, row_end);
        }
        tally.record_lost(due - tally.offered);
        self.idle().clear();
        tally
    }

    /// Sends one request and returns its outcome. Nothing is retried, because a retry would be load
    /// that the schedule does not know.
    async fn send(&self, arrival: Arrival) -> Sent {
        let dispatched = Instant::now();
        let deadline = arrival.intended + self.deadline;
        // A time-out drops the exchange with its wire, which resets the connection.
        let answer = timeout_at(deadline.into(), self.exchange()).await;
        let now = Instant::now();
        let time = now.saturating_duration_since(arrival.intended);
        let outcome = match answer {
            Err(_) => Outcome::Late(self.deadline),
            // The timer rounds up to a millisecond. The deadline does not.
            Ok(Ok(_)) if now > deadline => Outcome::Late(self.deadline),
            Ok(Ok(status)) => classify(status, time),
            Ok(Err(error)) => Outcome::Failed(error.to_string()),
        };
        Sent { arrival, dispatched, outcome }
    }

    async fn exchange(&self) -> std::io::Result<StatusCode> {
        let idle = self.idle().pop();
        let mut wire = match idle {
            Some(wire) => wire,
            None => Wire::open(self.target).await?,
        };
        let status = wire.get(self.target).await?;
        if wire.is_open() {
            self.idle().push(wire);
        }
        Ok(status)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Wire>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn classify(status: StatusCode, time: Duration) -> Outcome {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Outcome::Rejected(time),
        status if status.is_success() => Outcome::Good(time),
        status => Outcome::Failed(format!("status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_good_and_only_429_and_503_are_rejections() {
        let of = |code| classify(StatusCode::from_u16(code).unwrap(), Duration::ZERO);
        assert!(matches!(of(200), Outcome::Good(_)));
        assert!(matches!(of(204), Outcome::Good(_)));
        assert!(matches!(of(429), Outcome::Rejected(_)));
        assert!(matches!(of(503), Outcome::Rejected(_)));
        for other in [302, 404, 500, 504] {
            assert!(matches!(of(other), Outcome::Failed(_)), "{other}");
        }
    }

    #[test]
    fn missing_server_fails_every_request() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = closed.local_addr().unwrap();
        drop(closed);
        let (due, arrivals) = unbounded_channel();
        for n in 0..10 {
            let intended = Instant::now();
            let measured = n % 2 == 0;
            due.send(Arrival { intended, offset: Duration::ZERO, measured }).unwrap();
        }
        drop(due);
        let client = Client::new(target, Duration::from_secs(60));
        let tally = client.drive(arrivals, Instant::now()).unwrap();
        assert_eq!((tally.offered, tally.failed), (5, 5));
        assert!(tally.first_failure.is_some());
    }
}
