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
        for (column, cell) in self.head.iter().enumerate() {
            let class = if self.is_text(column) { " class=\"text\"" } else { "" };
            let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(cell));
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for line in &self.lines {
            out.push_str("<tr>");
            for (column, cell) in line.iter().enumerate() {
                let class = match cell.as_str() {
                    "✗" | "HARM" | "MISSED" => " class=\"bad\"",
                    "≈" => " class=\"known\"",
                    _ if self.is_text(column) => " class=\"text\"",
                    _ => "",
                };
                let cell = escape(cell);
                let _ = match column {
                    0 => write!(out, "<th scope=\"row\">{cell}</th>"),
                    _ => write!(out, "<td{class}>{cell}</td>"),
                };
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table>\n</div>\n");
        out
    }

    /// Returns whether a column holds text: each of its cells is empty or begins with a letter.
    fn is_text(&self, column: usize) -> bool {
        let begins = |line: &Vec<String>| line.get(column).and_then(|cell| cell.chars().next());
        self.lines.iter().filter_map(begins).all(char::is_alphabetic)
    }
}
