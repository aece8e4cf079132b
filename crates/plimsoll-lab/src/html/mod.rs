//! A report as one self-contained HTML page, without scripts or external files. Figures are inline
//! SVG.
//!
//! The page is made for phones, wide screens, print and dark mode. It can also be read without its
//! figures, because each has its data in a table below.

mod grid;
mod page;
mod plot;
mod scale;

pub(crate) use grid::Grid;
pub(crate) use page::{Page, Part};
pub(crate) use plot::{Band, Plot, STYLES, Series};
pub(crate) use scale::{Axis, Kind};

/// Escapes text for use between tags and in attributes.
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
    // No line break between a number and its sign.
    out.replace(" %", "\u{a0}%")
}

/// Formats a number with three significant digits.
pub(crate) fn figures(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.0e}"),
    }
}
