//! What answers say beside what they answer.

use plimsoll_core::Dice;
use std::time::Duration;

/// What is said of limits in answers, and when clients are told to come back: for
/// [`http_with`](crate::HttpExt::http_with). The default is that of [`http`](crate::HttpExt::http).
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
pub struct HttpOptions {
    pub(crate) rate_limit_fields: bool,
    pub(crate) legacy_fields: bool,
    jitter: f32,
    dice: Dice,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions::new()
    }
}

impl HttpOptions {
    /// `RateLimit` fields, no legacy ones, a jitter of a quarter.
    pub const fn new() -> Self {
        HttpOptions { rate_limit_fields: true, legacy_fields: false, jitter: 0.25, dice: Dice::thread() }
    }

    /// Whether answers carry `RateLimit` and `RateLimit-Policy`. Default: they do, where a guard has something to
    /// tell.
    #[doc(alias = "RateLimit")]
    #[doc(alias = "RateLimit-Policy")]
    #[doc(alias = "ratelimit headers")]
    #[must_use]
    pub const fn rate_limit_fields(mut self, on: bool) -> Self {
        self.rate_limit_fields = on;
        self
    }

    /// Whether answers carry `X-RateLimit-Limit`, `-Remaining` and `-Reset`, the last in seconds from now. There is
    /// one of each: of several limits they speak of the one with the least left. Default: they do not.
    #[doc(alias = "X-RateLimit-Limit")]
    #[doc(alias = "X-RateLimit-Remaining")]
    #[doc(alias = "X-RateLimit-Reset")]
    #[must_use]
    pub const fn legacy_fields(mut self, on: bool) -> Self {
        self.legacy_fields = on;
        self
    }

    /// By which share of the time `Retry-After` is later, at most, so that not all who were rejected in one second
    /// come back in one. From 0.0, which is none, to 1.0. Default 0.25. It is never earlier.
    #[doc(alias = "Retry-After")]
    #[must_use]
    pub const fn jitter(mut self, share: f32) -> Self {
        // What is no number is none.
        self.jitter = if share > 0.0 { share.min(1.0) } else { 0.0 };
        self
    }

    /// The dice of the jitter; the thread's unless set.
    #[must_use]
    pub fn dice(mut self, dice: Dice) -> Self {
        self.dice = dice;
        self
    }

    /// `after`, or up to a share of it later.
    pub(crate) fn spread(&self, after: Duration) -> Duration {
        if self.jitter <= 0.0 {
            return after;
        }
        let max = Duration::try_from_secs_f64(after.as_secs_f64() * f64::from(self.jitter));
        after.saturating_add(self.dice.jitter(max.unwrap_or_default()))
    }
}
