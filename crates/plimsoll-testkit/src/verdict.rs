//! The result of a probe.

/// The result of putting a guard through a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The guard keeps this clause of the contract.
    Holds,
    /// The clause does not apply to a guard of this kind, for the given reason.
    NotApplicable(&'static str),
    /// The clause applies, but the fixture lacks what the probe needs, as described.
    Gap(&'static str),
    /// The guard breaks the clause, as described.
    Broken(String),
}
