//! The clients: how long they wait, and what they do after a rejection.

use std::time::Duration;

use plimsoll::Dice;

/// How clients behave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clients {
    /// The time that a client waits for an answer, for each attempt anew. `None` means for ever.
    pub deadline: Option<Duration>,
    /// How often a request that was rejected, late or failed is sent again.
    pub retries: u32,
    /// The pause before the first retry. It doubles with each retry.
    pub backoff: Duration,
    /// Whether a pause is drawn between zero and its full length.
    pub jitter: bool,
    /// Retries per fresh request that all clients together may send. `None` means no limit.
    pub budget: Option<f64>,
}

/// No pause grows beyond this.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Unused retries that the budget may save up. Enough for a hiccup, too few for a storm.
const MAX_SAVED: f64 = 100.0;

/// One attempt of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// When it was sent. Its deadline and its latency count from here.
    pub(crate) sent: u64,
    /// The number of earlier attempts.
    pub(crate) tries: u32,
    /// Whether it belongs to the herd.
    pub(crate) herd: bool,
}

/// Decides about the retries of all clients.
#[derive(Debug)]
pub(crate) struct Retrier {
    clients: Clients,
    saved: f64,
    dice: Dice,
}

impl Retrier {
    pub(crate) fn new(clients: Clients, dice: Dice) -> Self {
        Retrier { clients, saved: MAX_SAVED, dice }
    }

    /// Counts a fresh request, which earns a part of a retry.
    pub(crate) fn fresh_sent(&mut self) {
        let earned = self.clients.budget.unwrap_or(0.0);
        self.saved = (self.saved + earned).min(MAX_SAVED);
    }

    /// Returns the next attempt after one that failed at `now`, if there is to be one.
    pub(crate) fn retry(&mut self, attempt: Attempt, now: u64) -> Option<Attempt> {
        if !attempt.herd {
            if attempt.tries >= self.clients.retries {
                return None;
            }
            if self.clients.budget.is_some() {
                if self.saved < 1.0 {
                    return None;
                }
                self.saved -= 1.0;
            }
        }
        let doubled = self.clients.backoff.saturating_mul(1 << attempt.tries.min(20)).min(MAX_PAUSE);
        let pause = if self.clients.jitter { self.dice.jitter(doubled) } else { doubled };
        let sent = now.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        // A herd without back-off would return within the same instant for ever.
        let sent = if attempt.herd { sent.max(now + 1_000_000) } else { sent };
        Some(Attempt { sent, tries: attempt.tries + 1, herd: attempt.herd })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_the_budget_is_spent() {
        let clients = Clients {
            retries: 1_000,
            backoff: Duration::from_nanos(10),
            budget: Some(0.5),
            ..Clients::default()
        };
        let mut retrier = Retrier::new(clients, Dice::seeded(1));
        let first = Attempt { sent: 0, tries: 0, herd: false };
        let second = retrier.retry(first, 100).unwrap();
        let third = retrier.retry(second, 200).unwrap();
        assert_eq!((second.sent, third.sent, third.tries), (110, 220, 2));
        for _ in 2..100 {
            assert!(retrier.retry(first, 0).is_some());
        }
        assert_eq!(retrier.retry(first, 0), None);
        retrier.fresh_sent();
        assert_eq!(retrier.retry(first, 0), None);
        retrier.fresh_sent();
        assert!(retrier.retry(first, 0).is_some());
    }
}
