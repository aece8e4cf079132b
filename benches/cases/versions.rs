//! The measured versions: of a peer as in the lock file, of the standard library as the compiler
//! says.

use std::process::Command;
use std::sync::OnceLock;

const LOCK: &str = include_str!("../../Cargo.lock");

/// Returns the locked version of `package`. If there are several, the one this package depends on.
pub fn version(package: &str) -> &'static str {
    if package == "std" {
        return compiler();
    }
    let own = entries().find(|(name, _)| *name == env!("CARGO_PKG_NAME"));
    let chosen = own.and_then(|(_, entry)| {
        let mut words = entry.lines().map(|line| line.trim().trim_matches(['"', ',']).split(' '));
        words.find_map(|mut words| (words.next() == Some(package)).then(|| words.next()).flatten())
    });
    chosen
        .or_else(|| {
            entries().find(|(name, _)| *name == package).and_then(|(_, entry)| field(entry, "version"))
        })
        .unwrap_or("?")
}

/// Asks the compiler. Without a build script, no variable of the build holds the version.
fn compiler() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
        let said = Command::new(rustc).arg("--version").output().map(|out| out.stdout).unwrap_or_default();
        String::from_utf8_lossy(&said).split(' ').nth(1).unwrap_or("?").into()
    })
}

fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    LOCK.split("[[package]]").filter_map(|entry| Some((field(entry, "name")?, entry)))
}

fn field(entry: &'static str, key: &str) -> Option<&'static str> {
    let value = entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
    Some(value.trim_matches('"'))
}
