//! Bytes that came damaged over a serial line, as the system tells it.
//!
//! Two sources: a terminal that is asked to (`PARMRK`, `INPCK`) marks a byte whose parity or stop bit
//! was wrong, and the adapter's driver counts parity errors, framing errors, breaks and overruns
//! (`TIOCGICOUNT`). Some drivers only mark, some only count, a pseudo-terminal counts nothing;
//! [`Watch`] asks for both and takes what it gets.

#![allow(unsafe_code, reason = "a terminal's counters are read by ioctl; every call says why")]

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::libc;
use nix::sys::termios::{InputFlags, SetArg, tcgetattr, tcsetattr};
use serde::{Deserialize, Serialize};

/// How a byte was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Its parity was wrong: a bit turned over.
    Parity,
    /// It had no stop bit: another rate, or a disturbance as long as a byte.
    Framing,
    /// The line lay low for longer than a byte: a cut wire, a chip without power.
    Break,
    /// The adapter had no room for it: this computer was too slow.
    Overrun,
    /// Parity or stop bit: the system marked the byte and did not say which.
    Marked,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parity => "wrong parity",
            Self::Framing => "no stop bit",
            Self::Break => "a break",
            Self::Overrun => "an overrun",
            Self::Marked => "wrong parity or no stop bit",
        })
    }
}

/// What stands in the way of a marked byte (termios(3), `PARMRK`): 0xFF, 0x00, the byte. A 0xFF that
/// came whole is doubled.
const ESCAPE: u8 = 0xFF;
const MARK: u8 = 0x00;

/// Where in a mark the stream of bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Plain,
    Escape,
    Mark,
}

/// Takes the marks out of what a terminal gives.
#[derive(Debug)]
struct Marks {
    at: At,
    /// Bytes that were marked: none, one, and whether all of them were zeros.
    seen: Option<bool>,
}

impl Marks {
    /// Leaves the line's own bytes at the start of `block`, and says how many there are. A damaged
    /// byte stays in its place as it came.
    fn take_out(&mut self, block: &mut [u8]) -> usize {
        let mut kept = 0;
        for at in 0..block.len() {
            let byte = block[at];
            match (self.at, byte) {
                (At::Plain, ESCAPE) => {
                    self.at = At::Escape;
                    continue;
                }
                (At::Escape, MARK) => {
                    self.at = At::Mark;
                    continue;
                }
                (At::Mark, byte) => self.seen = Some(byte == 0 && self.seen != Some(false)),
                (At::Plain | At::Escape, _) => {}
            }
            self.at = At::Plain;
            block[kept] = byte;
            kept += 1;
        }
        kept
    }
}

/// What a driver has counted, never set back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    parity: i32,
    framing: i32,
    breaks: i32,
    overrun: i32,
}

impl Counts {
    /// What the driver has counted; `None` where it does not count.
    fn read(port: RawFd) -> Option<Self> {
        /// `struct serial_icounter_struct` (linux/serial.h): four modem lines, then these, then room.
        #[derive(Default)]
        #[repr(C)]
        struct Counters {
            lines: [libc::c_int; 4],
            received: libc::c_int,
            sent: libc::c_int,
            framing: libc::c_int,
            overrun: libc::c_int,
            parity: libc::c_int,
            breaks: libc::c_int,
            buffer_overrun: libc::c_int,
            room: [libc::c_int; 9],
        }
        let mut counters = Counters::default();
        // SAFETY: the kernel writes one `serial_icounter_struct`, for which `counters` has room.
        let done = unsafe { libc::ioctl(port, libc::TIOCGICOUNT, &raw mut counters) };
        let Counters { parity, framing, breaks, overrun, buffer_overrun, .. } = counters;
        let overrun = overrun.wrapping_add(buffer_overrun);
        (done == 0).then_some(Self { parity, framing, breaks, overrun })
    }

    /// What was counted since.
    fn damage_until(self, later: Self) -> Option<Damage> {
        if later.parity != self.parity {
            Some(Damage::Parity)
        } else if later.breaks != self.breaks {
            Some(Damage::Break)
        } else if later.framing != self.framing {
            Some(Damage::Framing)
        } else if later.overrun != self.overrun {
            Some(Damage::Overrun)
        } else {
            None
        }
    }
}

/// A terminal that is watched for damaged bytes.
#[derive(Debug)]
pub(crate) struct Watch {
    /// None where the terminal does not mark.
    marks: Option<Marks>,
    /// None where its driver does not count.
    counted: Option<Counts>,
    parity: bool,
}

impl Watch {
    /// Has an open port mark and count damaged bytes from now on, as far as it can. `parity` says
    /// whether the line has a parity bit.
    pub(crate) fn begin(port: &impl AsRawFd, parity: bool) -> Self {
        let marks = set_marks(port, parity, true).then_some(Marks { at: At::Plain, seen: None });
        Self { marks, counted: Counts::read(port.as_raw_fd()), parity }
    }

    /// Has the port give bytes as they come again.
    pub(crate) fn end(&mut self, port: &impl AsRawFd) {
        if self.marks.take().is_some() {
            set_marks(port, self.parity, false);
        }
    }

    /// Leaves the line's own bytes at the start of `block`, and says how many there are.
    pub(crate) fn take_out(&mut self, block: &mut [u8]) -> usize {
        match &mut self.marks {
            Some(marks) => marks.take_out(block),
            None => block.len(),
        }
    }

    /// What was damaged since the last question.
    pub(crate) fn damage(&mut self, port: &impl AsRawFd) -> Option<Damage> {
        let now = self.counted.and_then(|_| Counts::read(port.as_raw_fd()));
        let counted = self.counted.zip(now).and_then(|(before, now)| before.damage_until(now));
        self.counted = now.or(self.counted);
        let marked = self.marks.as_mut().and_then(|marks| marks.seen.take());
        counted.or(marked.map(|zeros| match (zeros, self.parity) {
            (true, _) => Damage::Break,
            (false, true) => Damage::Marked,
            (false, false) => Damage::Framing,
        }))
    }
}

/// Whether the terminal took the setting.
fn set_marks(port: &impl AsRawFd, parity: bool, on: bool) -> bool {
    // SAFETY: the port is open for as long as it is borrowed here.
    let port = unsafe { BorrowedFd::borrow_raw(port.as_raw_fd()) };
    let Ok(mut settings) = tcgetattr(port.as_fd()) else { return false };
    settings.input_flags.set(InputFlags::PARMRK, on);
    settings.input_flags.set(InputFlags::INPCK, on && parity);
    settings.input_flags.remove(InputFlags::IGNPAR | InputFlags::IGNBRK | InputFlags::BRKINT);
    tcsetattr(port.as_fd(), SetArg::TCSANOW, &settings).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_out_wherever_the_bytes_are_cut() {
        let check = |came: &[u8], bytes: &[u8], seen: Option<bool>| {
            for cut in 0..=came.len() {
                let mut marks = Marks { at: At::Plain, seen: None };
                let mut kept = Vec::new();
                for part in [&came[..cut], &came[cut..]] {
                    let mut block = part.to_vec();
                    let count = marks.take_out(&mut block);
                    kept.extend_from_slice(&block[..count]);
                }
                assert_eq!((&kept[..], marks.seen), (bytes, seen), "{came:02x?} cut at {cut}");
            }
        };
        check(&[], &[], None);
        check(&[0x79, 0x00, 0x1F], &[0x79, 0x00, 0x1F], None);
        check(&[0xFF, 0xFF, 0x00, 0x05], &[0xFF, 0x00, 0x05], None);
        check(&[0x01, 0xFF, 0x00, 0x79, 0x02], &[0x01, 0x79, 0x02], Some(false));
        check(&[0xFF, 0x00, 0x00], &[0x00], Some(true));
        check(&[0xFF, 0x00, 0x00, 0xFF, 0x00, 0x10], &[0x00, 0x10], Some(false));
        check(&[0xFF, 0x00, 0x10, 0xFF, 0x00, 0x00], &[0x10, 0x00], Some(false));
        check(&[0xFF, 0x00, 0xFF, 0xFF, 0xFF], &[0xFF, 0xFF], Some(false));
    }

    #[test]
    fn counters_name_the_damage_that_was_counted_since() {
        let before = Counts { parity: 3, framing: 5, ..Counts::default() };
        let check = |later: Counts, damage: Option<Damage>| {
            assert_eq!(before.damage_until(later), damage, "{later:?}");
        };
        check(before, None);
        check(Counts { parity: 4, framing: 6, ..before }, Some(Damage::Parity));
        check(Counts { framing: 6, ..before }, Some(Damage::Framing));
        check(Counts { breaks: 1, framing: 6, ..before }, Some(Damage::Break));
        check(Counts { overrun: 1, ..before }, Some(Damage::Overrun));
    }
}
