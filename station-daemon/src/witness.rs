//! What the station remembers of its journal outside of its records.
//!
//! Owns one small file beside the store with the last head this station signed. A store that was
//! set back to an older copy does not reach that head, and nothing inside of it could tell.
//!
//! Promise: the head in the file was committed before it was written here, so an honest power cut
//! leaves it at or before the store's own. A file that is missing or torn says nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of the file: a note, then zeros. Two lines with two names of 63 characters each fit.
const FILE_BYTES: usize = 1024;

/// The file with the last head.
#[derive(Debug)]
pub struct Witness {
    path: PathBuf,
    file: Option<File>,
}

impl Witness {
    /// The witness of the store in `store`, a file.
    #[must_use]
    pub fn beside(store: &Path) -> Self {
        Self { path: store.with_extension("head"), file: None }
    }

    /// The note it holds; none when there is no such file or it holds something else.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn note(&self) -> io::Result<Option<String>> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Ok(std::str::from_utf8(&bytes[..end])
            .ok()
            .filter(|note| !note.is_empty())
            .map(str::to_owned))
    }

    /// Notes a head that was committed. Written in place and not flushed: it costs no wait, and
    /// what a power cut takes of it was of no use against one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn saw(&mut self, note: &str) -> io::Result<()> {
        let mut bytes = note.as_bytes().to_vec();
        if bytes.len() >= FILE_BYTES {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        bytes.resize(FILE_BYTES, 0);
        self.opened()?.write_all_at(&bytes, 0)
    }

    /// Has what was noted on the disk.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn settle(&mut self) -> io::Result<()> {
        self.opened()?.sync_data()
    }

    fn opened(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let options = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&self.path)?;
            self.file = Some(options);
        }
        self.file.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_note_is_read_back_whole_and_what_is_no_note_is_none() {
        let folder = tempfile::tempdir().expect("folder");
        let store = folder.path().join("station.db");
        let mut witness = Witness::beside(&store);
        assert_eq!(witness.note().expect("no file"), None);
        witness.saw("a longer note\n").expect("written");
        witness.saw("short\n").expect("written");
        witness.settle().expect("settled");
        assert_eq!(Witness::beside(&store).note().expect("read").as_deref(), Some("short\n"));
        assert!(witness.saw(&"x".repeat(FILE_BYTES)).is_err());
        for torn in [&[][..], &[0; FILE_BYTES], &[0xFF, 0xFE, 0]] {
            let mut file = File::create(folder.path().join("station.head")).expect("file");
            io::Write::write_all(&mut file, torn).expect("torn");
            assert_eq!(Witness::beside(&store).note().expect("read"), None, "{torn:?}");
        }
    }
}
