//! The names of guards.

use crate::ConfigError;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Checks the name that a guard is to have: not empty, or its refusals and metrics would name nobody.
///
/// # Errors
/// Names the field `name`.
pub fn check_name(name: &str) -> Result<(), ConfigError> {
    if name.is_empty() {
        return Err(ConfigError::new("name", "\"\"", "at least one character"));
    }
    Ok(())
}

/// The same text as `'static`, kept once for the whole life of the process.
///
/// Guard names travel in every [`Rejected`](crate::Rejected), which must stay `Copy`. Each
/// *different* name costs its length for ever: name guards after what they protect, never after a
/// request or an account.
pub fn intern(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(name) {
        Some(known) => known,
        None => {
            let kept: &'static str = Box::leak(name.into());
            names.insert(kept);
            kept
        }
    }
}
