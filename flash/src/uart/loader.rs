//! The AN3155 protocol: commands with deadlines, asked again when the line disturbed them.
//!
//! A command that is idempotent is tried [`TRIES`] times: a NACK may be a flipped bit on the way
//! there, an odd byte one on the way back. Between two tries the loader is brought back to where it
//! expects a command. Go and the protection commands are not repeated once they were taken.

use std::time::Duration;

use super::frame::{self, ACK, Abilities, Command, NACK, SYNC};
use super::link::{Fault, Link};
use crate::error::FlashError;

/// Rates tried when a loader was left at another one, the configured one first.
pub const BAUDS: [u32; 5] = [115_200, 57_600, 38_400, 19_200, 9600];
/// How often something is asked before the fault stands.
const TRIES: u32 = 3;
/// No command, no complement of [`SYNC`], and no count whose run of the same byte sums up to nothing.
const MISFIT: u8 = 0x02;
/// Completes frames that are not meant to be right.
const FILLER: u8 = 0x04;
/// For the answer to the sync byte.
const SYNC_WITHIN: Duration = Duration::from_millis(150);
/// For every other answer that needs no flash operation.
const ANSWER_WITHIN: Duration = Duration::from_millis(1000);
/// For an erase of everything (AN2606 names up to 30 s for the largest parts).
const ERASE_ALL_WITHIN: Duration = Duration::from_secs(35);

/// Whether the loader went on or began anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// It is as it was left.
    No,
    /// It was reset since: it greeted the sync byte.
    Yes,
}

/// A loader on a serial port.
pub struct Loader {
    link: Link,
    abilities: Option<Abilities>,
}

impl Loader {
    /// Opens the port, for this process alone, and sends nothing yet.
    ///
    /// # Errors
    /// [`FlashError::ProbeMissing`], [`FlashError::PermissionDenied`].
    pub fn open(path: &str, baud: u32) -> Result<Self, FlashError> {
        Ok(Self { link: Link::open(path, baud)?, abilities: None })
    }

    pub(super) fn into_link(self) -> Link {
        self.link
    }

    /// Knocks at the present rate; afterwards the loader expects a command.
    ///
    /// # Errors
    /// [`Fault::Silence`] for an empty slot, [`Fault::Noise`] for an answer that is none.
    pub fn knock(&mut self) -> Result<Restart, Fault> {
        self.link.drain()?;
        let mut fault = None;
        // A loader that knows its rate takes the first byte for half a command, refuses the second.
        // Both are the greeting: a chip that starts between them would be deaf to any other byte.
        for _ in 0..2 {
            self.link.send(&[SYNC])?;
            match self.link.ack("the sync byte", SYNC_WITHIN) {
                Ok(()) => return Ok(Restart::Yes),
                Err(Fault::Nack { .. }) => return Ok(Restart::No),
                Err(silence @ Fault::Silence { .. }) => fault = Some(silence),
                Err(other) => return Err(other),
            }
        }
        Err(fault.unwrap_or(Fault::Malformed { what: "no sync byte sent" }))
    }

    /// Knocks at the present rate, then at the other [`BAUDS`] until the loader makes sense.
    ///
    /// # Errors
    /// [`Fault::Silence`] if nothing answered at any rate, [`Fault::WrongBaud`] if something did.
    pub fn sync(&mut self) -> Result<Restart, Fault> {
        let configured = self.link.baud();
        let others = BAUDS.into_iter().filter(|baud| *baud != configured);
        let mut tried = Vec::new();
        let mut heard = false;
        let mut silence = None;
        for baud in std::iter::once(configured).chain(others) {
            if self.link.baud() != baud {
                self.link.set_baud(baud)?;
            }
            tried.push(baud);
            // A second time for a loader whose first answer was disturbed.
            for _ in 0..2 {
                match self.knock() {
                    Ok(restart) => {
                        if baud != configured {
                            tracing::warn!(baud, configured, "the loader was left at another rate");
                        }
                        return Ok(restart);
                    }
                    // At another rate the bits of a byte do not end where they should.
                    Err(Fault::Noise { .. } | Fault::Damaged { .. }) => heard = true,
                    Err(fault @ Fault::Silence { .. }) => {
                        silence = silence.or(Some(fault));
                        break;
                    }
                    Err(other) => return Err(other),
                }
            }
        }
        self.link.set_baud(configured)?;
        Err(match silence {
            Some(silence) if !heard => silence,
            Some(_) | None => Fault::WrongBaud { tried },
        })
    }

    /// Whether the loader of this visit is still the same, without making a fresh one deaf.
    ///
    /// # Errors
    /// [`Fault::Silence`] if nothing answers; noise, a lost port.
    pub fn still_there(&mut self) -> Result<Restart, Fault> {
        self.repeat(|loader| {
            loader.link.drain()?;
            // Half a command and its wrong complement, or a greeting and half a command.
            loader.link.send(&[SYNC, SYNC])?;
            let mut answer = [0];
            loader.link.take(&mut answer, "the sync byte", SYNC_WITHIN)?;
            match answer[0] {
                NACK => Ok(Restart::No),
                ACK => Ok(Restart::Yes),
                byte => Err(Fault::Noise { to: "the sync byte", byte }),
            }
        })
    }

    /// Asks what the loader can do.
    ///
    /// # Errors
    /// Faults of the line.
    pub fn get(&mut self) -> Result<Abilities, Fault> {
        let bytes = self.repeat(|loader| loader.ask(Command::Get))?;
        let abilities =
            Abilities::parse(&bytes).ok_or(Fault::Malformed { what: "the answer to Get" })?;
        self.abilities = Some(abilities.clone());
        Ok(abilities)
    }

    /// Asks for the version of the protocol, one digit per nibble.
    ///
    /// # Errors
    /// Faults of the line.
    pub fn version(&mut self) -> Result<u8, Fault> {
        self.repeat(|loader| {
            loader.command(Command::GetVersion)?;
            let mut answer = [0; 3];
            loader.link.take(&mut answer, Command::GetVersion.name(), ANSWER_WITHIN)?;
            loader.link.ack(Command::GetVersion.name(), ANSWER_WITHIN)?;
            Ok(answer[0])
        })
    }

    /// Asks for the product id.
    ///
    /// # Errors
    /// Faults of the line; [`Fault::Malformed`] unless the id has two bytes.
    pub fn product_id(&mut self) -> Result<u16, Fault> {
        let bytes = self.repeat(|loader| loader.ask(Command::GetId))?;
        frame::product_id(&bytes).ok_or(Fault::Malformed { what: "the answer to Get ID" })
    }

    /// Fills `into`, up to 256 bytes, from `address`. The protocol has no checksum on the way back.
    ///
    /// # Errors
    /// [`Fault::Nack`] to "Read Memory" from a locked chip; faults of the line.
    pub fn read(&mut self, address: u32, into: &mut [u8]) -> Result<(), Fault> {
        let count = frame::read_count(into.len())
            .ok_or(Fault::Malformed { what: "a read of more than 256 bytes" })?;
        self.repeat(|loader| {
            loader.command(Command::ReadMemory)?;
            loader.say(&frame::address(address), "the address of Read Memory", ANSWER_WITHIN)?;
            loader.say(&count, "the count of Read Memory", ANSWER_WITHIN)?;
            loader.link.take(into, "Read Memory", ANSWER_WITHIN)
        })
    }

    /// Writes up to 256 bytes, an even number, at `address`. The loader does not compare.
    ///
    /// # Errors
    /// Faults of the line.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        let data = frame::write_data(bytes)
            .ok_or(Fault::Malformed { what: "a write of more than 256 or of odd bytes" })?;
        self.repeat(|loader| {
            loader.command(Command::WriteMemory)?;
            loader.say(&frame::address(address), "the address of Write Memory", ANSWER_WITHIN)?;
            loader.say(&data, "the data of Write Memory", ANSWER_WITHIN)
        })
    }

    /// Erases pages by their numbers, each given `page_within`.
    ///
    /// # Errors
    /// Faults of the line; [`Fault::Malformed`] if the frame cannot hold the pages.
    pub fn erase(&mut self, pages: &[u16], page_within: Duration) -> Result<(), Fault> {
        let command = self.erase_command()?;
        let pages_frame = if command == Command::Erase {
            frame::erase_pages(pages)
        } else {
            frame::extended_erase_pages(pages)
        };
        let pages_frame = pages_frame.ok_or(Fault::Malformed { what: "pages for no erase" })?;
        let count = u32::try_from(pages.len()).unwrap_or(u32::MAX);
        let within = ANSWER_WITHIN + page_within.saturating_mul(count);
        self.repeat(|loader| {
            loader.command(command)?;
            loader.say(&pages_frame, "the pages of Erase", within)
        })
    }

    /// Erases all of flash.
    ///
    /// # Errors
    /// Faults of the line.
    pub fn erase_all(&mut self) -> Result<(), Fault> {
        let command = self.erase_command()?;
        let all: &[u8] =
            if command == Command::Erase { &frame::ERASE_ALL } else { &frame::EXTENDED_ERASE_ALL };
        self.repeat(|loader| {
            loader.command(command)?;
            loader.say(all, "Erase of everything", ERASE_ALL_WITHIN)
        })
    }

    /// Starts the program whose vector table is at `address`; the loader is gone then.
    ///
    /// # Errors
    /// Faults of the line.
    pub fn go(&mut self, address: u32) -> Result<(), Fault> {
        self.repeat(|loader| loader.command(Command::Go))?;
        self.say(&frame::address(address), "the address of Go", ANSWER_WITHIN)
    }

    /// Locks the chip against reading; the loader restarts.
    ///
    /// # Errors
    /// Faults of the line.
    pub fn readout_protect(&mut self) -> Result<(), Fault> {
        self.protection(Command::ReadoutProtect, ANSWER_WITHIN)
    }

    /// Opens a locked chip by erasing it whole; the loader restarts.
    ///
    /// # Errors
    /// Faults of the line.
    pub fn readout_unprotect(&mut self) -> Result<(), Fault> {
        self.protection(Command::ReadoutUnprotect, ERASE_ALL_WITHIN)
    }

    /// Takes the write protection off all of flash; the loader restarts.
    ///
    /// # Errors
    /// Faults of the line.
    pub fn write_unprotect(&mut self) -> Result<(), Fault> {
        self.protection(Command::WriteUnprotect, ANSWER_WITHIN)
    }

    fn protection(&mut self, command: Command, within: Duration) -> Result<(), Fault> {
        self.repeat(|loader| loader.command(command))?;
        self.link.ack(command.name(), within)
    }

    fn erase_command(&mut self) -> Result<Command, Fault> {
        let abilities = match &self.abilities {
            Some(abilities) => abilities.clone(),
            None => self.get()?,
        };
        [Command::Erase, Command::ExtendedErase]
            .into_iter()
            .find(|command| abilities.has(*command))
            .ok_or(Fault::Malformed { what: "a loader without an erase" })
    }

    /// Sends a command that answers with a count byte, that many bytes plus one, and ACK.
    fn ask(&mut self, command: Command) -> Result<Vec<u8>, Fault> {
        self.command(command)?;
        let mut count = [0];
        self.link.take(&mut count, command.name(), ANSWER_WITHIN)?;
        let mut bytes = vec![0; usize::from(count[0]) + 1];
        self.link.take(&mut bytes, command.name(), ANSWER_WITHIN)?;
        self.link.ack(command.name(), ANSWER_WITHIN)?;
        Ok(bytes)
    }

    fn command(&mut self, command: Command) -> Result<(), Fault> {
        self.say(&command.frame(), command.name(), ANSWER_WITHIN)
    }

    fn say(&mut self, bytes: &[u8], to: &'static str, within: Duration) -> Result<(), Fault> {
        self.link.send(bytes)?;
        let sent = self.link.wire_time(bytes.len());
        self.link.ack(to, within + sent)
    }

    /// Asks up to [`TRIES`] times.
    fn repeat<T>(
        &mut self,
        mut ask: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut tries = 1;
        loop {
            let fault = match ask(self) {
                Ok(answer) => return Ok(answer),
                Err(fault @ (Fault::Lost { .. } | Fault::Malformed { .. })) => return Err(fault),
                Err(fault) => fault,
            };
            // A refusal leaves the loader where it expects a command, unless bytes got lost before.
            let refused_once = matches!(fault, Fault::Nack { .. }) && tries == 1;
            let recovered = if refused_once { self.link.drain() } else { self.recover() };
            if let Err(worse) = recovered {
                // A line that is silent now is the older fact only if it was silent before.
                return Err(match (worse, fault) {
                    (Fault::Silence { .. }, silence @ Fault::Silence { .. }) => silence,
                    (worse, _) => worse,
                });
            }
            if tries == TRIES {
                return Err(fault);
            }
            tracing::debug!(%fault, tries, "asked again");
            tries += 1;
        }
    }

    /// Brings the loader to where it expects a command.
    ///
    /// It may be in the middle of a frame, waiting for bytes that it believes are due. What it is
    /// fed then never makes a frame whose checksum is right, counted from every state this protocol
    /// can leave it in.
    fn recover(&mut self) -> Result<(), Fault> {
        let mut knocked = self.knock();
        if let Err(Fault::Noise { .. } | Fault::Damaged { .. }) = knocked {
            knocked = self.knock();
        }
        // The rest of an address; of a count and 128 bytes; of 256 bytes.
        for (byte, count) in [(MISFIT, 3), (FILLER, 125), (FILLER, 140)] {
            if !matches!(knocked, Err(Fault::Silence { .. })) {
                break;
            }
            self.link.send(&vec![byte; count])?;
            let sent = self.link.wire_time(count);
            match self.link.ack("the sync byte", SYNC_WITHIN + sent) {
                Err(Fault::Silence { .. }) => {}
                Err(Fault::Nack { .. } | Fault::Noise { .. } | Fault::Damaged { .. }) | Ok(()) => {
                    knocked = self.knock();
                }
                Err(other) => return Err(other),
            }
        }
        match knocked? {
            Restart::No => Ok(()),
            Restart::Yes => Err(Fault::Restarted),
        }
    }
}
