//! Files on R&D's disk: written whole or not at all, read only up to their limit.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::bundle::{Bundle, BundleError, file_bytes_max};
use crate::limits::{BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX};

/// Who may read a written file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner only (0600).
    Owner,
    /// Everybody (0644).
    Everybody,
}

/// Replaces a file: temporary file, sync, rename, sync the folder.
///
/// # Errors
/// What the system says.
pub fn replace_file(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = folder.join(temporary);
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Everybody => 0o644,
    };
    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // The error that matters is the first; a left-over temporary file harms nobody.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Reads a regular file of at most `bytes_max` bytes.
///
/// # Errors
/// What the system says; `FileTooLarge` beyond the limit.
pub fn read_file(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(bytes)
}

/// Reads a publication bundle from a folder. Links and unknown names are refused before a byte of
/// them is read.
///
/// # Errors
/// [`BundleError`] by kind of refusal.
pub fn read_bundle(folder: &Path) -> Result<Bundle, BundleError> {
    let mut files = BTreeMap::new();
    let mut total = 0u64;
    for prefix in ["", "metadata/", "chunks/"] {
        let at = folder.join(prefix);
        // Documents may come without a release, and then there are no chunks.
        if prefix == "chunks/" && !at.exists() {
            continue;
        }
        let failed = |source| BundleError::Folder { path: at.clone(), source };
        for entry in fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if prefix.is_empty() && kind.is_dir() && matches!(name.as_str(), "metadata" | "chunks")
            {
                continue;
            }
            let name = format!("{prefix}{name}");
            let bytes_max = file_bytes_max(&name).filter(|_| kind.is_file()).ok_or_else(|| {
                BundleError::StrangeFile { name: name.chars().take(100).collect() }
            })?;
            let bytes = read_file(&entry.path(), bytes_max).map_err(failed)?;
            total += bytes.len() as u64;
            files.insert(name, bytes);
            if files.len() > BUNDLE_FILES_MAX || total > BUNDLE_BYTES_MAX {
                let (files_max, bytes_max) = (BUNDLE_FILES_MAX, BUNDLE_BYTES_MAX);
                return Err(BundleError::TooLarge { files_max, bytes_max });
            }
        }
    }
    Bundle::from_files(files)
}

/// Writes a publication bundle into a folder that does not exist yet or is empty.
///
/// # Errors
/// [`BundleError::Folder`].
pub fn write_bundle(bundle: &Bundle, folder: &Path) -> Result<(), BundleError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Folder { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    if fs::read_dir(folder).map_err(failed(folder))?.next().is_some() {
        let source = io::Error::from(io::ErrorKind::DirectoryNotEmpty);
        return Err(BundleError::Folder { path: folder.to_owned(), source });
    }
    for (name, bytes) in bundle.files() {
        let path = folder.join(name);
        replace_file(&path, bytes, Readers::Everybody).map_err(failed(&path))?;
    }
    Ok(())
}
