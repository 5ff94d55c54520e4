//! QEMU's qtest protocol: memory as the bus sees it. One line asks, one line answers.
//!
//! Goes through the machine's bus like an access of the core, so that flash is written by the flash
//! controller's rules; the gdb stub would write past them.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

/// The bus.
#[derive(Debug)]
pub(super) struct Bus {
    stream: BufReader<UnixStream>,
}

impl Bus {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Reads a block of memory (not of registers: QEMU picks the width).
    ///
    /// # Errors
    /// QEMU is gone, or does not answer.
    pub(super) fn read(&mut self, address: u32, bytes: &mut [u8]) -> io::Result<()> {
        let answer = self.ask(&format!("read {address:#x} {:#x}", bytes.len()))?;
        hex::decode_to_slice(digits(&answer)?, bytes).map_err(io::Error::other)
    }

    /// Writes a block of memory.
    ///
    /// # Errors
    /// As [`Bus::read`].
    pub(super) fn write(&mut self, address: u32, bytes: &[u8]) -> io::Result<()> {
        let mut line = format!("write {address:#x} {:#x} 0x", bytes.len());
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(line, "{byte:02x}");
        }
        self.ask(&line).map(drop)
    }

    /// Fills a block of memory.
    ///
    /// # Errors
    /// As [`Bus::read`].
    pub(super) fn fill(&mut self, address: u32, bytes: u32, value: u8) -> io::Result<()> {
        self.ask(&format!("memset {address:#x} {bytes:#x} {value:#x}")).map(drop)
    }

    /// Reads one word in one access.
    ///
    /// # Errors
    /// As [`Bus::read`].
    pub(super) fn read_word(&mut self, address: u32) -> io::Result<u32> {
        let answer = self.ask(&format!("readl {address:#x}"))?;
        // The answer is padded to 64 bits.
        u64::from_str_radix(digits(&answer)?, 16)
            .map(|value| value as u32)
            .map_err(io::Error::other)
    }

    /// Writes one word in one access.
    ///
    /// # Errors
    /// As [`Bus::read`].
    pub(super) fn write_word(&mut self, address: u32, value: u32) -> io::Result<()> {
        self.ask(&format!("writel {address:#x} {value:#x}")).map(drop)
    }

    fn ask(&mut self, line: &str) -> io::Result<String> {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        if self.stream.read_line(&mut answer)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        match answer.trim_end().strip_prefix("OK") {
            Some(rest) => Ok(rest.trim_start().to_owned()),
            None => Err(io::Error::other(format!("qtest refuses {line:.40}: {answer}"))),
        }
    }
}

fn digits(answer: &str) -> io::Result<&str> {
    answer.strip_prefix("0x").ok_or_else(|| io::Error::other("qtest answers without a value"))
}
