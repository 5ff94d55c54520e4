//! Motorola S-records: lines of `S`, a kind, a count, address, data, checksum.
//!
//! | kind | what |
//! |---|---|
//! | S0 | a header text, shown |
//! | S1, S2, S3 | data at a 16, 24 or 32-bit address |
//! | S5, S6 | how many data records came before |
//! | S7, S8, S9 | the end, and the entry point (0 means none) |
//!
//! S4 is reserved and refused. A missing end means a file that was cut off.

use zeroize::Zeroizing;

use super::ImageError;
use super::facts::Found;
use super::fields;
use super::pieces::{Origin, Pieces};

/// What is wrong with an SREC file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrecError {
    /// A damaged line.
    #[error("reading SREC: line {line} {fault}")]
    BadRecord {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        fault: SrecFault,
    },
    /// No end record: the file is cut off.
    #[error("reading SREC: the end record (S7, S8 or S9) is missing, the file is cut off")]
    NoEnd,
}

/// What is wrong with one line of an SREC file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrecFault {
    /// Something else than a record.
    #[error("does not begin with S and a digit")]
    NoRecord,
    /// S4.
    #[error("is of the reserved kind S4")]
    Reserved,
    /// A character that is no hex digit, or an odd number of them.
    #[error("is not hex digits in pairs")]
    NotHex,
    /// Longer or shorter than it says.
    #[error("has {found} bytes after its count, which says {said}")]
    Length {
        /// What the count says.
        said: usize,
        /// What there is.
        found: usize,
    },
    /// Too short for the address of its kind, or longer where there is nothing but an address.
    #[error("has no address of the length of its kind")]
    Address,
    /// A damaged byte.
    #[error("has the checksum {found:02X} and needs {needed:02X}")]
    Checksum {
        /// What stands there.
        found: u8,
        /// What its bytes give.
        needed: u8,
    },
    /// Its bytes would continue at address 0.
    #[error("runs over the end of the addresses of its kind")]
    Wraps,
    /// A count record that counts something else.
    #[error("counts {said} data records, {found} came before it")]
    Count {
        /// What the record says.
        said: u64,
        /// What there was.
        found: u64,
    },
    /// A record after the end record.
    #[error("comes after the end record")]
    AfterEnd,
}

pub(super) fn read(file: &[u8]) -> Result<Found, ImageError> {
    let mut found = Found::of(Pieces::with_room_for(file.len() / 2));
    let (mut data_records, mut ended) = (0u64, false);
    for (index, row) in file.split(|&byte| byte == b'\n').enumerate() {
        let (line, row) = (index + 1, row.trim_ascii());
        if row.is_empty() {
            continue;
        }
        let bad = |fault| SrecError::BadRecord { line, fault };
        if ended {
            return Err(bad(SrecFault::AfterEnd).into());
        }
        let record = Record::of(row).map_err(bad)?;
        match record.kind {
            Kind::Header => {
                let text = fields::text(&record.data);
                found.remark(format!("header {text:?}"));
            }
            Kind::Data => {
                if record.address + record.data.len() as u64 > record.addresses {
                    return Err(bad(SrecFault::Wraps).into());
                }
                data_records += 1;
                found.pieces.push(record.address, &record.data, Origin::Line(line))?;
            }
            Kind::Count if record.address != data_records => {
                let (said, found) = (record.address, data_records);
                return Err(bad(SrecFault::Count { said, found }).into());
            }
            Kind::Count => {}
            Kind::End => {
                ended = true;
                if record.address != 0 {
                    found.entry(record.address);
                }
            }
        }
    }
    if ended { Ok(found) } else { Err(SrecError::NoEnd.into()) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Header,
    Data,
    Count,
    End,
}

struct Record {
    kind: Kind,
    address: u64,
    /// How many addresses its kind can name.
    addresses: u64,
    data: Zeroizing<Vec<u8>>,
}

impl Record {
    fn of(row: &[u8]) -> Result<Self, SrecFault> {
        let [b'S', digit, digits @ ..] = row else { return Err(SrecFault::NoRecord) };
        let (kind, address_bytes) = match digit {
            b'0' => (Kind::Header, 2),
            b'1' => (Kind::Data, 2),
            b'2' => (Kind::Data, 3),
            b'3' => (Kind::Data, 4),
            b'4' => return Err(SrecFault::Reserved),
            b'5' => (Kind::Count, 2),
            b'6' => (Kind::Count, 3),
            b'7' => (Kind::End, 4),
            b'8' => (Kind::End, 3),
            b'9' => (Kind::End, 2),
            _ => return Err(SrecFault::NoRecord),
        };
        let bytes = Zeroizing::new(hex::decode(digits).map_err(|_| SrecFault::NotHex)?);
        let (&count, rest) = bytes.split_first().ok_or(SrecFault::Length { said: 0, found: 0 })?;
        if rest.len() != usize::from(count) {
            return Err(SrecFault::Length { said: usize::from(count), found: rest.len() });
        }
        let (&checksum, body) = rest.split_last().ok_or(SrecFault::Address)?;
        let needed = !body.iter().fold(count, |sum, byte| sum.wrapping_add(*byte));
        if checksum != needed {
            return Err(SrecFault::Checksum { found: checksum, needed });
        }
        let (address, data) = body.split_at_checked(address_bytes).ok_or(SrecFault::Address)?;
        if matches!(kind, Kind::Count | Kind::End) && !data.is_empty() {
            return Err(SrecFault::Address);
        }
        let address = address.iter().fold(0, |sum, &byte| (sum << 8) | u64::from(byte));
        let addresses = 1 << (8 * address_bytes);
        Ok(Self { kind, address, addresses, data: Zeroizing::new(data.to_vec()) })
    }
}
