//! The page around the figures.

use std::fmt::Write;

use crate::html::{Grid, Plot, escape};

/// A figure, one or two sentences about it, and its data.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) plot: Plot,
    pub(crate) text: String,
    pub(crate) grid: Grid,
}

/// A whole report.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    /// The paragraphs below the title.
    pub(crate) intro: Vec<String>,
    /// The result in a few lines.
    pub(crate) summary: Grid,
    /// More tables below the summary.
    pub(crate) extra: Vec<Grid>,
    pub(crate) parts: Vec<Part>,
    /// The table of all rows, below the figures.
    pub(crate) all_rows: Option<Grid>,
    /// How the page was made.
    pub(crate) footer: String,
}

impl Page {
    pub(crate) fn html(&self) -> String {
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{0}</title>\n<style>\n{1}</style>\n\
             </head>\n<body>\n<main>\n<h1>{0}</h1>\n",
            escape(&self.title),
            include_str!("style.css"),
        );
        for paragraph in &self.intro {
            let _ = writeln!(out, "<p>{}</p>", escape(paragraph));
        }
        out.push_str(&self.summary.html());
        for extra in &self.extra {
            out.push_str(&extra.html());
        }
        out.push_str("<div class=\"parts\">\n");
        for Part { plot, text, grid } in &self.parts {
            let _ = write!(
                out,
                "<section>\n<h2>{}</h2>\n<figure>\n{}{}<figcaption>{}</figcaption>\n</figure>\n{}</section>\n",
                escape(&plot.title),
                plot.legend(),
                plot.svg(),
                escape(text),
                grid.html(),
            );
        }
        out.push_str("</div>\n");
        if let Some(all_rows) = &self.all_rows {
            let _ = write!(out, "<h2>All rows</h2>\n{}", all_rows.html());
        }
        let _ = write!(out, "<footer>{}</footer>\n</main>\n</body>\n</html>\n", escape(&self.footer));
        out
    }
}
