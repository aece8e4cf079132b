//! Counting for the trips.

use crate::streak::Streak;
use crate::trip::{Call, Of, Trip, When};
use plimsoll_core::parts::sync::{AtomicU64, Ordering};
use plimsoll_core::parts::{SlidingWindow, nanos};
use plimsoll_core::{Instant, Outcome};
use std::sync::OnceLock;
use std::time::Duration;

/// The maximum number of trips.
pub(crate) const MAX_TRIPS: usize = 8;

/// A meter for each trip.
///
/// The trips can change while other threads count. Each change begins a life, in which the counts
/// of earlier lives are not seen. A thread that mixes the numbers of two trips counts for a life
/// that is over, so its result is discarded.
#[derive(Debug)]
pub(crate) struct Meters([OnceLock<Box<Meter>>; MAX_TRIPS]);

/// The kinds of all trips in one word, two bits each, the first one lowest.
///
/// A success needs no other number of the trips.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kinds(pub(crate) u64);

impl Kinds {
    /// The number of bits in use.
    pub(crate) const BITS: u32 = 2 * MAX_TRIPS as u32;
    const COUNT: u64 = 1;
    const CONSECUTIVE: u64 = 2;
    const RATIO: u64 = 3;
    const MASK: u64 = 3;

    pub(crate) fn new(trips: &[Trip]) -> Self {
        Kinds(trips.iter().rev().fold(0, |kinds, trip| {
            kinds << 2
                | match trip.when {
                    When::Count(_) => Self::COUNT,
                    When::Consecutive(_) => Self::CONSECUTIVE,
                    When::Ratio { .. } => Self::RATIO,
                }
        }))
    }
}

impl Meters {
    pub(crate) fn new() -> Self {
        Meters([const { OnceLock::new() }; MAX_TRIPS])
    }

    /// Sets a meter for each trip. The caller begins a life afterwards.
    pub(crate) fn set(&self, trips: &[Trip], now: Instant) {
        for (meter, trip) in self.0.iter().zip(trips) {
            meter.get_or_init(|| Box::new(Meter::new(trip))).set(trip, now);
        }
    }

    /// Begins a life, in which all counts are zero.
    pub(crate) fn begin(&self, life: u32) {
        // The windows distinguish lives by themselves.
        self.0.iter().filter_map(OnceLock::get).for_each(|meter| meter.streak.begin(life));
    }

    /// Counts a success whose duration does not matter.
    #[inline]
    pub(crate) fn count_success(&self, Kinds(mut kinds): Kinds, life: u32, now: Instant) {
        for meter in &self.0 {
            let kind = kinds & Kinds::MASK;
            if kind == 0 {
                return;
            }
            kinds >>= 2;
            match meter.get() {
                Some(meter) if kind == Kinds::RATIO => meter.window.add(ALL, life, now),
                Some(meter) if kind == Kinds::CONSECUTIVE => meter.streak.end(life),
                _ => {}
            }
        }
    }

    /// Counts a call in every meter. Returns the first meter whose trip is fulfilled.
    pub(crate) fn count(
        &self,
        Kinds(mut kinds): Kinds,
        call: Call,
        life: u32,
        now: Instant,
    ) -> Option<&Meter> {
        let mut tripped = None;
        for meter in &self.0 {
            if kinds == 0 {
                break;
            }
            kinds >>= 2;
            let Some(meter) = meter.get() else { continue };
            if meter.count(call, life, now) && tripped.is_none() {
                tripped = Some(&**meter);
            }
        }
        tripped
    }
}

const ALL: usize = 0;
const BAD: usize = 1;

/// A trip and its counts. Counting costs the same however many calls are in the window.
#[derive(Debug)]
pub(crate) struct Meter {
    // See `encode`.
    trip: [AtomicU64; 4],
    window: SlidingWindow<2>,
    streak: Streak,
}

/// Encodes a trip as numbers: kinds and count, share, duration of slow calls, time.
fn encode(trip: &Trip) -> [u64; 4] {
    let (of, slow) = match trip.of {
        Of::Failures => (0, 0),
        Of::Errors => (1, 0),
        Of::Timeouts => (2, 0),
        Of::Overloads => (3, 0),
        Of::Slow(longer_than) => (4, nanos(longer_than)),
    };
    let (when, n, share) = match trip.when {
        When::Count(n) => (Kinds::COUNT, n, 0.0),
        When::Consecutive(n) => (Kinds::CONSECUTIVE, n, 0.0),
        When::Ratio { share, min_calls } => (Kinds::RATIO, min_calls, share),
    };
    [u64::from(n) << 32 | when << 8 | of, share.to_bits(), slow, nanos(trip.within)]
}

/// Decodes a trip from the numbers of [`encode`].
fn decode([kinds, share, slow, within]: [u64; 4]) -> Trip {
    let of = match kinds & 0xff {
        0 => Of::Failures,
        1 => Of::Errors,
        2 => Of::Timeouts,
        3 => Of::Overloads,
        _ => Of::Slow(Duration::from_nanos(slow)),
    };
    let n = (kinds >> 32) as u32;
    let when = match kinds >> 8 & Kinds::MASK {
        Kinds::COUNT => When::Count(n),
        Kinds::CONSECUTIVE => When::Consecutive(n),
        _ => When::Ratio { share: f64::from_bits(share), min_calls: n },
    };
    Trip { of, when, within: Duration::from_nanos(within) }
}

impl Meter {
    fn new(trip: &Trip) -> Self {
        let window = SlidingWindow::new(trip.within);
        Meter { trip: encode(trip).map(AtomicU64::new), window, streak: Streak::new() }
    }

    fn set(&self, trip: &Trip, now: Instant) {
        self.window.set_span(trip.within, now);
        for (word, number) in self.trip.iter().zip(encode(trip)) {
            // Relaxed: `publish` makes the numbers visible together with the life that follows.
            word.store(number, Ordering::Relaxed);
        }
    }

    /// Returns the trip. It is consistent under the lock, and in a life that has not ended.
    #[inline]
    pub(crate) fn trip(&self) -> Trip {
        let [kinds, share, slow, within] = &self.trip;
        decode([kinds, share, slow, within].map(|word| word.load(Ordering::Relaxed)))
    }

    /// Counts a call. Returns whether the trip is fulfilled.
    #[inline]
    fn count(&self, call: Call, life: u32, now: Instant) -> bool {
        let trip = self.trip();
        match (trip.weighs(call), trip.when) {
            (Some(true), _) => return self.count_bad(&trip, life, now),
            (Some(false), When::Ratio { .. }) => self.window.add(ALL, life, now),
            // Only a success ends a streak. A call that is bad for another trip does not.
            (Some(false), When::Consecutive(_)) if call.outcome == Outcome::Success => self.streak.end(life),
            _ => {}
        }
        false
    }

    /// Counts a bad call. Returns whether the trip is fulfilled.
    #[cold]
    fn count_bad(&self, trip: &Trip, life: u32, now: Instant) -> bool {
        match trip.when {
            When::Count(n) => self.window.add_and_sum([BAD], life, now)[BAD] >= u64::from(n),
            When::Ratio { share, min_calls } => {
                let [all, bad] = self.window.add_and_sum([ALL, BAD], life, now);
                all >= u64::from(min_calls) && bad as f64 >= share * all as f64
            }
            When::Consecutive(n) => self.streak.add(life, now, trip.within) >= u64::from(n),
        }
    }

    /// Returns the number of bad calls that fulfills the trip, and the number that was counted.
    pub(crate) fn counts(&self, trip: &Trip, life: u32, now: Instant) -> (u64, u64) {
        let [all, bad] = self.window.sum(life, now);
        match trip.when {
            When::Consecutive(n) => (u64::from(n), self.streak.len()),
            When::Count(n) => (u64::from(n), bad),
            When::Ratio { share, .. } => ((share * all as f64).ceil() as u64, bad),
        }
    }
}
