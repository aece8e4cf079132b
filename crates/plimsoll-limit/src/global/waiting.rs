//! Requests that wait for the quota of all callers: small and large ones side by side.

use super::{Charge, Inner, RateLimiter};
use crate::setup::Common;
use crate::table::entry::EMPTY;
use crate::wait::acquire::Attempt;
use crate::wait::reserve::Size;
use plimsoll_core::{Account, Rejected};

/// The number of the only limit, which small and large requests share.
const LIMIT: usize = 0;
/// The queues of small and of large requests.
const QUEUES: [u64; 2] = [1, 2];

impl Inner {
    /// Wakes the heads of both queues, so that they try again.
    pub(super) fn wake_waiters(&self) {
        QUEUES.into_iter().for_each(|queue| self.common.queues.wake(queue));
    }
}

impl RateLimiter {
    /// Creates the rejection of a request that would overtake waiting requests of its size.
    #[cold]
    pub(super) fn rejected_behind(&self, units: u32) -> Rejected {
        let (rate, now) = (self.0.bucket.read().rate, self.0.common.now());
        let ahead = self.0.common.queues.ahead(self.queue(units));
        let behind = || self.0.throttled(rate, units, now, now.saturating_add(rate.interval));
        self.forecast(units, ahead, now).unwrap_or_else(behind)
    }

    /// Charges a request that does not wait, from what is kept for such requests while those of the
    /// other size wait.
    #[cold]
    pub(super) fn pass(&self, units: u32) -> Result<Charge, Rejected> {
        let (rate, now) = (self.0.bucket.read().rate, self.0.common.now());
        let queue = self.0.common.queues.occupied(LIMIT).filter(|_| units <= rate.burst);
        let Some(queue) = queue else { return self.decide(units, |charge| charge) };
        if let Err(at) = queue.pass(EMPTY, units, rate, now) {
            return Err(self.0.throttled(rate, units, now, at));
        }
        self.decide(units, |charge| charge).inspect_err(|_| queue.unpass(units, rate))
    }
}

impl Attempt for RateLimiter {
    type Charge = Charge;
    fn charge(&self, units: u32, now: u64, standing: Option<(usize, Size)>) -> Result<Charge, Rejected> {
        let (inner, seen) = (&*self.0, self.0.bucket.read());
        if let Some(queue) = inner.common.queues.occupied(LIMIT) {
            let kept = standing.map_or(0, |(_, size)| queue.kept_from(size, units, seen.rate, now));
            // A request that is not yet the head of its size joins the queue, even if there are
            // enough.
            let behind = standing.is_none().then_some(now + 1);
            if let Some(at) = seen.not_before(kept, now, units).or(behind) {
                return Err(inner.throttled(seen.rate, units, now, at));
            }
        }
        inner.take(seen, now, units)
    }
    fn queue(&self, units: u32) -> u64 {
        let [small, large] = QUEUES;
        if Size::of(units, self.0.bucket.read().rate) == Size::Small { small } else { large }
    }
    fn forecast(&self, units: u32, ahead: u64, now: u64) -> Option<Rejected> {
        let seen = self.0.bucket.read();
        let at = seen.not_before(seen.rate.interval.saturating_mul(ahead), now, units)?;
        Some(self.0.throttled(seen.rate, units, now, at))
    }
    fn shared_limit(&self, units: u32, _: &Rejected) -> Option<(usize, Size)> {
        Some((LIMIT, Size::of(units, self.0.bucket.read().rate)))
    }
    fn account(&self) -> Option<Account> {
        None
    }
    fn common(&self) -> &Common {
        &self.0.common
    }
}
