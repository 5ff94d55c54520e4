//! Power that goes away: of a board, of a worker, of the station, of everything at once; at every
//! word, every commit, every rename of a small visit.
//!
//! Nothing in the programs helps: boards are cut by their levers, processes are killed from outside
//! by [`tracer`], and what a disk loses is made up from what was synced by then ([`loss`]).

#![allow(clippy::print_stdout, reason = "a sweep says how many points it swept, a draw its seed")]

mod boards;
mod erasing;
mod judge;
mod loss;
mod processes;
mod sampled;
mod small;
mod tracer;

use std::io::Write as _;
use std::path::Path;

/// Copies the files of a station's folder that outlast it.
pub(crate) fn copy_station(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        let lasting = name.to_string_lossy().starts_with("station.");
        if lasting && entry.file_type().expect("a kind").is_file() {
            std::fs::copy(entry.path(), to.join(name)).expect("copied");
        }
    }
}

/// A UID of its own for every unit of a sweep.
pub(crate) fn uid_of(number: u32) -> [u8; 8] {
    let [_, high, middle, low] = number.to_be_bytes();
    [0x5A, high, middle, low, 0x11, 0x22, 0x33, 0x44]
}

/// Writes a file of the test's own.
pub(crate) fn keep(path: &Path, bytes: &[u8]) {
    std::fs::File::create(path).and_then(|mut file| file.write_all(bytes)).expect("written");
}
