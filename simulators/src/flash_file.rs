//! The non-volatile bytes of one board, kept in one file. The nRF52832's: 512 KiB of flash, then
//! 4 KiB of UICR; an STM32's: flash, one-time area, option bytes.
//!
//! Owns the bytes and their copy on disk. Programmed ranges are collected and written when the
//! board says so (before it answers anybody), so a killed board process is a board that lost power
//! a moment earlier, never one that lies.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of flash, at address 0.
pub const FLASH_BYTES: usize = 512 * 1024;
/// Bytes of UICR, behind the flash in the file.
pub const UICR_BYTES: usize = 4096;

/// Why a flash file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FlashFileError {
    /// The file cannot be opened, created or read.
    #[error("opening the flash file {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} has {found} bytes, a flash file has {expected}", path.display())]
    Length {
        /// Which file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The only accepted length in bytes.
        expected: u64,
    },
}

/// Non-volatile bytes with an optional file behind them.
#[derive(Debug)]
pub struct FlashFile {
    bytes: Vec<u8>,
    file: Option<File>,
    dirty: Vec<Range<usize>>,
}

impl FlashFile {
    /// A blank nRF52832 without a file.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::blank(nrf52())
    }

    /// The nRF52832 in `path`; a new file is a blank chip.
    ///
    /// # Errors
    /// [`FlashFileError`] when the file cannot be read or has another length.
    pub fn open(path: &Path) -> Result<Self, FlashFileError> {
        Self::open_or_make(path, nrf52())
    }

    /// A chip as it left the factory, without a file.
    #[must_use]
    pub fn blank(factory: Vec<u8>) -> Self {
        Self { bytes: factory, file: None, dirty: Vec::new() }
    }

    /// The chip in `path`; a new file holds what the chip held when it left the factory.
    ///
    /// # Errors
    /// [`FlashFileError`] when the file cannot be read or has another length.
    pub fn open_or_make(path: &Path, factory: Vec<u8>) -> Result<Self, FlashFileError> {
        let wrap = |source| FlashFileError::Open { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(wrap)?;
        let expected = factory.len();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(wrap)?;
        if bytes.is_empty() {
            bytes = factory;
            file.write_all(&bytes).map_err(wrap)?;
        } else if bytes.len() != expected {
            return Err(FlashFileError::Length {
                path: path.to_owned(),
                found: bytes.len() as u64,
                expected: expected as u64,
            });
        }
        Ok(Self { bytes, file: Some(file), dirty: Vec::new() })
    }

    /// All bytes, in the file's layout.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The little-endian word at file offset `at` (a multiple of 4).
    #[must_use]
    pub fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes([
            self.bytes[at],
            self.bytes[at + 1],
            self.bytes[at + 2],
            self.bytes[at + 3],
        ])
    }

    /// Replaces bytes from file offset `at` on.
    pub fn set(&mut self, at: usize, bytes: &[u8]) {
        let range = at..at + bytes.len();
        self.bytes[range.clone()].copy_from_slice(bytes);
        self.mark(range);
    }

    /// Fills a range, as an erase does.
    pub fn fill(&mut self, range: Range<usize>, value: u8) {
        self.bytes[range.clone()].fill(value);
        self.mark(range);
    }

    /// Clears one bit for good until the next fill.
    pub fn clear_bit(&mut self, at: usize, bit: u8) {
        self.bytes[at] &= !(1 << bit);
        self.mark(at..at + 1);
    }

    /// Writes what changed to the file.
    ///
    /// # Errors
    /// The system's, for example a full disk; the changes stay marked.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else {
            self.dirty.clear();
            return Ok(());
        };
        while let Some(range) = self.dirty.last() {
            file.write_all_at(&self.bytes[range.clone()], range.start as u64)?;
            self.dirty.pop();
        }
        Ok(())
    }

    fn mark(&mut self, range: Range<usize>) {
        if let Some(last) = self.dirty.last_mut()
            && last.end == range.start
        {
            last.end = range.end;
        } else {
            self.dirty.push(range);
        }
    }
}

/// What an nRF52832 holds when it leaves the factory.
#[must_use]
pub fn nrf52() -> Vec<u8> {
    vec![0xFF; FLASH_BYTES + UICR_BYTES]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_flushed_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board.flash");
        let mut chip = FlashFile::open(&path).unwrap();
        chip.set(0, &[0x44, 0x33, 0x22, 0x11]);
        chip.set(4, &[0x88, 0x77, 0x66, 0x55]);
        chip.set(FLASH_BYTES + 8, &[1, 0, 0, 0]);
        chip.flush().unwrap();
        drop(chip);
        let chip = FlashFile::open(&path).unwrap();
        assert_eq!(chip.bytes()[..8], [0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55]);
        assert_eq!(chip.word(FLASH_BYTES + 8), 1);
    }

    #[test]
    fn a_file_of_another_length_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        File::create(&path).unwrap().write_all(b"not a chip").unwrap();
        assert!(matches!(FlashFile::open(&path), Err(FlashFileError::Length { found: 10, .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"not a chip");
    }
}
