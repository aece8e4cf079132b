//! The chaos probe: any set of calls, permit holders and waiters is dropped, polled, panics or runs
//! out of time, at random points, from a seed; at every step what is held equals the model's count,
//! and in the end everything is back. After `sups`, which does it to supervision trees.

use crate::probes::poll;
use crate::subject::{Held, Kit};
use crate::{BoxError, Inner, Request, Subject, Verdict};
use plimsoll_core::{Dice, Rejected};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower_service::Service as _;

const SEEDS: u64 = 40;
const STEPS: u64 = 250;

type Call = Pin<Box<dyn Future<Output = Result<u64, BoxError>> + Send>>;

pub(crate) fn ask(subject: &Subject) -> Verdict {
    for seed in 0..SEEDS {
        run(subject, seed);
    }
    Verdict::Holds
}

/// A call that is under way. A gate decides when it is called, a waiter at the first poll.
struct Live {
    call: Call,
    polled: bool,
}

fn run(subject: &Subject, seed: u64) {
    let kit = Kit::new(seed);
    let dice = Dice::seeded(seed ^ 0xc4a05);
    let mut built = (subject.build)(&kit);
    let waits = built.busy.is_some();
    let inner = Inner::default();
    let mut services = [(built.layer)(inner.clone()), (built.layer)(inner.clone())];
    let mut live: Vec<Live> = vec![];
    let mut pressed = false;
    let mut asked = 0;
    // What pressing on the guard by hand asked of it.
    let mut by_hand = 0;
    let decided = || {
        let sums = kit.tally.sums();
        sums.admitted + sums.rejected + sums.left
    };
    for step in 0..STEPS {
        match dice.below(12) {
            0..=3 => {
                let service = &mut services[dice.below(2) as usize];
                if service.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending() {
                    continue;
                }
                let request = Request {
                    id: step,
                    pending: dice.below(4) as u32,
                    panic_in_call: dice.chance(0.05),
                    panic_in_poll: dice.chance(0.1),
                    fail: dice.chance(0.2),
                };
                asked += u64::from(!waits);
                if let Ok(call) = catch_unwind(AssertUnwindSafe(|| service.call(request))) {
                    live.push(Live { call, polled: false });
                }
            }
            4..=7 if !live.is_empty() => {
                let n = dice.below(live.len() as u64) as usize;
                asked += u64::from(waits && !live[n].polled);
                live[n].polled = true;
                // It may panic, as a task may; the runtime drops it then.
                match catch_unwind(AssertUnwindSafe(|| poll(&mut live[n].call))) {
                    Ok(Poll::Pending) => {}
                    Ok(Poll::Ready(_)) | Err(_) => {
                        live.swap_remove(n);
                    }
                }
            }
            8 if !live.is_empty() => drop(live.swap_remove(dice.below(live.len() as u64) as usize)),
            9 => {
                let before = decided();
                if pressed {
                    (built.relieve)();
                } else if dice.chance(0.5) || !waits {
                    (built.saturate)();
                } else if let Some(busy) = &mut built.busy {
                    busy();
                }
                by_hand += decided() - before;
                pressed = !pressed;
            }
            10 => kit.time.advance(Duration::from_millis(dice.below(50))),
            11 => {
                if dice.chance(0.5) {
                    inner.hold();
                } else {
                    inner.allow();
                }
            }
            _ => {}
        }
        // Held: at least for all who were admitted and have not ended, at most for every call that is
        // under way; and what presses on it by hand is in the books as well.
        if built.guards == 1 {
            let sums = kit.tally.sums();
            let (held, inside) = (built.held.now(), sums.admitted - sums.ended - sums.given_back);
            let polled = live.iter().filter(|l| l.polled).count() as u64;
            let bounds = match built.held {
                Held::By(_) if waits => inside..=inside + polled,
                Held::By(_) => inside..=inside,
                Held::InLine(_) => 0..=polled,
                Held::Nothing(_) => 0..=0,
            };
            assert!(bounds.contains(&held), "seed {seed}, step {step}: {held} held, {inside} inside");
        }
    }
    inner.allow();
    drop(live);
    if pressed {
        let before = decided();
        (built.relieve)();
        by_hand += decided() - before;
    }
    assert_eq!(built.held.now(), 0, "seed {seed}: something is still held");
    let sums = kit.tally.sums();
    assert_eq!(
        sums.admitted,
        sums.ended + sums.given_back,
        "seed {seed}: the books do not balance: {sums:?}"
    );
    if built.guards == 1 {
        let decided = sums.admitted + sums.rejected + sums.left;
        assert_eq!(decided, asked + by_hand, "seed {seed}: asked = admitted + rejected + left: {sums:?}");
    }
    // And it works as on the first day.
    let mut last = (built.layer)(inner);
    for id in 0..3 {
        assert!(last.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
        let mut call = last.call(Request { id, ..Request::default() });
        match poll(&mut call) {
            Poll::Ready(Ok(answer)) => assert_eq!(answer, id),
            Poll::Ready(Err(e)) => panic!("seed {seed}: {} after all was given back", e.is::<Rejected>()),
            Poll::Pending => panic!("seed {seed}: waits although nothing is held"),
        }
    }
}
