//! Names that live as long as the process.

use crate::parts::sync::recover;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Returns the same text as a `'static` reference, stored once for the life of the process.
///
/// The name of a guard is part of every [`Rejected`](crate::Rejected), which must stay `Copy`. Each
/// *different* name costs its length for ever. Name guards after what they protect, never after a
/// request or an account.
pub fn intern(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = recover(NAMES.lock());
    match names.get(name) {
        Some(known) => known,
        None => {
            let stored: &'static str = Box::leak(name.into());
            names.insert(stored);
            stored
        }
    }
}
