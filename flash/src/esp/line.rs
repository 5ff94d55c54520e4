//! A serial port with a ROM loader behind it: requests with deadlines, and what went wrong.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use espflash::command::Command;
use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use serialport::{ClearBuffer, SerialPort, SerialPortType, TTYPort, UsbPortInfo};

use super::frame::{self, Answer, Receiver};
use crate::backend::Step;
use crate::damage::{Damage, Watch};
use crate::error::FlashError;
use crate::listen::is_a_pause;
use crate::uart;

/// The rate of a loader that nobody has told another one.
pub(super) const ROM_BAUD: u32 = 115_200;
/// Rates at which a loader may have been left by an earlier visit or another tool.
const OTHER_BAUDS: [u32; 4] = [921_600, 460_800, 230_400, 1_500_000];
/// Start, eight data bits, stop.
const BITS_PER_BYTE: u64 = 10;
/// For the answer to SYNC.
const SYNC_WITHIN: Duration = Duration::from_millis(100);
/// How often SYNC is sent at one rate: the first may find the loader inside a packet.
const SYNC_TRIES: u32 = 3;
/// For every other answer that needs no flash operation.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(1000);
/// No byte for this long after some came: what came is all there is.
const QUIET: Duration = Duration::from_millis(60);
/// A line that is never quiet is left alone after this long.
const DRAIN_MAX: Duration = Duration::from_millis(500);
/// How often something is asked before the fault stands.
const TRIES: u32 = 3;
/// Most bytes taken from the port at once.
const TAKE_BYTES: usize = 512;

/// What went wrong between station and loader. Its words are the `detail` of a [`FlashError`].
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
    /// The loader has forgotten this visit: the chip was reset or without power.
    #[error("the loader was reset or without power")]
    Restarted,
    /// The loader refused, also when asked again.
    #[error("{to} was refused with {code:#04x}: {words}", words = frame::error(*code))]
    Refused {
        /// What was sent.
        to: &'static str,
        /// The loader's error value.
        code: u8,
    },
    /// Bytes came that are no answer, also when asked again.
    #[error("no answer to {to}, but {bytes} other bytes")]
    Noise {
        /// What was sent.
        to: &'static str,
        /// How many bytes came.
        bytes: usize,
    },
    /// A byte came damaged where an answer had to be, also when asked again.
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
            Self::Refused { .. } => FlashError::Refused { during, detail },
            Self::Noise { .. } | Self::Unsteady { .. } => FlashError::LineNoise { during, detail },
            Self::Damaged { damage, .. } => FlashError::LineDamaged { during, damage, detail },
            Self::Lost { .. } => FlashError::ProbeLost { during, detail },
        }
    }
}

/// An open port.
pub(super) struct Line {
    port: TTYPort,
    watch: Watch,
    baud: u32,
    /// The adapter, which decides how its reset lines are used.
    adapter: UsbPortInfo,
}

impl Line {
    /// Opens the port for this process alone: 8 data bits, no parity, 1 stop bit.
    pub(super) fn open(path: &str) -> Result<Self, FlashError> {
        let port = serialport::new(path, ROM_BAUD).open_native();
        let port = port.map_err(|error| uart::not_opened(path, &error))?;
        let watch = Watch::begin(&port, false);
        Ok(Self { port, watch, baud: ROM_BAUD, adapter: adapter(path) })
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

    /// Whether the port can pull the chip's reset and boot pins: a pseudo-terminal cannot.
    pub(super) fn has_reset_lines(&mut self) -> bool {
        self.port.read_clear_to_send().is_ok()
    }

    /// Resets the chip with its boot pin pulled, through DTR and RTS.
    pub(super) fn reset_into_loader(self) -> Result<Self, Fault> {
        self.through_espflash(|connection| connection.reset_to_flash(false))
    }

    /// Resets the chip with its boot pin released.
    pub(super) fn reset_into_program(self) -> Result<Self, Fault> {
        self.through_espflash(Connection::reset)
    }

    /// The reset sequences are espflash's: they differ by adapter and have been tried on many.
    fn through_espflash(
        self,
        reset: impl FnOnce(&mut Connection) -> Result<(), espflash::Error>,
    ) -> Result<Self, Fault> {
        let Self { port, watch, baud, adapter } = self;
        let mut connection = Connection::new(
            port,
            adapter.clone(),
            ResetAfterOperation::NoReset,
            ResetBeforeOperation::NoReset,
            baud,
        );
        let done = reset(&mut connection);
        let line = Self { port: connection.into_serial(), watch, baud, adapter };
        done.map(|()| line).map_err(|error| lost(&error))
    }

    /// Sends SYNC at the present rate and drops its repeated answers.
    pub(super) fn sync(&mut self) -> Result<(), Fault> {
        let request = frame::request(&Command::Sync);
        let mut fault = None;
        for _ in 0..SYNC_TRIES {
            match self.exchange("SYNC", &request, command_of(&Command::Sync), SYNC_WITHIN) {
                Ok(_) => return self.drain(),
                Err(lost @ Fault::Lost { .. }) => return Err(lost),
                // Bytes are the better evidence: something is there.
                Err(noise @ (Fault::Noise { .. } | Fault::Damaged { .. })) => fault = Some(noise),
                Err(other) => fault = fault.or(Some(other)),
            }
        }
        Err(fault.unwrap_or(Fault::Silence { to: "SYNC", within_ms: 0 }))
    }

    /// Sends SYNC once at the present rate.
    pub(super) fn knock(&mut self) -> Result<(), Fault> {
        let request = frame::request(&Command::Sync);
        self.exchange("SYNC", &request, command_of(&Command::Sync), SYNC_WITHIN)?;
        self.drain()
    }

    /// SYNC at the present rate, then at `wanted` and at the others.
    pub(super) fn sync_at_any_rate(&mut self, wanted: u32) -> Result<(), Fault> {
        let present = self.baud;
        let mut tried = vec![];
        let mut fault = None;
        for baud in [present, ROM_BAUD, wanted].into_iter().chain(OTHER_BAUDS) {
            if tried.contains(&baud) {
                continue;
            }
            tried.push(baud);
            if self.baud != baud {
                self.set_baud(baud)?;
            }
            match self.sync() {
                Ok(()) => return Ok(()),
                Err(lost @ Fault::Lost { .. }) => return Err(lost),
                Err(noise @ Fault::Noise { .. }) => fault = Some(noise),
                // At a wrong rate every byte is damaged: whole ones tell more.
                Err(damaged @ Fault::Damaged { .. }) => {
                    fault = fault.filter(|fault| matches!(fault, Fault::Noise { .. }));
                    fault = fault.or(Some(damaged));
                }
                Err(other) => fault = fault.or(Some(other)),
            }
        }
        self.set_baud(present)?;
        Err(fault.unwrap_or(Fault::Silence { to: "SYNC", within_ms: 0 }))
    }

    /// Asks up to three times; between two tries SYNC brings both back into step.
    pub(super) fn ask(
        &mut self,
        to: &'static str,
        command: &Command<'_>,
        within: Duration,
    ) -> Result<Answer, Fault> {
        self.ask_packet(to, &frame::request(command), command_of(command), within)
    }

    /// The same for a packet that was made already.
    pub(super) fn ask_packet(
        &mut self,
        to: &'static str,
        request: &[u8],
        command: u8,
        within: Duration,
    ) -> Result<Answer, Fault> {
        let mut tries = 1;
        loop {
            let fault = match self.exchange(to, request, command, within) {
                Ok(answer) => return Ok(answer),
                Err(fault @ Fault::Lost { .. }) => return Err(fault),
                Err(fault) => fault,
            };
            match self.sync() {
                Ok(()) => {}
                Err(Fault::Silence { .. }) => {
                    // The older silence tells what nobody answered.
                    let is_silence = matches!(fault, Fault::Silence { .. });
                    let within_ms = ms(SYNC_WITHIN * SYNC_TRIES);
                    return Err(if is_silence { fault } else { Fault::Silence { to, within_ms } });
                }
                Err(other) => return Err(other),
            }
            if tries == TRIES {
                return Err(fault);
            }
            tracing::debug!(%fault, tries, "asked again");
            tries += 1;
        }
    }

    /// Asks once.
    pub(super) fn ask_once(
        &mut self,
        to: &'static str,
        command: &Command<'_>,
        within: Duration,
    ) -> Result<Answer, Fault> {
        self.exchange(to, &frame::request(command), command_of(command), within)
    }

    fn exchange(
        &mut self,
        to: &'static str,
        request: &[u8],
        command: u8,
        within: Duration,
    ) -> Result<Answer, Fault> {
        self.port.clear(ClearBuffer::Input).map_err(|error| lost(&error))?;
        self.watch.damage(&self.port);
        self.send(request)?;
        // The request's own time on the wire, and the longest answer's.
        let within = within + self.wire_time(request.len() + 2 * frame::READ_BYTES);
        let deadline = Instant::now() + within;
        let mut receiver = Receiver::default();
        let mut block = [0; TAKE_BYTES];
        let mut heard = 0;
        let mut wait = within;
        loop {
            let count = self.take_some(&mut block, wait)?;
            for byte in &block[..count] {
                // Answers to what was asked before may still come: SYNC has eight.
                let answer = receiver.take(*byte).as_deref().and_then(Answer::parse);
                let answer = answer.filter(|answer| answer.command == command);
                if let Some(damage) = answer.as_ref().and_then(|_| self.watch.damage(&self.port)) {
                    return Err(Fault::Damaged { to, damage });
                }
                match answer {
                    Some(Answer { error: Some(code), .. }) => {
                        return Err(Fault::Refused { to, code });
                    }
                    Some(answer) => return Ok(answer),
                    None => {}
                }
            }
            heard += count;
            let left = deadline.saturating_duration_since(Instant::now());
            if count == 0 && heard > 0 || left.is_zero() {
                return Err(match (heard, self.watch.damage(&self.port)) {
                    (0, _) => Fault::Silence { to, within_ms: ms(within) },
                    (_, Some(damage)) => Fault::Damaged { to, damage },
                    (bytes, None) => Fault::Noise { to, bytes },
                });
            }
            wait = if heard == 0 { left } else { left.min(QUIET) };
        }
    }

    /// Bytes of a running program; none within `wait` is empty.
    pub(super) fn listen(&mut self, wait: Duration) -> Result<Vec<u8>, Fault> {
        let mut block = [0; TAKE_BYTES];
        let count = self.take_some(&mut block, wait)?;
        Ok(block[..count].to_vec())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let within = Duration::from_secs(1) + self.wire_time(bytes.len());
        self.port.set_timeout(within).map_err(|error| lost(&error))?;
        self.port.write_all(bytes).map_err(|error| lost(&error))
    }

    /// Throws away what comes until the line is quiet.
    fn drain(&mut self) -> Result<(), Fault> {
        let begun = Instant::now();
        let mut block = [0; TAKE_BYTES];
        // The answers to one SYNC come without a pause between them.
        let pause = Duration::from_millis(5) + self.wire_time(4);
        while self.take_some(&mut block, pause)? > 0 && begun.elapsed() < DRAIN_MAX {}
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

    fn wire_time(&self, bytes: usize) -> Duration {
        let nanos = BITS_PER_BYTE * 1_000_000_000 / u64::from(self.baud.max(1));
        Duration::from_nanos(nanos.saturating_mul(bytes as u64))
    }
}

/// What the system knows of the USB adapter; an adapter without ids is an ordinary one.
fn adapter(path: &str) -> UsbPortInfo {
    let plain = UsbPortInfo {
        vid: 0,
        pid: 0,
        serial_number: None,
        manufacturer: None,
        product: None,
        interface: None,
    };
    let ports = serialport::available_ports().unwrap_or_default();
    let found = ports.into_iter().find(|port| port.port_name == path);
    match found.map(|port| port.port_type) {
        Some(SerialPortType::UsbPort(info)) => info,
        Some(_) | None => plain,
    }
}

fn command_of(command: &Command<'_>) -> u8 {
    command.command_type() as u8
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn lost(error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::Lost { detail: crate::error::chain(error) }
}
