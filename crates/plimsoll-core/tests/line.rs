//! What a line promises, told by example.

use plimsoll_core::{Bounds, Discipline, Instant, Line, Reason};
use std::time::Duration;

fn ms(n: u64) -> Instant {
    Instant::from_nanos(n * 1_000_000)
}

fn line_of(discipline: Discipline, count: usize, items: impl IntoIterator<Item = char>) -> Line<char> {
    let mut line = Line::new(discipline, Bounds::count(count), false);
    for item in items {
        let _ = line.push(item, 0, ms(0), &mut |_, _| {});
    }
    line
}

fn rest(line: &mut Line<char>, now: Instant) -> String {
    std::iter::from_fn(|| line.pop(now, &mut |_, _| {})).collect()
}

/// A line that kept no time counts from when it begins to; also for one that was in somebody's hands
/// just then, and was thrown away as if it had come at the origin of time.
#[test]
fn what_was_picked_before_time_was_kept_is_as_old_as_those_who_stayed() {
    let mut line = line_of(Discipline::Fifo, 2, ['a', 'b']);
    let (item, spot) = line.pick(ms(0), &mut |_, _| {}).unwrap();
    line.set_discipline(Discipline::ADAPTIVE_LIFO, ms(1_000), &mut |_, _| {});
    line.put_back(item, spot, &mut |_, _| {});
    assert_eq!(line.next_expiry(), Some(ms(1_100)));
    assert_eq!(rest(&mut line, ms(1_000)), "ab");
}

/// A newcomer that needs the place of all the others left the line empty for a moment, which once
/// looked as if they had been served: a line that is always full was never overloaded.
#[test]
fn a_line_emptied_by_eviction_is_not_taken_for_one_that_was_served() {
    let mut line = line_of(Discipline::ADAPTIVE_LIFO, 1, ['a']);
    line.push('b', 0, ms(98), &mut |_, _| {}).unwrap();
    assert_eq!(line.next_expiry(), Some(ms(103)), "after the short wait of overload");
}

mod controlled_delay {
    use super::*;

    /// So many that came together.
    fn standing(line: &mut Line<()>, many: u32, now: u64) {
        for _ in 0..many {
            assert!(line.push((), 0, ms(now), &mut |_, _| {}).is_ok());
        }
    }

    /// Takes one every millisecond; answers when something was thrown out.
    fn drops(line: &mut Line<()>, during: std::ops::RangeInclusive<u64>) -> Vec<u64> {
        let mut drops = vec![];
        for now in during {
            line.pop(ms(now), &mut |(), reason| {
                assert_eq!(reason, Reason::Expired);
                drops.push(now);
            });
        }
        drops
    }

    fn line(many: u32) -> Line<()> {
        let mut line = Line::new(Discipline::CODEL, Bounds::count(1_000), false);
        standing(&mut line, many, 0);
        line
    }

    /// All came at 0, and one is taken every millisecond: from 5 ms on the wait is above the target, at
    /// 105 ms it has been so for an interval. Then 100 ms, 100/√2, 100/√3 and so on.
    #[test]
    fn the_longer_the_wait_stays_above_the_target_the_faster_things_go() {
        assert_eq!(drops(&mut line(1_000), 1..=550), [105, 205, 276, 334, 384, 429, 469, 507, 543]);
    }

    /// Of 389, number 388 is the fifth to be thrown out, at 384 ms, and the last is taken. The drop that
    /// ended the spell was due at 383.4 ms, and the spell is remembered for 16 intervals from there:
    /// another that begins at 1900 ms starts at its rate (5 drops, less 1 to begin with: 100/√4), but
    /// one that begins at 2000 ms at the lowest. The line once remembered until the drop after that.
    #[test]
    fn a_spell_that_follows_soon_begins_at_the_rate_of_the_last() {
        for (begins, next) in [(1_900, 1_950), (2_000, 2_100)] {
            let mut line = line(389);
            assert_eq!(drops(&mut line, 1..=384).last(), Some(&384));
            assert!(line.is_empty());
            standing(&mut line, 1_000, begins - 110);
            assert_eq!(drops(&mut line, begins - 100..=begins + 101)[..2], [begins, next]);
        }
    }

    /// Those who waited went away by themselves. A while later the first of a new burst was thrown out
    /// at once, as if the wait had been above the target ever since.
    #[test]
    fn a_line_that_all_have_left_is_not_above_the_target() {
        let mut line = line(3);
        assert_eq!(drops(&mut line, 6..=6), []);
        line.clear(Reason::Closed, &mut |_, _| {});
        standing(&mut line, 1_000, 5_000);
        assert_eq!(drops(&mut line, 5_006..=5_110), [5_106]);
    }

    #[test]
    fn the_last_one_is_never_thrown_out() {
        let mut line = line(2);
        assert_eq!(drops(&mut line, 1_000..=1_001), []);
        for now in 2_000..3_000 {
            standing(&mut line, 1, now - 1_000);
            assert_eq!(drops(&mut line, now..=now), []);
        }
    }
}
