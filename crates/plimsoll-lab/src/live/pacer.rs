//! The pacer: a thread that hands over each arrival when it is due.
//!
//! It is a thread because a runtime's timer rounds to the millisecond, and at 6,400 requests per
//! second six are due in each. The pacer never waits for the client. An arrival that is sent late
//! shows up as lag, and is not silently moved.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::live::schedule::Schedule;

/// One request that is due now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The moment it was due. Its latency and its deadline count from here.
    pub(crate) intended: Instant,
    /// The same moment, as an offset from the start of the row.
    pub(crate) offset: Duration,
    /// Whether it counts, or belongs to the warm-up.
    pub(crate) measured: bool,
}

/// Starts pacing `schedule` from `start`. Arrivals in the first `warm_up` are not measured.
pub(crate) fn pace(
    schedule: Schedule,
    start: Instant,
    warm_up: Duration,
) -> io::Result<(UnboundedReceiver<Arrival>, JoinHandle<()>)> {
    let (due, arrivals) = unbounded_channel();
    let thread = thread::Builder::new().name("pacer".into()).spawn(move || {
        for offset in schedule {
            let intended = start + offset;
            // `sleep` never returns early, and tens of microseconds late.
            thread::sleep(intended.saturating_duration_since(Instant::now()));
            let measured = offset >= warm_up;
            if due.send(Arrival { intended, offset, measured }).is_err() {
                return;
            }
        }
    })?;
    Ok((arrivals, thread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_come_in_order_and_never_early() {
        let span = Duration::from_millis(100);
        let schedule = || Schedule::new(5, 2_000.0, span);
        let start = Instant::now();
        let (mut arrivals, thread) = pace(schedule(), start, span / 2).unwrap();
        for offset in schedule() {
            let arrival = arrivals.blocking_recv().unwrap();
            assert!(Instant::now() >= arrival.intended);
            assert_eq!((arrival.intended, arrival.offset), (start + offset, offset));
            assert_eq!(arrival.measured, offset >= span / 2);
        }
        assert!(arrivals.blocking_recv().is_none());
        thread.join().unwrap();
    }
}
