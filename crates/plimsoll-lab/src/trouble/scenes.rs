//! The days that every guard has to stand: for each trouble the same far side and callers.

use std::time::Duration;

use plimsoll::ConfigError;
use tower_service::Service;

use crate::sim::{CallError, Law, Request};
use crate::trouble::callers::Callers;
use crate::trouble::cell::Size;
use crate::trouble::course::{Course, Limits};
use crate::trouble::day::{Bench, Day};
use crate::trouble::erlang::erlang_b;
use crate::trouble::far::Far;
use crate::trouble::kind::Trouble;
use crate::trouble::phases::Phases;
use crate::trouble::row::{Phase, Row, known_misses};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// The slots of the far side. Guards are set to this number.
pub(crate) const SLOTS: u32 = 16;
/// The time of one call at the far side.
const CALL: Duration = Duration::from_millis(10);
/// The load outside of overload.
const LOAD: f64 = 0.7;

/// The load when permits are held.
const HALF_LOAD: f64 = 0.5;
/// The permits that are held.
const HELD: u32 = SLOTS / 4;

/// The troubles that have scenes, without T14, which guards without permits do not know.
pub(crate) const SYSTEM: [Trouble; 10] = [
    Trouble::T1,
    Trouble::T2,
    Trouble::T3,
    Trouble::T6,
    Trouble::T7,
    Trouble::T15,
    Trouble::T16,
    Trouble::T17,
    Trouble::T18,
    Trouble::T20,
];

/// One day of a trouble.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) trouble: Trouble,
    /// The case as text.
    pub(crate) case: &'static str,
    pub(crate) day: Day,
    /// The load outside of the trouble, in multiples of the capacity.
    pub(crate) load: f64,
    /// What the far side could do during the trouble, in calls per second.
    pub(crate) possible: f64,
    /// The share of the trouble during which the far side stands still.
    pub(crate) blocked: f64,
}

/// How long the days last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    calm: Duration,
    long: Duration,
    after: Duration,
}

impl Lengths {
    /// Returns the usual lengths: seconds, or a minute of trouble and ten minutes after it.
    pub(crate) fn new(size: Size) -> Self {
        size.pick(
            Lengths { calm: 5 * S, long: 10 * S, after: 15 * S },
            Lengths { calm: 20 * S, long: 60 * S, after: 600 * S },
        )
    }

    /// Makes the time after the trouble at least this long.
    pub(crate) fn after(mut self, at_least: Duration) -> Self {
        self.after = self.after.max(at_least);
        self
    }

    /// Returns the lengths for a stack with a circuit breaker, which needs time after an outage.
    pub(crate) fn with_breaker(trouble: Trouble, size: Size) -> Self {
        let usual = Self::new(size);
        if is_outage(trouble) { usual.after(40 * S) } else { usual }
    }

    fn long(self) -> Phases {
        self.lasting(self.long)
    }

    fn lasting(self, trouble: Duration) -> Phases {
        Phases::new(self.calm, trouble, self.after)
    }
}

/// Returns whether the far side answers nothing, or nothing good, throughout the trouble.
pub(crate) fn is_outage(trouble: Trouble) -> bool {
    matches!(trouble, Trouble::T1 | Trouble::T2 | Trouble::T6 | Trouble::T7)
}

/// Returns the days of a trouble. Empty for a trouble without scenes.
pub(crate) fn scenes(trouble: Trouble, size: Size, lengths: Lengths) -> Vec<Scene> {
    let far = || Far::slots(SLOTS, CALL);
    let capacity = far().capacity();
    let scene = |case, day: Day, load, possible| Scene { trouble, case, day, load, possible, blocked: 0.0 };
    let hasty = |load| Callers::load(load).deadline(S);
    match trouble {
        Trouble::T1 => {
            let phases = lengths.long();
            let far = far().stalls(phases.begins(), phases.lasts());
            vec![scene("patient callers", Day::new(far, Callers::load(LOAD), phases), LOAD, 0.0)]
        }
        Trouble::T2 => {
            let phases = lengths.lasting(10 * S);
            let cases: &[(&'static str, f64, Duration)] = &[
                ("deadline 1 s, 0.7 of the capacity", LOAD, S),
                ("deadline 1 s, twice the capacity", 2.0, S),
                ("deadline 10 s, 0.7 of the capacity", LOAD, 10 * S),
                ("deadline 10 s, twice the capacity", 2.0, 10 * S),
            ];
            let cases = cases.iter().take(size.pick(2, 4));
            let each = cases.map(|(case, load, deadline)| {
                let far = far().hangs(phases.begins(), phases.lasts());
                scene(case, Day::new(far, Callers::load(*load).deadline(*deadline), phases), *load, 0.0)
            });
            each.collect()
        }
        Trouble::T3 => {
            let phases = lengths.lasting(size.pick(20 * S, 60 * S));
            let each = [("stalls of 0.2 s", 200 * MS), ("stalls of 1 s", S)].map(|(case, stall)| {
                let until = phases.during().end;
                let far = far().stalls_every(10 * S, stall, phases.begins(), until);
                let day = Day::new(far, hasty(LOAD), phases);
                Scene { blocked: stall.as_secs_f64() / 10.0, ..scene(case, day, LOAD, LOAD * capacity) }
            });
            each.into()
        }
        Trouble::T6 => {
            let phases = lengths.long();
            let each = [("everything answers 503", 503), ("everything answers 429", 429)];
            let each = each.map(|(case, status)| {
                let far = far().answers(phases.begins(), phases.lasts(), status);
                scene(case, Day::new(far, hasty(LOAD), phases), LOAD, 0.0)
            });
            each.into()
        }
        Trouble::T7 => {
            let phases = lengths.long();
            let far = far().stalls(phases.begins(), phases.lasts());
            vec![scene("callers give up after 1 s", Day::new(far, hasty(LOAD), phases), LOAD, 0.0)]
        }
        Trouble::T14 => {
            let phases = lengths.long();
            let far = far().holds(phases.begins(), phases.lasts(), HELD);
            let day = Day::new(far, Callers::load(HALF_LOAD), phases);
            vec![scene(
                "a quarter of the permits held, half the capacity",
                day,
                HALF_LOAD,
                HALF_LOAD * capacity,
            )]
        }
        Trouble::T15 => {
            let phases = lengths.long();
            let callers = hasty(LOAD).leaving(phases.during(), 0.1);
            let possible = 0.9 * LOAD * capacity;
            vec![scene("10 % of the callers leave", Day::new(far(), callers, phases), LOAD, possible)]
        }
        Trouble::T16 => {
            let phases = lengths.lasting(4 * S);
            let callers = Callers::load(LOAD).deadline(200 * MS).retrying(3);
            let callers = callers.load_during(phases.during(), 3.0);
            let far = far().rejection_cost(0.001);
            vec![scene(
                "3 retries at once, three times the capacity",
                Day::new(far, callers, phases),
                LOAD,
                capacity,
            )]
        }
        Trouble::T17 => uneven_work(size, lengths, &scene),
        Trouble::T18 => {
            let phases = lengths.long();
            let changes = |slots| far().becomes(phases.begins(), slots).becomes(phases.during().end, SLOTS);
            let spike = lengths.lasting(S);
            vec![
                scene(
                    "capacity halves",
                    Day::new(changes(SLOTS / 2), hasty(LOAD), phases),
                    LOAD,
                    capacity / 2.0,
                ),
                scene(
                    "capacity doubles",
                    Day::new(changes(2 * SLOTS), hasty(LOAD), phases),
                    LOAD,
                    LOAD * capacity,
                ),
                scene(
                    "20 times the capacity for 1 s",
                    Day::new(far(), hasty(LOAD).load_during(spike.during(), 20.0), spike),
                    LOAD,
                    capacity,
                ),
            ]
        }
        Trouble::T20 => {
            let phases = Phases::new(Duration::ZERO, 10 * S, lengths.after);
            let callers = hasty(LOAD).load_during(phases.during(), 10.0);
            vec![scene("ten times the capacity at once", Day::new(far(), callers, phases), LOAD, capacity)]
        }
        _ => Vec::new(),
    }
}

/// The same load with three laws of service times.
fn uneven_work(
    size: Size,
    lengths: Lengths,
    scene: &dyn Fn(&'static str, Day, f64, f64) -> Scene,
) -> Vec<Scene> {
    let bimodal = Law::Bimodal { short: 5 * MS, long: 500 * MS, share: 0.01 };
    let rare = Law::Bimodal { short: CALL, long: 1_000 * CALL, share: 1e-4 };
    let all = [
        ("exponential times", Law::Exponential(CALL), LOAD),
        ("1 in 100 takes 100 times as long, twice the capacity", bimodal, 2.0),
        ("1 in 10,000 takes 1,000 times as long", rare, LOAD),
        ("exponential times, twice the capacity", Law::Exponential(CALL), 2.0),
        ("1 in 100 takes 100 times as long", bimodal, LOAD),
        ("1 in 10,000 takes 1,000 times as long, twice the capacity", rare, 2.0),
    ];
    let each = all.into_iter().take(size.pick(3, 6)).map(|(case, law, load)| {
        let far = Far::serving(SLOTS, law);
        let possible = load.min(1.0) * far.capacity();
        // There is nothing before and after it: the law is that of the whole day.
        let phases = Phases::new(2 * S, 2 * lengths.long, Duration::ZERO);
        let day = Day::new(far, Callers::load(load).deadline(S), phases);
        scene(case, day, load, possible)
    });
    each.collect()
}

/// Puts one stack of layers through `scenes` and returns the rows. Without the guard, the far side
/// stands alone.
pub(crate) fn judge<S>(
    scenes: &[Scene],
    seed: u64,
    settings: &str,
    limits: impl Fn(&Scene, &Course) -> Limits,
    stack: impl Fn(&Bench) -> Result<S, ConfigError>,
) -> Vec<Row>
where
    S: Service<Request, Response = (), Error = CallError>,
{
    let each = scenes.iter().flat_map(|scene| {
        let bare = scene.day.bare(seed);
        scene.rows(&scene.day.run(seed, &stack), settings, &bare, limits(scene, &bare))
    });
    each.collect()
}

/// Puts one stack of layers through `scenes`. Without the guard, `rest` is left of the stack.
pub(crate) fn judge_against<S, T>(
    scenes: &[Scene],
    seed: u64,
    settings: &str,
    limits: impl Fn(&Scene, &Course) -> Limits,
    rest: impl Fn(&Bench) -> Result<T, ConfigError>,
    stack: impl Fn(&Bench) -> Result<S, ConfigError>,
) -> Vec<Row>
where
    S: Service<Request, Response = (), Error = CallError>,
    T: Service<Request, Response = (), Error = CallError>,
{
    let each = scenes.iter().flat_map(|scene| {
        let without = scene.day.run(seed, &rest);
        scene.rows(&scene.day.run(seed, &stack), settings, &without, limits(scene, &without))
    });
    each.collect()
}

impl Scene {
    fn rows(&self, course: &Course, settings: &str, without: &Course, limits: Limits) -> Vec<Row> {
        let case = if settings.is_empty() { self.case.into() } else { format!("{settings}, {}", self.case) };
        course.rows(&case, without, limits)
    }
}

/// Returns the limits of a guard that bounds the calls in flight by the slots of the far side and
/// queues at most `queue` callers for a fraction of a second.
pub(crate) fn bounded(scene: &Scene, queue: u64) -> Limits {
    let back = match scene.trouble {
        // There is no earlier goodput to be back at.
        Trouble::T17 | Trouble::T20 => None,
        Trouble::T18 => Some(5.0),
        _ => Some(2.0),
    };
    // Without a queue, what arrives while all slots are busy is rejected.
    let lost = |slots: u32| {
        let carried = scene.load * (1.0 - erlang_b(slots, scene.load * f64::from(SLOTS)));
        if queue == 0 { 1.0 - carried / scene.load.min(1.0) } else { 0.0 }
    };
    let uneven = lost(SLOTS);
    let (blocked, why) = match scene.trouble {
        Trouble::T14 => {
            (lost(SLOTS - HELD) - uneven, "fewer permits are left, and Erlang's B formula rejects more")
        }
        _ => (scene.blocked, "what arrives while the far side stands still exceeds the queue"),
    };
    let part = match scene.trouble {
        Trouble::T3 | Trouble::T18 => 0.95,
        _ => 0.90,
    };
    let useful = part * scene.possible * (1.0 - uneven - blocked);
    Limits {
        back,
        useful: (scene.possible > 0.0).then_some(useful),
        queue: Some(queue),
        spends: (uneven > 0.0).then_some((uneven, "a guard without a queue rejects at Erlang's B formula")),
        spends_during: (blocked > 0.0).then_some((blocked, why)),
    }
}

/// Marks what no guard with permits can do: the calls that a far side has lost keep their permits
/// until their callers give up, and here that takes ten seconds.
pub(crate) fn permits_of_lost_calls(rows: &mut [Row]) {
    let known = [
        (Phase::After, "deadline 10 s, 0.7 of the capacity: time to be back"),
        (Phase::After, "deadline 10 s, twice the capacity: time to be back"),
    ];
    known_misses(
        rows,
        &known,
        "a call that the far side has lost keeps its permit until its caller gives up",
    );
}

/// Returns the longest time that a default breaker is still open after an outage, and its ramp.
///
/// Its open times are 5 s, 10 s, 20 s, 40 s and then 60 s. The last one begins within the outage.
pub(crate) fn breaker_back(scene: &Scene) -> f64 {
    let outage = scene.day.phases.lasts().as_secs_f64();
    let (mut begins, mut open) = (0.0, 5.0);
    while begins + open < outage {
        begins += open;
        open = f64::min(2.0 * open, 60.0);
    }
    open + 5.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_trouble_has_scenes() {
        for trouble in Trouble::ALL {
            let scenes = scenes(trouble, Size::Small, Lengths::new(Size::Small));
            let has_scenes = SYSTEM.contains(&trouble) || trouble == Trouble::T14;
            assert_eq!(!scenes.is_empty(), has_scenes, "{trouble}");
        }
    }
}
