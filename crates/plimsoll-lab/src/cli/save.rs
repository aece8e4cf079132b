//! Writes result files, completely or not at all.
//!
//! The text is written to a temporary file next to the target, which is then renamed. Whether that
//! works is checked before the run, so that no run of minutes ends with "permission denied".

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{Builder, NamedTempFile};

use crate::error::UsageError;

/// Held while a temporary file exists. Code that ends the process acquires it first.
static SAVING: Mutex<()> = Mutex::new(());

/// Waits until no file is half written. None is begun while the returned guard lives.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    SAVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that a file can be created at `path`, which `flag` names, and leaves nothing behind.
pub(crate) fn check(flag: &'static str, path: &Path) -> Result<(), UsageError> {
    let _held = hold();
    let unusable = |why: String| {
        let allowed = format!("{why}; allowed is a file in a writable directory");
        UsageError::new(flag, path.display().to_string(), allowed)
    };
    if path.file_name().is_none() {
        return Err(unusable("not the name of a file".into()));
    }
    // Renaming onto a device or a pipe would replace it with a file.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(unusable("it exists and is not a regular file".into()));
    }
    temporary(&resolved(path)).map_err(|error| unusable(error.to_string()))?;
    Ok(())
}

/// Writes `text` to `path`.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let _held = hold();
    let path = resolved(path);
    let mut file = temporary(&path)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

/// Follows a symbolic link, so that the link itself is kept.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Creates a file in the same directory, so that renaming it is atomic. Removed when dropped.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = Builder::new();
    builder.prefix(".plimsoll-lab-");
    #[cfg(unix)] // the mode of any other new file, before the umask
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_replaces_the_file_and_leaves_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("result.json");
        check("--json", &path).unwrap();
        assert!(!path.exists());
        write(&path, "{}").unwrap();
        write(&path, "{\"a\":1}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn unwritable_path_is_a_usage_error() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no/such/result.json");
        for path in [missing.as_path(), directory.path(), Path::new(""), Path::new("/")] {
            let error = check("--json", path).unwrap_err();
            assert_eq!(error.flag, "--json");
            assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
