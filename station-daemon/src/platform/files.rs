//! The one function that replaces a file: temp, sync, rename, sync the folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces `path` with `bytes`; after a power cut it holds the old bytes or the new ones.
/// Readable by the owner alone.
///
/// # Errors
/// As the file system says; the old file is untouched then.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name =
        path.file_name().ok_or_else(|| io::Error::other("a folder was named, not a file"))?;
    let mut temporary_name = name.to_os_string();
    temporary_name.push(format!(".{}.new", std::process::id()));
    let temporary = folder.join(temporary_name);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The half file is worth nothing; that it may stay behind is worth no second error.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

/// Removes a file; after a power cut it is there or gone, and gone once this has returned.
///
/// # Errors
/// As the file system says.
pub fn remove_file(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::remove_file(path)?;
    File::open(folder)?.sync_all()
}

/// Writes a secret that must not exist yet.
///
/// # Errors
/// `AlreadyExists` when there is one: a secret is never replaced silently.
pub fn create_secret_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.exists() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    replace_file(path, bytes)
}
