//! A serial port with deadlines: bytes out, bytes in, and what went wrong as facts.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use serialport::{ClearBuffer, ErrorKind, Parity, SerialPort, TTYPort};

use super::frame::{ACK, NACK};
use crate::backend::Step;
use crate::damage::{Damage, Watch};
use crate::error::FlashError;
use crate::listen::is_a_pause;

/// Start, eight data bits, parity, stop.
const BITS_PER_BYTE: u64 = 11;
/// No byte for this long: the line is quiet.
const QUIET: Duration = Duration::from_millis(20);
/// A line that is never quiet is left alone after this long.
const DRAIN_MAX: Duration = Duration::from_millis(500);
/// Most bytes taken from the port at once.
const TAKE_BYTES: usize = 512;

/// What went wrong on the line. Its words are the `detail` of a [`FlashError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing came in its time.
    #[error("no answer to {to} within {within_ms} ms")]
    Silence {
        /// What was sent.
        to: &'static str,
        /// How long was waited, in milliseconds.
        within_ms: u64,
    },
    /// The loader greeted anew in the middle of a visit: the chip was reset or without power.
    #[error("the loader was reset or without power")]
    Restarted,
    /// The loader said no, also when asked again.
    #[error("{to} was answered with NACK")]
    Nack {
        /// What was sent.
        to: &'static str,
    },
    /// A byte that is neither ACK nor NACK where one had to be, also when asked again.
    #[error("{byte:#04x} in place of an answer to {to}")]
    Noise {
        /// What was sent.
        to: &'static str,
        /// What came.
        byte: u8,
    },
    /// A byte of an answer came damaged, also when asked again.
    #[error("{damage} in the answer to {to}")]
    Damaged {
        /// What was sent.
        to: &'static str,
        /// How.
        damage: Damage,
    },
    /// Two answers in a row were never alike.
    #[error("{to} was answered differently each time")]
    Unsteady {
        /// What was sent.
        to: &'static str,
    },
    /// Something answers, but not understandably at any rate.
    #[error("answers, but none that makes sense at {tried:?}")]
    WrongBaud {
        /// The rates tried.
        tried: Vec<u32>,
    },
    /// A frame that the protocol does not allow was asked for or came back.
    #[error("malformed: {what}")]
    Malformed {
        /// Which.
        what: &'static str,
    },
    /// The port broke.
    #[error("port lost: {detail}")]
    Lost {
        /// The operating system's words.
        detail: String,
    },
}

impl Fault {
    /// As the error of a step.
    pub fn at(self, during: Step) -> FlashError {
        let detail = self.to_string();
        match self {
            Self::Silence { .. } | Self::Restarted => FlashError::Silent { during, detail },
            Self::Lost { .. } => FlashError::ProbeLost { during, detail },
            Self::Nack { .. } => FlashError::Refused { during, detail },
            Self::Noise { .. } | Self::Unsteady { .. } => FlashError::LineNoise { during, detail },
            Self::Damaged { damage, .. } => FlashError::LineDamaged { during, damage, detail },
            Self::WrongBaud { tried } => FlashError::WrongBaud { during, tried },
            Self::Malformed { .. } => FlashError::Driver { during, detail },
        }
    }
}

/// An open port.
pub(super) struct Link {
    port: TTYPort,
    watch: Watch,
    baud: u32,
}

impl Link {
    /// Opens the port for this process alone: 8 data bits, even parity, 1 stop bit.
    pub(super) fn open(path: &str, baud: u32) -> Result<Self, FlashError> {
        let port = serialport::new(path, baud).parity(Parity::Even).open_native();
        let port = port.map_err(|error| not_opened(path, &error))?;
        let watch = Watch::begin(&port, true);
        Ok(Self { port, watch, baud })
    }

    /// Symbols per second.
    pub(super) fn baud(&self) -> u32 {
        self.baud
    }

    /// Another rate, from the next byte on.
    pub(super) fn set_baud(&mut self, baud: u32) -> Result<(), Fault> {
        self.port.set_baud_rate(baud).map_err(|error| lost(&error))?;
        self.baud = baud;
        Ok(())
    }

    /// As a program's console: no parity, this rate.
    pub(super) fn into_console(mut self, baud: u32) -> Result<Box<dyn SerialPort>, Fault> {
        self.port.set_parity(Parity::None).map_err(|error| lost(&error))?;
        self.set_baud(baud)?;
        self.watch.end(&self.port);
        Ok(Box::new(self.port))
    }

    /// The time `bytes` bytes need on the wire.
    pub(super) fn wire_time(&self, bytes: usize) -> Duration {
        let nanos = BITS_PER_BYTE * 1_000_000_000 / u64::from(self.baud.max(1));
        Duration::from_nanos(nanos.saturating_mul(bytes as u64))
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let within = Duration::from_secs(1) + self.wire_time(bytes.len());
        self.port.set_timeout(within).map_err(|error| lost(&error))?;
        self.port.write_all(bytes).map_err(|error| lost(&error))
    }

    /// Fills `into`, all of it within `within` and the time on the wire, and none of it damaged.
    pub(super) fn take(
        &mut self,
        into: &mut [u8],
        to: &'static str,
        within: Duration,
    ) -> Result<(), Fault> {
        let within = within + self.wire_time(into.len());
        let deadline = Instant::now() + within;
        let mut done = 0;
        while done < into.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            done += self.take_some(&mut into[done..], left)?;
            if done < into.len() && Instant::now() >= deadline {
                let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                return Err(Fault::Silence { to, within_ms });
            }
        }
        match self.watch.damage(&self.port) {
            Some(damage) => Err(Fault::Damaged { to, damage }),
            None => Ok(()),
        }
    }

    /// Waits for the answer to what was sent: ACK is fine, everything else a fault.
    pub(super) fn ack(&mut self, to: &'static str, within: Duration) -> Result<(), Fault> {
        let mut answer = [0];
        self.take(&mut answer, to, within)?;
        match answer[0] {
            ACK => Ok(()),
            NACK => Err(Fault::Nack { to }),
            byte => Err(Fault::Noise { to, byte }),
        }
    }

    /// Throws away what comes until the line is quiet.
    pub(super) fn drain(&mut self) -> Result<(), Fault> {
        self.port.clear(ClearBuffer::Input).map_err(|error| lost(&error))?;
        let begun = Instant::now();
        let mut block = [0; TAKE_BYTES];
        while self.take_some(&mut block, QUIET)? > 0 && begun.elapsed() < DRAIN_MAX {}
        // What is thrown away was not asked for, damaged or not.
        self.watch.damage(&self.port);
        Ok(())
    }

    /// What came within `within`; nothing is 0.
    fn take_some(&mut self, into: &mut [u8], within: Duration) -> Result<usize, Fault> {
        self.port.set_timeout(within).map_err(|error| lost(&error))?;
        loop {
            match self.port.read(into) {
                Ok(0) => return Err(lost(&io::Error::from(io::ErrorKind::UnexpectedEof))),
                Ok(count) => match self.watch.take_out(&mut into[..count]) {
                    // The beginning of a mark: the rest of it is on its way.
                    0 => {}
                    count => return Ok(count),
                },
                Err(error) if is_a_pause(&error) => return Ok(0),
                Err(error) => return Err(lost(&error)),
            }
        }
    }
}

/// Why a serial port could not be opened.
pub(crate) fn not_opened(path: &str, error: &serialport::Error) -> FlashError {
    let (name, detail) = (path.to_owned(), error.to_string());
    match error.kind() {
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
            FlashError::PermissionDenied { what: name, detail }
        }
        // The crate's word for a port that somebody else has locked.
        ErrorKind::NoDevice => FlashError::ProbeBusy { what: name, detail },
        ErrorKind::InvalidInput | ErrorKind::Unknown | ErrorKind::Io(_) => {
            FlashError::ProbeMissing { selector: name, detail }
        }
    }
}

fn lost(error: &dyn std::error::Error) -> Fault {
    Fault::Lost { detail: error.to_string() }
}
