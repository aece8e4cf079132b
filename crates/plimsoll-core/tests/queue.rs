//! The line against a plain list, by random steps, for every discipline; and the tables it promises.

use plimsoll_core::parts::{Bounds, Queue, Ticket};
use plimsoll_core::{Discipline, Instant, Reason};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;
use std::time::Duration;

#[path = "queue/oracle.rs"]
mod oracle;
use oracle::{Item, Oracle};

const MICRO: u64 = 1_000;

fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

fn ms(n: u64) -> Instant {
    Instant::from_nanos(n * 1_000_000)
}

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Pop,
    PopMany(usize),
    /// Picks one, and puts it back after these.
    PutBack(Vec<Step>),
    Expire,
    Remove(Index),
    CloseUp,
    SetBounds(Bounds),
    SetDiscipline(Discipline),
    Clear,
    /// By so many microseconds.
    Advance(u64),
}

fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..6u32, 1 => 0..70u32]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let count = prop_oneof![1 => 0..3usize, 4 => 3..40usize, 1 => Just(usize::MAX)];
    let weight = prop_oneof![1 => 0..6u64, 4 => 6..100u64, 1 => Just(u64::MAX)];
    let age = prop_oneof![3 => Just(None), 2 => (1..80u64).prop_map(|n| Some(micros(n)))];
    (count, weight, age).prop_map(|(count, weight, age)| Bounds {
        capacity: count,
        max_weight: weight,
        max_age: age,
    })
}

fn controlled() -> impl Strategy<Value = Discipline> {
    let numbers = (1..12u64, 0..20u64);
    numbers.prop_map(|(n, more)| Discipline::CoDel { target: micros(n), interval: micros(n + more) })
}

fn adaptive() -> impl Strategy<Value = Discipline> {
    let numbers = (1..12u64, 0..40u64);
    numbers.prop_map(|(n, more)| Discipline::AdaptiveLifo { target: micros(n), interval: micros(n + more) })
}

fn aging() -> impl Strategy<Value = Discipline> {
    (1..40u64).prop_map(|age| Discipline::LifoWithAge { max_age: micros(age) })
}

fn sliced() -> impl Strategy<Value = Discipline> {
    (1..20u64, 2..5u32).prop_map(|(n, slices)| Discipline::TimeBuckets { slice: micros(n), slices })
}

fn any_discipline() -> impl Strategy<Value = Discipline> {
    prop_oneof![
        Just(Discipline::Fifo),
        Just(Discipline::KeepOldest),
        Just(Discipline::Lifo),
        aging(),
        controlled(),
        adaptive(),
        sliced(),
    ]
}

/// Nothing is taken in between, but what comes may displace others, and the order may change.
fn between() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => weight().prop_map(Step::Push),
        2 => (0..12u64).prop_map(Step::Advance),
        1 => Just(Step::Expire),
        1 => any_discipline().prop_map(Step::SetDiscipline),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => weight().prop_map(Step::Push),
        20 => Just(Step::Pop),
        3 => (0..8usize).prop_map(Step::PopMany),
        5 => vec(between(), 0..4).prop_map(Step::PutBack),
        3 => Just(Step::Expire),
        8 => any::<Index>().prop_map(Step::Remove),
        1 => Just(Step::CloseUp),
        2 => bounds().prop_map(Step::SetBounds),
        2 => any_discipline().prop_map(Step::SetDiscipline),
        1 => Just(Step::Clear),
        15 => (0..12u64).prop_map(Step::Advance),
    ]
}

#[derive(Clone, Debug)]
struct Script {
    discipline: Discipline,
    bounds: Bounds,
    weighed: bool,
    /// Whether discipline and bounds change on the way.
    changes: bool,
    steps: Vec<Step>,
}

fn script(discipline: impl Strategy<Value = Discipline>) -> impl Strategy<Value = Script> {
    let parts = (discipline, bounds(), any::<bool>(), any::<bool>(), vec(step(), 1..500));
    parts.prop_map(|(discipline, bounds, weighed, changes, steps)| Script {
        discipline,
        bounds,
        weighed,
        changes,
        steps,
    })
}

/// Nothing but coming and taking, so that the wait is often long, and for long; and lulls of about as
/// long as a spell of dropping is remembered.
fn spells() -> impl Strategy<Value = Script> {
    let numbers = (1..4u64, 0..4u64);
    let discipline =
        numbers.prop_map(|(n, more)| Discipline::CoDel { target: micros(n), interval: micros(n + more) });
    let step = prop_oneof![
        30 => Just(Step::Push(1)),
        25 => Just(Step::Pop),
        25 => (0..4u64).prop_map(Step::Advance),
        1 => (8..120u64).prop_map(Step::Advance),
    ];
    (discipline, vec(step, 1..800)).prop_map(|(discipline, steps)| Script {
        discipline,
        bounds: Bounds::with_capacity(1_000),
        weighed: false,
        changes: false,
        steps,
    })
}

/// How many, and how heavy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally(u64, u64);

impl Tally {
    fn add(&mut self, weight: u32) {
        *self = Tally(self.0 + 1, self.1 + u64::from(weight));
    }
}

struct Rig {
    line: Queue<(u32, u32)>,
    model: Oracle,
    now: u64,
    changes: bool,
    lost: Vec<(u32, Reason)>,
    /// Where those stand who can be removed.
    keys: BTreeMap<u32, Ticket>,
    ids: u32,
    pushed: Tally,
    gone: Tally,
}

type Checked = Result<(), TestCaseError>;

impl Rig {
    fn new(script: &Script) -> Self {
        let Script { discipline, bounds, weighed, changes, .. } = *script;
        Rig {
            line: Queue::new(discipline, bounds, weighed),
            model: Oracle::new(discipline, bounds, weighed),
            now: 0,
            changes,
            lost: vec![],
            keys: BTreeMap::new(),
            ids: 0,
            pushed: Tally::default(),
            gone: Tally::default(),
        }
    }

    /// What came out of the line must be what comes out of the list.
    fn takes(&mut self, out: Option<(u32, u32)>, expected: Option<Item>) -> Checked {
        prop_assert_eq!(out, expected.map(|item| (item.id, item.weight)));
        if let Some((_, weight)) = out {
            self.gone.add(weight);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Checked {
        let now = Instant::from_nanos(self.now);
        let (lost, gone) = (&mut self.lost, &mut self.gone);
        let mut sink = |(id, weight): (u32, u32), reason| {
            lost.push((id, reason));
            gone.add(weight);
        };
        match *step {
            Step::Push(weight) => {
                self.ids += 1;
                self.pushed.add(weight);
                match self.line.push((self.ids, weight), weight, now, &mut sink) {
                    Ok(key) => {
                        prop_assert_eq!(self.model.push(self.ids, weight, self.now), Ok(()));
                        self.keys.insert(self.ids, key);
                    }
                    Err((item, reason)) => {
                        prop_assert_eq!(item, (self.ids, weight), "the very item comes back");
                        prop_assert_eq!(self.model.push(self.ids, weight, self.now), Err(reason));
                        self.gone.add(weight);
                    }
                }
            }
            Step::Pop => {
                let out = self.line.pop(now, &mut sink);
                let expected = self.model.pop(self.now);
                self.takes(out, expected)?;
            }
            Step::PopMany(most) => {
                let mut out = vec![(0, 0)];
                let n = self.line.pop_many(most, now, &mut out, &mut sink);
                prop_assert_eq!((n + 1, out.remove(0)), (out.len() + 1, (0, 0)), "added to what is there");
                // Nothing is asked of a line that was asked for none.
                let most = most.min(self.model.held.len());
                for out in out {
                    let expected = self.model.pop(self.now);
                    self.takes(Some(out), expected)?;
                }
                if n < most {
                    prop_assert!(self.model.pop(self.now).is_none());
                }
            }
            Step::PutBack(ref between) => {
                let picked = self.line.pop_with_position(now, &mut sink);
                let expected = self.model.pop(self.now);
                prop_assert_eq!(picked.map(|(item, _)| item.0), expected.map(|item| item.id));
                let (Some((item, spot)), Some(expected)) = (picked, expected) else { return Ok(()) };
                self.gone.add(item.1);
                for step in between {
                    self.step(step)?;
                    self.check()?;
                }
                self.gone = Tally(self.gone.0 - 1, self.gone.1 - u64::from(item.1));
                let (lost, gone) = (&mut self.lost, &mut self.gone);
                self.line.put_back(item, spot, &mut |(id, weight), reason| {
                    lost.push((id, reason));
                    gone.add(weight);
                });
                // At the front nobody has to make room; elsewhere whoever came since stands one further back.
                let front = self.model.held.iter().all(|other| other.id > expected.id);
                self.keys.retain(|&id, _| id < expected.id || (front && id != expected.id));
                self.model.put_back(expected);
            }
            Step::Expire => {
                self.line.expire(now, &mut sink);
                self.model.expire(self.now);
            }
            Step::Remove(which) => {
                let held = self.model.held.iter().filter_map(|item| Some((*item, *self.keys.get(&item.id)?)));
                let held: Vec<_> = held.collect();
                if !held.is_empty() {
                    let (Item { id, weight, .. }, key) = *which.get(&held);
                    prop_assert_eq!(self.line.remove(key), Some((id, weight)));
                    prop_assert_eq!(self.line.remove(key), None, "it is gone");
                    self.gone.add(weight);
                    self.model.held.retain(|item| item.id != id);
                }
            }
            Step::CloseUp => self.close_up(),
            Step::SetBounds(bounds) if self.changes => {
                self.line.set_bounds(bounds, now, &mut sink);
                self.model.set(self.model.discipline, bounds, self.now);
            }
            Step::SetDiscipline(to) if self.changes => {
                self.line.set_discipline(to, now, &mut sink);
                self.model.set(to, self.model.bounds, self.now);
            }
            Step::Clear => {
                self.line.clear(Reason::Closed, &mut sink);
                self.model.clear(Reason::Closed);
            }
            Step::Advance(by) => self.now += by * MICRO,
            Step::SetBounds(_) | Step::SetDiscipline(_) => {}
        }
        if self.line.is_sparse() {
            self.close_up();
        }
        Ok(())
    }

    fn close_up(&mut self) {
        self.keys.clear();
        self.line.compact(|&(id, _), key| self.keys.extend([(id, key)]));
    }

    fn check(&mut self) -> Checked {
        let lost = self.model.lost.drain(..).map(|(item, reason)| (item.id, reason));
        prop_assert_eq!(self.lost.drain(..).collect::<Vec<_>>(), lost.collect::<Vec<_>>());
        let mut held = vec![];
        self.line.clone().compact(|&(id, _), _| held.push(id));
        prop_assert_eq!(&held, &self.model.held.iter().map(|item| item.id).collect::<Vec<_>>());
        prop_assert_eq!((self.line.len(), self.line.is_empty()), (held.len(), held.is_empty()));
        prop_assert_eq!(self.line.weight(), self.model.weight());
        prop_assert_eq!(self.line.bounds(), self.model.bounds);
        prop_assert_eq!(self.line.discipline(), self.model.discipline);
        prop_assert_eq!(self.line.is_timed(), self.model.is_timed());
        prop_assert!(self.line.len() <= self.model.bounds.capacity);
        prop_assert!(self.line.weight() <= self.model.bounds.max_weight);
        // Whatever was pushed was taken, lost, refused or removed, or is still here.
        let mut books = self.gone;
        self.model.held.iter().for_each(|item| books.add(item.weight));
        prop_assert_eq!(self.pushed, books);
        match self.line.next_expiry().map(Instant::as_nanos) {
            Some(next) => {
                prop_assert_eq!(self.model.too_old(next - 1), [0; 0], "nothing goes before");
                prop_assert!(!self.model.too_old(next).is_empty(), "something goes then");
            }
            None => prop_assert_eq!(self.model.too_old(u64::MAX), [0; 0], "nothing ever goes"),
        }
        Ok(())
    }
}

fn does_as_the_model(script: &Script) -> Checked {
    let mut rig = Rig::new(script);
    for step in &script.steps {
        rig.step(step)?;
        rig.check()?;
    }
    while !rig.model.held.is_empty() {
        rig.step(&Step::Pop)?;
        rig.check()?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_queue_does_as_the_model(script in script(Just(Discipline::Fifo))) {
        does_as_the_model(&script)?;
    }

    #[test]
    fn a_queue_that_keeps_the_oldest_does_as_the_model(script in script(Just(Discipline::KeepOldest))) {
        does_as_the_model(&script)?;
    }

    #[test]
    fn a_stack_does_as_the_model(script in script(Just(Discipline::Lifo))) {
        does_as_the_model(&script)?;
    }

    #[test]
    fn a_stack_with_age_does_as_the_model(script in script(aging())) {
        does_as_the_model(&script)?;
    }

    #[test]
    fn controlled_delay_does_as_the_rfc(script in script(controlled())) {
        does_as_the_model(&script)?;
    }

    #[test]
    fn spells_of_controlled_delay_follow_each_other_as_in_the_rfc(script in spells()) {
        does_as_the_model(&script)?;
    }

    #[test]
    fn an_adaptive_stack_does_as_the_model(script in script(adaptive())) {
        does_as_the_model(&script)?;
    }

    #[test]
    fn time_slices_do_as_the_model(script in script(sliced())) {
        does_as_the_model(&script)?;
    }
}

fn line_of(discipline: Discipline, count: usize, items: impl IntoIterator<Item = char>) -> Queue<char> {
    let mut line = Queue::new(discipline, Bounds::with_capacity(count), false);
    for item in items {
        let _ = line.push(item, 0, ms(0), &mut |_, _| {});
    }
    line
}

fn rest(line: &mut Queue<char>, now: Instant) -> String {
    std::iter::from_fn(|| line.pop(now, &mut |_, _| {})).collect()
}

/// The table of PO Box, with three places for five. Its stack keeps the oldest two for ever; here the
/// bottom goes by eviction.
#[test]
fn five_in_a_line_for_three() {
    for (discipline, out) in
        [(Discipline::Fifo, "cde"), (Discipline::KeepOldest, "abc"), (Discipline::Lifo, "edc")]
    {
        assert_eq!(rest(&mut line_of(discipline, 3, 'a'..='e'), ms(0)), out, "{discipline}");
    }
}

#[test]
fn what_is_put_back_keeps_its_place_among_those_that_came_since() {
    for (discipline, out) in
        [(Discipline::Fifo, "abcde"), (Discipline::KeepOldest, "abcde"), (Discipline::Lifo, "edcba")]
    {
        let mut line = line_of(discipline, 5, 'a'..='c');
        let (item, spot) = line.pop_with_position(ms(0), &mut |_, _| {}).unwrap();
        for new in ['d', 'e'] {
            line.push(new, 0, ms(0), &mut |_, _| {}).unwrap();
        }
        line.put_back(item, spot, &mut |_, _| {});
        assert_eq!(rest(&mut line, ms(0)), out, "{discipline}");
    }
}

#[test]
fn several_that_were_picked_go_back_in_the_reverse_order() {
    for (discipline, out) in [(Discipline::Fifo, "abc"), (Discipline::Lifo, "cba")] {
        let mut line = line_of(discipline, 3, 'a'..='c');
        let [first, second] = [(); 2].map(|()| line.pop_with_position(ms(0), &mut |_, _| {}).unwrap());
        line.put_back(second.0, second.1, &mut |_, _| {});
        line.put_back(first.0, first.1, &mut |_, _| {});
        assert_eq!(rest(&mut line, ms(0)), out, "{discipline}");
    }
}

/// If the place it had is taken, the discipline says who goes: the oldest, who is the very same here,
/// or the newest.
#[test]
fn what_is_put_back_into_a_full_line_may_have_to_go_itself() {
    for (discipline, gone) in
        [(Discipline::Fifo, 'a'), (Discipline::KeepOldest, 'd'), (Discipline::Lifo, 'a')]
    {
        let (mut line, mut lost) = (line_of(discipline, 3, 'a'..='c'), vec![]);
        let (item, spot) = line.pop_with_position(ms(0), &mut |_, _| {}).unwrap();
        line.push('d', 0, ms(0), &mut |_, _| {}).unwrap();
        line.put_back(item, spot, &mut |item, reason| lost.push((item, reason)));
        assert_eq!(lost, [(gone, Reason::Evicted)], "{discipline}");
    }
}

/// A line that kept no time counts from when it begins to; also for one that was in somebody's hands
/// just then, and was thrown away as if it had come at the origin of time.
#[test]
fn what_was_picked_before_time_was_kept_is_as_old_as_those_who_stayed() {
    let mut line = line_of(Discipline::Fifo, 2, ['a', 'b']);
    let (item, spot) = line.pop_with_position(ms(0), &mut |_, _| {}).unwrap();
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

/// Arrivals are told by many clocks' readers, and one may come late to the lock.
#[test]
fn who_comes_with_an_earlier_time_has_come_no_earlier() {
    let age = Duration::from_millis(10);
    let mut line = line_of(Discipline::LifoWithAge { max_age: age }, 2, []);
    line.push('a', 0, ms(7), &mut |_, _| {}).unwrap();
    line.push('b', 0, ms(5), &mut |_, _| {}).unwrap();
    assert_eq!(line.next_expiry(), Some(ms(17)));
}

/// Something leaves from the middle a million times, behind a head that stays for ever.
#[test]
fn behind_a_long_standing_head_nothing_grows() {
    for (discipline, weighed) in [(Discipline::Fifo, false), (Discipline::CODEL, true)] {
        let mut line = Queue::new(discipline, Bounds::with_capacity(8), weighed);
        let push = |line: &mut Queue<u32>, n| line.push(n, 1, ms(0), &mut |_, _| {}).unwrap();
        push(&mut line, 0);
        let mut last = push(&mut line, 1);
        let mut moved = 0;
        for n in 2..1_000_000 {
            let newest = push(&mut line, n);
            assert_eq!(line.remove(last), Some(n - 1));
            last = newest;
            if line.is_sparse() {
                line.compact(|_, key| {
                    moved += 1;
                    last = key;
                });
                assert!(!line.is_sparse());
            }
        }
        assert_eq!((line.len(), line.weight()), (2, if weighed { 2 } else { 0 }));
        assert!(moved < 100_000, "closing up costs each of them little: {moved}");
        assert!(format!("{line:?}").len() < 3_000, "holes do not pile up");
    }
}

mod controlled_delay {
    use super::*;

    /// So many that came together.
    fn standing(line: &mut Queue<()>, many: u32, now: u64) {
        for _ in 0..many {
            assert!(line.push((), 0, ms(now), &mut |_, _| {}).is_ok());
        }
    }

    /// Takes one every millisecond; answers when something was thrown out.
    fn drops(line: &mut Queue<()>, during: std::ops::RangeInclusive<u64>) -> Vec<u64> {
        let mut drops = vec![];
        for now in during {
            line.pop(ms(now), &mut |(), reason| {
                assert_eq!(reason, Reason::Expired);
                drops.push(now);
            });
        }
        drops
    }

    fn line(many: u32) -> Queue<()> {
        let mut line = Queue::new(Discipline::CODEL, Bounds::with_capacity(1_000), false);
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
