//! Tuples of gates are gates: all of them admit a request, or none.

use super::permit::Undo;
use crate::{Allowance, Gate, Outcome, Rejected, Settle};

// All or nothing, from left to right. Put the cheapest and most likely to reject first.
macro_rules! tuple {
    ($($gate:ident $token:ident $i:tt),+) => {
        impl<$($gate: Settle),+> Settle for ($($gate,)+) {
            type Token = ($($gate::Token,)+);
            #[inline]
            fn settle(&self, token: Self::Token, outcome: Outcome) {
                $(self.$i.settle(token.$i, outcome);)+
            }
            #[inline]
            fn refund(&self, token: Self::Token) {
                $(self.$i.refund(token.$i);)+
            }
            fn settle_units(&self, token: &mut Self::Token, actual: u32) {
                $(self.$i.settle_units(&mut token.$i, actual);)+
            }
            fn allowances(&self, token: &Self::Token, each: &mut dyn FnMut(Allowance)) {
                $(self.$i.allowances(&token.$i, each);)+
            }
        }
        impl<R: ?Sized, $($gate: Gate<R>),+> Gate<R> for ($($gate,)+) {
            #[inline]
            fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
                $(let mut $token = Undo::new(&self.$i, self.$i.admit(request)?);)+
                match ($($token.take(),)+) {
                    ($(Some($token),)+) => Ok(($($token,)+)),
                    _ => unreachable!("every token was set above"),
                }
            }
        }
    };
}

tuple!(A a 0);
tuple!(A a 0, B b 1);
tuple!(A a 0, B b 1, C c 2);
tuple!(A a 0, B b 1, C c 2, D d 3);
tuple!(A a 0, B b 1, C c 2, D d 3, E e 4);
tuple!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5);
tuple!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6);
tuple!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7);
