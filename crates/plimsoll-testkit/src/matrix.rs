//! The table of all subjects and all probes.

use crate::{PROBES, Subject, Verdict};
use std::fmt;

/// The verdicts of every probe about every subject. Its `Display` is a table.
#[derive(Debug)]
pub struct Matrix(Vec<(&'static str, Vec<Verdict>)>);

impl Matrix {
    /// Puts every subject through every probe.
    pub fn run(subjects: &[Subject]) -> Self {
        let verdicts = |subject| PROBES.iter().map(|probe| probe.run(subject)).collect();
        Matrix(subjects.iter().map(|subject| (subject.name, verdicts(subject))).collect())
    }

    /// Returns every cell that is broken or a gap: subject, probe, verdict.
    pub fn faults(&self) -> Vec<(&'static str, &'static str, Verdict)> {
        let cells = self.0.iter().flat_map(|(subject, verdicts)| {
            verdicts.iter().zip(PROBES).map(move |(verdict, probe)| (*subject, probe.name, verdict.clone()))
        });
        cells.filter(|(_, _, verdict)| matches!(verdict, Verdict::Gap(_) | Verdict::Broken(_))).collect()
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = PROBES.iter().map(|probe| probe.name.len()).max().unwrap_or(0);
        write!(f, "{:width$}", "")?;
        for (subject, _) in &self.0 {
            write!(f, "  {subject}")?;
        }
        writeln!(f)?;
        for (n, probe) in PROBES.iter().enumerate() {
            write!(f, "{:width$}", probe.name)?;
            for (subject, verdicts) in &self.0 {
                let cell = match &verdicts[n] {
                    Verdict::Holds => "holds",
                    Verdict::NotApplicable(_) => "–",
                    Verdict::Gap(_) => "gap",
                    Verdict::Broken(_) => "BROKEN",
                };
                write!(f, "  {cell:^w$}", w = subject.chars().count())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Runs `work` without printing panics: the probes panic on purpose, many times.
///
/// It replaces the panic hook of the process meanwhile.
pub fn silence_panics<T>(work: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = work();
    std::panic::set_hook(hook);
    result
}
