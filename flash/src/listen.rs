//! Hearing what the firmware says: a byte stream cut into lines.

use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::backend::{Progress, SelfTest, Step};
use crate::error::FlashError;

/// One wait for bytes; between two waits the caller looks at its deadline and at the board.
const WAIT: Duration = Duration::from_millis(20);
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A longer line is cut here.
const LINE_BYTES_MAX: usize = 512;

/// An open UART.
pub(crate) struct Listener {
    stream: Box<dyn Read>,
    endpoint: String,
}

impl Listener {
    /// Opens `tcp:HOST:PORT` or a serial port and throws away what was said before.
    pub(crate) fn open(endpoint: &str, baud: u32) -> Result<Self, FlashError> {
        let stream: io::Result<Box<dyn Read>> = match endpoint.strip_prefix("tcp:") {
            Some(address) => connect(address).map(|stream| Box::new(stream) as Box<dyn Read>),
            None => serialport::new(endpoint, baud)
                .timeout(WAIT)
                .open()
                .map(|port| Box::new(port) as Box<dyn Read>)
                .map_err(io::Error::from),
        };
        let stream = stream.map_err(|error| refused(endpoint, &error))?;
        let mut listener = Self { stream, endpoint: endpoint.to_owned() };
        while !listener.read_some()?.is_empty() {}
        Ok(listener)
    }

    /// What came in; empty if nothing did for [`WAIT`].
    pub(crate) fn read_some(&mut self) -> Result<Vec<u8>, FlashError> {
        let mut block = [0; 1024];
        match self.stream.read(&mut block) {
            Ok(0) => Err(refused(&self.endpoint, &io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => Ok(block[..count].to_vec()),
            Err(error) if is_a_pause(&error) => Ok(Vec::new()),
            Err(error) => Err(refused(&self.endpoint, &error)),
        }
    }
}

/// Whether a read only had to wait: nothing came, nothing broke.
pub(crate) fn is_a_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let stream = TcpStream::connect_timeout(&address, CONNECT_WITHIN)?;
    stream.set_read_timeout(Some(WAIT))?;
    Ok(stream)
}

fn refused(endpoint: &str, error: &io::Error) -> FlashError {
    let (endpoint, detail) = (endpoint.to_owned(), error.to_string());
    if error.kind() == io::ErrorKind::PermissionDenied {
        FlashError::PermissionDenied { what: endpoint, detail }
    } else {
        FlashError::ListenFailed { endpoint, detail }
    }
}

/// Waits for the line of a self-test among what `next` gives, which may be nothing each time.
///
/// # Errors
/// [`FlashError::SelfTestSilent`], [`FlashError::SelfTestDiffered`], and what `next` fails with.
pub(crate) fn hear(
    test: &SelfTest,
    on_progress: &mut dyn FnMut(Progress),
    mut next: impl FnMut() -> Result<Vec<u8>, FlashError>,
) -> Result<String, FlashError> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let begun = Instant::now();
    let within = Duration::from_millis(test.within_ms);
    let mut heard = Heard::default();
    loop {
        heard.take(&next()?);
        if let Some(line) = heard.line_with(&test.expect) {
            return Ok(line);
        }
        if begun.elapsed() >= within {
            let (expected, within_ms) = (test.expect.clone(), test.within_ms);
            return Err(match heard.last() {
                Some(heard) => FlashError::SelfTestDiffered { expected, heard, within_ms },
                None => FlashError::SelfTestSilent { expected, within_ms },
            });
        }
        on_progress(Progress {
            step: Step::SelfTest,
            done_bytes: ms(begun.elapsed()),
            total_bytes: test.within_ms,
        });
    }
}

/// Lines heard so far.
#[derive(Default)]
pub(crate) struct Heard {
    lines: Vec<String>,
    open: Vec<u8>,
}

impl Heard {
    /// Adds bytes as they came.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if matches!(byte, b'\n' | b'\r') || self.open.len() == LINE_BYTES_MAX {
                self.close();
            }
            // A UART that starts up says NUL now and then; no control byte belongs in a record.
            if !byte.is_ascii_control() {
                self.open.push(*byte);
            }
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.lines.push(String::from_utf8_lossy(&self.open).into_owned());
            self.open.clear();
        }
    }

    /// Takes out the first finished line that contains `text`, with all lines before it.
    pub(crate) fn line_with(&mut self, text: &str) -> Option<String> {
        let found = self.lines.iter().position(|line| line.contains(text))?;
        self.lines.drain(..=found).next_back()
    }

    /// The last thing heard, finished or not.
    pub(crate) fn last(&mut self) -> Option<String> {
        self.close();
        self.lines.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_only_when_it_is_finished_and_contains_the_text() {
        let check = |said: &[&str], expect: &str, wanted: Option<&str>| {
            let mut heard = Heard::default();
            for part in said {
                heard.take(part.as_bytes());
            }
            assert_eq!(heard.line_with(expect).as_deref(), wanted, "{said:?}");
        };
        check(
            &["FLASHLINE demo 1.0 activ", "ation=valid\r\n"],
            "activation=valid",
            Some("FLASHLINE demo 1.0 activation=valid"),
        );
        check(&["boot\nFLASHLINE demo\nmore\n"], "FLASHLINE", Some("FLASHLINE demo"));
        check(&["FLASHLINE demo"], "FLASHLINE", None);
        check(&["\0\x1bhello\x07\n"], "hello", Some("hello"));
        check(&["\r\n\r\n"], "", None);
        check(&[], "x", None);
    }

    #[test]
    fn what_was_said_last_is_kept_even_unfinished_and_endless_lines_are_cut() {
        let mut heard = Heard::default();
        heard.take(b"first\nsecond half");
        assert_eq!(heard.last().as_deref(), Some("second half"));
        heard.take(&[b'x'; 3 * LINE_BYTES_MAX]);
        assert_eq!(heard.last().map(|line| line.len()), Some(LINE_BYTES_MAX));
    }
}
