//! MCUboot headers inside an image: what the boot loader will read, shown to people before it is
//! flashed.
//!
//! Layout: MCUboot's `bootutil/image.h`, all little-endian. Nothing is decided by what stands here;
//! but a header at the very start of a piece whose lengths or hash are wrong is refused, because
//! the boot loader would refuse it on every board. Signatures are not checked: their keys are the
//! boot loader's.

use std::fmt;

use ring::digest;
use serde::{Deserialize, Serialize};

use super::Segment;
use super::fields::{le16, le32, part};
use crate::limits::{MCUBOOT_HEADERS_MAX, MCUBOOT_TLVS_MAX};

const MAGIC: u32 = 0x96F3_B83D;
const HEADER: usize = 32;
const TLV_MAGIC: u16 = 0x6907;
const TLV_MAGIC_PROTECTED: u16 = 0x6908;
const TLV_HEADER: usize = 4;
/// The TLVs that hold a hash of header, code and protected TLVs.
const HASHES: [(u64, &digest::Algorithm); 3] =
    [(0x10, &digest::SHA256), (0x11, &digest::SHA384), (0x12, &digest::SHA512)];
const ENCRYPTED: u32 = 0x04 | 0x08;
/// Slots begin at pages; no chip we know has smaller ones.
const PAGE: u64 = 1024;
/// Headers inside a piece that are tried before we stop looking.
const TRIES_MAX: usize = 64;

/// One MCUboot image inside an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mcuboot {
    /// Address of its header.
    pub address: u64,
    /// `major.minor.revision+build`.
    pub version: String,
    /// Bytes from the header's start to the code.
    pub header_bytes: u64,
    /// Bytes of code.
    pub image_bytes: u64,
    /// Flags as `bootutil/image.h` names them.
    pub flags: u64,
    /// What its SHA-256, SHA-384 or SHA-512 says.
    pub hash: HashSeen,
    /// Type, length values behind the code, in order.
    pub tlvs: Vec<Tlv>,
}

/// One type, length, value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tlv {
    /// Its type.
    pub kind: u64,
    /// Bytes of its value.
    pub bytes: u64,
    /// Whether the hash covers it.
    pub protected: bool,
}

/// What an MCUboot image's hash says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashSeen {
    /// It is of these bytes.
    Good,
    /// The code is encrypted and the hash is of the plain code.
    Encrypted,
    /// There is none.
    Absent,
}

/// What is wrong with an MCUboot image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reading the MCUboot header at {address:#010x}: {fault}")]
pub struct McubootError {
    /// Address of the header.
    pub address: u64,
    /// What is wrong.
    pub fault: McubootFault,
}

/// What is wrong behind an MCUboot magic number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum McubootFault {
    /// The piece ends before the header, the code or the TLVs.
    #[error("the image ends before what the header promises")]
    CutOff,
    /// A header shorter than its own fields.
    #[error("the header claims {bytes} bytes")]
    HeaderLength {
        /// What it claims.
        bytes: u16,
    },
    /// No TLVs where they should be, or their lengths do not add up.
    #[error("the TLVs behind the code are damaged")]
    Tlvs,
    /// More TLVs than we show.
    #[error("more than {tlvs_max} TLVs")]
    TooManyTlvs {
        /// The limit.
        tlvs_max: usize,
    },
    /// The hash is of other bytes.
    #[error("the hash is of other bytes")]
    Hash,
}

/// Whether bytes begin with MCUboot's magic number.
#[must_use]
pub fn begins_with_mcuboot(file: &[u8]) -> bool {
    le32(file, 0) == Some(MAGIC)
}

/// Finds the MCUboot images at the start of each piece and at the pages inside it.
pub(super) fn look(segments: &[Segment]) -> Result<Vec<Mcuboot>, McubootError> {
    let mut found = Vec::new();
    let mut tries = 0;
    for segment in segments {
        let mut at = 0usize;
        while let Some(bytes) = segment.bytes.get(at..)
            && !bytes.is_empty()
            && found.len() < MCUBOOT_HEADERS_MAX
        {
            let address = segment.address + at as u64;
            let mut next = at + to_next_page(address);
            if begins_with_mcuboot(bytes) && tries < TRIES_MAX {
                tries += 1;
                match header(address, bytes) {
                    Ok((image, end)) => {
                        found.push(image);
                        let end = at + end;
                        next = end + to_next_page(segment.address + end as u64 - 1) - 1;
                    }
                    Err(fault) if at == 0 => return Err(McubootError { address, fault }),
                    // Four bytes of code that look like the magic number.
                    Err(_) => {}
                }
            }
            at = next;
        }
    }
    Ok(found)
}

/// Bytes to the next address where a slot may begin, at least 1.
fn to_next_page(address: u64) -> usize {
    usize::try_from(PAGE - address % PAGE).unwrap_or(1)
}

/// Reads one image and gives how many bytes it takes.
fn header(address: u64, bytes: &[u8]) -> Result<(Mcuboot, usize), McubootFault> {
    let cut_off = McubootFault::CutOff;
    let half = |at| le16(bytes, at).ok_or(cut_off);
    let word = |at| le32(bytes, at).ok_or(cut_off);
    let (header_bytes, protected_bytes) = (half(8)?, usize::from(half(10)?));
    let (image_bytes, flags) = (word(12)?, word(16)?);
    let version = part(bytes, 20, 2).ok_or(cut_off)?;
    let version = format!("{}.{}.{}+{}", version[0], version[1], half(22)?, word(24)?);
    if usize::from(header_bytes) < HEADER {
        return Err(McubootFault::HeaderLength { bytes: header_bytes });
    }
    let code_end = usize::try_from(image_bytes)
        .ok()
        .and_then(|code| code.checked_add(usize::from(header_bytes)))
        .filter(|&end| end <= bytes.len())
        .ok_or(cut_off)?;

    let mut tlvs = Vec::new();
    let mut said = None;
    let mut at = code_end;
    if protected_bytes > 0 {
        at = area(bytes, at, true, &mut tlvs, &mut said)?;
        if at - code_end != protected_bytes {
            return Err(McubootFault::Tlvs);
        }
    }
    let hashed = part(bytes, 0, at).ok_or(cut_off)?;
    let end = area(bytes, at, false, &mut tlvs, &mut said)?;
    let hash = match said {
        None => HashSeen::Absent,
        Some(_) if flags & ENCRYPTED != 0 => HashSeen::Encrypted,
        Some((algorithm, said)) if digest::digest(algorithm, hashed).as_ref() == said => {
            HashSeen::Good
        }
        Some(_) => return Err(McubootFault::Hash),
    };
    let image = Mcuboot {
        address,
        version,
        header_bytes: u64::from(header_bytes),
        image_bytes: u64::from(image_bytes),
        flags: u64::from(flags),
        hash,
        tlvs,
    };
    Ok((image, end))
}

/// Reads one area of TLVs and gives the offset after it.
fn area<'a>(
    bytes: &'a [u8],
    start: usize,
    protected: bool,
    tlvs: &mut Vec<Tlv>,
    said: &mut Option<(&'static digest::Algorithm, &'a [u8])>,
) -> Result<usize, McubootFault> {
    let magic = if protected { TLV_MAGIC_PROTECTED } else { TLV_MAGIC };
    let total = le16(bytes, start + 2).filter(|_| le16(bytes, start) == Some(magic));
    let area = total.and_then(|total| part(bytes, start, usize::from(total)));
    let area = area.ok_or(McubootFault::Tlvs)?;
    let mut at = TLV_HEADER;
    while at < area.len() {
        let kind = le16(area, at).ok_or(McubootFault::Tlvs)?;
        let length = le16(area, at + 2).ok_or(McubootFault::Tlvs)?;
        let value = part(area, at + TLV_HEADER, usize::from(length)).ok_or(McubootFault::Tlvs)?;
        if tlvs.len() == MCUBOOT_TLVS_MAX {
            return Err(McubootFault::TooManyTlvs { tlvs_max: MCUBOOT_TLVS_MAX });
        }
        let kind = u64::from(kind);
        if let Some(&(_, algorithm)) = HASHES.iter().find(|(hash, _)| *hash == kind) {
            *said = Some((algorithm, value));
        }
        tlvs.push(Tlv { kind, bytes: u64::from(length), protected });
        at += TLV_HEADER + value.len();
    }
    // `at` passes the end only if the area is shorter than its own header.
    if at == area.len() { Ok(start + area.len()) } else { Err(McubootFault::Tlvs) }
}

/// What `bootutil/image.h` calls a TLV type.
fn kind_name(kind: u64) -> Option<&'static str> {
    Some(match kind {
        0x01 => "key hash",
        0x02 => "public key",
        0x10 => "SHA-256",
        0x11 => "SHA-384",
        0x12 => "SHA-512",
        0x20 => "RSA-2048 signature",
        0x21 | 0x22 => "ECDSA signature",
        0x23 => "RSA-3072 signature",
        0x24 => "Ed25519 signature",
        0x25 => "pure signature",
        0x30 => "key by RSA-2048",
        0x31 => "key by AES-KW",
        0x32 => "key by ECIES-P256",
        0x33 => "key by ECIES-X25519",
        0x40 => "dependency",
        0x50 => "security counter",
        0x60 => "boot record",
        _ => return None,
    })
}

impl fmt::Display for Tlv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind_name(self.kind) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "type {:#x}", self.kind)?,
        }
        write!(f, " ({} bytes{})", self.bytes, if self.protected { ", protected" } else { "" })
    }
}

impl fmt::Display for Mcuboot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, version, header_bytes, image_bytes, flags, hash, tlvs } = self;
        let hash = match hash {
            HashSeen::Good => "good",
            HashSeen::Encrypted => "of the plain code, which is encrypted",
            HashSeen::Absent => "absent",
        };
        write!(
            f,
            "{version} at {address:#010x}, header {header_bytes} + code {image_bytes} bytes"
        )?;
        write!(f, ", flags {flags:#x}, hash {hash}")?;
        for (index, tlv) in tlvs.iter().enumerate() {
            write!(f, "{}{tlv}", if index == 0 { "; " } else { ", " })?;
        }
        Ok(())
    }
}
