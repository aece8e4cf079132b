//! The settings of `.http_with(..)`.

use crate::retry_after_seconds;
use plimsoll_core::Dice;
use std::time::Duration;

/// The settings of a layer over HTTP: the fields of responses, the jitter of `Retry-After`.
///
/// Passed to [`http_with`](crate::HttpExt::http_with). [`http`](crate::HttpExt::http) uses the
/// default.
///
/// ```
/// use plimsoll_http::{HttpOptions, HttpExt};
/// use plimsoll_limit::{RateLimiter, Quota};
///
/// let options = HttpOptions::new().legacy_fields(true).jitter(0.1);
/// let limiter = RateLimiter::new(Quota::per_minute(600))?;
/// let app: axum::Router = axum::Router::new()
///     .route("/", axum::routing::get(async || "hello"))
///     .layer(limiter.layer().http_with(options));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "RateLimit headers")]
#[doc(alias = "X-RateLimit")]
pub struct HttpOptions {
    pub(crate) rate_limit_fields: bool,
    pub(crate) legacy_fields: bool,
    pub(crate) shared_quotas: bool,
    pub(crate) guard_names: bool,
    jitter: f32,
    dice: Dice,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions::new()
    }
}

impl HttpOptions {
    /// Creates the default: `RateLimit` fields for the caller's own quotas, no legacy fields, no
    /// names of guards, a jitter of 0.25.
    pub const fn new() -> Self {
        HttpOptions {
            rate_limit_fields: true,
            legacy_fields: false,
            shared_quotas: false,
            guard_names: false,
            jitter: 0.25,
            dice: Dice::thread(),
        }
    }

    /// Sets whether responses carry `RateLimit` and `RateLimit-Policy`. Default: `true`.
    ///
    /// Without a quota there is nothing to report, and the fields are left out.
    #[doc(alias = "RateLimit")]
    #[doc(alias = "RateLimit-Policy")]
    #[doc(alias = "ratelimit headers")]
    #[must_use]
    pub const fn rate_limit_fields(mut self, on: bool) -> Self {
        self.rate_limit_fields = on;
        self
    }

    /// Sets whether responses carry the three `X-RateLimit` fields. Default: `false`.
    ///
    /// They are `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, the last in
    /// seconds from now. A response has one of each. If several quotas apply, they report the one
    /// with the fewest units remaining.
    #[doc(alias = "X-RateLimit-Limit")]
    #[doc(alias = "X-RateLimit-Remaining")]
    #[doc(alias = "X-RateLimit-Reset")]
    #[must_use]
    pub const fn legacy_fields(mut self, on: bool) -> Self {
        self.legacy_fields = on;
        self
    }

    /// Sets whether the fields also report quotas that a caller shares with others. Default:
    /// `false`.
    ///
    /// Such a quota is the capacity of the whole service or of a class, and what remains of it is
    /// the present load. The draft advises against stating either to clients that are not trusted.
    #[must_use]
    pub const fn shared_quotas(mut self, on: bool) -> Self {
        self.shared_quotas = on;
        self
    }

    /// Sets whether the body of a rejection names the guard that rejected. Default: `false`.
    ///
    /// The name of a guard may be that of a part of the system. If the caller's own quota is
    /// violated, the body always names it, in `violated-policies`.
    #[must_use]
    pub const fn guard_names(mut self, on: bool) -> Self {
        self.guard_names = on;
        self
    }

    /// Sets the largest share by which `Retry-After` is delayed at random.
    ///
    /// Without a delay, all clients that were rejected in one second come back in one second. The
    /// delay is a whole number of seconds, each equally likely, up to this share of the time. That
    /// largest delay is at least 2 s and at most 60 s. The delayed time is never earlier than the
    /// time that the guard has stated. 0 turns the delay off. A share out of range becomes the
    /// nearest valid one, and NaN becomes 0. Default: 0.25. Range: 0.0 to 1.0.
    #[doc(alias = "Retry-After")]
    #[must_use]
    #[doc(alias = "thundering herd")]
    pub const fn jitter(mut self, share: f32) -> Self {
        // False for NaN, too.
        self.jitter = if share > 0.0 { share.min(1.0) } else { 0.0 };
        self
    }

    /// Sets the source of random numbers for the jitter.
    ///
    /// Default: a generator of the calling thread.
    #[must_use]
    pub fn dice(mut self, dice: Dice) -> Self {
        self.dice = dice;
        self
    }

    /// Returns the value of `Retry-After` for a wait of `after`: delayed by a random number of
    /// seconds.
    ///
    /// Whole seconds are drawn, so each second is equally likely. A delay that is added before
    /// rounding makes the middle second twice as likely as the ones beside it.
    pub(crate) fn retry_after(&self, after: Duration) -> u64 {
        let seconds = retry_after_seconds(after);
        if self.jitter <= 0.0 {
            return seconds;
        }
        let longest = (after.as_secs_f64() * f64::from(self.jitter)).clamp(2.0, 60.0);
        seconds.saturating_add(self.dice.below(longest as u64 + 1))
    }
}
