//! The token of an admitted call.

use crate::state::word::generation;
use plimsoll_core::{Instant, Pack, Words};

/// The token of an admitted call: its generation, its start and, for a probe, its number.
///
/// Plain data. It is released through [`Settle`](plimsoll_core::Settle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the call stays in flight until its pass is settled"]
pub struct Pass {
    started: u64,
    generation: u32,
    probe: u32,
}

const NO_PROBE: u32 = u32::MAX;

impl Pass {
    /// The start of a call that was admitted while calls were not timed.
    pub(crate) const UNTIMED: Instant = Instant::FAR_FUTURE;

    #[inline]
    pub(crate) fn new(word: u64, started: Instant) -> Self {
        Pass { started: started.as_nanos(), generation: generation(word), probe: NO_PROBE }
    }

    pub(crate) fn probing(mut self, id: u32) -> Self {
        self.probe = id;
        self
    }

    pub(crate) fn started(&self) -> Instant {
        Instant::from_nanos(self.started)
    }

    pub(crate) fn is_timed(&self) -> bool {
        self.started() != Self::UNTIMED
    }

    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) fn probe(&self) -> Option<u32> {
        (self.probe != NO_PROBE).then_some(self.probe)
    }
}

impl Pack for Pass {
    fn pack(self) -> Words {
        [self.started, u64::from(self.probe), u64::from(self.generation), 0]
    }
    fn unpack([started, probe, generation, _]: Words) -> Self {
        Pass { started, generation: generation as u32, probe: probe as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, a pass of the last generation was packed into two words and read back as `None`.
    #[test]
    fn passes_survive_packing() {
        for pass in [Pass::new(u64::MAX, Pass::UNTIMED), Pass::new(0, Instant::default())] {
            for pass in [pass, pass.probing(0), pass.probing(crate::machine::PROBE_IDS)] {
                assert_eq!(Option::unpack(Some(pass).pack()), Some(pass));
                assert_eq!(Pass::unpack(pass.pack()), pass);
            }
        }
    }
}
