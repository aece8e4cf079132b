//! A day in virtual time: calm, trouble, and the time after it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll::{Clock, ConfigError, Dice, ManualTime};
use tower_service::Service;

use crate::sim::{CallError, Case, Request, dice, drive};
use crate::trouble::callers::Callers;
use crate::trouble::course::Course;
use crate::trouble::far::{Far, FarSide};
use crate::trouble::phases::Phases;
use crate::trouble::probe::{Log, Probe};

/// A day: a far side, its callers, and the length of its three phases.
#[derive(Clone, Debug)]
pub(crate) struct Day {
    pub(crate) far: Far,
    pub(crate) callers: Callers,
    pub(crate) phases: Phases,
}

/// What a guard is built from: the clock, the dice and the far side of one day.
#[derive(Clone)]
pub(crate) struct Bench {
    time: ManualTime,
    seed: u64,
    far: FarSide,
    log: Rc<Log>,
}

impl Bench {
    /// Returns the clock of the day.
    pub(crate) fn clock(&self) -> Clock {
        self.time.clock()
    }

    /// Returns dice for the guard. Guards of one stack take different `n`.
    pub(crate) fn dice(&self, n: u64) -> Dice {
        dice(self.seed, 100 + n)
    }

    /// Returns the far side, the innermost service.
    pub(crate) fn far(&self) -> FarSide {
        self.far.clone()
    }

    /// Reads `gauge`, such as the length of the guard's queue, at every call.
    pub(crate) fn gauge(&self, gauge: impl Fn() -> u64 + 'static) {
        *self.log.gauge.borrow_mut() = Some(Box::new(gauge));
    }

    /// Reads `held`, such as the permits in flight, when all calls have ended. It must be 0.
    pub(crate) fn held(&self, held: impl Fn() -> u64 + 'static) {
        *self.log.held.borrow_mut() = Some(Box::new(held));
    }
}

/// The courses of days without a guard. Many cells have the same day.
static BARE: Mutex<Option<HashMap<String, Arc<Course>>>> = Mutex::new(None);

impl Day {
    /// Creates a day.
    pub(crate) fn new(far: Far, callers: Callers, phases: Phases) -> Self {
        Day { far, callers, phases }
    }

    /// Simulates the day behind the layers that `stack` puts around the far side.
    ///
    /// All stacks see the same arrivals and service times for the same seed.
    ///
    /// # Panics
    /// If a setting of the guard is invalid.
    pub(crate) fn run<S>(&self, seed: u64, stack: impl FnOnce(&Bench) -> Result<S, ConfigError>) -> Course
    where
        S: Service<Request, Response = (), Error = CallError>,
    {
        let time = ManualTime::new();
        let far = self.far.start(time.clock(), dice(seed, 3));
        let log = Rc::new(Log::new(time.clock(), self.callers.useful()));
        let bench = Bench { time: time.clone(), seed, far: far.clone(), log: log.clone() };
        let inner = stack(&bench).unwrap_or_else(|error| panic!("{error}"));
        let leaving = self.callers.leaving.clone();
        let probe = Probe { inner, log: log.clone(), dice: Rc::new(dice(seed, 21)), leaving };
        let end = self.phases.end();
        let case = Case {
            server: self.far.plan.clone(),
            clients: self.callers.clients(),
            arrivals: self.callers.arrivals(self.far.capacity()),
            herd: None,
            window: Duration::ZERO..end,
            span: end,
        };
        let record = drive(probe, far.server().clone(), &time, &case, seed);
        let held = log.held.borrow().as_ref().map(|held| held());
        Course::new(self.phases, record.timeline, log.take()).watched(log.gauge.borrow().is_some(), held)
    }

    /// Simulates the day without a guard.
    pub(crate) fn bare(&self, seed: u64) -> Arc<Course> {
        let name = format!("{seed} {self:?}");
        let known = |courses: &mut Option<HashMap<_, _>>| courses.get_or_insert_default().get(&name).cloned();
        if let Some(course) = known(&mut BARE.lock().unwrap_or_else(PoisonError::into_inner)) {
            return course;
        }
        // Computed without the lock: at worst by two threads.
        let course = Arc::new(self.run(seed, |bench| Ok(bench.far())));
        let mut courses = BARE.lock().unwrap_or_else(PoisonError::into_inner);
        courses.get_or_insert_default().insert(name, course.clone());
        course
    }
}
