//! The command line: arguments, checks before a run, progress, and what a run prints and writes.

mod args;
pub mod command;
mod files;
mod output;
mod progress;
mod save;
mod settings;
mod simulate;
mod trouble;
pub(crate) mod value;

pub use progress::Progress;
pub use settings::Settings;
