//! The queue against a plain list, by random steps, for every discipline. Then single cases.

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
    /// Takes an item, and puts it back after these steps.
    PutBack(Vec<Step>),
    Expire,
    Remove(Index),
    Compact,
    SetBounds(Bounds),
    SetDiscipline(Discipline),
    Clear,
    /// Advances time by this many microseconds.
    Advance(u64),
}

fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..6u32, 1 => 0..70u32]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let capacity = prop_oneof![1 => 0..3usize, 4 => 3..40usize, 1 => Just(usize::MAX)];
    let max_weight = prop_oneof![1 => 0..6u64, 4 => 6..100u64, 1 => Just(u64::MAX)];
    let max_age = prop_oneof![3 => Just(None), 2 => (1..80u64).prop_map(|n| Some(micros(n)))];
    let bounds = |(capacity, max_weight, max_age)| Bounds { capacity, max_weight, max_age };
    (capacity, max_weight, max_age).prop_map(bounds)
}

fn codel() -> impl Strategy<Value = Discipline> {
    let numbers = (1..12u64, 0..20u64);
    numbers.prop_map(|(n, more)| Discipline::CoDel { target: micros(n), interval: micros(n + more) })
}

fn adaptive_lifo() -> impl Strategy<Value = Discipline> {
    let numbers = (1..12u64, 0..40u64);
    numbers.prop_map(|(n, more)| Discipline::AdaptiveLifo { target: micros(n), interval: micros(n + more) })
}

fn lifo_with_age() -> impl Strategy<Value = Discipline> {
    (1..40u64).prop_map(|age| Discipline::LifoWithAge { max_age: micros(age) })
}

fn time_buckets() -> impl Strategy<Value = Discipline> {
    (1..20u64, 2..5u32).prop_map(|(n, slices)| Discipline::TimeBuckets { slice: micros(n), slices })
}

fn any_discipline() -> impl Strategy<Value = Discipline> {
    prop_oneof![
        Just(Discipline::Fifo),
        Just(Discipline::KeepOldest),
        Just(Discipline::Lifo),
        lifo_with_age(),
        codel(),
        adaptive_lifo(),
        time_buckets(),
    ]
}

/// A step between taking an item and putting it back. No item is taken, but a newcomer may displace
/// others, and the order may change.
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
        1 => Just(Step::Compact),
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
    /// Whether the discipline and the bounds may change on the way.
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

/// Pushes and pops only, so that waits are often long for a long time. Pauses are about as long as
/// controlled delay remembers the end of a dropping period.
fn dropping_periods() -> impl Strategy<Value = Script> {
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

/// Bursts of light items, and pauses in which more of them become too old than a push removes. Then
/// a heavy item may need their room.
fn bursts() -> impl Strategy<Value = Script> {
    let light = vec((0..3u32).prop_map(Step::Push), 20..80);
    let heavy = vec((0..150u32).prop_map(Step::Push), 0..2);
    let burst = (light, (0..80u64).prop_map(Step::Advance), heavy, vec(step(), 0..6));
    let burst = burst.prop_map(|(light, pause, heavy, then)| [light, vec![pause], heavy, then].concat());
    let max_age = prop_oneof![Just(None), (1..80u64).prop_map(|n| Some(micros(n)))];
    let bounds = (40..100usize, 40..150u64, max_age);
    let parts = (any_discipline(), bounds, any::<bool>(), vec(burst, 1..6));
    parts.prop_map(|(discipline, (capacity, max_weight, max_age), weighed, bursts)| Script {
        discipline,
        bounds: Bounds { capacity, max_weight, max_age },
        weighed,
        changes: true,
        steps: bursts.concat(),
    })
}

/// A number of items and their total weight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals(u64, u64);

impl Totals {
    fn add(&mut self, weight: u32) {
        *self = Totals(self.0 + 1, self.1 + u64::from(weight));
    }
}

struct Checker {
    queue: Queue<(u32, u32)>,
    model: Oracle,
    now: u64,
    changes: bool,
    lost: Vec<(u32, Reason)>,
    /// The tickets of the items that can be removed.
    tickets: BTreeMap<u32, Ticket>,
    ids: u32,
    pushed: Totals,
    gone: Totals,
}

type Checked = Result<(), TestCaseError>;

impl Checker {
    fn new(script: &Script) -> Self {
        let Script { discipline, bounds, weighed, changes, .. } = *script;
        Checker {
            queue: Queue::new(discipline, bounds, weighed),
            model: Oracle::new(discipline, bounds, weighed),
            now: 0,
            changes,
            lost: vec![],
            tickets: BTreeMap::new(),
            ids: 0,
            pushed: Totals::default(),
            gone: Totals::default(),
        }
    }

    /// Checks that the queue yielded the same item as the list.
    fn took(&mut self, out: Option<(u32, u32)>, expected: Option<Item>) -> Checked {
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
                match self.queue.push((self.ids, weight), weight, now, &mut sink) {
                    Ok(ticket) => {
                        prop_assert_eq!(self.model.push(self.ids, weight, self.now), Ok(()));
                        self.tickets.insert(self.ids, ticket);
                    }
                    Err((item, reason)) => {
                        prop_assert_eq!(item, (self.ids, weight), "the rejected item is returned");
                        prop_assert_eq!(self.model.push(self.ids, weight, self.now), Err(reason));
                        self.gone.add(weight);
                    }
                }
            }
            Step::Pop => {
                let out = self.queue.pop(now, &mut sink);
                let expected = self.model.pop(self.now);
                self.took(out, expected)?;
            }
            Step::PopMany(max) => {
                let mut out = vec![(0, 0)];
                let n = self.queue.pop_many(max, now, &mut out, &mut sink);
                prop_assert_eq!((n + 1, out.remove(0)), (out.len() + 1, (0, 0)), "items are appended");
                // A queue from which no item is wanted does not even expire items.
                let max = max.min(self.model.items.len());
                for out in out {
                    let expected = self.model.pop(self.now);
                    self.took(Some(out), expected)?;
                }
                if n < max {
                    prop_assert!(self.model.pop(self.now).is_none());
                }
            }
            Step::PutBack(ref between) => {
                let picked = self.queue.pop_with_position(now, &mut sink);
                let expected = self.model.pop(self.now);
                prop_assert_eq!(picked.map(|(item, _)| item.0), expected.map(|item| item.id));
                let (Some((item, position)), Some(expected)) = (picked, expected) else { return Ok(()) };
                self.gone.add(item.1);
                for step in between {
                    self.step(step)?;
                    self.check()?;
                }
                self.gone = Totals(self.gone.0 - 1, self.gone.1 - u64::from(item.1));
                let (lost, gone) = (&mut self.lost, &mut self.gone);
                self.queue.put_back(item, position, &mut |(id, weight), reason| {
                    lost.push((id, reason));
                    gone.add(weight);
                });
                // Put back at the front, the item voids only its own ticket. Elsewhere the items
                // that arrived later move back by one.
                let front = self.model.items.iter().all(|other| other.id > expected.id);
                self.tickets.retain(|&id, _| id < expected.id || (front && id != expected.id));
                self.model.put_back(expected);
            }
            Step::Expire => {
                self.queue.expire(now, &mut sink);
                self.model.expire(self.now);
            }
            Step::Remove(which) => {
                let held =
                    self.model.items.iter().filter_map(|item| Some((*item, *self.tickets.get(&item.id)?)));
                let held: Vec<_> = held.collect();
                if !held.is_empty() {
                    let (Item { id, weight, .. }, ticket) = *which.get(&held);
                    prop_assert_eq!(self.queue.remove(ticket), Some((id, weight)));
                    prop_assert_eq!(self.queue.remove(ticket), None, "it was removed already");
                    self.gone.add(weight);
                    self.model.items.retain(|item| item.id != id);
                }
            }
            Step::Compact => self.compact(),
            Step::SetBounds(bounds) if self.changes => {
                self.queue.set_bounds(bounds, now, &mut sink);
                self.model.set(self.model.discipline, bounds, self.now);
            }
            Step::SetDiscipline(to) if self.changes => {
                self.queue.set_discipline(to, now, &mut sink);
                self.model.set(to, self.model.bounds, self.now);
            }
            Step::Clear => {
                self.queue.clear(Reason::Closed, &mut sink);
                self.model.clear(Reason::Closed);
            }
            Step::Advance(by) => self.now += by * MICRO,
            Step::SetBounds(_) | Step::SetDiscipline(_) => {}
        }
        if self.queue.is_sparse() {
            self.compact();
        }
        Ok(())
    }

    fn compact(&mut self) {
        self.tickets.clear();
        self.queue.compact(|&(id, _), ticket| self.tickets.extend([(id, ticket)]));
    }

    fn check(&mut self) -> Checked {
        let lost = self.model.lost.drain(..).map(|(item, reason)| (item.id, reason));
        prop_assert_eq!(self.lost.drain(..).collect::<Vec<_>>(), lost.collect::<Vec<_>>());
        let mut held = vec![];
        self.queue.clone().compact(|&(id, _), _| held.push(id));
        prop_assert_eq!(&held, &self.model.items.iter().map(|item| item.id).collect::<Vec<_>>());
        prop_assert_eq!((self.queue.len(), self.queue.is_empty()), (held.len(), held.is_empty()));
        prop_assert_eq!(self.queue.weight(), self.model.weight());
        prop_assert_eq!(self.queue.bounds(), self.model.bounds);
        prop_assert_eq!(self.queue.discipline(), self.model.discipline);
        prop_assert_eq!(self.queue.is_timed(), self.model.is_timed());
        prop_assert!(self.queue.len() <= self.model.bounds.capacity);
        prop_assert!(self.queue.weight() <= self.model.bounds.max_weight);
        // Every item that was pushed was taken, lost, rejected or removed, or is still held.
        let mut accounted = self.gone;
        self.model.items.iter().for_each(|item| accounted.add(item.weight));
        prop_assert_eq!(self.pushed, accounted);
        match self.queue.next_expiry().map(Instant::as_nanos) {
            Some(next) => {
                prop_assert_eq!(self.model.too_old(next - 1), [0; 0], "no item expires before");
                prop_assert!(!self.model.too_old(next).is_empty(), "an item expires then");
            }
            None => prop_assert_eq!(self.model.too_old(u64::MAX), [0; 0], "no item ever expires"),
        }
        Ok(())
    }
}

fn assert_matches_model(script: &Script) -> Checked {
    let mut checker = Checker::new(script);
    for step in &script.steps {
        checker.step(step)?;
        checker.check()?;
    }
    while !checker.model.items.is_empty() {
        checker.step(&Step::Pop)?;
        checker.check()?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn fifo_matches_the_model(script in script(Just(Discipline::Fifo))) {
        assert_matches_model(&script)?;
    }

    #[test]
    fn keep_oldest_matches_the_model(script in script(Just(Discipline::KeepOldest))) {
        assert_matches_model(&script)?;
    }

    #[test]
    fn lifo_matches_the_model(script in script(Just(Discipline::Lifo))) {
        assert_matches_model(&script)?;
    }

    #[test]
    fn lifo_with_age_matches_the_model(script in script(lifo_with_age())) {
        assert_matches_model(&script)?;
    }

    #[test]
    fn controlled_delay_matches_the_rfc(script in script(codel())) {
        assert_matches_model(&script)?;
    }

    #[test]
    fn dropping_periods_of_controlled_delay_match_the_rfc(script in dropping_periods()) {
        assert_matches_model(&script)?;
    }

    #[test]
    fn adaptive_lifo_matches_the_model(script in script(adaptive_lifo())) {
        assert_matches_model(&script)?;
    }

    #[test]
    fn time_buckets_match_the_model(script in script(time_buckets())) {
        assert_matches_model(&script)?;
    }

    #[test]
    fn bursts_that_become_too_old_match_the_model(script in bursts()) {
        assert_matches_model(&script)?;
    }
}

fn queue_of(discipline: Discipline, capacity: usize, items: impl IntoIterator<Item = char>) -> Queue<char> {
    let mut queue = Queue::new(discipline, Bounds::with_capacity(capacity), false);
    for item in items {
        let _ = queue.push(item, 0, ms(0), &mut |_, _| {});
    }
    queue
}

fn rest(queue: &mut Queue<char>, now: Instant) -> String {
    std::iter::from_fn(|| queue.pop(now, &mut |_, _| {})).collect()
}

/// The table of PO Box, with three places for five items. Its stack keeps the oldest two for ever.
/// Here they are evicted.
#[test]
fn a_full_queue_evicts_or_rejects_by_its_discipline() {
    for (discipline, out) in
        [(Discipline::Fifo, "cde"), (Discipline::KeepOldest, "abc"), (Discipline::Lifo, "edc")]
    {
        assert_eq!(rest(&mut queue_of(discipline, 3, 'a'..='e'), ms(0)), out, "{discipline}");
    }
}

#[test]
fn an_item_put_back_returns_to_its_place_before_later_items() {
    for (discipline, out) in
        [(Discipline::Fifo, "abcde"), (Discipline::KeepOldest, "abcde"), (Discipline::Lifo, "edcba")]
    {
        let mut queue = queue_of(discipline, 5, 'a'..='c');
        let (item, position) = queue.pop_with_position(ms(0), &mut |_, _| {}).unwrap();
        for new in ['d', 'e'] {
            queue.push(new, 0, ms(0), &mut |_, _| {}).unwrap();
        }
        queue.put_back(item, position, &mut |_, _| {});
        assert_eq!(rest(&mut queue, ms(0)), out, "{discipline}");
    }
}

#[test]
fn several_items_are_put_back_in_the_reverse_order() {
    for (discipline, out) in [(Discipline::Fifo, "abc"), (Discipline::Lifo, "cba")] {
        let mut queue = queue_of(discipline, 3, 'a'..='c');
        let [first, second] = [(); 2].map(|()| queue.pop_with_position(ms(0), &mut |_, _| {}).unwrap());
        queue.put_back(second.0, second.1, &mut |_, _| {});
        queue.put_back(first.0, first.1, &mut |_, _| {});
        assert_eq!(rest(&mut queue, ms(0)), out, "{discipline}");
    }
}

/// If another item has taken the place, the discipline decides which item is evicted. The oldest
/// may be the very item that is put back.
#[test]
fn an_item_put_back_into_a_full_queue_may_be_evicted_itself() {
    for (discipline, gone) in
        [(Discipline::Fifo, 'a'), (Discipline::KeepOldest, 'd'), (Discipline::Lifo, 'a')]
    {
        let (mut queue, mut lost) = (queue_of(discipline, 3, 'a'..='c'), vec![]);
        let (item, position) = queue.pop_with_position(ms(0), &mut |_, _| {}).unwrap();
        queue.push('d', 0, ms(0), &mut |_, _| {}).unwrap();
        queue.put_back(item, position, &mut |item, reason| lost.push((item, reason)));
        assert_eq!(lost, [(gone, Reason::Evicted)], "{discipline}");
    }
}

/// If a discipline begins to need ages, they count from the change. One item was taken before the
/// change and put back after it. It expired at once, as if it had arrived at the origin of time.
#[test]
fn an_item_taken_before_ages_were_stored_counts_from_the_change() {
    let mut queue = queue_of(Discipline::Fifo, 2, ['a', 'b']);
    let (item, position) = queue.pop_with_position(ms(0), &mut |_, _| {}).unwrap();
    queue.set_discipline(Discipline::ADAPTIVE_LIFO, ms(1_000), &mut |_, _| {});
    queue.put_back(item, position, &mut |_, _| {});
    assert_eq!(queue.next_expiry(), Some(ms(1_100)));
    assert_eq!(rest(&mut queue, ms(1_000)), "ab");
}

/// A newcomer may evict all other items, which leaves the queue empty for a moment. That once
/// counted as if they had been served, so a queue that was always full was never overloaded.
#[test]
fn a_queue_emptied_by_eviction_stays_overloaded() {
    let mut queue = queue_of(Discipline::ADAPTIVE_LIFO, 1, ['a']);
    queue.push('b', 0, ms(98), &mut |_, _| {}).unwrap();
    assert_eq!(queue.next_expiry(), Some(ms(103)), "after the short wait under overload");
}

/// Callers read the clock before they take the lock, so a later arrival may have an earlier time.
#[test]
fn an_arrival_with_an_earlier_time_counts_as_later() {
    let age = Duration::from_millis(10);
    let mut queue = queue_of(Discipline::LifoWithAge { max_age: age }, 2, []);
    queue.push('a', 0, ms(7), &mut |_, _| {}).unwrap();
    queue.push('b', 0, ms(5), &mut |_, _| {}).unwrap();
    assert_eq!(queue.next_expiry(), Some(ms(17)));
}

/// A push removes at most 32 of the items that are too old. The model once removed all of them.
#[test]
fn a_push_leaves_the_last_of_33_items_that_are_too_old() {
    let mut checker = Checker::new(&Script {
        discipline: Discipline::TimeBuckets { slice: micros(1), slices: 2 },
        bounds: Bounds::with_capacity(100),
        weighed: false,
        changes: false,
        steps: vec![],
    });
    let mut len_after = |step| {
        checker.step(&step).and_then(|()| checker.check()).unwrap();
        checker.queue.len()
    };
    for _ in 0..33 {
        len_after(Step::Push(0));
    }
    assert_eq!([Step::Advance(2), Step::Push(0), Step::Expire].map(len_after), [33, 2, 1]);
}

/// A heavy newcomer needs the room of more items that are too old than a push removes otherwise.
/// The others once counted as evicted: in a stack with a maximum age, and if room is promised.
#[test]
fn an_item_that_is_too_old_leaves_as_expired_if_its_room_is_needed() {
    let time_buckets = Discipline::TimeBuckets { slice: micros(500), slices: 2 };
    for discipline in [time_buckets, Discipline::LifoWithAge { max_age: micros(1_000) }] {
        let bounds = Bounds { max_weight: 80, ..Bounds::with_capacity(80) };
        let (mut queue, mut lost) = (Queue::new(discipline, bounds, true), vec![]);
        let mut sink = |(), reason| lost.push(reason);
        for _ in 0..80 {
            queue.push((), 1, ms(0), &mut sink).unwrap();
        }
        assert!(queue.make_place(8, ms(1), &mut sink));
        queue.push((), 80, ms(1), &mut sink).unwrap();
        assert_eq!(lost, [Reason::Expired; 80], "{discipline}");
    }
}

/// Items are removed from the middle a million times, behind a head that stays for ever.
#[test]
fn removals_behind_a_head_that_stays_use_bounded_memory() {
    for (discipline, weighed) in [(Discipline::Fifo, false), (Discipline::CODEL, true)] {
        let mut queue = Queue::new(discipline, Bounds::with_capacity(8), weighed);
        let push = |queue: &mut Queue<u32>, n| queue.push(n, 1, ms(0), &mut |_, _| {}).unwrap();
        push(&mut queue, 0);
        let mut last = push(&mut queue, 1);
        let mut moved = 0;
        for n in 2..1_000_000 {
            let newest = push(&mut queue, n);
            assert_eq!(queue.remove(last), Some(n - 1));
            last = newest;
            if queue.is_sparse() {
                queue.compact(|_, ticket| {
                    moved += 1;
                    last = ticket;
                });
                assert!(!queue.is_sparse());
            }
        }
        assert_eq!((queue.len(), queue.weight()), (2, if weighed { 2 } else { 0 }));
        assert!(moved < 100_000, "compacting moves few items per removal: {moved}");
        assert!(format!("{queue:?}").len() < 3_000, "holes do not accumulate");
    }
}

mod controlled_delay {
    use super::*;

    /// Pushes `n` items that arrive at the same time.
    fn push_many(queue: &mut Queue<()>, n: u32, now: u64) {
        for _ in 0..n {
            assert!(queue.push((), 0, ms(now), &mut |_, _| {}).is_ok());
        }
    }

    /// Takes an item every millisecond. Returns the times at which items were dropped.
    fn drops(queue: &mut Queue<()>, during: std::ops::RangeInclusive<u64>) -> Vec<u64> {
        let mut drops = vec![];
        for now in during {
            queue.pop(ms(now), &mut |(), reason| {
                assert_eq!(reason, Reason::Expired);
                drops.push(now);
            });
        }
        drops
    }

    fn queue(n: u32) -> Queue<()> {
        let mut queue = Queue::new(Discipline::CODEL, Bounds::with_capacity(1_000), false);
        push_many(&mut queue, n, 0);
        queue
    }

    /// All items arrive at 0, and one is taken every millisecond. From 5 ms on the wait is above
    /// the target, and at 105 ms it has been so for an interval. The next drop follows after 100
    /// ms, then after 100/√2, 100/√3 and so on.
    #[test]
    fn drops_follow_faster_while_the_wait_stays_above_the_target() {
        assert_eq!(drops(&mut queue(1_000), 1..=550), [105, 205, 276, 334, 384, 429, 469, 507, 543]);
    }

    /// Of 389 items, number 388 is the fifth to be dropped, at 384 ms, and the last is taken. That
    /// drop was due at 383.4 ms and ended the dropping period, which is remembered for 16 intervals
    /// from there. A period that begins at 1900 ms starts at its rate: 5 drops, less 1 to begin
    /// with, so 100/√4. One that begins at 2000 ms starts at the lowest rate. The queue once
    /// counted the 16 intervals from the drop that would have followed.
    #[test]
    fn a_dropping_period_that_follows_soon_resumes_the_rate() {
        for (begins, next) in [(1_900, 1_950), (2_000, 2_100)] {
            let mut queue = queue(389);
            assert_eq!(drops(&mut queue, 1..=384).last(), Some(&384));
            assert!(queue.is_empty());
            push_many(&mut queue, 1_000, begins - 110);
            assert_eq!(drops(&mut queue, begins - 100..=begins + 101)[..2], [begins, next]);
        }
    }

    /// All items were removed, not taken. Some time later the first item of a new burst was dropped
    /// at once, as if the wait had been above the target ever since.
    #[test]
    fn a_queue_that_was_emptied_is_not_above_the_target() {
        let mut queue = queue(3);
        assert_eq!(drops(&mut queue, 6..=6), []);
        queue.clear(Reason::Closed, &mut |_, _| {});
        push_many(&mut queue, 1_000, 5_000);
        assert_eq!(drops(&mut queue, 5_006..=5_110), [5_106]);
    }

    #[test]
    fn the_last_item_is_never_dropped() {
        let mut queue = queue(2);
        assert_eq!(drops(&mut queue, 1_000..=1_001), []);
        for now in 2_000..3_000 {
            push_many(&mut queue, 1, now - 1_000);
            assert_eq!(drops(&mut queue, now..=now), []);
        }
    }
}
