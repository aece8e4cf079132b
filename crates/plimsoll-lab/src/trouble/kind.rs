//! The troubles of the matrix.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! troubles {
    ($($id:ident, $name:literal, $about:literal;)*) => {
        /// A way in which production fails: a column of the matrix.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Trouble {
            $(#[doc = $about] $id,)*
        }

        impl Trouble {
            /// All troubles, in the order of the matrix.
            pub const ALL: [Trouble; [$($name),*].len()] = [$(Trouble::$id),*];

            /// Returns the short name, `T1` to `T22`.
            pub fn id(self) -> &'static str {
                match self { $(Trouble::$id => stringify!($id),)* }
            }

            /// Returns a name of a few words.
            pub fn name(self) -> &'static str {
                match self { $(Trouble::$id => $name,)* }
            }

            /// Returns one sentence about it.
            pub fn about(self) -> &'static str {
                match self { $(Trouble::$id => $about,)* }
            }
        }
    };
}

troubles! {
    T1, "a long stall", "The far side stops for a minute and then continues, while patient callers wait.";
    T2, "a hang that forgets", "The far side hangs for ten seconds and then restarts without the requests it had.";
    T3, "short stalls again and again", "The far side stalls for 0.2 s or for 1 s in every ten seconds.";
    T4, "background failures and a blip", "A share of all calls always fails, and once everything fails for fifteen seconds.";
    T5, "background slowness and a blip", "A share of all calls is always slow, and once everything is slow for fifteen seconds.";
    T6, "everything answers 503 or 429", "The far side answers every call with an overload status.";
    T7, "a time-out outside the guard", "The dependency hangs, and a time-out outside the guard drops the calls.";
    T8, "almost no traffic", "One call comes every second, or every hour.";
    T9, "a changed setting", "Each setting is lowered or raised a hundredfold in the middle of traffic.";
    T10, "a flood of keys", "Strangers send requests under ever new keys, next to honest accounts.";
    T11, "one greedy account", "One account fills the queue, or one large request stands at its head.";
    T12, "more waiters than can be served", "Far more callers wait than can be served within the longest wait.";
    T13, "a signal that lies", "The signal is stuck low, stuck high, late, not a number, or panics.";
    T14, "permits held for minutes", "Long polls and streams hold permits for minutes, next to normal work.";
    T15, "callers that leave", "Of all callers, ten per cent leave at a random moment.";
    T16, "fleets of retrying clients", "Every rejected, failed or late request is sent again three times, at once.";
    T17, "uneven work", "Service times are exponential, bimodal, or one in ten thousand is a thousand times longer.";
    T18, "a changed capacity, a spike", "The capacity of the far side halves or doubles, or the load rises twentyfold for a second.";
    T19, "a machine that slept", "The machine sleeps for 30 s, or the wall clock steps by an hour.";
    T20, "a cold start into overload", "The service starts into ten times its capacity.";
    T21, "a pool almost full", "A pool is busy to 50, 80, 90 or 95 per cent.";
    T22, "many threads", "From one to 64 threads use the guard at once, with fewer cores than threads.";
}

impl Trouble {
    /// Finds a trouble by its short name, such as `T4`, `t4` or `4`.
    pub fn find(name: &str) -> Option<Trouble> {
        let number = name.trim_start_matches(['T', 't']);
        Trouble::ALL.into_iter().find(|trouble| trouble.id().strip_prefix('T') == Some(number))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Trouble {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_is_found_by_its_short_name() {
        assert_eq!(Trouble::ALL.len(), 22);
        for trouble in Trouble::ALL {
            assert_eq!(Trouble::find(trouble.id()), Some(trouble));
            assert_eq!(Trouble::find(&trouble.id().to_lowercase()), Some(trouble));
        }
        assert_eq!(Trouble::find("12"), Some(Trouble::T12));
        assert!(Trouble::find("T23").or(Trouble::find("")).is_none());
    }
}
