//! The report as one self-contained HTML page: no scripts, nothing fetched, figures as inline SVG.
//!
//! It is made to be read on a phone, on a wide screen, in print and in the dark; and without its
//! figures, by the table under each.

mod grid;
mod page;
mod plot;
mod scale;

pub(crate) use grid::Grid;
pub(crate) use page::{Page, Part};
pub(crate) use plot::{Band, Plot, STYLES, Series};
pub(crate) use scale::{Axis, Kind};

/// Text, safe between tags and inside attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    // No line ends between a number and its sign.
    out.replace(" %", "\u{a0}%")
}

/// A number as a reader wants it: three figures, no more digits than that needs.
pub(crate) fn figures(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.0e}"),
    }
}
