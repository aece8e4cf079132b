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
