//! Half-fetched chunks, kept over restarts so that a broken connection costs only what was in
//! flight.
//!
//! Rebuildable: a staging that cannot be opened is emptied, and its chunks are fetched again.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// sled's own threads let go of the folder's lock a moment after the last handle is dropped.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// How often a held lock is tried.
const LOCK_LOOK: Duration = Duration::from_millis(10);

/// Staging cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The folder cannot be opened even after emptying it.
    #[error("opening the staging of chunks")]
    Open(#[source] sled::Error),
    /// The damaged folder cannot be removed.
    #[error("emptying the damaged staging of chunks")]
    Empty(#[source] std::io::Error),
    /// Reading or writing failed.
    #[error("staging a piece of a chunk")]
    Piece(#[from] sled::Error),
}

/// Pieces of chunks by digest and offset.
#[derive(Debug, Clone)]
pub struct Staging {
    pieces: sled::Db,
}

fn open_when_free(folder: &Path) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::default().path(folder).cache_capacity(8 * 1024 * 1024);
    let started = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if held(&error) && started.elapsed() < LOCK_WAIT => {
                std::thread::park_timeout(LOCK_LOOK);
            }
            opened => return opened,
        }
    }
}

/// Whether the folder's lock is held; sled gives this error no kind of its own.
fn held(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.to_string().starts_with("could not acquire lock")
}

impl Staging {
    /// Opens the folder, emptying it when it is damaged. Waits up to two seconds for one that was
    /// closed just now.
    ///
    /// # Errors
    /// [`StagingError`] when even an empty one cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, StagingError> {
        let open = || open_when_free(folder);
        match open() {
            Ok(pieces) => Ok(Self { pieces }),
            Err(sled::Error::Corruption { .. } | sled::Error::Unsupported(_)) => {
                std::fs::remove_dir_all(folder).map_err(StagingError::Empty)?;
                Ok(Self { pieces: open().map_err(StagingError::Open)? })
            }
            Err(error) => Err(StagingError::Open(error)),
        }
    }

    /// Bytes held of this chunk without a hole, from its beginning.
    ///
    /// # Errors
    /// [`StagingError::Piece`].
    pub fn staged_bytes(&self, sha256: &[u8; 32]) -> Result<u64, StagingError> {
        let mut end = 0;
        for entry in self.pieces.scan_prefix(sha256) {
            let (key, piece) = entry?;
            if offset_of(&key) != Some(end) {
                break;
            }
            end += piece.len() as u64;
        }
        Ok(end)
    }

    /// Keeps a piece that begins at `offset`.
    ///
    /// # Errors
    /// [`StagingError::Piece`].
    pub fn keep(&self, sha256: &[u8; 32], offset: u64, bytes: &[u8]) -> Result<(), StagingError> {
        self.pieces.insert(key(sha256, offset), bytes)?;
        Ok(())
    }

    /// The chunk as far as it is held without a hole.
    ///
    /// # Errors
    /// [`StagingError::Piece`].
    pub fn assemble(&self, sha256: &[u8; 32]) -> Result<Vec<u8>, StagingError> {
        let mut bytes = Vec::new();
        for entry in self.pieces.scan_prefix(sha256) {
            let (key, piece) = entry?;
            if offset_of(&key) != Some(bytes.len() as u64) {
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Drops everything of this chunk.
    ///
    /// # Errors
    /// [`StagingError::Piece`].
    pub fn forget(&self, sha256: &[u8; 32]) -> Result<(), StagingError> {
        for entry in self.pieces.scan_prefix(sha256) {
            self.pieces.remove(entry?.0)?;
        }
        Ok(())
    }

    /// Drops everything of chunks that are not among `wanted`.
    ///
    /// # Errors
    /// [`StagingError::Piece`].
    pub fn retain(&self, wanted: &[[u8; 32]]) -> Result<(), StagingError> {
        for entry in self.pieces.iter() {
            let key = entry?.0;
            if !wanted.iter().any(|sha256| key.starts_with(sha256)) {
                self.pieces.remove(key)?;
            }
        }
        Ok(())
    }
}

fn key(sha256: &[u8; 32], offset: u64) -> [u8; 40] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(sha256);
    key[32..].copy_from_slice(&offset.to_be_bytes());
    key
}

fn offset_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(32..40)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: [u8; 32] = [7; 32];
    const OTHER: [u8; 32] = [8; 32];

    #[test]
    fn a_staging_that_is_still_closing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let first = Staging::open(folder.path()).unwrap();
        first.keep(&CHUNK, 0, b"abc").unwrap();
        let path = folder.path().to_owned();
        let (tried, trying) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            assert!(sled::open(&path).is_err(), "the first one holds the lock");
            tried.send(()).unwrap();
            Staging::open(&path).unwrap().staged_bytes(&CHUNK).unwrap()
        });
        trying.recv().unwrap();
        drop(first);
        assert_eq!(second.join().unwrap(), 3);
    }

    #[test]
    fn pieces_survive_a_restart_and_a_hole_ends_what_counts() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path()).unwrap();
        staging.keep(&CHUNK, 0, b"abc").unwrap();
        staging.keep(&CHUNK, 3, b"de").unwrap();
        staging.keep(&CHUNK, 6, b"beyond a hole").unwrap();
        staging.keep(&OTHER, 0, b"x").unwrap();
        drop(staging);

        let staging = Staging::open(folder.path()).unwrap();
        assert_eq!(staging.staged_bytes(&CHUNK).unwrap(), 5);
        assert_eq!(staging.assemble(&CHUNK).unwrap(), b"abcde");
        staging.retain(&[OTHER]).unwrap();
        assert_eq!(staging.staged_bytes(&CHUNK).unwrap(), 0);
        assert_eq!(staging.staged_bytes(&OTHER).unwrap(), 1);
        staging.forget(&OTHER).unwrap();
        assert_eq!(staging.assemble(&OTHER).unwrap(), b"");
    }
}
