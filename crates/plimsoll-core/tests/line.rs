//! What a line promises, told by example.

use plimsoll_core::{Bounds, Discipline, Instant, Line};

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
