//! What a probe found, and the table of all of it.

use crate::{PROBES, Probe, Subject};
use std::fmt;
use std::panic::catch_unwind;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The guard holds to it.
    Holds,
    /// Does not apply to this shape of guard; why.
    Apart(&'static str),
    /// Applies, and could not be asked; why.
    Gap(&'static str),
    /// The guard breaks it; how.
    Broken(String),
}

impl Probe {
    /// Puts `subject` through this probe.
    pub fn try_on(&self, subject: &Subject) -> Verdict {
        let (ask, subject) = (self.ask, *subject);
        match catch_unwind(move || ask(&subject)) {
            Ok(verdict) => verdict,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
                Verdict::Broken(text.unwrap_or_else(|| "panicked".into()))
            }
        }
    }
}

/// Every subject through every probe.
#[derive(Debug)]
pub struct Matrix(Vec<(&'static str, Vec<Verdict>)>);

/// Puts every subject through every probe.
pub fn matrix(subjects: &[Subject]) -> Matrix {
    Matrix(subjects.iter().map(|s| (s.name, PROBES.iter().map(|p| p.try_on(s)).collect())).collect())
}

impl Matrix {
    /// Every cell that is broken or a gap: subject, probe, what.
    pub fn faults(&self) -> Vec<(&'static str, &'static str, Verdict)> {
        let cells = self.0.iter().flat_map(|(subject, verdicts)| {
            verdicts.iter().zip(PROBES).map(move |(verdict, probe)| (*subject, probe.name, verdict.clone()))
        });
        cells.filter(|cell| matches!(cell.2, Verdict::Gap(_) | Verdict::Broken(_))).collect()
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = PROBES.iter().map(|p| p.name.len()).max().unwrap_or(0);
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
                    Verdict::Apart(_) => "–",
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
