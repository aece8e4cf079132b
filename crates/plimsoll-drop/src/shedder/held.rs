//! Finds the permits that are held while later ones end.

/// The number of generations of permits that are counted apart.
pub(super) const GENERATIONS: usize = 8;

/// The number of ticks without an end after which the generation changes.
const STILL: u32 = 50;
/// The number of later permits that end before all earlier ones count as held.
const OVERTAKEN: u64 = 6;

/// Finds the permits that are held while many later ones end: long polls, streams and leaks.
///
/// They count neither as waiting nor as served, because the queue moves on without them.
///
/// The generation of new permits changes after as many ends as twice the permits in flight. The
/// permits of a generation that is used again are left from its last use. They are held.
///
/// The generation also changes when no permit has ended for many ticks. If several later permits
/// end and no earlier one does, all the earlier ones are held.
#[derive(Debug, Default)]
pub(super) struct Held {
    left: [u64; GENERATIONS],
    generation: u8,
    next_at: u64,
    // The number of completed permits, and the number of ticks for which it has stood still.
    completed: u64,
    still: u32,
    // What was in flight and completed when the generation changed because of that.
    stood: Option<(u64, u64)>,
}

impl Held {
    /// Takes the numbers of permits in flight by generation, and of all completed ones.
    ///
    /// Returns the generation of the next permits, and the number of held ones.
    pub(super) fn find(&mut self, in_flight: [u64; GENERATIONS], completed: u64) -> (u8, u64) {
        for (left, count) in self.left.iter_mut().zip(in_flight) {
            *left = count.min(*left);
        }
        let all: u64 = in_flight.iter().sum();
        self.still = if completed == self.completed { self.still + 1 } else { 0 };
        self.completed = completed;
        self.find_overtaken(in_flight, all);
        if self.still == STILL {
            self.stood = Some((all, completed));
        }
        if completed >= self.next_at || self.still == STILL {
            self.next_at = completed + 2 * all + 16;
            self.generation = (self.generation + 1) % GENERATIONS as u8;
            let next = usize::from(self.generation);
            if let (Some(left), Some(count)) = (self.left.get_mut(next), in_flight.get(next)) {
                *left = *count;
            }
        }
        (self.generation, self.left.iter().sum())
    }

    /// Finds out whether later permits end and no earlier one does.
    fn find_overtaken(&mut self, in_flight: [u64; GENERATIONS], all: u64) {
        let Some((stood, before)) = self.stood else { return };
        let newest = usize::from(self.generation);
        let earlier = all - in_flight.get(newest).copied().unwrap_or(0);
        let ended = self.completed.saturating_sub(before);
        if earlier == stood && ended >= OVERTAKEN {
            for (n, (left, count)) in self.left.iter_mut().zip(in_flight).enumerate() {
                *left = if n == newest { *left } else { count };
            }
        }
        if earlier != stood || ended >= OVERTAKEN {
            self.stood = None;
        }
    }
}
