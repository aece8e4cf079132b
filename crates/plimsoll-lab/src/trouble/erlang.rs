//! Erlang's B formula.

/// Returns the share of calls that `slots` slots without a queue reject, by Erlang's B formula.
///
/// `load` is in erlangs: the mean number of slots that the calls would use if none were rejected.
pub(crate) fn erlang_b(slots: u32, load: f64) -> f64 {
    (1..=slots).fold(1.0, |blocked, n| load * blocked / (f64::from(n) + load * blocked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erlangs_formula_has_its_known_values() {
        assert!((erlang_b(1, 1.0) - 0.5).abs() < 1e-12);
        // 10 slots and 5 erlangs: 1.84 %, as in every table.
        assert!((erlang_b(10, 5.0) - 0.0184).abs() < 1e-4);
    }
}
