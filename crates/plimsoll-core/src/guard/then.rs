//! A wait followed by gates.

use super::permit::Undo;
use crate::{Allowance, Gate, Outcome, Rejected, Settle, Wait};

/// Waits first, then lets a gate decide. If the gate rejects the request, the place is released.
///
/// ```text
/// wait_layer(Then(valve, (limiter, breaker)))
/// ```
///
/// So a rate is charged and a circuit breaker consulted when the work can begin, not when the wait
/// begins. To reject requests *before* they queue, put a layer of the gate outside.
#[derive(Clone, Copy, Debug)]
pub struct Then<W, G>(pub W, pub G);

impl<W: Settle, G: Settle> Settle for Then<W, G> {
    type Token = (W::Token, G::Token);
    fn settle(&self, (place, token): Self::Token, outcome: Outcome) {
        self.0.settle(place, outcome);
        self.1.settle(token, outcome);
    }
    fn refund(&self, (place, token): Self::Token) {
        self.0.refund(place);
        self.1.refund(token);
    }
    fn settle_units(&self, (place, token): &mut Self::Token, actual: u32) {
        self.0.settle_units(place, actual);
        self.1.settle_units(token, actual);
    }
    fn allowances(&self, (place, token): &Self::Token, each: &mut dyn FnMut(Allowance)) {
        self.0.allowances(place, each);
        self.1.allowances(token, each);
    }
}

impl<R: ?Sized, W: Wait<R>, G: Gate<R>> Wait<R> for Then<W, G> {
    type Place = W::Place;
    type Waiting = W::Waiting;
    fn wait(&self, request: &R) -> W::Waiting {
        self.0.wait(request)
    }
    fn enter(&self, place: W::Place, request: &R) -> Result<Self::Token, Rejected> {
        let mut entered = Undo::new(&self.0, self.0.enter(place, request)?);
        let token = self.1.admit(request)?;
        match entered.take() {
            Some(place) => Ok((place, token)),
            None => unreachable!("it was set above"),
        }
    }
}
