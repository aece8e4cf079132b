//! What loads and sides are called in all output.

/// What a side is called in all output.
pub(crate) fn side_name(guarded: bool) -> &'static str {
    if guarded { "guarded" } else { "bare" }
}

/// A load as a multiple: `0.5×`, `4×`.
pub(crate) fn load_name(load: f64) -> String {
    format!("{load}×")
}
