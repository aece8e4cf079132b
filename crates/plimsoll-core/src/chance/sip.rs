//! Hashes under a secret: SipHash-1-3 (Aumasson, Bernstein: *SipHash: a fast short-input PRF*,
//! INDOCRYPT 2012), with one round per word and three at the end.
//!
//! The standard library's maps use the same function, but it takes a secret only as hashed input.
//! That costs a fifth more for a number. This one is inlined into its caller and costs half.

use std::hash::{BuildHasher, Hasher};

/// Builds hashers that start from a secret, so that an attacker cannot choose keys that collide.
///
/// Created by [`Dice::hasher`](crate::Dice::hasher).
#[derive(Clone, Copy)]
pub struct KeyedHashState([u64; 4]);

/// The hasher that a [`KeyedHashState`] builds.
#[derive(Clone)]
pub struct KeyedHasher {
    state: [u64; 4],
    // The bytes that do not fill a word yet, lowest first, and the total number of bytes.
    tail: u64,
    length: u64,
}

impl KeyedHashState {
    pub(crate) const fn new(one: u64, other: u64) -> Self {
        KeyedHashState([
            one ^ u64::from_be_bytes(*b"somepseu"),
            other ^ u64::from_be_bytes(*b"dorandom"),
            one ^ u64::from_be_bytes(*b"lygenera"),
            other ^ u64::from_be_bytes(*b"tedbytes"),
        ])
    }
}

impl BuildHasher for KeyedHashState {
    type Hasher = KeyedHasher;
    #[inline(always)]
    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { state: self.0, tail: 0, length: 0 }
    }
    // The provided method of the trait is not always inlined into the caller.
    #[expect(clippy::manual_hash_one, reason = "this implements it")]
    #[inline(always)]
    fn hash_one<T: std::hash::Hash>(&self, key: T) -> u64 {
        let mut hasher = self.build_hasher();
        key.hash(&mut hasher);
        hasher.finish()
    }
}

#[inline(always)]
const fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    c = c.wrapping_add(d);
    b = b.rotate_left(13) ^ a;
    d = d.rotate_left(16) ^ c;
    a = a.rotate_left(32);
    c = c.wrapping_add(b);
    a = a.wrapping_add(d);
    b = b.rotate_left(17) ^ c;
    d = d.rotate_left(21) ^ a;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[inline(always)]
const fn mixed([a, b, c, d]: [u64; 4], word: u64) -> [u64; 4] {
    let [a, b, c, d] = round([a, b, c, d ^ word]);
    [a ^ word, b, c, d]
}

impl KeyedHasher {
    /// Adds the low `bytes` bytes of `bits`, one to eight. The others are zero.
    #[inline(always)]
    fn add(&mut self, bits: u64, bytes: u64) {
        let held = self.length % 8;
        self.length = self.length.wrapping_add(bytes);
        self.tail |= bits << (8 * held);
        if held + bytes >= 8 {
            self.state = mixed(self.state, self.tail);
            self.tail = if held == 0 { 0 } else { bits >> (8 * (8 - held)) };
        }
    }
}

impl Hasher for KeyedHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.add(u64::from_le_bytes(*word), 8);
        }
        if !rest.is_empty() {
            let bits = rest.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
            self.add(bits, rest.len() as u64);
        }
    }
    #[inline(always)]
    fn write_u8(&mut self, n: u8) {
        self.add(n.into(), 1);
    }
    #[inline(always)]
    fn write_u16(&mut self, n: u16) {
        self.add(n.to_le().into(), 2);
    }
    #[inline(always)]
    fn write_u32(&mut self, n: u32) {
        self.add(n.to_le().into(), 4);
    }
    #[inline(always)]
    fn write_u64(&mut self, n: u64) {
        self.add(n.to_le(), 8);
    }
    #[inline(always)]
    fn write_usize(&mut self, n: usize) {
        self.add(n.to_le() as u64, size_of::<usize>() as u64);
    }
    #[inline(always)]
    fn finish(&self) -> u64 {
        let [a, b, c, d] = mixed(self.state, self.length << 56 | self.tail);
        let [a, b, c, d] = round(round(round([a, b, c ^ 0xff, d])));
        a ^ b ^ c ^ d
    }
}

// Not derived: the secret must not be printed.
impl std::fmt::Debug for KeyedHashState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHashState(..)")
    }
}

impl std::fmt::Debug for KeyedHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHasher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dice;
    use std::hash::{DefaultHasher, Hash};

    /// Returns the hash of the standard library, whose secret is zero here.
    fn standard(key: &(impl Hash + ?Sized)) -> u64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn with_a_zero_secret_it_equals_the_standard_library() {
        let zeros = KeyedHashState::new(0, 0);
        let text: String = ('a'..='z').chain('à'..='ž').collect();
        for (end, _) in text.char_indices() {
            let text = &text[..end];
            assert_eq!(zeros.hash_one(text), standard(text), "{text}");
            let many =
                (7_u8, text, 300_u16, 70_000_u32, text.as_bytes(), u64::MAX, end, 5_u128, true, -3_i64);
            assert_eq!(zeros.hash_one(many), standard(&many), "{text}");
        }
        for n in 0..1_000_u64 {
            assert_eq!(zeros.hash_one(n), standard(&n));
            assert_eq!(zeros.hash_one(n as u8), standard(&(n as u8)));
        }
    }

    #[test]
    fn another_secret_yields_other_hashes() {
        let [one, other] = [1, 2].map(|seed| Dice::seeded(seed).hasher());
        assert!((0..1_000_u64).all(|n| one.hash_one(n) != other.hash_one(n)));
    }
}
