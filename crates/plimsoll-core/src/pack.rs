//! Every token in two words, so that gates of different types fit one list.

use crate::{Allowance, Gate, Outcome, Place, Rejected, Settle};

/// A token that packs into two words.
///
/// Unpack only what came from `pack` of the same type, and only once: a token is worth a place.
pub trait Pack: Send {
    /// The token as two words, the second of which is never `u64::MAX`: that is left for "none".
    fn pack(self) -> [u64; 2];
    /// The token from its two words.
    fn unpack(words: [u64; 2]) -> Self;
}

impl Pack for () {
    fn pack(self) -> [u64; 2] {
        [0; 2]
    }
    fn unpack(_: [u64; 2]) -> Self {}
}

impl Pack for Place {
    fn pack(self) -> [u64; 2] {
        [0; 2]
    }
    fn unpack(_: [u64; 2]) -> Self {
        Place::again()
    }
}

/// The token of [`Only`](crate::Only) and [`Shadow`](crate::Shadow): `None` went on unasked.
impl<T: Pack> Pack for Option<T> {
    fn pack(self) -> [u64; 2] {
        self.map_or([0, u64::MAX], T::pack)
    }
    fn unpack(words: [u64; 2]) -> Self {
        (words[1] != u64::MAX).then(|| T::unpack(words))
    }
}

/// A gate whose token is two words: `dyn Gate<R, Token = [u64; 2]>` holds any of them.
///
/// ```
/// use plimsoll_core::{Gate, Only, Outcome, Packed, Reason, Rejected, Settle};
/// # #[derive(Clone)] struct Shut;
/// # impl Settle for Shut { type Token = (); fn settle(&self, _: (), _: Outcome) {} fn refund(&self, _: ()) {} }
/// # impl Gate<str> for Shut { fn admit(&self, _: &str) -> Result<(), Rejected> { Err(Rejected::new("shut", Reason::Full)) } }
/// let gates: Vec<Box<dyn Gate<str, Token = [u64; 2]>>> = vec![Box::new(Packed(Shut))];
/// assert!(gates.iter().all(|gate| gate.admit("request").is_err()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Packed<G>(pub G);

impl<G: Settle<Token: Pack>> Settle for Packed<G> {
    type Token = [u64; 2];
    fn settle(&self, words: [u64; 2], outcome: Outcome) {
        self.0.settle(Pack::unpack(words), outcome);
    }
    fn refund(&self, words: [u64; 2]) {
        self.0.refund(Pack::unpack(words));
    }
    fn allowances(&self, words: &[u64; 2], each: &mut dyn FnMut(Allowance)) {
        // A copy to look at: plain data, which is worth something only when it is settled.
        self.0.allowances(&Pack::unpack(*words), each);
    }
}

impl<R: ?Sized, G: Gate<R> + Settle<Token: Pack>> Gate<R> for Packed<G> {
    fn admit(&self, request: &R) -> Result<[u64; 2], Rejected> {
        self.0.admit(request).map(Pack::pack)
    }
}
