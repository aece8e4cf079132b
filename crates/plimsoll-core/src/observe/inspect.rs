//! Reading and changing a guard while it runs, without knowing its type.

use crate::ControlError;

/// Reads the numbers of a guard and changes its settings, by name.
///
/// For a console or a settings file.
pub trait Inspect: Send + Sync {
    /// Returns the name of the guard.
    fn name(&self) -> &'static str;
    /// Calls `each` with the name and the value of every reading and every setting.
    ///
    /// Settings have the names that [`set`](Self::set) accepts. Durations are in seconds.
    fn read(&self, each: &mut dyn FnMut(&'static str, f64));
    /// Changes a setting.
    ///
    /// # Errors
    /// Returns an error if there is no such setting or the value is out of range. Nothing has
    /// changed then.
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError>;
}
