//! The Black Magic Probe remote protocol, version 3: text in, text out.
//!
//! Owns the grammar (`!…#` asks, `&K…#` and `&E…#` answer) and its mixed byte orders. Carries no
//! request out.

/// Answer to `HC`: protocol version 3.
const PROTOCOL_VERSION: u32 = 3;
/// The probe's packet buffer; a longer request is an error, as in the real firmware.
pub const REQUEST_BYTES_MAX: usize = 1024;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `GA`: who are you.
    Handshake,
    /// `HC`: which protocol version.
    Version,
    /// `GV`: the target's supply.
    Voltage,
    /// `Gf`: clock in kHz.
    GetSpeed,
    /// `GF`: set the clock, in Hz.
    SetSpeed(u32),
    /// `GP`, `GE`: accepted without effect on this board.
    Accept,
    /// `SS`: from now on by SWD.
    UseSwd,
    /// `J…`, `HJ`: by JTAG.
    Jtag(Jtag),
    /// `GZ`: the reset pin.
    ResetPin(bool),
    /// `So`, `SO`: drive bits; with parity when the flag is set.
    Out {
        /// The bits, least significant first.
        bits: u32,
        /// How many.
        count: u32,
        /// One more bit: their parity.
        parity: bool,
    },
    /// `Si`, `SI`: sample bits.
    In {
        /// How many.
        count: u32,
        /// One more bit: check their parity.
        parity: bool,
    },
    /// `Ad`: read a debug port register.
    ReadDp(u8),
    /// `AR`: raw access to a debug port register.
    RawDp {
        /// Reads instead of writing.
        read: bool,
        /// Register address.
        address: u8,
        /// What to write.
        value: u32,
    },
    /// `Aa`: read an access port register.
    ReadAp {
        /// Which access port.
        ap: u8,
        /// Register address.
        register: u8,
    },
    /// `AA`: write an access port register.
    WriteAp {
        /// Which access port.
        ap: u8,
        /// Register address.
        register: u8,
        /// What to write.
        value: u32,
    },
    /// `Am`: read memory.
    ReadMemory {
        /// Which access port.
        ap: u8,
        /// First byte.
        address: u32,
        /// Number of bytes.
        length: u32,
    },
    /// `AM`: write memory.
    WriteMemory {
        /// Which access port.
        ap: u8,
        /// First byte.
        address: u32,
        /// Bytes per access: 1, 2 or 4 (8 is done as two times 4).
        width: usize,
        /// What to write.
        data: Vec<u8>,
    },
}

/// What is asked of a chain of test access ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jtag {
    /// `JS`: from now on by JTAG.
    Use,
    /// `JR`: the controllers of the chain go to Test-Logic-Reset.
    Reset,
    /// `JN`: one clock; answered with TDO.
    Clock {
        /// The level at TMS.
        tms: bool,
        /// The level at TDI.
        tdi: bool,
    },
    /// `JT`: clocks with these levels at TMS, least significant first, and TDI high.
    Walk {
        /// The levels.
        tms: u32,
        /// How many.
        count: u32,
    },
    /// `Jd`, `JD`: clocks with these levels at TDI, least significant first; answered with TDO.
    Shift {
        /// The levels.
        tdi: u32,
        /// How many.
        count: u32,
        /// TMS is high for the last one.
        leaves: bool,
    },
    /// `HJ`: what is asked of a debug port from now on goes to this one of the chain, counted from
    /// TDO.
    AddDevice(u8),
}

/// Why a request is answered with `&E`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The command is unknown.
    Unrecognised,
    /// A field is missing, too long or not hexadecimal.
    WrongLength,
    /// The target answered FAULT.
    Fault,
    /// The target did not answer.
    NoAcknowledge,
    /// The target's answer had a wrong parity bit.
    Parity,
}

impl Refusal {
    /// The number behind `&E`: the error kind, and above it the acknowledge of a FAULT or the
    /// kind of exception.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Unrecognised => 1,
            Self::WrongLength => 2,
            Self::Fault => 0x403,
            Self::NoAcknowledge => 4,
            Self::Parity => 0x104,
        }
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A number.
    Value(u32),
    /// A register: its bytes in memory order.
    Register(u32),
    /// A memory block.
    Bytes(Vec<u8>),
    /// Text.
    Text(&'static str),
    /// An error.
    Refused(Refusal),
}

impl Answer {
    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Value(value) => format!("&K{value:x}#"),
            Self::Register(value) => format!("&K{:08x}#", value.swap_bytes()),
            Self::Bytes(bytes) => format!("&K{}#", hex::encode(bytes)),
            Self::Text(text) => format!("&K{text}#"),
            Self::Refused(refusal) => format!("&E{:x}#", refusal.code()),
        }
        .into_bytes()
    }

    /// The protocol version answer.
    #[must_use]
    pub fn version() -> Self {
        Self::Value(PROTOCOL_VERSION)
    }
}

/// Reads the text between `!` and `#`.
///
/// # Errors
/// [`Refusal::Unrecognised`] or [`Refusal::WrongLength`].
pub fn parse(text: &[u8]) -> Result<Request, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::Unrecognised)?;
    let (command, rest) = text.split_at_checked(2).ok_or(Refusal::Unrecognised)?;
    let mut fields = Fields { rest };
    let request = match command {
        "GA" => Request::Handshake,
        "HC" => Request::Version,
        "GV" => Request::Voltage,
        "Gf" => Request::GetSpeed,
        "GF" => Request::SetSpeed(fields.number(8)?),
        "GP" | "GE" => return Ok(Request::Accept),
        "SS" => Request::UseSwd,
        "JS" => Request::Jtag(Jtag::Use),
        "JR" => Request::Jtag(Jtag::Reset),
        "JN" => {
            let (tms, tdi) = (fields.number(1)? != 0, fields.number(1)? != 0);
            Request::Jtag(Jtag::Clock { tms, tdi })
        }
        "JT" => {
            let count = bit_count(fields.number(2)?)?;
            Request::Jtag(Jtag::Walk { tms: fields.remaining()?, count })
        }
        "Jd" | "JD" => {
            let count = bit_count(fields.number(2)?)?;
            Request::Jtag(Jtag::Shift { tdi: fields.remaining()?, count, leaves: command == "JD" })
        }
        "HJ" => {
            let index = fields.number(2)? as u8;
            // Bits before and behind it in either register, the length of its own instruction
            // register, and its instruction: this side knows its chain.
            for digits in [2, 2, 2, 2, 2, 8] {
                fields.number(digits)?;
            }
            Request::Jtag(Jtag::AddDevice(index))
        }
        "GZ" => Request::ResetPin(fields.number(1)? == 1),
        "So" | "SO" => {
            let count = fields.number(2)?;
            let bits = fields.remaining()?;
            Request::Out { bits, count: bit_count(count)?, parity: command == "SO" }
        }
        "Si" | "SI" => {
            Request::In { count: bit_count(fields.number(2)?)?, parity: command == "SI" }
        }
        "Ad" => {
            fields.number(4)?;
            Request::ReadDp(fields.number(4)? as u8)
        }
        "AR" => {
            fields.number(2)?;
            Request::RawDp {
                read: fields.number(2)? != 0,
                address: fields.number(4)? as u8,
                value: fields.number(8)?,
            }
        }
        "Aa" => {
            fields.number(2)?;
            Request::ReadAp { ap: fields.number(2)? as u8, register: fields.number(4)? as u8 }
        }
        "AA" => {
            fields.number(2)?;
            Request::WriteAp {
                ap: fields.number(2)? as u8,
                register: fields.number(4)? as u8,
                value: fields.number(8)?.swap_bytes(),
            }
        }
        "Am" => {
            fields.number(2)?;
            let ap = fields.number(2)? as u8;
            fields.number(8)?;
            let (address, length) = (fields.number(8)?, fields.number(8)?);
            if length as usize * 2 + 4 > REQUEST_BYTES_MAX {
                return Err(Refusal::WrongLength);
            }
            Request::ReadMemory { ap, address, length }
        }
        "AM" => {
            fields.number(2)?;
            let ap = fields.number(2)? as u8;
            fields.number(8)?;
            let align = fields.number(2)?;
            let (address, length) = (fields.number(8)?, fields.number(8)?);
            let data = hex::decode(fields.rest).map_err(|_| Refusal::WrongLength)?;
            if data.len() != length as usize || align > 3 {
                return Err(Refusal::WrongLength);
            }
            fields.rest = "";
            Request::WriteMemory { ap, address, width: (1_usize << align).min(4), data }
        }
        _ => return Err(Refusal::Unrecognised),
    };
    if fields.rest.is_empty() { Ok(request) } else { Err(Refusal::WrongLength) }
}

fn bit_count(count: u32) -> Result<u32, Refusal> {
    if count <= 32 { Ok(count) } else { Err(Refusal::WrongLength) }
}

struct Fields<'a> {
    rest: &'a str,
}

impl Fields<'_> {
    fn number(&mut self, digits: usize) -> Result<u32, Refusal> {
        let (field, rest) = self.rest.split_at_checked(digits).ok_or(Refusal::WrongLength)?;
        self.rest = rest;
        hexadecimal(field)
    }

    fn remaining(&mut self) -> Result<u32, Refusal> {
        hexadecimal(std::mem::take(&mut self.rest))
    }
}

fn hexadecimal(field: &str) -> Result<u32, Refusal> {
    if !field.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Refusal::WrongLength);
    }
    u32::from_str_radix(field, 16).map_err(|_| Refusal::WrongLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_stock_driver_is_understood() {
        let check = |text: &str, request: Request| {
            assert_eq!(parse(text.as_bytes()), Ok(request), "{text}");
        };
        check("GA", Request::Handshake);
        check("HC", Request::Version);
        check("GF003d0900", Request::SetSpeed(4_000_000));
        check("GZ1", Request::ResetPin(true));
        check("GE1", Request::Accept);
        check("SS", Request::UseSwd);
        check("JS", Request::Jtag(Jtag::Use));
        check("JR", Request::Jtag(Jtag::Reset));
        check("JN10", Request::Jtag(Jtag::Clock { tms: true, tdi: false }));
        check("JT053f", Request::Jtag(Jtag::Walk { tms: 0x3F, count: 5 }));
        check(
            "Jd20ffffffff",
            Request::Jtag(Jtag::Shift { tdi: u32::MAX, count: 32, leaves: false }),
        );
        check("JD01f", Request::Jtag(Jtag::Shift { tdi: 0xF, count: 1, leaves: true }));
        check("HJ000001040005ffffffff", Request::Jtag(Jtag::AddDevice(0)));
        check("So10e79e", Request::Out { bits: 0xE79E, count: 16, parity: false });
        check("Si20", Request::In { count: 32, parity: false });
        check("Ad00ff0004", Request::ReadDp(4));
        let value = 0x5000_0000;
        check("AR0000000450000000", Request::RawDp { read: false, address: 4, value });
        check("Aa000101fc", Request::ReadAp { ap: 1, register: 0xFC });
        // The driver byte-swaps the value of this one command.
        check("AA0001010001000000", Request::WriteAp { ap: 1, register: 0, value: 1 });
        check(
            "Am0000230000522000010000000010",
            Request::ReadMemory { ap: 0, address: 0x2000_0100, length: 16 },
        );
        check(
            "AM00002300005202200001000000000411223344",
            Request::WriteMemory {
                ap: 0,
                address: 0x2000_0100,
                width: 4,
                data: vec![0x11, 0x22, 0x33, 0x44],
            },
        );
    }

    #[test]
    fn malformed_requests_are_refused_not_guessed() {
        let check = |text: &str, refusal: Refusal| {
            assert_eq!(parse(text.as_bytes()), Err(refusal), "{text}");
        };
        check("", Refusal::Unrecognised);
        check("ZZ", Refusal::Unrecognised);
        check("GF12", Refusal::WrongLength);
        check("GZ11", Refusal::WrongLength);
        check("Si21", Refusal::WrongLength);
        check("JN1", Refusal::WrongLength);
        check("Jd21ff", Refusal::WrongLength);
        check("HJ00000104", Refusal::WrongLength);
        check("So10", Refusal::WrongLength);
        check("So1000000000+1", Refusal::WrongLength);
        check("Am0000230000522000010000000200", Refusal::WrongLength);
        check("AM000023000052022000010000000004112233", Refusal::WrongLength);
        check("AM0000230000520220000100000000041122334g", Refusal::WrongLength);
    }

    #[test]
    fn registers_are_answered_byte_swapped_and_errors_with_their_acknowledge() {
        assert_eq!(Answer::Register(0x2BA0_1477).encode(), b"&K7714a02b#");
        assert_eq!(Answer::version().encode(), b"&K3#");
        assert_eq!(Answer::Bytes(vec![0xAB, 1]).encode(), b"&Kab01#");
        assert_eq!(Answer::Refused(Refusal::Fault).encode(), b"&E403#");
        assert_eq!(Answer::Refused(Refusal::NoAcknowledge).encode(), b"&E4#");
    }
}
