//! Many waiters at once: the doomed, the greedy and the large, and what they cost the others.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{ManualTime, Reason, Rejected};
use plimsoll_limit::{Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
use proptest::collection::vec;
use proptest::prelude::*;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio_test::task::{self, Spawn};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const TEN: Quota = Quota::per_second(10);

/// Returns a key that outlives every call.
fn key(n: u64) -> &'static u64 {
    const KEYS: [u64; 1_024] = {
        let mut keys = [0; 1_024];
        let mut n = 0;
        while n < keys.len() {
            keys[n] = n as u64;
            n += 1;
        }
        keys
    };
    static ALL: [u64; 1_024] = KEYS;
    &ALL[n as usize]
}

type Waits<'a> = Pin<Box<dyn Future<Output = Result<(), Rejected>> + 'a>>;

/// A waiting call of any limiter, when it arrived, and what became of it.
struct Call<'a> {
    account: u64,
    arrived: u64,
    future: Option<Spawn<Waits<'a>>>,
    ended: Option<(u64, Result<(), Rejected>)>,
}

/// Calls that are polled when they are woken, in virtual time.
struct Calls<'a> {
    time: ManualTime,
    all: Vec<Call<'a>>,
}

impl<'a> Calls<'a> {
    fn new(time: &ManualTime) -> Self {
        Calls { time: time.clone(), all: vec![] }
    }

    fn now(&self) -> u64 {
        self.time.clock().now().as_nanos()
    }

    fn start<T>(&mut self, account: u64, future: impl Future<Output = Result<T, Rejected>> + 'a) {
        let future = task::spawn(Box::pin(async { future.await.map(drop) }) as Pin<Box<_>>);
        let arrived = self.now();
        self.all.push(Call { account, arrived, future: Some(future), ended: None });
        let last = self.all.len() - 1;
        self.poll(last);
        self.poll_woken();
    }

    fn poll(&mut self, n: usize) {
        let now = self.now();
        let call = &mut self.all[n];
        if let Some(future) = &mut call.future
            && let std::task::Poll::Ready(result) = future.poll()
        {
            call.ended = Some((now, result));
            call.future = None;
        }
    }

    fn poll_woken(&mut self) {
        while let Some(n) =
            self.all.iter().position(|call| call.future.as_ref().is_some_and(|future| future.is_woken()))
        {
            self.poll(n);
        }
    }

    /// Advances the time, and polls each call when it is woken.
    fn run(&mut self, for_time: Duration) {
        let end = self.time.clock().now() + for_time;
        while let Some(at) = self.time.next_sleeper().filter(|at| *at <= end) {
            self.time.advance_to(at);
            self.poll_woken();
        }
        self.time.advance_to(end);
        self.poll_woken();
    }

    fn admitted(&self) -> usize {
        self.all.iter().filter(|call| matches!(call.ended, Some((_, Ok(()))))).count()
    }

    fn waiting(&self) -> usize {
        self.all.iter().filter(|call| call.future.is_some()).count()
    }

    fn rejections(&self) -> impl Iterator<Item = (&Call<'a>, u64, Rejected)> {
        self.all.iter().filter_map(|call| match call.ended {
            Some((at, Err(rejected))) => Some((call, at, rejected)),
            _ => None,
        })
    }

    /// Returns the waits of an account's calls that were admitted.
    fn waits(&self, account: u64) -> Vec<Duration> {
        let own = self.all.iter().filter(|call| call.account == account);
        own.filter_map(|call| match call.ended {
            Some((at, Ok(()))) => Some(Duration::from_nanos(at - call.arrived)),
            _ => None,
        })
        .collect()
    }
}

/// A thousand calls arrive at once at ten a second, and may wait for ten seconds. Ten are admitted,
/// and 100 can be served in time. The other 890 used to wait for the full ten seconds, for a
/// rejection that was known on arrival.
fn doomed<'a, T, F>(name: &str, time: &ManualTime, reason: Reason, acquire: impl Fn() -> F)
where
    F: Future<Output = Result<T, Rejected>> + 'a,
{
    let mut calls = Calls::new(time);
    for _ in 0..1_000 {
        calls.start(1, acquire());
    }
    assert_eq!((calls.admitted(), calls.waiting()), (10, 100), "{name}");
    for (_, _, rejected) in calls.rejections() {
        let told = (rejected.reason(), rejected.retry_after());
        assert_eq!(told, (reason, Some(10 * S + 100 * MS)), "{name}");
    }
    calls.run(11 * S);
    assert_eq!((calls.admitted(), calls.waiting()), (110, 0), "{name}");
    let late = calls.rejections().filter(|(call, at, _)| *at > call.arrived).count();
    assert_eq!(late, 0, "{name}: all who were to be rejected were rejected on arrival");
}

#[test]
fn doomed_waiters_are_rejected_on_arrival() {
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(TEN).clock(time.clock()).build().unwrap();
    doomed("one for all", &time, Reason::Throttled, || limiter.acquire());
    let limiter = KeyedRateLimiter::<u64>::builder().quota(TEN).clock(time.clock()).build().unwrap();
    doomed("keyed", &time, Reason::Limited, || limiter.acquire(&1));
    let each = TieredRateLimiter::<u64>::builder().class(Class::new("all").each(TEN));
    let limiter = each.clock(time.clock()).build().unwrap();
    doomed("each", &time, Reason::Limited, || limiter.acquire(&1));
    let all = TieredRateLimiter::<u64>::builder().class(Class::new("all").all(TEN));
    let limiter = all.clock(time.clock()).build().unwrap();
    doomed("class", &time, Reason::Throttled, || limiter.acquire(&1));
    let global = TieredRateLimiter::<u64>::builder().global(TEN).class(Class::new("all"));
    let limiter = global.clock(time.clock()).build().unwrap();
    doomed("global", &time, Reason::Throttled, || limiter.acquire(&1));
}

/// The share of an account of a fair limiter is an estimate, so its waiters are bounded by the
/// whole quota: none that could be served is rejected.
#[test]
fn doomed_waiters_of_a_fair_limiter_are_rejected_on_arrival() {
    let time = ManualTime::new();
    let limiter = FairRateLimiter::<u64>::builder().quota(TEN).clock(time.clock()).build().unwrap();
    let mut calls = Calls::new(&time);
    for _ in 0..1_000 {
        calls.start(1, limiter.acquire(&1));
    }
    assert!(calls.admitted() + calls.waiting() <= 110, "{} wait", calls.waiting());
    assert!(calls.rejections().all(|(_, _, rejected)| rejected.retry_after() > Some(10 * S)));
}

/// A thousand accounts, each with one call, wait for the global limit.
#[test]
fn doomed_waiters_of_many_accounts_are_rejected_on_arrival() {
    let time = ManualTime::new();
    let global = TieredRateLimiter::<u64>::builder().global(TEN).class(Class::new("all").each(TEN));
    let limiter = global.clock(time.clock()).build().unwrap();
    let mut calls = Calls::new(&time);
    for n in 0..1_000 {
        calls.start(n, limiter.acquire(key(n)));
    }
    assert_eq!((calls.admitted(), calls.waiting()), (10, 100));
    calls.run(11 * S);
    assert_eq!((calls.admitted(), calls.waiting()), (110, 0));
}

/// One account at five units a second has a thousand calls waiting. They used to occupy all places:
/// a neighbour that would have waited for 200 ms was rejected with `Full`.
#[test]
fn account_that_fills_the_queue_leaves_others_a_place() {
    let time = ManualTime::new();
    let limiter = KeyedRateLimiter::<u64>::builder().quota(Quota::per_second(5).burst(5));
    let limiter = limiter.max_wait(3_600 * S).clock(time.clock()).build().unwrap();
    let mut calls = Calls::new(&time);
    for _ in 0..1_100 {
        calls.start(1, limiter.acquire(&1));
    }
    assert_eq!((calls.waiting(), limiter.queued()), (1_024, 1_024));
    for neighbour in 2..12u64 {
        for _ in 0..6 {
            calls.start(neighbour, limiter.acquire(key(neighbour)));
        }
    }
    assert_eq!(limiter.queued(), 1_024);
    // The newest ten of the heavy account had to leave.
    let evicted: Vec<_> = calls.rejections().filter(|(_, _, no)| no.reason() == Reason::Evicted).collect();
    assert_eq!(evicted.len(), 10);
    assert!(evicted.iter().all(|(call, ..)| call.account == 1));
    calls.run(200 * MS);
    for neighbour in 2..12 {
        assert_eq!(*calls.waits(neighbour).last().unwrap(), 200 * MS, "of {neighbour}");
    }
    drop(calls);
    assert_eq!(limiter.queued(), 0);
}

/// A hundred units a second for all. One account waits for 1,000 units, and others send a request
/// every 33 ms without waiting. None of the 297 used to pass for ten seconds.
#[test]
fn large_waiter_does_not_stop_requests_that_do_not_wait() {
    for accounts in [1, 30] {
        let time = ManualTime::new();
        let hundred = Quota::per_second(100).burst(1_000);
        let tiers =
            TieredRateLimiter::<u64>::builder().global(hundred).class(Class::new("all").each(hundred));
        let tiers = tiers.max_wait(60 * S).clock(time.clock()).build().unwrap();
        tiers.check_n(&1, 1_000).unwrap();
        time.advance(10 * S);
        tiers.check_n(&2, 1_000).unwrap();
        let mut calls = Calls::new(&time);
        calls.start(1, tiers.acquire_n(&1, 1_000));
        let mut passed = 0;
        for n in 0..297 {
            calls.run(33 * MS);
            passed += usize::from(tiers.check(&(100 + n % accounts)).is_ok());
        }
        assert!(passed >= 290, "{passed} of 297 passed, of {accounts} accounts");
        // Without the others it would take ten seconds.
        calls.run(10 * S);
        assert_eq!(calls.admitted(), 1, "{accounts} accounts");
        assert!(calls.waits(1)[0] <= 15 * S, "{:?}", calls.waits(1));
    }
}

/// The others wait, too. With `n` accounts waiting, each has an equal share of the rate: the large
/// request saves up its share, and the others share the rest.
#[test]
fn large_waiter_holds_up_others_for_one_turn_each() {
    let time = ManualTime::new();
    let hundred = Quota::per_second(100).burst(1_000);
    let tiers = TieredRateLimiter::<u64>::builder().global(hundred).class(Class::new("all"));
    let tiers = tiers.max_wait(300 * S).clock(time.clock()).build().unwrap();
    tiers.check_n(&1, 1_000).unwrap();
    let mut calls = Calls::new(&time);
    calls.start(1, tiers.acquire_n(&1, 1_000));
    for _ in 0..50 {
        for n in 2..=10 {
            calls.start(n, tiers.acquire(key(n)));
        }
    }
    calls.run(300 * S);
    assert_eq!((calls.admitted(), calls.waiting()), (451, 0));
    for n in 2..=10 {
        // Fifty units at a tenth of the rate.
        let waits = calls.waits(n);
        assert!(waits[0] <= 150 * MS, "{:?}", waits[0]);
        assert!(*waits.last().unwrap() <= 5_150 * MS, "{waits:?}");
    }
    // It was given at least a tenth of the rate, and all of it once the others were served.
    assert!(calls.waits(1)[0] <= 15 * S, "{:?}", calls.waits(1));
}

/// The same at saturation for ever: the large request is served within its share of the rate.
#[test]
fn large_waiter_is_served_while_others_never_stop() {
    let time = ManualTime::new();
    let hundred = Quota::per_second(100).burst(100);
    let tiers = TieredRateLimiter::<u64>::builder().global(hundred).class(Class::new("all"));
    let tiers = tiers.max_wait(60 * S).clock(time.clock()).build().unwrap();
    tiers.check_n(&1, 100).unwrap();
    let mut calls = Calls::new(&time);
    for n in (2..=4).cycle().take(60) {
        calls.start(n, tiers.acquire(key(n)));
    }
    calls.start(1, tiers.acquire_n(&1, 100));
    let mut steps = 0;
    while calls.waits(1).is_empty() {
        calls.run(10 * MS);
        for n in 2..=4 {
            calls.start(n, tiers.acquire(key(n)));
        }
        steps += 1;
        assert!(steps < 1_000, "the large request starves");
    }
    // A quarter of the rate: 100 units take four seconds.
    assert!(calls.waits(1)[0] <= 4_200 * MS, "{:?}", calls.waits(1));
}

/// One quota for all callers: small requests do not stand behind a large one, and it is served.
#[test]
fn large_and_small_waiters_of_one_quota_have_half_each() {
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(Quota::per_second(100).burst(1_000)).max_wait(60 * S);
    let limiter = limiter.clock(time.clock()).build().unwrap();
    limiter.check_n(1_000).unwrap();
    let mut calls = Calls::new(&time);
    calls.start(1, limiter.acquire_n(1_000));
    let mut passed = 0;
    for n in 0..297 {
        calls.run(33 * MS);
        if n % 2 == 0 {
            passed += usize::from(limiter.check().is_ok());
        } else {
            calls.start(2, limiter.acquire());
        }
    }
    calls.run(10 * S);
    assert_eq!(calls.waits(2).len(), 148);
    assert!(calls.waits(2).iter().all(|wait| *wait <= 40 * MS), "{:?}", calls.waits(2));
    assert!(passed >= 145, "{passed} of 149 passed");
    assert!(calls.waits(1)[0] <= 20 * S, "{:?}", calls.waits(1));
}

/// An account keeps the shared queue occupied for ever. Requests of others that do not wait used to
/// be rejected all that time.
#[test]
fn waiters_of_one_account_do_not_starve_requests_that_do_not_wait() {
    let time = ManualTime::new();
    let hundred = Quota::per_second(100).burst(10);
    let tiers = TieredRateLimiter::<u64>::builder().global(hundred).class(Class::new("all"));
    let tiers = tiers.clock(time.clock()).build().unwrap();
    let mut calls = Calls::new(&time);
    let mut passed = 0;
    for n in 0..4_000 {
        calls.run(5 * MS);
        calls.start(1, tiers.acquire(&1));
        if n % 8 == 0 {
            passed += usize::from(tiers.check(&(2 + n % 5)).is_ok());
        }
    }
    // They ask for a quarter of the rate, less than a fair share.
    assert!(passed >= 450, "{passed} of 500 passed");
    assert!(calls.waits(1).len() >= 1_450, "{} admitted", calls.waits(1).len());
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    after: u64,
    account: u64,
    units: u32,
}

fn arrival(units: u32) -> impl Strategy<Value = Arrival> {
    (0u64..400, 0u64..3, 1..=units).prop_map(|(after, account, units)| Arrival { after, account, units })
}

/// Serves in the order of arrival, and rejects on arrival exactly what cannot be served in time.
/// Returns when each is admitted.
fn oracle(arrivals: &[Arrival], interval: u64, burst: u64, max_wait: u64) -> Vec<Option<u64>> {
    let (mut now, mut free) = (0, [0u64; 3]);
    let decide = |arrival: &Arrival| {
        now += arrival.after * 1_000_000;
        let free = &mut free[arrival.account as usize];
        let next = (*free).max(now) + u64::from(arrival.units) * interval;
        let at = next.saturating_sub(burst * interval).max(now);
        if at - now > max_wait {
            return None;
        }
        *free = next;
        Some(at)
    };
    arrivals.iter().map(decide).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Admitted are exactly those that the oracle admits, at exactly its instants. So no waiter is
    /// rejected that would have been served, and none waits in vain.
    #[test]
    fn keyed_waiters_agree_with_the_oracle(arrivals in vec(arrival(5), 1..120)) {
        let time = ManualTime::new();
        let quota = Quota::per_second(5).burst(5);
        let limiter = KeyedRateLimiter::<u64>::builder().quota(quota).max_wait(2 * S);
        let limiter = limiter.clock(time.clock()).build().unwrap();
        let mut calls = Calls::new(&time);
        for arrival in &arrivals {
            calls.run(MS * arrival.after as u32);
            calls.start(arrival.account, limiter.acquire_n(key(arrival.account), arrival.units));
        }
        calls.run(10 * S);
        let expected = oracle(&arrivals, 200_000_000, 5, 2_000_000_000);
        for (call, expected) in calls.all.iter().zip(&expected) {
            let (at, result) = call.ended.unwrap();
            prop_assert_eq!(result.is_ok().then_some(at), *expected);
            prop_assert!(result.is_ok() || at == call.arrived, "rejected on arrival");
        }
    }

    #[test]
    fn waiters_of_one_quota_agree_with_the_oracle(arrivals in vec(arrival(1), 1..120)) {
        let time = ManualTime::new();
        let limiter = RateLimiter::builder().quota(Quota::per_second(5).burst(2)).max_wait(2 * S);
        let limiter = limiter.clock(time.clock()).build().unwrap();
        let mut calls = Calls::new(&time);
        for arrival in &arrivals {
            calls.run(MS * arrival.after as u32);
            calls.start(0, limiter.acquire());
        }
        calls.run(10 * S);
        let one: Vec<_> = arrivals.iter().map(|arrival| Arrival { account: 0, ..*arrival }).collect();
        let expected = oracle(&one, 200_000_000, 2, 2_000_000_000);
        for (call, expected) in calls.all.iter().zip(&expected) {
            let (at, result) = call.ended.unwrap();
            prop_assert_eq!(result.is_ok().then_some(at), *expected);
        }
    }

    /// Mixed sizes share one quota by turns, so an arrival cannot know when it is served. But what
    /// is rejected on arrival could not have been served with the whole quota, and everything is
    /// decided by the end of the longest wait.
    #[test]
    fn mixed_waiters_are_never_rejected_wrongly(arrivals in vec(arrival(5), 1..120)) {
        let time = ManualTime::new();
        let limiter = RateLimiter::builder().quota(Quota::per_second(5).burst(5)).max_wait(2 * S);
        let limiter = limiter.clock(time.clock()).build().unwrap();
        let mut calls = Calls::new(&time);
        for arrival in &arrivals {
            calls.run(MS * arrival.after as u32);
            // What waits, less what there is.
            let queued: u32 = calls.all.iter().zip(&arrivals).filter(|(call, _)| call.future.is_some()).map(|(_, arrival)| arrival.units).sum();
            let remaining = limiter.remaining();
            calls.start(0, limiter.acquire_n(arrival.units));
            if let Some((_, Err(rejected))) = calls.all.last().unwrap().ended {
                let needed = f64::from(queued + arrival.units) - f64::from(remaining);
                prop_assert!(needed / 5.0 > 2.0 - 0.2, "{rejected:?}, {needed} units");
            }
        }
        calls.run(3 * S);
        prop_assert_eq!(calls.waiting(), 0);
        for call in &calls.all {
            prop_assert!(call.ended.unwrap().0 - call.arrived <= 2_000_000_000);
        }
        prop_assert_eq!(limiter.queued(), 0);
    }
}

/// A call that arrives after a while, and may be given up after another.
#[derive(Clone, Copy, Debug)]
struct Impatient {
    arrival: Arrival,
    leaves_after: Option<u64>,
}

fn impatient() -> impl Strategy<Value = Impatient> {
    let leaves_after = proptest::option::weighted(0.3, 0u64..3_000);
    (arrival(8), leaves_after).prop_map(|(arrival, leaves_after)| Impatient { arrival, leaves_after })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Callers give up at random, at a queue that is too small, in front of three tiers. Every
    /// other call is decided by the end of the longest wait, nothing is over-admitted, and nothing
    /// stays behind.
    #[test]
    fn calls_that_leave_at_random_leave_nothing_behind(all in vec(impatient(), 1..100)) {
        let time = ManualTime::new();
        let class = Class::new("all").each(Quota::per_second(8).burst(8)).all(Quota::per_second(14).burst(8));
        let tiers = TieredRateLimiter::<u64>::builder().global(Quota::per_second(12).burst(8)).class(class);
        let tiers = tiers.queue(12).max_wait(2 * S).clock(time.clock()).build().unwrap();
        let mut calls = Calls::new(&time);
        let mut leaving: Vec<(u64, usize)> = vec![];
        for (n, Impatient { arrival, leaves_after }) in all.iter().enumerate() {
            let arrives = calls.now() + arrival.after / 4 * 1_000_000;
            leaving.sort_unstable();
            while let Some(&(at, who)) = leaving.first().filter(|(at, _)| *at <= arrives) {
                leaving.remove(0);
                calls.run(Duration::from_nanos(at - calls.now()));
                calls.all[who].future = None;
                calls.poll_woken();
            }
            calls.run(Duration::from_nanos(arrives - calls.now()));
            calls.start(arrival.account, tiers.acquire_n(key(arrival.account), arrival.units));
            leaving.extend(leaves_after.map(|after| (arrives + after * 1_000_000, n)));
            prop_assert!(tiers.queued() <= 12);
        }
        calls.run(2 * S);
        prop_assert_eq!(calls.waiting(), 0);
        let mut admitted: Vec<(u64, u32)> = vec![];
        for (call, Impatient { arrival, leaves_after }) in calls.all.iter().zip(&all) {
            match call.ended {
                Some((at, result)) => {
                    prop_assert!(at - call.arrived <= 2_000_000_000);
                    admitted.extend(result.is_ok().then_some((at, arrival.units)));
                }
                None => prop_assert!(leaves_after.is_some()),
            }
        }
        admitted.sort_unstable();
        for (n, (from, _)) in admitted.iter().enumerate() {
            let mut units = 0;
            for (to, more) in &admitted[n..] {
                units += more;
                prop_assert!(f64::from(units) <= 8.0 + 12.0 * (to - from) as f64 / 1e9 + 1e-6);
            }
        }
        prop_assert_eq!(tiers.queued(), 0);
        // Nothing is kept from anybody afterwards.
        time.advance(S);
        prop_assert!(tiers.check_n(&7, 8).is_ok());
    }
}
