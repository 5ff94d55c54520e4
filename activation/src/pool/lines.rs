//! Lines out of a file: bounded, counted, and erased afterwards.

use std::io::{self, Read};
use std::vec;
use std::vec::Vec;
use zeroize::Zeroizing;

/// Longest line, in bytes without its end.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// What there was instead of a line.
#[derive(Debug)]
pub(super) enum NoLine {
    Read(io::Error),
    FileTooLong,
    LineTooLong,
}

/// Reads line after line through a buffer of its own: secrets pass through it, and it is zeroed
/// when dropped. A line ends with `\n`, `\r\n` or the file.
pub(super) struct Lines<R> {
    source: R,
    file_bytes_max: u64,
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    read_bytes: u64,
    ended: bool,
    number: u32,
}

impl<R: Read> Lines<R> {
    pub(super) fn of(source: R, file_bytes_max: u64) -> Self {
        // Room for the longest line with its end, and for reading ahead.
        let buffer = Zeroizing::new(vec![0; LINE_BYTES_MAX + 2 + 16 * 1024]);
        let (start, end, read_bytes, number) = (0, 0, 0, 0);
        Self { source, file_bytes_max, buffer, start, end, read_bytes, ended: false, number }
    }

    /// The number of the line that was read or attempted last, counted from 1.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, NoLine> {
        self.number += 1;
        let mut searched = self.start;
        loop {
            let unsearched = self.buffer.get(searched..self.end).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|&byte| byte == b'\n') {
                let end = searched + at;
                return self.hand_out(end, end + 1);
            }
            if self.ended {
                if self.start == self.end {
                    return Ok(None);
                }
                return self.hand_out(self.end, self.end);
            }
            if self.end - self.start > LINE_BYTES_MAX + 1 {
                return Err(NoLine::LineTooLong);
            }
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            searched = self.end;
            self.fill()?;
        }
    }

    fn hand_out(&mut self, end: usize, next: usize) -> Result<Option<&[u8]>, NoLine> {
        let line = self.buffer.get(self.start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.start = next;
        if line.len() > LINE_BYTES_MAX { Err(NoLine::LineTooLong) } else { Ok(Some(line)) }
    }

    fn fill(&mut self) -> Result<(), NoLine> {
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        loop {
            match self.source.read(room) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(read) => {
                    self.end += read;
                    self.read_bytes += read as u64;
                    if self.read_bytes > self.file_bytes_max {
                        return Err(NoLine::FileTooLong);
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(NoLine::Read(error)),
            }
        }
    }
}
