//! `.dfu`: firmware with the suffix of USB DFU 1.1 (appendix B), and ST's DfuSe around it (UM0391).
//!
//! The suffix's CRC is checked over the whole file. A DfuSe file (`bcdDFU` 0x011A) names its targets
//! and the address of each element; a plain one is bytes whose address the packer gives.

use super::ImageError;
use super::facts::{ChipClaim, Found};
use super::fields::{le16, le32, part, text};
use super::format::FormatName;
use super::pieces::{Origin, Pieces};

/// The suffix as DFU 1.0 and 1.1 define it.
const SUFFIX: usize = 16;
const SIGNATURE: &[u8] = b"UFD";
const DFUSE: u16 = 0x011A;
const PLAIN: [u16; 2] = [0x0100, 0x0110];
const PREFIX: usize = 11;
const TARGET: usize = 274;
const ELEMENT: usize = 8;

/// What is wrong with a `.dfu` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DfuError {
    /// The file does not end with a suffix.
    #[error("reading .dfu: the file does not end with a DFU suffix")]
    NoSuffix,
    /// A suffix shorter than 16 bytes or longer than the file.
    #[error("reading .dfu: the suffix claims {bytes} bytes")]
    SuffixLength {
        /// What it claims.
        bytes: u8,
    },
    /// A damaged byte anywhere.
    #[error("reading .dfu: the suffix holds the CRC {found:08x}, the file has {needed:08x}")]
    Crc {
        /// What stands there.
        found: u32,
        /// What the file gives.
        needed: u32,
    },
    /// A `bcdDFU` that we do not know.
    #[error("reading .dfu: the suffix is of DFU version {version:#06x}")]
    Version {
        /// `bcdDFU`.
        version: u16,
    },
    /// Something else than the DfuSe structure that belongs here.
    #[error("reading .dfu: no {what} at offset {offset:#x}")]
    Missing {
        /// What should be there.
        what: &'static str,
        /// Where.
        offset: usize,
    },
    /// A length that does not fit what is there.
    #[error("reading .dfu: the {what} at offset {offset:#x} claims another length than it has")]
    Length {
        /// Whose length.
        what: &'static str,
        /// Where it begins.
        offset: usize,
    },
    /// More than 32 bits of address.
    #[error("reading .dfu: the element at offset {offset:#x} runs over the end of the addresses")]
    Wraps {
        /// Where it begins.
        offset: usize,
    },
}

/// Whether a file ends like a `.dfu` file.
pub(super) fn is_dfu(file: &[u8]) -> bool {
    file.len() >= SUFFIX && file.get(file.len() - 8..file.len() - 5) == Some(SIGNATURE)
}

pub(super) fn read(address: Option<u64>, file: &[u8]) -> Result<Found, ImageError> {
    let (version, firmware, vendor, ids) = suffix(file)?;
    let mut found = Found::of(Pieces::with_room_for(file.len()));
    found.remark(ids);
    found.chip = Some(ChipClaim::UsbVendor(vendor));
    if version != DFUSE {
        let format = FormatName::Dfu;
        let address = address.ok_or(ImageError::AddressNeeded { format })?;
        found.pieces.push(address, firmware, Origin::Offset(0))?;
        return Ok(found);
    }
    if address.is_some() {
        return Err(ImageError::AddressGiven { format: FormatName::Dfu });
    }
    targets(firmware, &mut found)?;
    Ok(found)
}

/// The version, the bytes before the suffix, and for whom they are: the vendor, and all ids in
/// words.
fn suffix(file: &[u8]) -> Result<(u16, &[u8], u16, String), DfuError> {
    if !is_dfu(file) {
        return Err(DfuError::NoSuffix);
    }
    let at = file.len() - SUFFIX;
    let field = |offset: usize| le16(file, at + offset).ok_or(DfuError::NoSuffix);
    let (device, product, vendor, version) = (field(0)?, field(2)?, field(4)?, field(6)?);
    let &bytes = file.get(at + 11).ok_or(DfuError::NoSuffix)?;
    let firmware = file
        .len()
        .checked_sub(usize::from(bytes))
        .filter(|_| usize::from(bytes) >= SUFFIX)
        .and_then(|end| file.get(..end))
        .ok_or(DfuError::SuffixLength { bytes })?;
    let found = le32(file, at + 12).ok_or(DfuError::NoSuffix)?;
    // Appendix B wants the register as it stands, without the usual inversion at the end.
    let needed = !crc32fast::hash(file.get(..at + 12).unwrap_or_default());
    if found != needed {
        return Err(DfuError::Crc { found, needed });
    }
    if version != DFUSE && !PLAIN.contains(&version) {
        return Err(DfuError::Version { version });
    }
    let ids = format!("for USB {vendor:04x}:{product:04x} device {device:04x}");
    Ok((version, firmware, vendor, ids))
}

/// Reads the DfuSe prefix, its targets and their elements; nothing may be left over.
fn targets(file: &[u8], found: &mut Found) -> Result<(), ImageError> {
    let prefix = part(file, 0, PREFIX)
        .filter(|prefix| prefix.starts_with(b"DfuSe\x01"))
        .ok_or(DfuError::Missing { what: "DfuSe prefix", offset: 0 })?;
    if le32(prefix, 6).map(u64::from) != Some(file.len() as u64) {
        return Err(DfuError::Length { what: "DfuSe prefix", offset: 0 }.into());
    }
    let mut at = PREFIX;
    for _ in 0..prefix.last().copied().unwrap_or_default() {
        at = target(file, at, found)?;
    }
    if at != file.len() {
        return Err(DfuError::Missing { what: "DFU suffix", offset: at }.into());
    }
    Ok(())
}

/// Reads the target at an offset and gives the offset after it.
fn target(file: &[u8], start: usize, found: &mut Found) -> Result<usize, ImageError> {
    let missing = DfuError::Missing { what: "target", offset: start };
    let header =
        part(file, start, TARGET).filter(|header| header.starts_with(b"Target")).ok_or(missing)?;
    let alternate = header.get(6).copied().ok_or(missing)?;
    let named = le32(header, 7).ok_or(missing)? != 0;
    let name = match named {
        true => text(header.get(11..266).unwrap_or_default()),
        false => String::new(),
    };
    let length = le32(header, 266).ok_or(missing)?;
    let elements = le32(header, 270).ok_or(missing)?;
    let mut at = start + TARGET;
    for _ in 0..elements {
        let offset = at;
        let cut_off = DfuError::Missing { what: "element", offset };
        let address = u64::from(le32(file, at).ok_or(cut_off)?);
        let bytes = le32(file, at + 4).and_then(|bytes| usize::try_from(bytes).ok());
        let data = bytes
            .and_then(|bytes| part(file, at + ELEMENT, bytes))
            .ok_or(DfuError::Length { what: "element", offset })?;
        if address + data.len() as u64 > 1 << 32 {
            return Err(DfuError::Wraps { offset }.into());
        }
        found.pieces.push(address, data, Origin::Offset((at + ELEMENT) as u64))?;
        at += ELEMENT + data.len();
    }
    if usize::try_from(length).ok() != Some(at - start - TARGET) {
        return Err(DfuError::Length { what: "target", offset: start }.into());
    }
    found.remark(format!("target {alternate} {name:?}, {elements} elements"));
    Ok(at)
}
