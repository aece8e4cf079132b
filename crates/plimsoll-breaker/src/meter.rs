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
pub(crate) struct Meters {
    all: [OnceLock<Box<Meter>>; MAX_TRIPS],
    /// When a bad call was last counted, in nanoseconds, or 0 if none was in this life.
    bad_at: AtomicU64,
}

/// What all trips need to know of a success, in one word, two bits each, the first one lowest.
///
/// A success needs no other number of the trips. Trips of a share with the same time count it
/// once: in the window of the first of them, their *leader*.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kinds(pub(crate) u64);

impl Kinds {
    /// The number of bits in use.
    pub(crate) const BITS: u32 = 2 * MAX_TRIPS as u32;
    const COUNT: u64 = 1;
    const CONSECUTIVE: u64 = 2;
    const RATIO: u64 = 3;
    const MASK: u64 = 3;
    /// A mask for the bit that only consecutive calls and a share have.
    const COUNTS_SUCCESSES: u64 = 0xaaaa;

    pub(crate) fn new(trips: &[Trip]) -> Self {
        let kind = |(n, trip): (usize, &Trip)| match trip.when {
            When::Consecutive(_) => Self::CONSECUTIVE,
            When::Ratio { .. } if leader(trips, n) == n => Self::RATIO,
            _ => Self::COUNT,
        };
        Kinds(trips.iter().enumerate().rev().fold(0, |kinds, trip| kinds << 2 | kind(trip)))
    }
}

/// Returns the number of the trip whose window counts the successes for the `n`th one.
fn leader(trips: &[Trip], n: usize) -> usize {
    let Some(trip) = trips.get(n).filter(|trip| trip.counts_every_success()) else { return n };
    let leads = |other: &Trip| other.counts_every_success() && other.within == trip.within;
    trips.iter().position(leads).unwrap_or(n)
}

/// The meters whose trips are fulfilled: a bit for each, the first one lowest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fulfilled(u32);

impl Fulfilled {
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Fulfilled(self.0 | other.0)
    }
}

impl Meters {
    pub(crate) fn new() -> Self {
        Meters { all: [const { OnceLock::new() }; MAX_TRIPS], bad_at: AtomicU64::new(0) }
    }

    /// Sets a meter for each trip. The caller begins a life afterwards.
    pub(crate) fn set(&self, trips: &[Trip], now: Instant) {
        for (n, (meter, trip)) in self.all.iter().zip(trips).enumerate() {
            meter.get_or_init(|| Box::new(Meter::new(trip))).set(trip, leader(trips, n), now);
        }
    }

    /// Begins a life, in which all counts are zero.
    pub(crate) fn begin(&self, life: u32) {
        self.bad_at.store(0, Ordering::Relaxed);
        // The windows distinguish lives by themselves.
        self.all.iter().filter_map(OnceLock::get).for_each(|meter| meter.streak.begin(life));
    }

    /// Returns when a bad call was last counted.
    pub(crate) fn bad_at(&self) -> Option<Instant> {
        let at = self.bad_at.load(Ordering::Relaxed);
        (at > 0).then(|| Instant::from_nanos(at))
    }

    /// Counts a success whose duration does not matter.
    #[inline]
    pub(crate) fn count_success(&self, Kinds(mut kinds): Kinds, life: u32, now: Instant) {
        // Most trips do not count it, because another one does so for them.
        while kinds & Kinds::COUNTS_SUCCESSES != 0 {
            let bit = (kinds & Kinds::COUNTS_SUCCESSES).trailing_zeros();
            let kind = kinds >> (bit - 1) & Kinds::MASK;
            kinds &= !(1 << bit);
            match self.all.get(bit as usize / 2).and_then(OnceLock::get) {
                Some(meter) if kind == Kinds::RATIO => meter.window.add(SUCCESSES, life, now),
                Some(meter) => meter.streak.end(life),
                None => {}
            }
        }
    }

    /// Returns the fulfilled trips, with the numbers of all and of the bad calls that each counted.
    ///
    /// They are consistent under the lock, and in a life that has not ended.
    pub(crate) fn fulfilled(
        &self,
        Fulfilled(set): Fulfilled,
        life: u32,
        now: Instant,
    ) -> impl Iterator<Item = (Trip, u64, u64)> {
        let meters = self.all.iter().enumerate().filter(move |(n, _)| set >> n & 1 == 1);
        meters.filter_map(|(_, meter)| meter.get()).map(move |meter| {
            let trip = meter.trip();
            if let When::Consecutive(_) = trip.when {
                return (trip, meter.streak.len(), meter.streak.len());
            }
            let [own, others, bad] = meter.window.sum(life, now);
            (trip, others + bad + self.successes(meter, life, now).unwrap_or(own), bad)
        })
    }

    /// Returns the meter that counts the successes for this one, or `None` if it does so itself.
    fn leader_of(&self, meter: &Meter) -> Option<&Meter> {
        let leader = self.all.get(meter.leader())?.get()?;
        (!std::ptr::eq(&**leader, meter)).then_some(leader)
    }

    /// Returns the number of successes of a meter that another one counts.
    fn successes(&self, meter: &Meter, life: u32, now: Instant) -> Option<u64> {
        let [successes, ..] = self.leader_of(meter)?.window.sum(life, now);
        Some(successes)
    }

    /// Counts a call in every meter. Returns a set of those whose trips are fulfilled.
    pub(crate) fn count(&self, Kinds(mut kinds): Kinds, call: Call, life: u32, now: Instant) -> Fulfilled {
        let mut fulfilled = 0;
        for (n, meter) in self.all.iter().enumerate() {
            if kinds == 0 {
                break;
            }
            kinds >>= 2;
            let Some(meter) = meter.get() else { continue };
            fulfilled |= u32::from(self.count_in(meter, call, life, now)) << n;
        }
        Fulfilled(fulfilled)
    }

    /// Counts a call in this meter. Returns whether its trip is fulfilled.
    #[inline]
    fn count_in(&self, meter: &Meter, call: Call, life: u32, now: Instant) -> bool {
        let trip = meter.trip();
        match (trip.weighs(call), trip.when) {
            (Some(true), _) => return self.count_bad(meter, &trip, life, now),
            (Some(false), When::Ratio { .. }) => {
                if call.outcome != Outcome::Success || trip.needs_elapsed() {
                    meter.window.add(OTHERS, life, now);
                } else if self.leader_of(meter).is_none() {
                    meter.window.add(SUCCESSES, life, now);
                }
            }
            // Only a success ends a streak. A call that is bad for another trip does not.
            (Some(false), When::Consecutive(_)) if call.outcome == Outcome::Success => meter.streak.end(life),
            _ => {}
        }
        false
    }

    /// Counts a bad call. Returns whether the trip is fulfilled.
    #[cold]
    fn count_bad(&self, meter: &Meter, trip: &Trip, life: u32, now: Instant) -> bool {
        self.bad_at.store(now.as_nanos().max(1), Ordering::Relaxed);
        match trip.when {
            When::Count(n) => meter.window.add_and_sum([BAD], life, now)[BAD] >= u64::from(n),
            When::Ratio { share, min_calls } => {
                let [own, others, bad] = meter.window.add_and_sum([BAD], life, now);
                let all = others + bad + self.successes(meter, life, now).unwrap_or(own);
                all >= u64::from(min_calls) && bad as f64 >= share * all as f64
            }
            When::Consecutive(n) => meter.streak.add(life, now, trip.within) >= u64::from(n),
        }
    }
}

/// Successes of a trip that leads.
const SUCCESSES: usize = 0;
/// Other calls that are not bad.
const OTHERS: usize = 1;
const BAD: usize = 2;

/// A trip and its counts. Counting costs the same however many calls are in the window.
#[derive(Debug)]
pub(crate) struct Meter {
    // See `encode`.
    trip: [AtomicU64; 4],
    window: SlidingWindow<3>,
    streak: Streak,
}

const LEADER: u32 = 16;

/// Encodes a trip as numbers: count, leader and kinds, share, duration of slow calls, time.
fn encode(trip: &Trip, leader: usize) -> [u64; 4] {
    let (of, slow) = match trip.of {
        Of::Failures => (0, 0),
        Of::Errors => (1, 0),
        Of::Timeouts => (2, 0),
        Of::Overloads => (3, 0),
        Of::Cancellations => (4, 0),
        Of::Slow(longer_than) => (5, nanos(longer_than)),
    };
    let (when, n, share) = match trip.when {
        When::Count(n) => (Kinds::COUNT, n, 0.0),
        When::Consecutive(n) => (Kinds::CONSECUTIVE, n, 0.0),
        When::Ratio { share, min_calls } => (Kinds::RATIO, min_calls, share),
    };
    [
        u64::from(n) << 32 | (leader as u64) << LEADER | when << 8 | of,
        share.to_bits(),
        slow,
        nanos(trip.within),
    ]
}

/// Decodes a trip from the numbers of [`encode`].
fn decode([kinds, share, slow, within]: [u64; 4]) -> Trip {
    let of = match kinds & 0xff {
        0 => Of::Failures,
        1 => Of::Errors,
        2 => Of::Timeouts,
        3 => Of::Overloads,
        4 => Of::Cancellations,
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
        Meter { trip: encode(trip, 0).map(AtomicU64::new), window, streak: Streak::new() }
    }

    fn set(&self, trip: &Trip, leader: usize, now: Instant) {
        self.window.set_span(trip.within, now);
        for (word, number) in self.trip.iter().zip(encode(trip, leader)) {
            // Relaxed: `publish` makes the numbers visible together with the life that follows.
            word.store(number, Ordering::Relaxed);
        }
    }

    /// Returns the number of the trip that counts the successes.
    #[inline]
    fn leader(&self) -> usize {
        self.trip.first().map_or(0, |word| (word.load(Ordering::Relaxed) >> LEADER & 0xff) as usize)
    }

    #[inline]
    fn trip(&self) -> Trip {
        let [kinds, share, slow, within] = &self.trip;
        decode([kinds, share, slow, within].map(|word| word.load(Ordering::Relaxed)))
    }
}
