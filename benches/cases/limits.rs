//! Rate limits: global, per account, in tiers, and shared fairly.

use crate::side::{Bytes, Case, Peer, Side, Target};
use governor::clock::DefaultClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as TheirQuota, RateLimiter as TheirLimiter};
use plimsoll::limit::Class;
use plimsoll::{
    Clock, Dice, FairRateLimiter, KeyedRateLimiter, Outcome, Permit, Quota, RateLimiter, Rejected, Settle,
    TieredRateLimiter,
};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// More than can be taken: a unit every nanosecond.
pub(crate) const PLENTY: u32 = 1_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
const TEN_MS: Duration = Duration::from_millis(10);

type Direct<C = DefaultClock> =
    TheirLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as governor::clock::Clock>::Instant>>;
type Accounts = TheirLimiter<u64, DefaultKeyedStateStore<u64>, DefaultClock>;

/// Our coarse clock, for governor.
#[derive(Clone, Debug)]
struct CoarseClock(Clock);

impl governor::clock::Clock for CoarseClock {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        self.0.coarse().as_nanos().into()
    }
}

pub(crate) fn global() -> Vec<Case> {
    let default = Peer::new("governor", "direct", direct(Direct::direct(their_plenty())));
    let coarse = Direct::direct_with_clock(their_plenty(), CoarseClock(Clock::system()));
    let peers = vec![
        default.target(1, Target::ratio(0.60, 0.75)).target(2, Target::Ratio(0.90)),
        Peer::new("governor", "direct, by our coarse clock", direct(coarse)),
        Peer::new("ratelimit", "try_wait", ratelimit(PLENTY.into(), Duration::from_secs(1), PLENTY.into())),
        Peer::new("leaky-bucket", "try_acquire", leaky_bucket(PLENTY as usize, Duration::from_millis(1))),
    ];
    vec![Case::new("admitted", ours(limiter(plenty())), peers)]
}

pub(crate) fn reject() -> Vec<Case> {
    let of = |subject, period, max| {
        let limiter = limiter(Quota::per(1, period));
        assert!(limiter.try_acquire().is_ok() && limiter.try_acquire().is_err(), "the only unit is spent");
        let theirs = Direct::direct(TheirQuota::with_period(period).expect("above zero"));
        assert!(theirs.check().is_ok() && theirs.check().is_err(), "the only unit is spent");
        let peers = vec![
            Peer::new("governor", "direct", direct(theirs)).target(1, max),
            Peer::new("ratelimit", "try_wait", ratelimit(1, period, 0)),
            Peer::new("leaky-bucket", "try_acquire", leaky_bucket(0, period)),
        ];
        Case::new(subject, ours(limiter), peers)
    };
    vec![of("an hour early", HOUR, Target::Ratio(0.75)), of("10 ms early", TEN_MS, Target::ratio(2.5, 3.5))]
}

pub(crate) fn keyed_1() -> Vec<Case> {
    let (limiter, theirs) = accounts(1, 65_536);
    let peer = Peer::new("governor", "keyed, dashmap", acquiring(&theirs, &ONE))
        .target(1, Target::ratio(0.60, 0.75));
    vec![Case::new("one account", acquiring(&limiter, &ONE), vec![peer])]
}

pub(crate) fn keyed_10k() -> Vec<Case> {
    let (limiter, theirs) = accounts(10_000, 65_536);
    let peer = Peer::new("governor", "keyed, dashmap", acquiring(&theirs, &SOME));
    let peer = peer.target(1, Target::ratio(0.60, 0.75)).target(2, Target::Ratio(0.75));
    vec![Case::new("10⁴ accounts, uniform", acquiring(&limiter, &SOME), vec![peer])]
}

pub(crate) fn keyed_1m() -> Vec<Case> {
    let (limiter, theirs) = accounts(MILLION, 2 * MILLION as usize);
    let against = |draws| {
        let peer = Peer::new("governor", "keyed, dashmap", acquiring(&theirs, draws));
        vec![peer.target(1, Target::Ratio(0.60)).target(2, Target::Ratio(0.75))]
    };
    vec![
        Case::new("10⁶ accounts, uniform", acquiring(&limiter, &MANY), against(&MANY)),
        Case::new("10⁶ accounts, zipf", acquiring(&limiter, &ZIPF), against(&ZIPF)),
    ]
}

pub(crate) fn tiers() -> Vec<Case> {
    let tiers = || {
        let class = Class::new("free").each(plenty()).all(plenty());
        TieredRateLimiter::<u64>::builder().global(plenty()).class(class)
    };
    let three = || {
        let theirs =
            (Direct::direct(their_plenty()), Direct::direct(their_plenty()), Accounts::keyed(their_plenty()));
        let peer = Peer::new(
            "governor",
            "keyed, direct, direct in a row",
            acquiring(&warmed(Arc::new(theirs), 10_000), &SOME),
        );
        vec![peer.target(1, Target::Ratio(0.75))]
    };
    let of = |subject, tiers: TieredRateLimiter<u64>| {
        Case::new(subject, acquiring(&warmed(tiers, 10_000), &SOME), three())
    };
    let classed = tiers().class(Class::new("premium").each(plenty()));
    let classed = classed.class_of(|key| if key.is_multiple_of(2) { "free" } else { "premium" });
    vec![
        of("global, class, account", tiers().build().expect("valid quotas")),
        of("the same, class by a closure", classed.build().expect("valid quotas")),
    ]
}

pub(crate) fn fair() -> Vec<Case> {
    let fair = || FairRateLimiter::<u64>::new(plenty()).expect("a valid quota");
    let peer = |subject| Peer::new("plimsoll-limit", subject, ours(limiter(plenty())));
    vec![
        Case::new(
            "FairRateLimiter, one account",
            acquiring(&warmed(fair(), 1), &ONE),
            vec![peer("RateLimiter")],
        ),
        Case::new(
            "FairRateLimiter, 10⁴ accounts",
            acquiring(&warmed(fair(), 10_000), &SOME),
            vec![peer("RateLimiter")],
        ),
    ]
}

/// Measures the bytes that a million accounts take.
pub(crate) fn memory() -> Vec<Bytes> {
    let mut kept = None;
    let all = allocation_counter::measure(|| {
        let limiter = KeyedRateLimiter::<u64>::builder().quota(plenty()).max_keys(2 * MILLION as usize);
        let limiter = limiter.build().expect("valid settings");
        (0..MILLION).for_each(|key| limiter.acquire_for(&key));
        assert!(limiter.overflowed() < MILLION / 100, "nearly each has an entry of its own");
        kept = Some(limiter);
    });
    drop(kept);
    let mut kept = None;
    let theirs = allocation_counter::measure(|| {
        let limiter = Arc::new(Accounts::keyed(their_plenty()));
        (0..MILLION).for_each(|key| limiter.acquire_for(&key));
        kept = Some(limiter);
    });
    drop(kept);
    let each = |bytes: i64| bytes as f64 / MILLION as f64;
    vec![Bytes {
        subject: "KeyedRateLimiter, 10⁶ accounts in 2·10⁶ slots",
        bytes: each(all.bytes_current),
        package: "governor",
        what: "keyed, dashmap",
        peer_bytes: each(theirs.bytes_current),
        target: 69.0,
    }]
}

pub(crate) fn plenty() -> Quota {
    Quota::per_second(PLENTY)
}

fn their_plenty() -> TheirQuota {
    TheirQuota::per_second(NonZeroU32::new(PLENTY).expect("above zero"))
}

fn limiter(quota: Quota) -> RateLimiter {
    RateLimiter::new(quota).expect("a valid quota")
}

fn ours(limiter: RateLimiter) -> Side {
    Side::new(move || limiter.clone(), |limiter| settle(black_box(&*limiter).try_acquire()))
}

/// Settles a permit. The whole rejection is used, so that it must be written in full.
#[inline(always)]
fn settle<G: Settle>(acquiring: Result<Permit<G>, Rejected>) {
    match acquiring {
        Ok(permit) => permit.done(Outcome::Success),
        Err(rejected) => {
            black_box(&rejected);
        }
    }
}

fn direct<C>(limiter: Direct<C>) -> Side
where
    C: governor::clock::Clock + Send + Sync + 'static,
{
    let limiter = Arc::new(limiter);
    Side::new(
        move || limiter.clone(),
        |limiter| {
            black_box(&black_box(&**limiter).check());
        },
    )
}

fn ratelimit(rate: u64, period: Duration, initial: u64) -> Side {
    let max = rate.max(1);
    let built =
        ratelimit::Ratelimiter::builder(rate).period(period).max_tokens(max).initial_available(initial);
    let limiter = Arc::new(built.build().expect("valid settings"));
    Side::new(
        move || limiter.clone(),
        |limiter| {
            black_box(&black_box(&**limiter).try_wait());
        },
    )
}

/// The initial units, and at least one, are refilled every `interval`.
fn leaky_bucket(initial: usize, interval: Duration) -> Side {
    let max = initial.max(1);
    let built =
        leaky_bucket::RateLimiter::builder().max(max).initial(initial).refill(max).interval(interval).build();
    let limiter = Arc::new(built);
    Side::new(
        move || limiter.clone(),
        |limiter| {
            black_box(black_box(&**limiter).try_acquire(1));
        },
    )
}

const MILLION: u64 = 1_000_000;
/// Accounts drawn in advance: more than the caches hold. After the last draw it starts again.
const DRAWS: usize = 1 << 20;

type Draws = LazyLock<Vec<u64>>;

static ONE: Draws = LazyLock::new(|| drawn(1));
static SOME: Draws = LazyLock::new(|| drawn(10_000));
static MANY: Draws = LazyLock::new(|| drawn(MILLION));
/// By Zipf's law with exponent 1: the first is drawn 7 % of the time, the first hundred 36 %.
static ZIPF: Draws = LazyLock::new(|| {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=MILLION)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let dice = Dice::seeded(7);
    (0..DRAWS).map(|_| sums.partition_point(|&below| below < dice.uniform() * sum) as u64).collect()
});

fn drawn(among: u64) -> Vec<u64> {
    let dice = Dice::seeded(7);
    (0..DRAWS).map(|_| dice.below(among)).collect()
}

/// Takes a unit for an account.
trait TryAcquire: Clone + Send + Sync + 'static {
    fn acquire_for(&self, key: &u64);
}

impl TryAcquire for KeyedRateLimiter<u64> {
    #[inline(always)]
    fn acquire_for(&self, key: &u64) {
        settle(self.try_acquire(key));
    }
}

impl TryAcquire for TieredRateLimiter<u64> {
    #[inline(always)]
    fn acquire_for(&self, key: &u64) {
        settle(self.try_acquire(key));
    }
}

impl TryAcquire for FairRateLimiter<u64> {
    #[inline(always)]
    fn acquire_for(&self, key: &u64) {
        settle(self.try_acquire(key));
    }
}

impl TryAcquire for Arc<Accounts> {
    #[inline(always)]
    fn acquire_for(&self, key: &u64) {
        black_box(&self.check_key(key));
    }
}

/// The account comes first, because it is the likeliest to reject.
impl TryAcquire for Arc<(Direct, Direct, Accounts)> {
    #[inline(always)]
    fn acquire_for(&self, key: &u64) {
        let (global, class, account) = &**self;
        let all = account.check_key(key).and_then(|()| class.check()).and_then(|()| global.check());
        black_box(&all);
    }
}

/// Takes one unit for each account, so that every account is known.
fn warmed<A: TryAcquire>(limiter: A, accounts: u64) -> A {
    (0..accounts).for_each(|key| limiter.acquire_for(&key));
    limiter
}

/// Takes a unit for each drawn account in turn. Each thread starts at a different draw.
fn acquiring<A: TryAcquire>(limiter: &A, draws: &'static Draws) -> Side {
    let limiter = limiter.clone();
    let draws: &'static [u64] = draws;
    let next = AtomicUsize::new(0);
    Side::new(
        move || (limiter.clone(), draws, next.fetch_add(DRAWS / 3, Ordering::Relaxed)),
        |(limiter, draws, at)| {
            black_box(&*limiter).acquire_for(&draws[*at % DRAWS]);
            *at += 1;
        },
    )
}

fn accounts(n: u64, max_keys: usize) -> (KeyedRateLimiter<u64>, Arc<Accounts>) {
    let limiter =
        KeyedRateLimiter::builder().quota(plenty()).max_keys(max_keys).build().expect("valid settings");
    (warmed(limiter, n), warmed(Arc::new(Accounts::keyed(their_plenty())), n))
}
