//! What waits: the machine of every [`Discipline`]. No lock, no clock; `now` is an argument.
//!
//! Everything stands in one deque in the order of its arrival. A queue takes from its front and a
//! stack from its back; what is too old is always at the front, and so are whole time slices. What
//! leaves from the middle leaves a hole, which is filled in once holes outnumber what stands: every
//! operation is O(1), or amortised O(1), at any size.

use crate::codel::CoDel;
use crate::instant::nanos;
use crate::{Bounds, Discipline, Instant, Reason};
use std::collections::VecDeque;

/// Where something stands in a [`Line`]: good while it stands there. A stack gives the same place to
/// the next one, and a [put-back](Line::put_back) in the middle moves those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What is known of one that waits. Kept only where someone asks for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Note {
    pub(crate) at: Instant,
    weight: u32,
}

/// Where one that was picked had stood, to put it back there.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub(crate) note: Note,
    pub(crate) front: bool,
    pub(crate) pushes: u64,
}

/// Things that wait, in the order of a [`Discipline`], within [`Bounds`].
///
/// Whatever it has to let go – evicted because it is full, or expired – is handed to the sink that
/// the operation is given, in the order in which it went.
///
/// ```
/// use plimsoll_core::{Bounds, Discipline, Instant, Queue, Reason};
///
/// let mut line = Queue::new(Discipline::Fifo, Bounds::with_capacity(3), false);
/// let (now, mut lost) = (Instant::default(), vec![]);
/// for item in 'a'..='e' {
///     line.push(item, 0, now, &mut |item, reason| lost.push((item, reason)))?;
/// }
/// assert_eq!(lost, [('a', Reason::Evicted), ('b', Reason::Evicted)]);
/// assert_eq!(line.pop(now, &mut |_, _| {}), Some('c'));
/// # Ok::<(), (char, Reason)>(())
/// ```
#[derive(Clone, Debug)]
pub struct Queue<T> {
    discipline: Discipline,
    bounds: Bounds,
    weighed: bool,
    timed: bool,
    plain: bool,
    // `None` is a hole. Neither end is one.
    items: VecDeque<Option<T>>,
    // As long as `items` if anything is weighed or timed, and empty otherwise.
    notes: VecDeque<Note>,
    // The number of the front one.
    first: u64,
    len: usize,
    weight: u64,
    pub(crate) pushes: u64,
    // Arrivals are told by many clocks' readers; the line itself never goes back in time.
    latest: Instant,
    // Since when time is kept. One that was picked before counts from then, too.
    timed_since: Instant,
    pub(crate) codel: CoDel,
    // When it was empty last.
    empty: Instant,
    // Nothing is too old before this; it may be earlier than need be.
    due: Instant,
}

fn plain(discipline: Discipline, bounds: Bounds, weighed: bool) -> bool {
    matches!(discipline, Discipline::Fifo | Discipline::Lifo)
        && bounds.max_age.is_none()
        && bounds.capacity > 0
        && !weighed
}

/// Far from zero, so that putting back at the front need not think of it.
const FIRST: u64 = 1 << 62;

impl<T> Queue<T> {
    /// An empty line. If it is `weighed`, the weights given to [`push`](Self::push) count.
    pub fn new(discipline: Discipline, bounds: Bounds, weighed: bool) -> Self {
        Queue {
            discipline,
            bounds,
            weighed,
            timed: discipline.is_timed() || bounds.max_age.is_some(),
            plain: plain(discipline, bounds, weighed),
            items: VecDeque::new(),
            notes: VecDeque::new(),
            first: FIRST,
            len: 0,
            weight: 0,
            pushes: 0,
            latest: Instant::default(),
            timed_since: Instant::default(),
            codel: CoDel::default(),
            empty: Instant::default(),
            due: Instant::default(),
        }
    }

    /// How many wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How heavy they are together; 0 if nothing is weighed.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The bounds.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The discipline.
    pub fn discipline(&self) -> Discipline {
        self.discipline
    }

    /// Whether it looks at `now`; where it does not, any instant will do.
    #[inline]
    pub fn is_timed(&self) -> bool {
        self.timed
    }

    /// Where the first one stands, counted in arrivals.
    pub fn front(&self) -> Ticket {
        Ticket(self.first)
    }

    /// Where the next one to arrive will stand.
    pub fn back(&self) -> Ticket {
        Ticket(self.first + self.items.len() as u64)
    }

    /// Whether one more of this weight fits in.
    #[inline]
    pub fn fits(&self, weight: u32) -> bool {
        self.len < self.bounds.capacity
            && (!self.weighed || self.weight + u64::from(weight) <= self.bounds.max_weight)
    }

    fn is_noted(&self) -> bool {
        self.weighed || self.timed
    }

    /// Adds one of the given weight, after what is too old has gone.
    ///
    /// # Errors
    /// The item comes back with [`Reason::TooLarge`] if it is heavier than the whole bound, with
    /// [`Reason::Full`] if there is no room and the discipline keeps what it has, or is bound to nothing.
    #[inline]
    pub fn push<L: FnMut(T, Reason)>(
        &mut self,
        item: T,
        weight: u32,
        now: Instant,
        lost: &mut L,
    ) -> Result<Ticket, (T, Reason)> {
        if !self.plain {
            return self.push_noted(item, weight, now, lost);
        }
        let key = Ticket(self.first + self.items.len() as u64);
        if let Some(old) = self.push_plain(item) {
            lost(old, Reason::Evicted);
        }
        Ok(key)
    }

    /// Whether it is a [`Fifo`](Discipline::Fifo) or [`Lifo`](Discipline::Lifo) bounded by count alone, by
    /// far the most common: then [`push_plain`](Self::push_plain) and [`pop_plain`](Self::pop_plain) do.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// [`push`](Self::push) of a [plain](Self::is_plain) line; answers who was evicted.
    #[inline]
    pub fn push_plain(&mut self, item: T) -> Option<T> {
        if self.len < self.bounds.capacity {
            self.stand(item);
            return None;
        }
        // One for one: as many as before.
        let old = self.items.pop_front().flatten();
        self.items.push_back(Some(item));
        self.first += 1;
        self.pushes += 1;
        if self.items.len() != self.len {
            self.trim();
        }
        old
    }

    /// [`pop`](Self::pop) of a [plain](Self::is_plain) line.
    #[inline]
    pub fn pop_plain(&mut self) -> Option<T> {
        let taken = match self.discipline {
            Discipline::Lifo => self.take_back(),
            _ => self.take_front(),
        };
        taken.map(|(item, _)| item)
    }

    #[inline]
    fn stand(&mut self, item: T) -> Ticket {
        let key = self.back();
        self.items.push_back(Some(item));
        self.len += 1;
        self.pushes += 1;
        key
    }

    fn push_noted<L: FnMut(T, Reason)>(
        &mut self,
        item: T,
        weight: u32,
        now: Instant,
        lost: &mut L,
    ) -> Result<Ticket, (T, Reason)> {
        if self.weighed && u64::from(weight) > self.bounds.max_weight {
            return Err((item, Reason::TooLarge));
        }
        self.expire(now, lost);
        // Whoever is evicted for a newcomer leaves no empty line behind.
        let was_empty = self.is_empty();
        while !self.fits(weight) {
            if self.discipline.refuses() {
                return Err((item, Reason::Full));
            }
            match self.take_front() {
                Some((old, _)) => lost(old, Reason::Evicted),
                None => return Err((item, Reason::Full)),
            }
        }
        let key = self.stand(item);
        if self.is_noted() {
            self.latest = self.latest.max(now);
            let at = self.latest;
            if was_empty {
                self.empty = at;
                // The RFC sees it when it takes the last; here it may have left, or gone by age.
                self.codel.emptied();
            }
            if self.len == 1 && self.timed {
                self.due = self.expires_at(at);
            }
            let weight = if self.weighed { weight } else { 0 };
            self.weight += u64::from(weight);
            self.notes.push_back(Note { at, weight });
        }
        Ok(key)
    }

    /// Takes the next one, after what is too old has gone.
    #[inline]
    pub fn pop<L: FnMut(T, Reason)>(&mut self, now: Instant, lost: &mut L) -> Option<T> {
        self.pop_with_position(now, lost).map(|(item, _)| item)
    }

    /// [`pop`](Self::pop), with what is needed to [put it back](Self::put_back).
    #[inline]
    pub fn pop_with_position<L: FnMut(T, Reason)>(
        &mut self,
        now: Instant,
        lost: &mut L,
    ) -> Option<(T, Position)> {
        if self.timed {
            self.expire(now, lost);
        }
        let front = match self.discipline {
            Discipline::Fifo | Discipline::KeepOldest => true,
            Discipline::Lifo | Discipline::LifoWithAge { .. } | Discipline::TimeBuckets { .. } => false,
            Discipline::AdaptiveLifo { interval, .. } => now < self.empty + interval,
            Discipline::CoDel { target, interval } => {
                return self.pick_controlled(target, interval, now, lost);
            }
        };
        let (item, note) = if front { self.take_front() } else { self.take_back() }?;
        Some((item, Position { note, front, pushes: self.pushes }))
    }

    /// Takes up to `most` in turn, to the end of `out`; answers how many.
    pub fn pop_many<L: FnMut(T, Reason)>(
        &mut self,
        most: usize,
        now: Instant,
        out: &mut Vec<T>,
        lost: &mut L,
    ) -> usize {
        let most = most.min(self.len);
        let before = out.len();
        out.reserve(most);
        let queue = matches!(self.discipline, Discipline::Fifo | Discipline::KeepOldest);
        if queue && !self.is_noted() && self.items.len() == self.len {
            // The plain queue, by far the most common: no notes, no holes.
            for item in self.items.drain(..most) {
                out.extend(item);
            }
            self.first += most as u64;
            self.len -= most;
        } else {
            while out.len() - before < most {
                match self.pop(now, lost) {
                    Some(item) => out.push(item),
                    None => break,
                }
            }
        }
        out.len() - before
    }

    /// Puts one that was picked back where it stood. If there is no room left for it, something goes
    /// as by [`set_bounds`](Self::set_bounds): perhaps the very same.
    ///
    /// Several go back in the reverse order of their picking. In a stack the place is told by how many
    /// came since: it is off by those of them that have been taken or removed meanwhile. Its own key,
    /// and in a stack the keys of those that came since, are void then.
    pub fn put_back<L: FnMut(T, Reason)>(&mut self, item: T, spot: Position, lost: &mut L) {
        // Only what came since stands behind it.
        let newer = usize::try_from(self.pushes - spot.pushes).unwrap_or(usize::MAX);
        let at = if spot.front { 0 } else { self.items.len().saturating_sub(newer) };
        if at == 0 {
            self.first -= 1;
        }
        self.items.insert(at, Some(item));
        self.len += 1;
        if self.is_noted() {
            let Note { at: came, weight } = spot.note;
            self.notes.insert(at, Note { at: came.max(self.timed_since), weight });
            self.weight += u64::from(weight);
        }
        self.due = Instant::default();
        self.fit(lost);
    }

    /// Lets go of what is too old at `now`.
    #[inline]
    pub fn expire<L: FnMut(T, Reason)>(&mut self, now: Instant, lost: &mut L) {
        if self.timed && self.due <= now {
            self.let_go(now, lost);
        }
    }

    fn let_go<L: FnMut(T, Reason)>(&mut self, now: Instant, lost: &mut L) {
        if let Discipline::LifoWithAge { .. } = self.discipline
            && self.notes.back().is_some_and(|newest| self.expires_at(newest.at) <= now)
        {
            while let Some((old, _)) = self.take_front() {
                lost(old, Reason::Expired);
            }
        }
        while self.notes.front().is_some_and(|oldest| self.front_goes(oldest.at) <= now) {
            match self.take_front() {
                Some((old, _)) => lost(old, Reason::Expired),
                None => break,
            }
        }
        self.due = self.next_expiry().unwrap_or(Instant::FAR_FUTURE);
    }

    /// When the oldest goes, even if others stay.
    fn front_goes(&self, at: Instant) -> Instant {
        match self.discipline {
            Discipline::LifoWithAge { .. } => self.too_old(at),
            _ => self.expires_at(at),
        }
    }

    fn too_old(&self, at: Instant) -> Instant {
        self.bounds.max_age.map_or(Instant::FAR_FUTURE, |age| at + age)
    }

    /// When one that came `at` is too old. In a [`LifoWithAge`](Discipline::LifoWithAge) it goes then
    /// only if nothing came after it.
    pub fn expires_at(&self, at: Instant) -> Instant {
        let by = match self.discipline {
            Discipline::Fifo | Discipline::KeepOldest | Discipline::Lifo | Discipline::CoDel { .. } => {
                Instant::FAR_FUTURE
            }
            Discipline::LifoWithAge { max_age: age } => at + age,
            Discipline::AdaptiveLifo { target, interval } => {
                (at + interval).min((at + target).max(self.empty + interval))
            }
            Discipline::TimeBuckets { slice, slices } => {
                let slice = nanos(slice).max(1);
                let end = (at.as_nanos() / slice).saturating_add(u64::from(slices)).saturating_mul(slice);
                Instant::from_nanos(end)
            }
        };
        by.min(self.too_old(at))
    }

    /// When something goes next because it is too old, if nothing comes and nothing is taken.
    /// [`CoDel`](Discipline::CoDel) lets go only when something is taken.
    pub fn next_expiry(&self) -> Option<Instant> {
        let oldest = self.front_goes(self.notes.front()?.at);
        let next = match self.discipline {
            Discipline::LifoWithAge { .. } => oldest.min(self.expires_at(self.notes.back()?.at)),
            _ => oldest,
        };
        (self.timed && next < Instant::FAR_FUTURE).then_some(next)
    }

    /// Changes the bounds. What is too much goes: the newest where the old are kept, else the oldest.
    pub fn set_bounds<L: FnMut(T, Reason)>(&mut self, bounds: Bounds, now: Instant, lost: &mut L) {
        self.set(self.discipline, bounds, now, lost);
    }

    /// Changes the discipline; what waits stays, in the order of its arrival. If the old one kept no
    /// time and the new one does, it counts from `now`.
    pub fn set_discipline<L: FnMut(T, Reason)>(&mut self, to: Discipline, now: Instant, lost: &mut L) {
        self.set(to, self.bounds, now, lost);
    }

    /// Both at once.
    pub fn set<L: FnMut(T, Reason)>(&mut self, to: Discipline, bounds: Bounds, now: Instant, lost: &mut L) {
        self.latest = self.latest.max(now);
        if self.discipline != to {
            self.codel = CoDel::default();
            self.empty = self.latest;
        }
        let smaller = bounds.capacity < self.bounds.capacity;
        let was_timed = self.timed;
        self.discipline = to;
        self.bounds = bounds;
        self.timed = to.is_timed() || bounds.max_age.is_some();
        self.plain = plain(to, bounds, self.weighed);
        if !self.is_noted() {
            self.notes = VecDeque::new();
        } else {
            self.notes.resize(self.items.len(), Note { at: self.latest, weight: 0 });
            if self.timed && !was_timed {
                self.timed_since = self.latest;
                self.notes.iter_mut().for_each(|note| note.at = self.latest);
            }
        }
        self.due = Instant::default();
        self.expire(now, lost);
        self.fit(lost);
        if smaller {
            self.items.shrink_to(self.bounds.capacity);
            self.notes.shrink_to(self.bounds.capacity);
        }
    }

    /// Lets go of what is too much.
    fn fit<L: FnMut(T, Reason)>(&mut self, lost: &mut L) {
        while self.len > self.bounds.capacity || (self.weighed && self.weight > self.bounds.max_weight) {
            let gone = if self.discipline.refuses() { self.take_back() } else { self.take_front() };
            match gone {
                Some((item, _)) => lost(item, Reason::Evicted),
                None => return,
            }
        }
    }

    /// Lets go of everything, for `reason`.
    pub fn clear<L: FnMut(T, Reason)>(&mut self, reason: Reason, lost: &mut L) {
        while let Some((item, _)) = self.take_front() {
            lost(item, reason);
        }
    }

    /// Takes out the one at this place, if it still stands there.
    pub fn remove(&mut self, key: Ticket) -> Option<T> {
        let at = usize::try_from(key.0.checked_sub(self.first)?).ok()?;
        let item = self.items.get_mut(at)?.take()?;
        self.due = Instant::default();
        if let Some(note) = self.notes.get_mut(at) {
            self.weight -= u64::from(std::mem::take(&mut note.weight));
        }
        self.len -= 1;
        self.trim();
        Some(item)
    }

    /// Whether holes have come to outnumber what stands, so that it is time to [`close_up`](Self::close_up).
    pub fn is_sparse(&self) -> bool {
        self.items.len() > 2 * self.len + 32
    }

    /// Fills the holes, and tells everyone's new place.
    pub fn compact(&mut self, mut moved: impl FnMut(&T, Ticket)) {
        let mut stands = self.items.iter().map(Option::is_some);
        self.notes.retain(|_| stands.next().unwrap_or(false));
        self.items.retain(Option::is_some);
        for (n, item) in self.items.iter().enumerate() {
            if let Some(item) = item {
                moved(item, Ticket(self.first + n as u64));
            }
        }
    }

    #[inline]
    pub(crate) fn take_front(&mut self) -> Option<(T, Note)> {
        let item = self.items.pop_front().flatten()?;
        self.first += 1;
        let note = if self.plain { Note::default() } else { self.notes.pop_front().unwrap_or_default() };
        self.took(note);
        Some((item, note))
    }

    #[inline]
    fn take_back(&mut self) -> Option<(T, Note)> {
        let item = self.items.pop_back().flatten()?;
        if let Discipline::LifoWithAge { .. } = self.discipline {
            // The newest of those who are left may be too old.
            self.due = Instant::default();
        }
        let note = if self.plain { Note::default() } else { self.notes.pop_back().unwrap_or_default() };
        self.took(note);
        Some((item, note))
    }

    #[inline]
    fn took(&mut self, note: Note) {
        self.len -= 1;
        self.weight -= u64::from(note.weight);
        if self.items.len() != self.len {
            self.trim();
        }
    }

    /// Lets no hole stand at either end.
    #[cold]
    fn trim(&mut self) {
        while matches!(self.items.front(), Some(None)) {
            self.items.pop_front();
            self.notes.pop_front();
            self.first += 1;
        }
        while matches!(self.items.back(), Some(None)) {
            self.items.pop_back();
            self.notes.pop_back();
        }
    }
}
