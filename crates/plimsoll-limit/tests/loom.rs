//! The entry, the table, the live quota and the live bucket under every interleaving with at most
//! three preemptions, or two where a test states it: `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p
//! plimsoll-limit --no-default-features --release --test loom`
//!
//! Under loom the table has one set of two entries and two locks.
#![cfg(plimsoll_loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use loom::future::block_on;
use loom::thread;
use plimsoll_core::{Dice, ManualTime, Reason, Rejected};
use plimsoll_limit::{Class, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter, WhenFull};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

fn explore(test: impl Fn() + Sync + Send + 'static) {
    explore_within(3, test);
}

fn explore_within(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(test);
}

/// Creates a time after zero: at zero, an entry that owes nothing could not be rescaled to an
/// earlier instant.
fn clock() -> ManualTime {
    let time = ManualTime::new();
    time.advance(S);
    time
}

fn limiter(quota: Quota) -> RateLimiter {
    RateLimiter::builder().quota(quota).clock(clock().clock()).build().unwrap()
}

fn keyed(quota: Quota) -> (KeyedRateLimiter<u64>, ManualTime) {
    let time = clock();
    let builder = KeyedRateLimiter::builder().quota(quota).max_keys(2).dice(Dice::seeded(1));
    (builder.clock(time.clock()).build().unwrap(), time)
}

/// Sends `requests` of one unit on another thread. Returns how many are admitted.
fn spawn_requests(limiter: &KeyedRateLimiter<u64>, key: u64, requests: u32) -> thread::JoinHandle<u32> {
    let limiter = limiter.clone();
    thread::spawn(move || (0..requests).map(|_| u32::from(limiter.check(&key).is_ok())).sum())
}

/// Three requests of one unit each, when two remain.
#[test]
fn racing_requests_take_no_more_than_remains() {
    explore(|| {
        let limiter = limiter(Quota::per_hour(1).burst(2));
        let others = [spawn_check(&limiter), spawn_check(&limiter)];
        let here = limiter.check().is_ok();
        let admitted = others.map(|other| other.join().unwrap()).iter().filter(|&&admitted| admitted).count();
        assert_eq!(admitted + usize::from(here), 2);
        assert_eq!(limiter.remaining(), 0);
    });
}

/// Account 1 owes nothing, and account 2 moves in while 1 sends requests again. The other entry is
/// that of an account that owes units, and such accounts are not evicted. Either account may have
/// the entry in the end, with its own burst. The other one is rejected.
#[test]
fn move_in_race_leaves_each_account_its_burst() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let (limiter, time) = keyed(Quota::per_second(1).burst(2));
        limiter.set_when_full(WhenFull::Reject);
        limiter.check(&1).unwrap();
        time.advance(S);
        limiter.check_n(&3, 2).unwrap();
        time.advance(S / 2);
        assert_eq!((limiter.key_count(), limiter.overflowed()), (1, 0));
        let other = {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.check_n(&2, 2).is_ok())
        };
        let here = [limiter.check(&1), limiter.check(&1)].map(|decision| decision.is_ok());
        let moved_in = other.join().unwrap();
        assert_eq!(here, [!moved_in; 2], "one of them has the entry");
        saw[usize::from(moved_in)].store(true, Relaxed);
        assert!(limiter.check(&1).is_err(), "account 1 was evicted after it had been charged");
        assert!(limiter.check(&2).is_err(), "account 2 has two quotas");
        assert_eq!(limiter.key_count(), 2);
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "both orders were explored");
}

/// Account 1 owes a unit, and is evicted by account 2 while it sends another request. Both are
/// admitted, and account 2 is not charged for the request of account 1. If account 2 is just moving
/// in when account 1 returns, account 1 displaces the third one.
#[test]
fn eviction_race_of_an_owing_account_charges_no_other() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 3]);
    let saw = seen.clone();
    explore(move || {
        let (limiter, _time) = keyed(Quota::per_hour(4));
        limiter.check(&1).unwrap();
        limiter.check_n(&3, 4).unwrap();
        let other = spawn_requests(&limiter, 2, 1);
        assert!(limiter.check(&1).is_ok());
        assert_eq!(other.join().unwrap(), 1);
        let order = match [1, 2, 3].map(|key| limiter.remaining(&key)) {
            [3, 4, 0] => 0,
            [4, 3, 0] => 1,
            [3, 3, 4] => 2,
            remaining => panic!("{remaining:?}"),
        };
        saw[order].store(true, Relaxed);
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "every order was explored");
}

/// Two entries are empty, and two threads bring the same account.
#[test]
fn account_brought_twice_has_one_entry_and_one_quota() {
    explore(|| {
        let (limiter, _time) = keyed(Quota::per_hour(1));
        let other = spawn_requests(&limiter, 1, 1);
        let here = u32::from(limiter.check(&1).is_ok());
        assert_eq!(here + other.join().unwrap(), 1);
        assert_eq!((limiter.key_count(), limiter.overflowed()), (1, 0));
    });
}

/// The same if another account has to be evicted first, and only one can be.
#[test]
fn account_brought_twice_to_the_last_entry_has_one_quota() {
    explore(|| {
        let (limiter, time) = keyed(Quota::per_second(1));
        limiter.check(&1).unwrap();
        time.advance(2 * S);
        limiter.check(&3).unwrap();
        time.advance(S / 2);
        let other = spawn_requests(&limiter, 2, 1);
        let here = u32::from(limiter.check(&2).is_ok());
        assert_eq!(here + other.join().unwrap(), 1);
        assert_eq!((limiter.key_count(), limiter.overflowed()), (2, 0));
    });
}

/// Two new accounts and two entries.
#[test]
fn two_accounts_brought_at_once_have_an_entry_each() {
    explore(|| {
        let (limiter, _time) = keyed(Quota::per_hour(1));
        let other = spawn_requests(&limiter, 2, 2);
        let here = (0..2).map(|_| u32::from(limiter.check(&1).is_ok())).sum::<u32>();
        assert_eq!((here, other.join().unwrap()), (1, 1));
        assert_eq!((limiter.key_count(), limiter.overflowed()), (2, 0));
    });
}

/// Of two units one is owed, and one more is taken while the quota changes. With two preemptions.
#[test]
fn owed_units_stay_owed_while_the_rate_changes() {
    for (from, to) in [(1, 2), (2, 1), (7, 10)] {
        explore_within(2, move || {
            let limiter = limiter(Quota::per_hour(from).burst(2));
            limiter.check().unwrap();
            let set = spawn_set_quota(&limiter, Quota::per_hour(to).burst(2));
            assert_eq!([(); 2].map(|()| limiter.check().is_ok()), [true, false]);
            set.join().unwrap();
            assert_eq!(
                limiter.try_acquire().unwrap_err().retry_after(),
                Some(Quota::per_hour(to).interval())
            );
        });
    }
}

fn spawn_set_quota(limiter: &RateLimiter, quota: Quota) -> thread::JoinHandle<()> {
    let limiter = limiter.clone();
    thread::spawn(move || limiter.set_quota(quota).unwrap())
}

/// The same with two requests. One unit of the old interval is two of the new one, and one unit
/// remains. With two preemptions.
#[test]
fn rate_change_race_admits_one() {
    explore_within(2, || {
        let limiter = limiter(Quota::per_hour(1).burst(2));
        limiter.check().unwrap();
        let other = spawn_check(&limiter);
        let set = spawn_set_quota(&limiter, Quota::per_hour(2).burst(2));
        let here = limiter.check().is_ok();
        set.join().unwrap();
        assert!(here != other.join().unwrap(), "one of them is admitted");
        let retry_after = limiter.check().unwrap_err().retry_after();
        assert_eq!(retry_after, Some(Quota::per_hour(2).interval()));
    });
}

/// One unit is owed, and two requests are sent while the burst changes. What is admitted is owed,
/// up to the new burst: no request is admitted by the old burst after the change. With two
/// preemptions.
#[test]
fn burst_change_race_admits_by_either_burst() {
    for (from, to) in [(3, 2), (2, 3)] {
        let seen = Arc::new([const { AtomicBool::new(false) }; 3]);
        let saw = seen.clone();
        explore_within(2, move || {
            let limiter = limiter(Quota::per_hour(1).burst(from));
            limiter.check().unwrap();
            let other = spawn_check(&limiter);
            let set = spawn_set_quota(&limiter, Quota::per_hour(1).burst(to));
            let here = limiter.check().is_ok();
            set.join().unwrap();
            let admitted = u32::from(here) + u32::from(other.join().unwrap());
            saw[admitted as usize].store(true, Relaxed);
            let remaining = to.saturating_sub(1 + admitted);
            assert_eq!(limiter.remaining(), remaining);
            let rejected = limiter.try_acquire_n(remaining + 1).unwrap_err();
            assert_eq!(rejected.retry_after(), (remaining < to).then(|| Quota::per_hour(1).interval()));
        });
        assert_eq!([0, 1, 2].map(|n| seen[n].load(Relaxed)), [false, true, true], "from {from} to {to}");
    }
}

fn spawn_check(limiter: &RateLimiter) -> thread::JoinHandle<bool> {
    let limiter = limiter.clone();
    thread::spawn(move || limiter.check().is_ok())
}

/// The same for an account. A thread reads the state by the old interval; then the state is
/// rescaled, and charged by the new one, and has its old value again. That thread takes a unit that
/// is not there. The unit is owed all the same: it is replenished before the next request is
/// admitted. With two preemptions.
#[test]
fn rate_change_race_of_an_account_admits_one_or_charges_both() {
    explore_within(2, || {
        let class = Class::new("all").each(Quota::per_hour(1).burst(2));
        let limiter = TieredRateLimiter::<u64>::builder().class(class).max_keys(2).dice(Dice::seeded(1));
        let limiter = limiter.clock(clock().clock()).build().unwrap();
        limiter.check(&1).unwrap();
        let other = {
            let limiter = limiter.clone();
            thread::spawn(move || u32::from(limiter.check(&1).is_ok()))
        };
        let set = {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.set_each("all", Quota::per_hour(2).burst(2)).unwrap())
        };
        let here = limiter.check(&1).is_ok();
        set.join().unwrap();
        let admitted = u32::from(here) + other.join().unwrap();
        let retry_after = limiter.check(&1).unwrap_err().retry_after().unwrap();
        match admitted {
            1 => assert_eq!(retry_after, Quota::per_hour(2).interval()),
            2 => assert!(retry_after >= 2 * Quota::per_hour(2).interval(), "{retry_after:?}"),
            _ => panic!("{admitted} admitted"),
        }
    });
}

fn spawn_set_each(limiter: &KeyedRateLimiter<u64>, quota: Quota) -> thread::JoinHandle<()> {
    let limiter = limiter.clone();
    thread::spawn(move || limiter.set_quota(quota).unwrap())
}

/// An account owes a unit, and another one moves in beside it. With two preemptions.
#[test]
fn account_owes_the_same_units_while_the_rate_changes() {
    explore_within(2, || {
        let (limiter, _time) = keyed(Quota::per_hour(1).burst(2));
        limiter.check(&1).unwrap();
        let set = spawn_set_each(&limiter, Quota::per_hour(2).burst(2));
        let admitted = [1, 2, 1].map(|key| limiter.check(&key).is_ok());
        set.join().unwrap();
        assert_eq!(admitted, [true, true, false]);
        assert_eq!((limiter.remaining(&1), limiter.remaining(&2)), (0, 1));
    });
}

/// A unit is refunded while another is requested. It remains or it is taken, but not both.
#[test]
fn refunded_unit_is_taken_once() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let limiter = limiter(Quota::per_hour(1).burst(2));
        let permit = limiter.try_acquire_owned().unwrap();
        let refund = thread::spawn(move || permit.refund());
        let admitted = [limiter.check().is_ok(), limiter.check().is_ok()];
        refund.join().unwrap();
        assert!(admitted[0]);
        saw[usize::from(admitted[1])].store(true, Relaxed);
        assert_eq!(limiter.remaining(), u32::from(!admitted[1]));
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "both orders were explored");
}

/// A unit is refunded after it was replenished, while another account takes over the entry.
#[test]
fn late_refund_gives_the_next_account_nothing() {
    explore(|| {
        let (limiter, time) = keyed(Quota::per_second(1).burst(2));
        let permit = limiter.try_acquire_owned(&1).unwrap();
        time.advance(S);
        limiter.check_n(&3, 2).unwrap();
        time.advance(S / 2);
        let refund = thread::spawn(move || permit.refund());
        assert!(limiter.check_n(&2, 2).is_ok());
        refund.join().unwrap();
        assert!(limiter.check(&2).is_err());
        assert_eq!((limiter.key_count(), limiter.overflowed()), (2, 0));
    });
}

/// A rejection has the burst and the window of the same quota.
fn reads_as_a_whole<L: 'static>(
    quota: Quota,
    create: impl Fn() -> L + Send + Sync + 'static,
    set: fn(&L, Quota) -> thread::JoinHandle<()>,
    reject: fn(&L) -> Rejected,
) {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let limiter = create();
        let set = set(&limiter, quota);
        for _ in 0..2 {
            let rejected = reject(&limiter);
            let old = rejected.limit() == Some(2);
            let (limit, window) = if old { (2, 2 * 3_600 * S) } else { (3, 3 * 60 * S) };
            assert_eq!((rejected.limit(), rejected.window()), (Some(limit), Some(window)));
            saw[usize::from(old)].store(true, Relaxed);
        }
        set.join().unwrap();
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "both orders were explored");
}

#[test]
fn changing_quota_is_read_as_a_whole() {
    let create = || {
        let limiter = limiter(Quota::per_hour(1).burst(2));
        limiter.check_n(2).unwrap();
        limiter
    };
    let reject = |limiter: &RateLimiter| limiter.try_acquire_n(2).unwrap_err();
    reads_as_a_whole(Quota::per_minute(1).burst(3), create, spawn_set_quota, reject);
}

#[test]
fn changing_quota_of_accounts_is_read_as_a_whole() {
    let create = || {
        let (limiter, _time) = keyed(Quota::per_hour(1).burst(2));
        limiter.check_n(&1, 2).unwrap();
        limiter
    };
    let reject = |limiter: &KeyedRateLimiter<u64>| limiter.try_acquire_n(&1, 2).unwrap_err();
    reads_as_a_whole(Quota::per_minute(1).burst(3), create, spawn_set_each, reject);
}

// ---- waiting

/// Polls a future once, with a waker that does nothing. Returns whether it is pending.
fn is_pending<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn with_queue(queue: u32) -> KeyedRateLimiter<u64> {
    let builder = KeyedRateLimiter::builder().quota(Quota::per_hour(1)).max_keys(2).dice(Dice::seeded(1));
    builder.queue(queue).max_wait(100 * 3_600 * S).clock(clock().clock()).build().unwrap()
}

/// The only unit is refunded while a request joins the queue. If the wake-up were lost, the request
/// would wait for ever, because the clock stands still.
#[test]
fn refund_wakes_a_request_that_joins_at_that_moment() {
    explore_within(2, || {
        let limiter = RateLimiter::builder().quota(Quota::per_hour(1)).max_wait(2 * 3_600 * S);
        let limiter = limiter.clock(clock().clock()).build().unwrap();
        let permit = limiter.try_acquire_owned().unwrap();
        let refund = thread::spawn(move || permit.refund());
        assert!(block_on(limiter.acquire()).is_ok());
        refund.join().unwrap();
        assert_eq!(limiter.queued(), 0);
    });
}

/// A request of another account displaces one that is about to wait. It learns of it.
#[test]
fn displaced_request_is_woken_and_rejected() {
    explore_within(2, || {
        let limiter = with_queue(2);
        limiter.check(&1).unwrap();
        limiter.check(&2).unwrap();
        let mut head = Box::pin(limiter.acquire(&1));
        assert!(is_pending(head.as_mut()));
        let other = {
            let limiter = limiter.clone();
            thread::spawn(move || {
                let mut other = Box::pin(limiter.acquire(&2));
                let is_waiting = is_pending(other.as_mut());
                (is_waiting, limiter.queued())
            })
        };
        let mut second = Box::pin(limiter.acquire(&1));
        let was_waiting = is_pending(second.as_mut());
        let (is_waiting, _) = other.join().unwrap();
        assert!(is_waiting, "a lighter account finds a place");
        // Either there was a free place for it, as the other one has left again, or it is evicted.
        if was_waiting && limiter.queued() < 2 {
            assert_eq!(block_on(second).map(drop).unwrap_err().reason(), Reason::Evicted);
        } else {
            drop(second);
        }
        drop(head);
        assert_eq!(limiter.queued(), 0);
    });
}

/// A request is displaced while its caller gives it up. Its place is given up once.
#[test]
fn request_that_leaves_while_it_is_displaced_leaves_once() {
    explore_within(2, || {
        let limiter = with_queue(2);
        limiter.check(&1).unwrap();
        limiter.check(&2).unwrap();
        let (mut head, mut second) = (Box::pin(limiter.acquire(&1)), Box::pin(limiter.acquire(&1)));
        assert!(is_pending(head.as_mut()) && is_pending(second.as_mut()));
        let other = {
            let limiter = limiter.clone();
            thread::spawn(move || {
                let mut other = Box::pin(limiter.acquire_owned(&2));
                assert!(is_pending(other.as_mut()));
                other
            })
        };
        drop(second);
        let other = other.join().unwrap();
        assert_eq!(limiter.queued(), 2);
        drop((head, other));
        assert_eq!(limiter.queued(), 0);
        assert!(is_pending(Box::pin(limiter.acquire(&1)).as_mut()), "it finds a place");
    });
}

/// The limiter is closed while a request joins the queue.
#[test]
fn request_that_joins_at_the_close_is_rejected() {
    explore_within(2, || {
        let limiter = with_queue(2);
        limiter.check(&1).unwrap();
        let close = {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.close())
        };
        assert_eq!(block_on(limiter.acquire(&1)).map(drop).unwrap_err().reason(), Reason::Closed);
        close.join().unwrap();
        assert_eq!(limiter.queued(), 0);
    });
}
