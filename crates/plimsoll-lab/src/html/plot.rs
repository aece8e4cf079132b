//! A line chart with two axes, as SVG.
//!
//! The page's style sheet sets colours, dashes and text sizes. So a figure follows dark mode and
//! print, and its text grows on a narrow screen.

use std::fmt::Write;

use crate::html::escape;
use crate::html::scale::Axis;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 342.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 42.0;
const BOTTOM: f64 = 52.0;

/// The number of line styles in the style sheet, `c0` and so on. Further lines repeat them.
pub(crate) const STYLES: usize = 9;

/// One line. A point without a value breaks it.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// The class in the style sheet: `c0` to `c8`, or `bound`.
    pub(crate) class: String,
    pub(crate) points: Vec<(f64, Option<f64>)>,
    /// Whether each point gets a dot.
    pub(crate) dots: bool,
    /// Whether the legend names it.
    pub(crate) named: bool,
}

/// A shaded stretch of the x axis.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    pub(crate) from: f64,
    pub(crate) until: f64,
    pub(crate) name: String,
}

/// A figure.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// Unique on the page. A part of the elements' ids.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    /// A description for screen readers.
    pub(crate) description: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) band: Option<Band>,
    pub(crate) series: Vec<Series>,
}

impl Plot {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    /// Returns the drawing.
    pub(crate) fn svg(&self) -> String {
        let id = self.id;
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">{}</desc>\n",
            escape(&self.title),
            escape(&self.description)
        );
        self.band(&mut out);
        self.axes(&mut out);
        for series in &self.series {
            self.line(&mut out, series);
        }
        out.push_str("</svg>\n");
        out
    }

    fn band(&self, out: &mut String) {
        let Some(band) = &self.band else { return };
        let (from, until) = (self.x(band.from), self.x(band.until));
        let (width, height) = (until - from, HEIGHT - TOP - BOTTOM);
        let _ = writeln!(
            out,
            "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>\
             <text class=\"note mid\" x=\"{:.1}\" y=\"{}\">{}</text>",
            (from + until) / 2.0,
            TOP - 6.0,
            escape(&band.name)
        );
    }

    fn axes(&self, out: &mut String) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, label) in &self.y.marks {
            let y = self.y(*value);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"end\" x=\"{}\" y=\"{:.1}\">{label}</text>",
                LEFT - 6.0,
                y + 5.0
            );
        }
        for (value, label) in &self.x.marks {
            let x = self.x(*value);
            let _ = writeln!(
                out,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{}\"/>\
                 <text class=\"mid\" x=\"{x:.1}\" y=\"{}\">{}</text>",
                bottom + 5.0,
                bottom + 20.0,
                escape(label)
            );
        }
        let _ = writeln!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text x=\"4\" y=\"15\">{}</text><text class=\"end\" x=\"{right}\" y=\"{}\">{}</text>",
            escape(&self.y.label),
            HEIGHT - 10.0,
            escape(&self.x.label)
        );
    }

    fn line(&self, out: &mut String, series: &Series) {
        let class = &series.class;
        for run in series.points.split(|(_, y)| y.is_none()).filter(|run| run.len() > 1) {
            let places = run.iter().filter_map(|(x, y)| Some((self.x(*x), self.y((*y)?))));
            let places: Vec<String> = places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{}\"/>", places.join(" "));
        }
        for run in series.points.split(|(_, y)| y.is_none()) {
            // A point between two gaps has no line, so it gets a dot.
            let r = match run.len() {
                _ if series.dots => 3.5,
                1 => 2.0,
                _ => continue,
            };
            for (x, y) in run.iter().filter_map(|(x, y)| Some((self.x(*x), self.y((*y)?)))) {
                let _ = writeln!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\"/>");
            }
        }
    }

    /// Returns the names of the lines, as a list that wraps.
    pub(crate) fn legend(&self) -> String {
        let mut out = String::from("<ul class=\"legend\">\n");
        for series in self.series.iter().filter(|series| series.named) {
            let _ = writeln!(
                out,
                "<li><svg viewBox=\"0 0 34 10\" aria-hidden=\"true\"><line class=\"{}\" x1=\"1\" x2=\"33\" y1=\"5\" \
                 y2=\"5\"/></svg>{}</li>",
                series.class,
                escape(&series.name)
            );
        }
        out.push_str("</ul>\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_sheet_defines_every_style() {
        let sheet = include_str!("style.css");
        for n in 0..STYLES {
            // For screens, dark screens and print.
            assert_eq!(sheet.matches(&format!("--c{n}: #")).count(), 3, "c{n}");
            assert!(
                sheet.contains(&format!(".c{n} {{ stroke:")) && sheet.contains(&format!("circle.c{n} {{"))
            );
        }
        assert!(!sheet.contains(&format!(".c{STYLES} {{")));
    }

    #[test]
    fn point_between_gaps_is_drawn_as_a_dot() {
        let points = vec![(1.0, Some(1.0)), (2.0, Some(2.0)), (3.0, None), (4.0, Some(1.0))];
        let series = Series { name: "a".into(), class: "c6".into(), points, dots: false, named: true };
        let plot = Plot {
            id: "one",
            title: String::new(),
            description: String::new(),
            x: Axis::even("", 4.0, 4.0),
            y: Axis::even("", 2.0, 2.0),
            band: None,
            series: vec![series],
        };
        let drawn = plot.svg();
        assert_eq!((drawn.matches("<polyline").count(), drawn.matches("<circle").count()), (1, 1));
    }
}
