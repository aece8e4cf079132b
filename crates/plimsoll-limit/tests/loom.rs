//! The slot, the table and the live quota under every interleaving with at most three preemptions (two, where it says so):
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll-limit --no-default-features --release --test loom`
//!
//! The table has one set of two slots here, one common slot and two doors.
#![cfg(plimsoll_loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use loom::thread;
use plimsoll_core::{Dice, ManualTime, Reason};
use plimsoll_limit::{KeyedRateLimiter, Quota, RateLimiter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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

/// After the beginning of time, where what is free may not be made free a nanosecond earlier.
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

/// How many units of so many asks, of one each, on a thread of its own.
fn asks(limiter: &KeyedRateLimiter<u64>, key: u64, times: u32) -> thread::JoinHandle<u32> {
    let limiter = limiter.clone();
    thread::spawn(move || (0..times).map(|_| u32::from(limiter.check(&key).is_ok())).sum())
}

/// Two units are left, and three want one each.
#[test]
fn of_a_slot_no_more_is_taken_than_there_is() {
    explore(|| {
        let limiter = limiter(Quota::per_hour(1).burst(2));
        let ask = |limiter: &RateLimiter| {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.check().is_ok())
        };
        let others = [ask(&limiter), ask(&limiter)];
        let mine = limiter.check().is_ok();
        let passed = others.map(|other| other.join().unwrap()).iter().filter(|&&passed| passed).count();
        assert_eq!(passed + usize::from(mine), 2);
        assert_eq!(limiter.remaining(), 0);
    });
}

/// Account 1 has nothing left to remember, and 2 is brought, while 1 asks again. The other slot is that of an account that
/// owes. Whoever of them has the slot in the end, the other has the common one, and each has its own burst.
#[test]
fn who_moves_in_takes_nothing_from_who_is_there_nor_he_from_him() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let (limiter, time) = keyed(Quota::per_second(1).burst(2));
        limiter.check(&1).unwrap();
        time.advance(S);
        limiter.check_n(&3, 2).unwrap();
        time.advance(S / 2);
        assert_eq!((limiter.max_keys(), limiter.overflowed()), (2, 0));
        let brings = {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.check_n(&2, 2).is_ok())
        };
        assert!(limiter.check(&1).is_ok());
        assert!(limiter.check(&1).is_ok());
        assert!(brings.join().unwrap());
        // Whose it is: the refusal of the common slot is counted.
        let before = limiter.overflowed();
        assert!(limiter.check(&1).is_err(), "it was forgotten after it had taken");
        saw[usize::from(limiter.overflowed() > before)].store(true, Relaxed);
        assert!(limiter.check(&2).is_err(), "it has two quotas");
        assert_eq!(limiter.max_keys(), 2);
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "it went either way");
}

/// Two slots are empty, and two bring the same account.
#[test]
fn who_is_brought_twice_has_one_slot_and_one_quota() {
    explore(|| {
        let (limiter, _time) = keyed(Quota::per_hour(1));
        let other = asks(&limiter, 1, 1);
        let mine = u32::from(limiter.check(&1).is_ok());
        assert_eq!(mine + other.join().unwrap(), 1);
        assert_eq!((limiter.max_keys(), limiter.overflowed()), (1, 0));
    });
}

/// The same where a slot has to be left by another first, and there is only one.
#[test]
fn who_is_brought_twice_to_the_last_slot_has_one_quota() {
    explore(|| {
        let (limiter, time) = keyed(Quota::per_second(1));
        limiter.check(&1).unwrap();
        time.advance(2 * S);
        limiter.check(&3).unwrap();
        time.advance(S / 2);
        let other = asks(&limiter, 2, 1);
        let mine = u32::from(limiter.check(&2).is_ok());
        assert_eq!(mine + other.join().unwrap(), 1);
        assert_eq!((limiter.max_keys(), limiter.overflowed()), (2, 0));
    });
}

/// Two newcomers and two slots: both get one.
#[test]
fn two_who_are_brought_at_once_have_a_slot_each() {
    explore(|| {
        let (limiter, _time) = keyed(Quota::per_hour(1));
        let other = asks(&limiter, 2, 2);
        let mine = (0..2).map(|_| u32::from(limiter.check(&1).is_ok())).sum::<u32>();
        assert_eq!((mine, other.join().unwrap()), (1, 1));
        assert_eq!((limiter.max_keys(), limiter.overflowed()), (2, 0));
    });
}

/// Of two units one is owed, one more is taken, and the quota becomes another meanwhile.
#[test]
fn what_is_owed_stays_owed_while_it_is_counted_anew() {
    for (from, to) in [(1, 2), (2, 1), (7, 10)] {
        explore_within(2, move || {
            let limiter = limiter(Quota::per_hour(from).burst(2));
            limiter.check().unwrap();
            let set = sets(&limiter, Quota::per_hour(to).burst(2));
            assert_eq!([(); 2].map(|()| limiter.check().is_ok()), [true, false]);
            set.join().unwrap();
            assert_eq!(
                limiter.try_acquire().unwrap_err().retry_after(),
                Some(Quota::per_hour(to).interval())
            );
        });
    }
}

fn sets(limiter: &RateLimiter, quota: Quota) -> thread::JoinHandle<()> {
    let limiter = limiter.clone();
    thread::spawn(move || limiter.set_quota(quota).unwrap())
}

/// The same, and two ask. What one unit is by the old interval is two by the new one: read by the old, counted anew and
/// taken from by the new, the state is what it was, and who read it takes what is not there. It is owed all the same: of
/// what is admitted too early as much more has to come back before the next.
#[test]
fn of_two_who_ask_while_the_rate_is_doubled_one_passes_or_what_the_other_took_is_owed() {
    explore_within(2, || {
        let limiter = limiter(Quota::per_hour(1).burst(2));
        limiter.check().unwrap();
        let other = {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.check().is_ok())
        };
        let set = sets(&limiter, Quota::per_hour(2).burst(2));
        let mine = limiter.check().is_ok();
        set.join().unwrap();
        let passed = u32::from(mine) + u32::from(other.join().unwrap());
        let owed = limiter.check().unwrap_err().retry_after().unwrap();
        match passed {
            1 => assert_eq!(owed, Quota::per_hour(2).interval()),
            2 => assert!(owed >= 2 * Quota::per_hour(2).interval(), "{owed:?}"),
            _ => panic!("{passed}"),
        }
    });
}

/// The same of an account, while another moves in beside it.
#[test]
fn an_account_owes_what_it_owed_while_it_is_counted_anew() {
    explore_within(2, || {
        let (limiter, _time) = keyed(Quota::per_hour(1).burst(2));
        limiter.check(&1).unwrap();
        let set = {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.set_quota(Quota::per_hour(2).burst(2)).unwrap())
        };
        let passed = [1, 2, 1].map(|key| limiter.check(&key).is_ok());
        set.join().unwrap();
        assert_eq!(passed, [true, true, false]);
        assert_eq!((limiter.remaining(&1), limiter.remaining(&2)), (0, 1));
    });
}

/// A unit comes back while another is asked for: it is there or it is taken, and never twice.
#[test]
fn what_is_given_back_is_had_once() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let limiter = limiter(Quota::per_hour(1).burst(2));
        let permit = limiter.try_acquire_owned().unwrap();
        let back = thread::spawn(move || permit.refund());
        let passed = [limiter.check().is_ok(), limiter.check().is_ok()];
        back.join().unwrap();
        assert!(passed[0]);
        saw[usize::from(passed[1])].store(true, Relaxed);
        assert_eq!(limiter.remaining(), u32::from(!passed[1]));
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "it went either way");
}

/// A unit comes back late, while another account moves in where it was taken from.
#[test]
fn what_is_given_back_late_is_nobodys() {
    explore(|| {
        let (limiter, time) = keyed(Quota::per_second(1).burst(2));
        let permit = limiter.try_acquire_owned(&1).unwrap();
        time.advance(S);
        limiter.check_n(&3, 2).unwrap();
        time.advance(S / 2);
        let back = thread::spawn(move || permit.refund());
        assert!(limiter.check_n(&2, 2).is_ok());
        back.join().unwrap();
        assert!(limiter.check(&2).is_err());
        assert_eq!((limiter.max_keys(), limiter.overflowed()), (2, 0));
    });
}

/// A refusal has the burst of the quota of which it has the time.
#[test]
fn a_quota_is_read_whole() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let limiter = limiter(Quota::per_hour(1).burst(2));
        limiter.check_n(2).unwrap();
        let set = {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.set_quota(Quota::per_minute(1).burst(3)).unwrap())
        };
        for _ in 0..2 {
            let no = limiter.try_acquire_n(2).unwrap_err();
            assert_eq!(no.reason(), Reason::Throttled);
            let old = no.limit() == Some(2);
            let window = if old { 2 * 3_600 * S } else { 3 * 60 * S };
            assert_eq!((no.limit(), no.window()), (Some(if old { 2 } else { 3 }), Some(window)));
            saw[usize::from(old)].store(true, Relaxed);
        }
        set.join().unwrap();
        assert_eq!(limiter.quota(), Quota::per_minute(1).burst(3));
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "it went either way");
}
