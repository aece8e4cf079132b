//! Names for the layers of keyed limiters.

use super::fair::FairRateLimiter;
use super::per_key::KeyedRateLimiter;
use super::tiered::TieredRateLimiter;
use plimsoll_core::{By, GateLayer};

/// The layer of a [`KeyedRateLimiter`] that reads the key of a request by the closure `F`.
///
/// ```
/// use plimsoll_core::{KeyedExt, layer};
/// use plimsoll_limit::{KeyedRateLimiter, KeyedRateLimiterLayer, Quota};
///
/// fn account(request: &(u64, &str)) -> u64 {
///     request.0
/// }
///
/// let accounts = KeyedRateLimiter::<u64>::new(Quota::per_second(10))?;
/// let layer: KeyedRateLimiterLayer<u64, _> = layer(accounts.by(account));
/// # let _ = layer;
/// # Ok::<(), plimsoll_core::ConfigError>(())
/// ```
pub type KeyedRateLimiterLayer<K, F> = GateLayer<By<KeyedRateLimiter<K>, F>>;

/// The layer of a [`TieredRateLimiter`] that reads the key of a request by the closure `F`.
pub type TieredRateLimiterLayer<K, F> = GateLayer<By<TieredRateLimiter<K>, F>>;

/// The layer of a [`FairRateLimiter`] that reads the key of a request by the closure `F`.
pub type FairRateLimiterLayer<K, F> = GateLayer<By<FairRateLimiter<K>, F>>;
