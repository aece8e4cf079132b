//! Whether a signal can be trusted: one that is stuck, panics or knows nothing cannot.

use super::capacity::CapacityMeter;
use super::signal::SignalReading;

/// A signal that does not move for this time, in nanoseconds, although requests are admitted …
const STALE: u64 = 1_000_000_000;
/// … at least this number of them, is stuck. A probe is as long, and a server that hangs loses it.
/// Permits that are held are found by this number of ends.
const ENOUGH: u64 = 6;
/// A signal that has never known anything is given more requests, in case none has been started.
const ENOUGH_AT_FIRST: u64 = 64;
/// The time between two reports that a signal is not trusted, in nanoseconds.
const REPORT: u64 = 60_000_000_000;

/// The history of a signal.
#[derive(Debug)]
pub(super) struct Trust {
    // The last reading, and its instant.
    last: Option<SignalReading>,
    heard: u64,
    // The instant of the first reading of this value, and the number of requests admitted until
    // then.
    since: u64,
    admitted: u64,
    has_known: bool,
    // Requests up to this number of admitted ones are kept to see whether the signal moves. The
    // next such probe is due at `probe_at`. Each pause is twice as long as the one before, until
    // the signal has moved more often than by a probe.
    spared: u64,
    probe_at: u64,
    pause: u64,
    moves: u64,
    // What was known when the signal last moved.
    capacity: CapacityMeter,
    // The instant of the last report, and whether the signal is reported as not trusted.
    reported: Option<u64>,
    is_reported: bool,
}

impl Trust {
    pub(super) fn new(capacity: CapacityMeter) -> Self {
        Trust {
            last: None,
            heard: 0,
            since: 0,
            admitted: 0,
            has_known: false,
            spared: 0,
            probe_at: u64::MAX,
            pause: STALE,
            moves: 0,
            capacity,
            reported: None,
            is_reported: false,
        }
    }

    /// Returns why the signal cannot be trusted, if it cannot.
    ///
    /// A reading is `None` if the signal panicked, or if a function did not decide. `capacity` is
    /// what is known after the reading.
    pub(super) fn check(
        &mut self,
        now: u64,
        admitted: u64,
        reading: Option<SignalReading>,
        capacity: CapacityMeter,
    ) -> Option<&'static str> {
        if self.heard == 0 || reading.is_some() {
            self.heard = now;
        }
        let Some(reading) = reading else {
            let is_late = now.saturating_sub(self.heard) >= STALE;
            return is_late.then_some("the signal fails");
        };
        if self.last != Some(reading) {
            (self.last, self.since, self.admitted, self.capacity) = (Some(reading), now, admitted, capacity);
            self.has_known |= reading.depth.is_some() || reading.delay.is_some();
            self.moves += 1;
            if self.moves > ENOUGH {
                self.pause = STALE;
            }
            self.probe_at = now.saturating_add(self.pause);
            return None;
        }
        if is_calm(&reading) && self.has_known {
            return None;
        }
        let (time, new) = (now.saturating_sub(self.since), admitted.saturating_sub(self.admitted));
        if now >= self.probe_at {
            // The queue of a server that stalls stands still, too. It grows by a probe.
            (self.pause, self.moves) = (self.pause.saturating_mul(2), 0);
            (self.spared, self.probe_at) = (admitted.saturating_add(ENOUGH), now.saturating_add(self.pause));
        }
        match (time >= STALE, self.has_known) {
            (true, true) if new >= ENOUGH => Some("the signal is stuck"),
            (true, false) if new >= ENOUGH_AT_FIRST => Some("the signal knows nothing"),
            _ => None,
        }
    }

    /// Returns what was known when the signal last moved.
    pub(super) fn capacity(&self) -> CapacityMeter {
        self.capacity
    }

    /// Returns the number of admitted requests up to which nothing is dropped.
    pub(super) fn spared_admitted(&self) -> u64 {
        self.spared
    }

    /// Returns the new state and its cause, if a change has to be reported.
    pub(super) fn change(
        &mut self,
        now: u64,
        blind: Option<&'static str>,
    ) -> Option<(&'static str, &'static str)> {
        match blind {
            Some(why) if !self.is_reported => {
                let is_due = self.reported.is_none_or(|at| now.saturating_sub(at) >= REPORT);
                is_due.then(|| {
                    (self.reported, self.is_reported) = (Some(now), true);
                    ("blind", why)
                })
            }
            None if std::mem::take(&mut self.is_reported) => Some(("steered", "the signal moves")),
            _ => None,
        }
    }
}

/// Returns whether a queue that stays empty explains a reading that does not move.
fn is_calm(reading: &SignalReading) -> bool {
    reading.departed.is_none()
        && match (reading.depth, reading.delay) {
            (Some(depth), _) => depth == 0,
            (None, delay) => delay.is_none_or(|delay| delay.is_zero()),
        }
}
