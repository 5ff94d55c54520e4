//! Files and folders of a stick, looked at before they are opened.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{ENTRIES_MAX, StickError};

fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StickError {
    let path = path.to_owned();
    move |source| StickError::Io { doing, path, source }
}

/// What lies at a path, without following a link. Nothing: `None`.
fn look(path: &Path) -> Result<Option<Metadata>, StickError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(StickError::Link { path: path.to_owned() }),
        Ok(found) => Ok(Some(found)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(io("reading", path)(error)),
    }
}

/// A folder below the stick, reached without a link. `None` when it is not there.
pub(super) fn folder(mount: &Path, segments: &[&str]) -> Result<Option<PathBuf>, StickError> {
    // Where the stick is mounted may be a link: that is the machine's, not the stick's.
    if !mount.is_dir() {
        return Err(StickError::NotMounted { path: mount.to_owned() });
    }
    let mut path = mount.to_owned();
    for segment in segments {
        path.push(segment);
        match look(&path)? {
            None => return Ok(None),
            Some(found) if found.is_dir() => {}
            Some(_) => return Err(StickError::NotAFile { path }),
        }
    }
    Ok(Some(path))
}

/// Names in a folder; more than anybody writes are refused without reading on.
pub(super) fn names(folder: &Path, what: &'static str) -> Result<Vec<String>, StickError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io("reading", folder))? {
        if names.len() == ENTRIES_MAX {
            return Err(StickError::TooMany { what, max: ENTRIES_MAX });
        }
        let entry = entry.map_err(io("reading", folder))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// The size of an ordinary file below `folder`, reached without a link. `None`: not there.
pub(super) fn size(folder: &Path, name: &str) -> Result<Option<u64>, StickError> {
    let mut path = folder.to_owned();
    let mut segments = name.split('/').peekable();
    while let Some(segment) = segments.next() {
        path.push(segment);
        match look(&path)? {
            None => return Ok(None),
            Some(found) if segments.peek().is_some() && found.is_dir() => {}
            Some(found) if segments.peek().is_none() && found.is_file() => {
                return Ok(Some(found.len()));
            }
            Some(_) => return Err(StickError::NotAFile { path }),
        }
    }
    Ok(None)
}

/// An ordinary file of at most `max` bytes below `folder`. `None`: not there.
pub(super) fn read(folder: &Path, name: &str, max: u64) -> Result<Option<Vec<u8>>, StickError> {
    let Some(bytes) = size(folder, name)? else { return Ok(None) };
    let path = folder.join(name);
    if bytes > max {
        return Err(StickError::TooLarge { path, bytes, max });
    }
    let file = File::open(&path).map_err(io("reading", &path))?;
    // It may have been exchanged since it was looked at.
    if !file.metadata().map_err(io("reading", &path))?.is_file() {
        return Err(StickError::NotAFile { path });
    }
    let mut whole = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    file.take(max + 1).read_to_end(&mut whole).map_err(io("reading", &path))?;
    if whole.len() as u64 > max {
        return Err(StickError::TooLarge { path, bytes: whole.len() as u64, max });
    }
    Ok(Some(whole))
}

/// Makes a folder below the stick where it is missing, never through a link.
pub(super) fn make(mount: &Path, segments: &[&str]) -> Result<PathBuf, StickError> {
    if !mount.is_dir() {
        return Err(StickError::NotMounted { path: mount.to_owned() });
    }
    let mut path = mount.to_owned();
    for segment in segments {
        path.push(segment);
        match look(&path)? {
            Some(found) if found.is_dir() => {}
            Some(_) => return Err(StickError::NotAFile { path }),
            None => fs::create_dir(&path).map_err(io("writing", &path))?,
        }
    }
    Ok(path)
}

/// Writes a file below `folder` so that it is there whole, under its name, and on the stick when
/// this returns; or not at all.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StickError> {
    let (inner, last) = match name.rsplit_once('/') {
        Some((inner, last)) => (make(folder, &inner.split('/').collect::<Vec<_>>())?, last),
        None => (folder.to_owned(), name),
    };
    let path = inner.join(last);
    let part = inner.join(format!("{last}.part"));
    if look(&part)?.is_some() {
        fs::remove_file(&part).map_err(io("writing", &part))?;
    }
    let mut file = File::create_new(&part).map_err(io("writing", &part))?;
    file.write_all(bytes).map_err(io("writing", &part))?;
    file.sync_all().map_err(io("writing", &part))?;
    drop(file);
    fs::rename(&part, &path).map_err(io("writing", &path))?;
    sync(&inner)
}

/// A folder's entries are on the stick when this returns.
pub(super) fn sync(folder: &Path) -> Result<(), StickError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("writing", folder))
}

/// Removes a folder and everything below it; links are removed, not followed.
pub(super) fn remove(folder: &Path) -> Result<(), StickError> {
    match look(folder) {
        Ok(None) => Ok(()),
        Ok(Some(found)) if found.is_dir() => {
            fs::remove_dir_all(folder).map_err(io("writing", folder))
        }
        Ok(Some(_)) | Err(StickError::Link { .. }) => {
            fs::remove_file(folder).map_err(io("writing", folder))
        }
        Err(error) => Err(error),
    }
}
