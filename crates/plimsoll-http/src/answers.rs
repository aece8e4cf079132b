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
/// let answers = HttpOptions::new().legacy_fields(true).jitter(0.1);
/// let limiter = RateLimiter::new(Quota::per_minute(600))?;
/// let app: axum::Router = axum::Router::new()
///     .route("/", axum::routing::get(async || "hello"))
///     .layer(limiter.layer().http_with(answers));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HttpOptions {
    pub(crate) fields: bool,
    pub(crate) legacy: bool,
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
        HttpOptions { fields: true, legacy: false, jitter: 0.25, dice: Dice::thread() }
    }

    /// Whether answers carry `RateLimit` and `RateLimit-Policy`. Default: they do, where a guard has something to
    /// tell.
    #[must_use]
    pub const fn rate_limit_fields(mut self, on: bool) -> Self {
        self.fields = on;
        self
    }

    /// Whether answers carry `X-RateLimit-Limit`, `-Remaining` and `-Reset`, the last in seconds from now. There is
    /// one of each: of several limits they speak of the one with the least left. Default: they do not.
    #[must_use]
    pub const fn legacy_fields(mut self, on: bool) -> Self {
        self.legacy = on;
        self
    }

    /// By which share of the time `Retry-After` is later, at most, so that not all who were rejected in one second
    /// come back in one. From 0.0, which is none, to 1.0. Default 0.25. It is never earlier.
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
        let most = Duration::try_from_secs_f64(after.as_secs_f64() * f64::from(self.jitter));
        after.saturating_add(self.dice.jitter(most.unwrap_or_default()))
    }
}
