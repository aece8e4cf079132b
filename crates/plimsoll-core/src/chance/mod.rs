//! Chance: dice, and hashes under a secret.

mod dice;
mod sip;

pub use dice::Dice;
pub use sip::{KeyedHashState, KeyedHasher};
