//! Tokens packed into four words, so that gates of different types fit into one list.

use crate::{Allowance, Gate, Outcome, Rejected, Settle};

/// The words of a packed token.
pub type Words = [u64; 4];

/// A token that packs into four words without loss.
///
/// Unpack only words that `pack` of the same type returned, and settle or refund them only once. A
/// token settled twice would release two places.
pub trait Pack: Send {
    /// Packs the token. The last word must not be `u64::MAX`, which stands for no token.
    fn pack(self) -> Words;
    /// Unpacks the token.
    fn unpack(words: Words) -> Self;
}

impl Pack for () {
    fn pack(self) -> Words {
        Words::default()
    }
    fn unpack(_: Words) -> Self {}
}

/// The token of [`Only`](crate::Only), [`Shadow`](crate::Shadow) and optional keys: `None` if the
/// request was not guarded. Nested `None`s become one, since each of them settles to nothing.
impl<T: Pack> Pack for Option<T> {
    fn pack(self) -> Words {
        self.map_or([0, 0, 0, u64::MAX], T::pack)
    }
    fn unpack(words: Words) -> Self {
        (words[3] != u64::MAX).then(|| T::unpack(words))
    }
}

/// A gate whose token is four words. `dyn Gate<R, Token = Words>` stands for any such gate.
///
/// ```
/// use plimsoll_core::{Gate, Outcome, Packed, Reason, Rejected, Settle, Words};
/// # struct Shut;
/// # impl Settle for Shut {
/// #     type Token = ();
/// #     fn settle(&self, _: (), _: Outcome) {}
/// #     fn refund(&self, _: ()) {}
/// # }
/// # impl Gate<str> for Shut {
/// #     fn admit(&self, _: &str) -> Result<(), Rejected> {
/// #         Err(Rejected::new("shut", Reason::Full))
/// #     }
/// # }
/// let gates: Vec<Box<dyn Gate<str, Token = Words>>> = vec![Box::new(Packed(Shut))];
/// assert!(gates.iter().all(|gate| gate.admit("request").is_err()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Packed<G>(pub G);

impl<G: Settle<Token: Pack>> Settle for Packed<G> {
    type Token = Words;
    fn settle(&self, words: Words, outcome: Outcome) {
        self.0.settle(Pack::unpack(words), outcome);
    }
    fn refund(&self, words: Words) {
        self.0.refund(Pack::unpack(words));
    }
    fn settle_units(&self, words: &mut Words, actual: u32) {
        let mut token = Pack::unpack(*words);
        self.0.settle_units(&mut token, actual);
        *words = token.pack();
    }
    fn allowances(&self, words: &Words, each: &mut dyn FnMut(Allowance)) {
        // A copy to read from. It is plain data, which has an effect only when it is settled.
        self.0.allowances(&Pack::unpack(*words), each);
    }
}

impl<R: ?Sized, G: Gate<R> + Settle<Token: Pack>> Gate<R> for Packed<G> {
    fn admit(&self, request: &R) -> Result<Words, Rejected> {
        self.0.admit(request).map(Pack::pack)
    }
}
