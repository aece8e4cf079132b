//! A table of data.

use std::fmt::Write;

use crate::html::escape;

/// A table. The first cell of each line names the line.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    pub(crate) caption: String,
    pub(crate) head: Vec<String>,
    pub(crate) lines: Vec<Vec<String>>,
}

impl Grid {
    pub(crate) fn html(&self) -> String {
        // Focusable, so that a keyboard can scroll a table wider than the screen.
        let mut out = format!(
            "<p class=\"caption\">{0}</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\">\n\
             <table aria-label=\"{0}\">\n<thead><tr>",
            escape(&self.caption)
        );
        for cell in &self.head {
            let _ = write!(out, "<th scope=\"col\">{}</th>", escape(cell));
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for line in &self.lines {
            out.push_str("<tr>");
            for (column, cell) in line.iter().enumerate() {
                let cell = escape(cell);
                let _ = match column {
                    0 => write!(out, "<th scope=\"row\">{cell}</th>"),
                    _ => write!(out, "<td>{cell}</td>"),
                };
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table>\n</div>\n");
        out
    }
}
