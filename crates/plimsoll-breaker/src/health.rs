//! Health checks: code of the application decides that the dependency works again.

use crate::breaker::CircuitBreaker;
use crate::machine::CircuitState;
use crate::state::State;
use crate::status::Cause;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

/// A health check that is due. Created by [`CircuitBreaker::health_check_due`].
///
/// It belongs to one opening of one breaker. Its result is ignored once the state has changed, and
/// by every other breaker, such as a later one of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the breaker waits for the result"]
pub struct HealthCheck {
    breaker: u64,
    generation: u32,
}

impl CircuitBreaker {
    /// Returns a health check if one is due.
    ///
    /// A check is due if the breaker is open, its open time is over and it is
    /// [`health_checked`](crate::CircuitBreakerConfig::health_checked). If no result is recorded
    /// for two [leases](crate::Probes::lease), calls probe the dependency instead.
    pub fn health_check_due(&self) -> Option<HealthCheck> {
        let State { machine, config, .. } = &*self.0.lock();
        let due = config.health_checked
            && machine.phase == CircuitState::Open
            && machine.until <= self.0.clock.now();
        due.then_some(HealthCheck { breaker: self.0.id, generation: machine.generation })
    }

    /// Records the result of a health check.
    ///
    /// If the dependency is `healthy`, the breaker ramps up. Otherwise it stays open for the next,
    /// longer open time. The result is ignored if the state has changed since the check was
    /// [due](Self::health_check_due).
    pub fn record_health_check(&self, check: HealthCheck, healthy: bool) {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        if check.breaker != self.0.id || state.machine.generation != check.generation {
            return;
        }
        if healthy {
            let State { machine, config, .. } = &mut *state;
            machine.recover(now, config);
            self.0.state_changed(state, Cause::HealthCheck);
        } else {
            self.0.open(state, Cause::HealthCheck);
        }
    }

    /// Runs `check` whenever a health check is due, and records its result. Never returns.
    ///
    /// Spawn it as a task. To write a loop of your own, use
    /// [`health_check_due`](Self::health_check_due) and
    /// [`record_health_check`](Self::record_health_check).
    ///
    /// `every` is the interval at which it looks whether a check is due, such as 1 s. Range: at
    /// least 1 ms. A check that panics, or takes longer than the [lease](crate::Probes::lease) of a
    /// probe, counts as unhealthy.
    ///
    /// # Cancel safety
    /// Dropping the future drops a running check, and the breaker stays open.
    pub async fn run_health_checks<F: Future<Output = bool>>(
        &self,
        every: Duration,
        mut check: impl FnMut() -> F,
    ) {
        let clock = &self.0.clock;
        let every = every.max(Duration::from_millis(1));
        loop {
            clock.sleep_until(clock.now() + every).await;
            if let Some(due) = self.health_check_due() {
                let mut checking = std::pin::pin!(check());
                let lease = self.0.lock().config.probes.lease;
                let mut late = std::pin::pin!(clock.sleep_until(clock.now() + lease));
                let healthy = std::future::poll_fn(|cx| {
                    // The panic hook reports a panic. The next check may still succeed.
                    match catch_unwind(AssertUnwindSafe(|| checking.as_mut().poll(cx))) {
                        Ok(Poll::Ready(healthy)) => Poll::Ready(healthy),
                        Ok(Poll::Pending) => late.as_mut().poll(cx).map(|()| false),
                        Err(_) => Poll::Ready(false),
                    }
                });
                let healthy = healthy.await;
                self.record_health_check(due, healthy);
            }
        }
    }
}
