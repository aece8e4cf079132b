//! Names that live as long as the process.

use crate::parts::sync::recover;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Stores `name` for the life of the process and returns the stored text.
///
/// Equal names share one text. The name of a guard is part of every [`Rejected`](crate::Rejected),
/// which must stay `Copy`. The memory of a name is never freed. Name guards after what they
/// protect, never after a request or an account.
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
