//! The probes: one for each clause of the contract.

mod chaos;
mod counts;
mod readiness;
mod release;
mod settings;
mod sharing;
mod waking;

use crate::{Kit, Subject, Verdict};
use std::panic::catch_unwind;

/// A check of one clause of the contract, for any layer.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// The clause.
    pub name: &'static str,
    check: fn(&Subject) -> Verdict,
}

/// All probes.
pub const PROBES: [Probe; 12] = [
    Probe { name: "the ready instance is called", check: readiness::ready_instance },
    Probe { name: "clones and layers share one guard", check: sharing::shared_guard },
    Probe { name: "an idle ready clone holds nothing", check: readiness::idle_clone },
    Probe { name: "waiting tasks are woken", check: waking::wakers },
    Probe { name: "cancellation releases everything", check: release::cancellation },
    Probe { name: "a panic releases everything, as a failure", check: release::panics },
    Probe { name: "the inner error is returned unchanged", check: release::inner_error },
    Probe { name: "the inner service is waited for", check: readiness::pending_inner },
    Probe { name: "invalid settings are rejected", check: settings::invalid_settings },
    Probe { name: "shadow mode rejects nothing", check: settings::shadow },
    Probe { name: "the event counts balance", check: counts::balance },
    Probe { name: "random operations leave nothing held", check: chaos::random_operations },
];

impl Probe {
    /// Puts `subject` through this probe.
    pub fn run(&self, subject: &Subject) -> Verdict {
        let (check, subject) = (self.check, *subject);
        let verdict = catch_unwind(move || match (subject.build)(&Kit::new(0)).gap() {
            Some(gap) => Verdict::Gap(gap),
            None => check(&subject),
        });
        verdict.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            Verdict::Broken(text.unwrap_or_else(|| "panicked".into()))
        })
    }
}
