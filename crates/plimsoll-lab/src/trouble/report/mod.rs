//! The matrix as a text table, as a page and as Markdown.

mod markdown;
mod overview;
mod page;
mod text;

pub use markdown::markdown;
pub use page::page;
pub use text::table;
