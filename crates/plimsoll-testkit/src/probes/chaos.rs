//! Random operations: calls are made, polled, dropped, panic and expire at random, from a seed.
//!
//! After each step, what is held must equal the number that the events imply. At the end everything
//! must be released. The idea is that of `sups`, which does this to supervision trees.

use crate::fixture::Held;
use crate::stage::{Call, Stage, call, poll};
use crate::{Request, Service, Subject, Verdict};
use plimsoll_core::Dice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower_service::Service as _;

const SEEDS: u64 = 40;
const STEPS: u64 = 250;

/// Random operations leave nothing held, for each of many seeds.
pub(super) fn random_operations(subject: &Subject) -> Verdict {
    for seed in 0..SEEDS {
        let mut run = Run::new(subject, seed);
        for step in 0..STEPS {
            run.step(step);
            run.check_held(seed, step);
        }
        run.end(seed);
    }
    Verdict::Holds
}

struct Run {
    stage: Stage,
    dice: Dice,
    services: [Service; 2],
    calls: Vec<Polled>,
    /// Whether the guard is saturated or occupied.
    saturated: bool,
    /// The number of calls that the guard has decided or will decide.
    requests: u64,
    /// The number of decisions about permits of the fixture.
    by_fixture: u64,
}

/// A call under way. A gate decides when it is called, a guard that queues at the first poll.
struct Polled {
    call: Call,
    polled: bool,
}

impl Run {
    fn new(subject: &Subject, seed: u64) -> Self {
        let stage = Stage::new(subject, seed);
        let services = [stage.service.clone(), stage.another_service()];
        let dice = Dice::seeded(seed ^ 0xc4a05);
        Run { stage, dice, services, calls: vec![], saturated: false, requests: 0, by_fixture: 0 }
    }

    fn step(&mut self, step: u64) {
        match self.dice.below(12) {
            0..=3 => self.make_call(step),
            4..=7 if !self.calls.is_empty() => self.poll_call(),
            8 if !self.calls.is_empty() => {
                let n = self.pick_call();
                self.calls.swap_remove(n);
            }
            9 => self.saturate_or_relieve(),
            10 => self.stage.kit.time.advance(Duration::from_millis(self.dice.below(50))),
            11 => self.stage.inner.set_ready(!self.dice.chance(0.5)),
            _ => {}
        }
    }

    fn make_call(&mut self, id: u64) {
        let service = &mut self.services[self.dice.below(2) as usize];
        if service.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending() {
            return;
        }
        let request = Request {
            id,
            pending: self.dice.below(4) as u32,
            panic_in_call: self.dice.chance(0.05),
            panic_in_poll: self.dice.chance(0.1),
            fail: self.dice.chance(0.2),
        };
        self.requests += u64::from(!self.stage.fixture.waits);
        if let Ok(call) = catch_unwind(AssertUnwindSafe(|| service.call(request))) {
            self.calls.push(Polled { call, polled: false });
        }
    }

    fn poll_call(&mut self) {
        let n = self.pick_call();
        let picked = &mut self.calls[n];
        self.requests += u64::from(self.stage.fixture.waits && !picked.polled);
        picked.polled = true;
        // It may panic, as a task may. The runtime drops it then.
        match catch_unwind(AssertUnwindSafe(|| poll(&mut picked.call))) {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(_)) | Err(_) => drop(self.calls.swap_remove(n)),
        }
    }

    fn pick_call(&self) -> usize {
        self.dice.below(self.calls.len() as u64) as usize
    }

    fn saturate_or_relieve(&mut self) {
        let before = self.stage.counts().decided();
        if self.saturated {
            self.stage.relieve();
        } else if self.dice.chance(0.5) || !self.stage.fixture.waits {
            self.stage.saturate();
        } else {
            self.stage.occupy();
        }
        self.by_fixture += self.stage.counts().decided() - before;
        self.saturated = !self.saturated;
    }

    /// Checks what is held: at least what admitted requests hold that were not released, at most
    /// what all calls under way can hold.
    fn check_held(&self, seed: u64, step: u64) {
        let Stage { fixture, .. } = &self.stage;
        if fixture.guards != 1 {
            return;
        }
        let (held, in_flight) = (self.stage.held(), self.stage.counts().in_flight());
        let polled = self.calls.iter().filter(|call| call.polled).count() as u64;
        let expected = match fixture.held {
            Some(Held::All(_)) if fixture.waits => in_flight..=in_flight + polled,
            Some(Held::All(_)) => in_flight..=in_flight,
            Some(Held::Waiting(_)) => 0..=polled,
            Some(Held::Nothing(_)) | None => 0..=0,
        };
        assert!(expected.contains(&held), "seed {seed}, step {step}: {held} held, {in_flight} in flight");
    }

    fn end(mut self, seed: u64) {
        self.stage.inner.set_ready(true);
        self.calls.clear();
        if self.saturated {
            self.saturate_or_relieve();
        }
        assert_eq!(self.stage.held(), 0, "seed {seed}: something is held at the end");
        let counts = self.stage.counts();
        assert_eq!(counts.in_flight(), 0, "seed {seed}: an admitted call was not released: {counts:?}");
        if self.stage.fixture.guards == 1 {
            let requests = self.requests + self.by_fixture;
            assert_eq!(
                counts.decided(),
                requests,
                "seed {seed}: admitted + rejected + abandoned differs from the requests"
            );
        }
        // The guard still works.
        let mut last = self.stage.another_service();
        for id in 0..3 {
            match poll(&mut call(&mut last, Request { id, ..Request::default() })) {
                Poll::Ready(Ok(response)) => assert_eq!(response, id),
                Poll::Ready(Err(error)) => panic!("seed {seed}: {error}, although nothing is held"),
                Poll::Pending => panic!("seed {seed}: waits, although nothing is held"),
            }
        }
    }
}
