//! Databases as they were: every state that a commit left, taken apart from SQLite's write-ahead log.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// A database file at rest, and the log of every commit since.
pub(crate) struct Recording {
    base: Vec<u8>,
    log: Vec<u8>,
    /// Bytes of the log after each commit; the first one is none.
    ends: Vec<usize>,
}

fn number(bytes: &[u8], at: usize) -> usize {
    let word: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_be_bytes(word) as usize
}

/// Where each commit ends in a log (sqlite.org/fileformat2.html, section 4.1): a frame's second word
/// is the size of the database after a commit, and zero in between.
fn commit_ends(log: &[u8]) -> Vec<usize> {
    let mut ends = vec![0];
    if log.len() < HEADER_BYTES {
        return ends;
    }
    let page_bytes = number(log, 8);
    let salt = &log[16..24];
    let mut at = HEADER_BYTES;
    while at + FRAME_HEADER_BYTES + page_bytes <= log.len() && log[at + 8..at + 16] == *salt {
        let commits = number(log, at + 4) != 0;
        at += FRAME_HEADER_BYTES + page_bytes;
        if commits {
            ends.push(at);
        }
    }
    ends
}

impl Recording {
    /// Of `base`, a database that was closed, and the log beside `live` since it was opened again.
    pub(crate) fn of(base: Vec<u8>, live: &Path) -> Self {
        // The file itself stays as it was until the log is written back into it.
        assert_eq!(fs::read(live).expect("database"), base, "the log was written back meanwhile");
        let log = fs::read(log_of(live)).expect("log");
        let ends = commit_ends(&log);
        Self { base, log, ends }
    }

    /// How many states there are: one per commit, and the one before them.
    pub(crate) fn points(&self) -> usize {
        self.ends.len()
    }

    /// Puts the database as it was after commit `point` in the place of the one in `file`.
    pub(crate) fn set_back(&self, point: usize, file: &Path) {
        for log in ["-wal", "-shm"] {
            let mut name = file.as_os_str().to_owned();
            name.push(log);
            // Closed in order, it has none.
            let _ = fs::remove_file(name);
        }
        self.restore(point, file);
    }

    /// Puts the database as it was after commit `point` into `file`, in a fresh folder.
    pub(crate) fn restore(&self, point: usize, file: &Path) {
        put(file, &self.base);
        if self.ends[point] > 0 {
            put(&log_of(file), &self.log[..self.ends[point]]);
        }
    }
}

fn log_of(database: &Path) -> std::path::PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

pub(crate) fn put(path: &Path, bytes: &[u8]) {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).expect("folder");
    }
    File::create(path).and_then(|mut file| file.write_all(bytes)).expect("copied");
}
