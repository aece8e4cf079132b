//! The progress of a run: one redrawn line on a terminal, elsewhere a line per finished row.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::live::report::labels::{load_name, side_name};

/// Runs shorter than this show no progress.
const QUIET_TIME: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Redrawn,
    Lines,
    Silent,
}

/// Reports the progress of a run on standard error.
#[derive(Debug)]
pub struct Progress {
    style: Style,
    rows: usize,
    row_time: Duration,
    row: usize,
    row_began: Instant,
    name: String,
    drawn: Option<u64>,
}

impl Progress {
    /// Creates a progress that shows nothing.
    pub fn silent() -> Self {
        Self::with(Style::Silent)
    }

    /// Creates a progress on standard error: a redrawn line on a terminal, plain lines elsewhere.
    pub fn on_stderr() -> Self {
        Self::with(if io::stderr().is_terminal() { Style::Redrawn } else { Style::Lines })
    }

    fn with(style: Style) -> Self {
        Self {
            style,
            rows: 0,
            row_time: Duration::ZERO,
            row: 0,
            row_began: Instant::now(),
            name: String::new(),
            drawn: None,
        }
    }

    /// Begins a run of `rows` rows that take about `row_time` each.
    pub(crate) fn run_begins(&mut self, rows: usize, row_time: Duration) {
        (self.rows, self.row_time, self.row) = (rows, row_time, 0);
    }

    /// Begins the next row.
    pub(crate) fn row_begins(&mut self, guarded: bool, load: f64) {
        self.row += 1;
        self.row_began = Instant::now();
        self.name = format!("{} {}", side_name(guarded), load_name(load));
        self.tick();
    }

    /// Repeats the present row, because it was void.
    pub(crate) fn row_again(&mut self, lag_p99_ms: f64) {
        self.line(&format!(
            "{}: void, the load generator fell behind (p99 lag {lag_p99_ms:.1} ms); running it again",
            self.name
        ));
        self.row_began = Instant::now();
    }

    /// Redraws the remaining time.
    pub(crate) fn tick(&mut self) {
        if self.style != Style::Redrawn {
            return;
        }
        let left = self.left(self.row_began.elapsed());
        if self.drawn.replace(left) != Some(left) {
            // An error is ignored: the terminal is gone.
            let _ = write!(io::stderr(), "\r\x1b[2K{}", self.status(left));
        }
    }

    /// Ends the present row.
    pub(crate) fn row_done(&mut self, goodput: f64, bound: f64, valid: bool) {
        self.drawn = None;
        if self.style == Style::Lines {
            let mark = if valid { "" } else { " · void" };
            let status = self.status(self.left(self.row_time));
            self.line(&format!("{status} · goodput {goodput:.0}/s, bound {bound:.0}/s{mark}"));
        }
    }

    /// Reports that `done` of `rows` simulated rows, or what they are called, are finished.
    ///
    /// Shows nothing in the first two seconds.
    pub(crate) fn simulated(&mut self, done: usize, rows: usize, called: &str) {
        let spent = self.row_began.elapsed();
        // Shown once every two seconds, and not in the first two.
        let tick = spent.as_secs() / QUIET_TIME.as_secs();
        if tick == 0 || done == rows || self.drawn == Some(tick) {
            return;
        }
        let left = spent.as_secs_f64() / done.max(1) as f64 * (rows - done) as f64;
        let status = format!("simulated {done} of {rows} {called} · about {left:.0} s left");
        match self.style {
            Style::Redrawn => {
                let _ = write!(io::stderr(), "\r\x1b[2K{status}");
            }
            Style::Lines => self.line(&status),
            Style::Silent => {}
        }
        self.drawn = Some(tick);
    }

    /// Clears the redrawn line, so that the result stands alone.
    pub fn finish(&mut self) {
        if self.style == Style::Redrawn {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }

    /// Prints a line that stays.
    pub(crate) fn line(&mut self, text: &str) {
        self.finish();
        if self.style != Style::Silent {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Returns the remaining whole seconds, `into` being the time spent in the present row.
    fn left(&self, into: Duration) -> u64 {
        let after = u32::try_from(self.rows.saturating_sub(self.row)).unwrap_or(u32::MAX);
        let left = self.row_time.saturating_mul(after) + self.row_time.saturating_sub(into);
        left.as_secs_f64().ceil() as u64
    }

    fn status(&self, left: u64) -> String {
        let (name, row, rows) = (&self.name, self.row, self.rows);
        format!("{name} · row {row} of {rows} · {left} s left")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_shows_row_and_remaining_time() {
        let mut progress = Progress::silent();
        progress.run_begins(10, Duration::from_millis(5_200));
        for _ in 0..4 {
            progress.row_begins(false, 4.0);
        }
        assert_eq!(progress.left(Duration::from_millis(5_200)), 32);
        assert_eq!(progress.left(Duration::from_secs(60)), 32);
        assert_eq!(progress.left(Duration::ZERO), 37);
        assert_eq!(progress.status(32), "bare 4× · row 4 of 10 · 32 s left");
    }
}
