//! The names of loads and sides, the same in all output.

/// Returns the name of a side.
pub(crate) fn side_name(guarded: bool) -> &'static str {
    if guarded { "guarded" } else { "bare" }
}

/// Returns a load as a multiple: `0.5×`, `4×`.
pub(crate) fn load_name(load: f64) -> String {
    format!("{load}×")
}
