//! Which version of a peer is measured, as the lock file has it.

const LOCK: &str = include_str!("../../Cargo.lock");

/// The locked version of `package`. Where there are several, the one this package depends on.
pub(crate) fn version(package: &str) -> &'static str {
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

fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    LOCK.split("[[package]]").filter_map(|entry| Some((field(entry, "name")?, entry)))
}

fn field(entry: &'static str, key: &str) -> Option<&'static str> {
    let value = entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
    Some(value.trim_matches('"'))
}
