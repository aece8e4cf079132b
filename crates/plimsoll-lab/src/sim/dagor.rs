//! A baseline: an admitted share that moves in steps.
//!
//! This is the overload control for microservices at WeChat (Zhou et al., 2018), with a random cut
//! in place of its priorities.

use std::cell::RefCell;
use std::rc::Rc;

use plimsoll::{Clock, Dice, Gate, Outcome, Reason, Rejected, Settle};

use crate::sim::server::Server;

/// The mean time in the FIFO above which a window counts as overloaded: 20 ms.
const OVERLOAD: u128 = 20_000_000;
/// A window ends after 1 s, or after 2,000 requests.
const WINDOW: u64 = 1_000_000_000;
const REQUESTS: u32 = 2_000;
/// The factor for the share after an overloaded window, and what is added to it after any other.
const DECREASE: f64 = 0.95;
const INCREASE: f64 = 0.01;

/// The gate. It reads the queueing time inside the server, which a real guard could not know.
#[derive(Clone, Debug)]
pub(crate) struct Dagor(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    clock: Clock,
    dice: Dice,
    server: Server,
    share: f64,
    requests: u32,
    /// The beginning of the window, and the server's counts then.
    since: u64,
    started: (u64, u128),
}

impl Dagor {
    pub(crate) fn new(server: Server, clock: Clock, dice: Dice) -> Self {
        let (since, started) = (clock.now().as_nanos(), server.started());
        Dagor(Rc::new(RefCell::new(State { clock, dice, server, share: 1.0, requests: 0, since, started })))
    }
}

impl State {
    /// Returns whether the requests that started in the window waited too long on average. It is
    /// overload as well if none started while some wait.
    fn is_overloaded(&self) -> bool {
        let (began, waited) = self.server.started();
        let (n, waited) = (began - self.started.0, waited - self.started.1);
        if n == 0 { self.server.backlog() > 0 } else { waited > OVERLOAD * u128::from(n) }
    }

    fn admits(&mut self) -> bool {
        let now = self.clock.now().as_nanos();
        if now >= self.since.saturating_add(WINDOW) || self.requests >= REQUESTS {
            self.share =
                if self.is_overloaded() { self.share * DECREASE } else { (self.share + INCREASE).min(1.0) };
            (self.since, self.started, self.requests) = (now, self.server.started(), 0);
        }
        self.requests += 1;
        self.dice.under(Dice::threshold(self.share))
    }
}

impl Settle for Dagor {
    type Token = ();
    fn settle(&self, (): (), _: Outcome) {}
    fn refund(&self, (): ()) {}
}

impl<R: ?Sized> Gate<R> for Dagor {
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        let admitted = self.0.borrow_mut().admits();
        if admitted { Ok(()) } else { Err(Rejected::new("dagor", Reason::Dropped)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::server::Request;
    use crate::sim::{Law, ServerPlan};
    use plimsoll::ManualTime;
    use std::future::Future;
    use std::task::{Context, Waker};
    use std::time::Duration;
    use tower_service::Service;

    #[test]
    fn share_moves_in_steps_each_window() {
        let time = ManualTime::new();
        let plan = ServerPlan::new(1, Law::Constant(Duration::from_millis(10)));
        let server = Server::new(&plan, Dice::seeded(1));
        let gate = Dagor::new(server, time.clock(), Dice::seeded(2));
        let share = || gate.0.borrow().share;
        gate.0.borrow_mut().share = 0.5;
        for _ in 0..=REQUESTS {
            assert_eq!(share(), 0.5);
            let _ = Gate::admit(&gate, &());
        }
        assert!((share() - 0.51).abs() < 1e-9, "after 2,000 requests");
        time.advance(Duration::from_secs(1));
        let _ = Gate::admit(&gate, &());
        assert!((share() - 0.52).abs() < 1e-9, "after a second");
    }

    #[test]
    fn overload_is_a_mean_above_20ms_or_a_stalled_queue() {
        let time = ManualTime::new();
        let plan = ServerPlan::new(1, Law::Constant(Duration::from_millis(10)));
        let mut server = Server::new(&plan, Dice::seeded(1));
        let gate = Dagor::new(server.clone(), time.clock(), Dice::seeded(2));
        let over = || gate.0.borrow().is_overloaded();
        assert!(!over(), "no call arrived");
        let mut calls: Vec<_> = (0..8).map(|_| Box::pin(server.call(Request))).collect();
        for call in &mut calls {
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        // The calls started after 0, 10, 20 ms and so on.
        (1..=4).for_each(|n| server.advance_to(n * 10_000_000));
        assert_eq!((server.started(), over()), ((5, 100_000_000), false));
        server.advance_to(50_000_000);
        assert_eq!((server.started(), over()), ((6, 150_000_000), true));
        gate.0.borrow_mut().started = server.started();
        assert!(over(), "two wait and none started");
    }
}
