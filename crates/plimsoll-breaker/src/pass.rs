//! What an admitted call holds.

use crate::state::word::generation;
use plimsoll_core::{Instant, Pack, Words};

/// What an admitted call holds: in which life of the breaker it was admitted, when it began, and which
/// probe it is. Plain data; it goes back through [`Settle`](plimsoll_core::Settle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a pass that is not settled is a call that never ends"]
pub struct Pass {
    started: u64,
    generation: u32,
    probe: u32,
}

const NO_PROBE: u32 = u32::MAX - 1;
const REPORTED: u32 = u32::MAX - 2;

impl Pass {
    #[inline]
    pub(crate) fn new(word: u64, started: Instant) -> Self {
        Pass { started: started.as_nanos(), generation: generation(word), probe: NO_PROBE }
    }

    /// Of something that nobody asked for.
    pub(crate) fn reported(word: u64) -> Self {
        Pass { started: 0, generation: generation(word), probe: REPORTED }
    }

    pub(crate) fn probing(mut self, id: u32) -> Self {
        self.probe = id;
        self
    }

    pub(crate) fn started(&self) -> Instant {
        Instant::from_nanos(self.started)
    }

    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) fn probe(&self) -> Option<u32> {
        (self.probe < REPORTED).then_some(self.probe)
    }

    pub(crate) fn is_reported(&self) -> bool {
        self.probe == REPORTED
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

    /// All ones is left for "none": a pass of the last generation was taken for it.
    #[test]
    fn every_pass_survives_packing() {
        for pass in [
            Pass::new(u64::MAX, Instant::FAR_FUTURE),
            Pass::reported(u64::MAX),
            Pass::new(0, Instant::default()),
        ] {
            for pass in [pass, pass.probing(0), pass.probing(crate::machine::PROBE_IDS)] {
                assert_eq!(Option::unpack(Some(pass).pack()), Some(pass));
                assert_eq!(Pass::unpack(pass.pack()), pass);
            }
        }
    }
}
