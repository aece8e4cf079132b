//! The processor, because a ratio between two crates differs between kinds of processors.

use std::sync::LazyLock;

static CPUINFO: LazyLock<String> =
    LazyLock::new(|| std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());

fn field(name: &str) -> Option<&'static str> {
    let line = CPUINFO.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
    line.split(':').nth(1).map(str::trim)
}

/// Returns whether a locked instruction on a cache line of its own takes about 2 ns instead of 7 to
/// 10: on AMD since Zen 3, which is family 25.
pub(crate) fn has_cheap_locks() -> bool {
    let family = field("cpu family").and_then(|family| family.parse::<u32>().ok());
    field("vendor_id") == Some("AuthenticAMD") && family.is_some_and(|family| family >= 25)
}

/// Returns the name of the processor and which targets apply to it.
pub fn describe() -> String {
    let locks = if has_cheap_locks() { "cheap" } else { "dear" };
    let family = field("cpu family").unwrap_or("?");
    let name = field("model name").unwrap_or(std::env::consts::ARCH);
    format!("{name}, family {family}: targets for {locks} locked instructions")
}
