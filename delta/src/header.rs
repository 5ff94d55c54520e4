//! The first bytes of a patch: what it is for, what it needs, what must come out.

use crate::digest::Digest;
use crate::isa::Isa;
use crate::map::MAP_ENTRIES_MAX;

/// "FD", then the version.
const MAGIC: [u8; 3] = [b'F', b'D', VERSION];
/// Version of the format described in `FORMAT.md`.
pub const VERSION: u8 = 1;
/// Longest image, in bytes: offsets are kept in 24 bits.
pub const IMAGE_BYTES_MAX: u32 = 0xFF_FFFE;
/// Most bytes a header can have.
pub const HEADER_BYTES_MAX: usize = 59;
/// Load addresses are multiples of this.
pub const BASE_STEP: u32 = 0x80;

const STORED: u8 = 0x80;
const WITH_BASE: u8 = 0x40;
const IN_PLACE: u8 = 0x20;
const LIFTED: u8 = 0x10;
const FLAGS: u8 = STORED | WITH_BASE | IN_PLACE | LIFTED;
/// Smallest page of an update in place, as a power of two: 256 bytes.
pub const PAGE_BITS_MIN: u8 = 8;
/// Largest page of an update in place, as a power of two: 8 MiB.
pub const PAGE_BITS_MAX: u8 = PAGE_BITS_MIN + 15;
/// Most pages behind the one being written that an update in place looks back to.
pub const REACH_MAX: u8 = 15;

/// How the body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The new image as it is.
    Stored,
    /// Range-coded, as `FORMAT.md` describes.
    Coded {
        /// Instruction set of the model.
        isa: Isa,
        /// Address of the image's first byte, if pointers are predicted; a multiple of
        /// [`BASE_STEP`].
        base: Option<u32>,
        /// Entries of the address map, at most [`MAP_ENTRIES_MAX`].
        map_entries: u16,
    },
}

/// That a patch can be applied over the old image itself, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InPlace {
    /// Bytes of a page as a power of two, 8 to 23.
    pub page_bits: u8,
    /// While page k of the new image is made, nothing is read that stood before page k − `reach`; at
    /// most [`REACH_MAX`].
    pub reach: u8,
    /// Pages by which the old image is moved up first.
    pub lift: u8,
    /// CRC-32 (ISO-HDLC) of the whole patch without these four bytes.
    pub patch_crc: u32,
}

impl InPlace {
    /// Bytes of a page.
    pub const fn page_bytes(self) -> u32 {
        1 << self.page_bits
    }
}

/// A patch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the old image in bytes.
    pub old_len: u32,
    /// Length of the new image in bytes.
    pub new_len: u32,
    /// Digest of the old image.
    pub old_digest: Digest,
    /// Digest of the new image.
    pub new_digest: Digest,
    /// How the body is written.
    pub body: Body,
    /// Whether it can be applied over the old image.
    pub in_place: Option<InPlace>,
}

/// The header is not one this version can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The first two bytes are others.
    #[error("not a delta patch")]
    Foreign,
    /// A version this program does not know.
    #[error("patch has format version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// An instruction set this program does not know.
    #[error("patch needs instruction set number {0}, which this program does not have")]
    Isa(u8),
    /// A length or a count is larger than the format allows.
    #[error("patch header names a length or a count beyond the format's limits")]
    Limits,
}

/// What is known from a beginning of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// The header, and how many bytes it has.
    Whole(Header, usize),
}

impl Header {
    /// Reads the header at the start of `patch`; [`HeaderError::Foreign`] also if it is cut short.
    ///
    /// # Errors
    ///
    /// When `patch` is something else, newer, or beyond the format's limits.
    pub fn parse(patch: &[u8]) -> Result<(Self, usize), HeaderError> {
        match parse(patch)? {
            Parsed::Whole(header, bytes) => Ok((header, bytes)),
            Parsed::Incomplete => Err(HeaderError::Foreign),
        }
    }

    /// The header's bytes.
    #[cfg(feature = "make")]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let (kind, base) = match self.body {
            Body::Stored => (STORED, None),
            Body::Coded { isa, base, .. } => {
                (isa.number() | if base.is_some() { WITH_BASE } else { 0 }, base)
            }
        };
        let flags = match self.in_place {
            None => 0,
            Some(InPlace { lift: 0, .. }) => IN_PLACE,
            Some(_) => IN_PLACE | LIFTED,
        };
        out.push(kind | flags);
        put_number(&mut out, self.old_len);
        let grown = self.new_len as i32 - self.old_len as i32;
        put_number(&mut out, ((grown << 1) ^ (grown >> 31)) as u32);
        out.extend_from_slice(&self.old_digest.0);
        out.extend_from_slice(&self.new_digest.0);
        if let Some(base) = base {
            put_number(&mut out, base / BASE_STEP);
        }
        if let Body::Coded { map_entries, .. } = self.body {
            put_number(&mut out, u32::from(map_entries));
        }
        if let Some(InPlace { page_bits, reach, lift, patch_crc }) = self.in_place {
            out.push(reach << 4 | (page_bits - PAGE_BITS_MIN));
            if lift > 0 {
                out.push(lift);
            }
            out.extend_from_slice(&patch_crc.to_le_bytes());
        }
        out
    }
}

#[cfg(feature = "make")]
fn put_number(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads on; what went wrong is remembered, not returned: that is a third of the code.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    beyond: bool,
}

impl Cursor<'_> {
    /// The next byte; zero past the end.
    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    /// Seven bits a byte, lowest first, at most 28 bits.
    fn number(&mut self) -> u32 {
        let mut value = 0;
        let mut place = 0;
        loop {
            let byte = self.byte();
            value |= u32::from(byte & 0x7F) << place;
            if byte < 0x80 {
                return value;
            }
            place += 7;
            if place == 28 {
                self.beyond = true;
                return 0;
            }
        }
    }

    /// A number up to `max`.
    fn within(&mut self, max: u32) -> u32 {
        let value = self.number();
        self.beyond |= value > max;
        value
    }

    fn digest(&mut self) -> Digest {
        let mut digest = [0; 16];
        for byte in &mut digest {
            *byte = self.byte();
        }
        Digest(digest)
    }
}

pub(crate) fn parse(patch: &[u8]) -> Result<Parsed, HeaderError> {
    let [f, d, version] = MAGIC;
    for (found, wanted) in patch.iter().zip([f, d]) {
        if *found != wanted {
            return Err(HeaderError::Foreign);
        }
    }
    if let Some(found) = patch.get(2)
        && *found != version
    {
        return Err(HeaderError::Version(*found));
    }
    // Past the end zeros are read, which are within every limit.
    let cursor = &mut Cursor { bytes: patch, at: 3, beyond: false };
    let kind = cursor.byte();
    let Some(isa) = Isa::from_number(kind & !FLAGS) else {
        return Err(HeaderError::Isa(kind & !FLAGS));
    };
    let old_len = cursor.within(IMAGE_BYTES_MAX);
    let grown = cursor.number();
    let new_len = old_len.wrapping_add((grown >> 1) ^ (grown & 1).wrapping_neg());
    // The change of length may not be there yet.
    cursor.beyond |= new_len > IMAGE_BYTES_MAX;
    let old_digest = cursor.digest();
    let new_digest = cursor.digest();
    let body = if kind & STORED != 0 {
        cursor.beyond |= kind & WITH_BASE != 0 || isa != Isa::None;
        Body::Stored
    } else {
        let base = (kind & WITH_BASE != 0)
            .then(|| cursor.within(u32::MAX / BASE_STEP).wrapping_mul(BASE_STEP));
        let map_entries = cursor.within(MAP_ENTRIES_MAX as u32) as u16;
        Body::Coded { isa, base, map_entries }
    };
    cursor.beyond |= kind & (IN_PLACE | LIFTED) == LIFTED;
    let in_place = (kind & IN_PLACE != 0).then(|| {
        let shape = cursor.byte();
        let lift = if kind & LIFTED != 0 { cursor.byte() } else { 0 };
        let patch_crc = u32::from_le_bytes([(); 4].map(|()| cursor.byte()));
        InPlace { page_bits: (shape & 15) + PAGE_BITS_MIN, reach: shape >> 4, lift, patch_crc }
    });
    if cursor.beyond {
        return Err(HeaderError::Limits);
    }
    Ok(if cursor.at > patch.len() {
        Parsed::Incomplete
    } else {
        Parsed::Whole(
            Header { old_len, new_len, old_digest, new_digest, body, in_place },
            cursor.at,
        )
    })
}

#[cfg(all(test, feature = "make"))]
mod tests {
    use super::*;

    fn check(header: Header) {
        let bytes = header.bytes();
        assert!(bytes.len() <= HEADER_BYTES_MAX);
        assert_eq!(Header::parse(&bytes), Ok((header, bytes.len())));
        for short in 0..bytes.len() {
            assert_eq!(parse(&bytes[..short]), Ok(Parsed::Incomplete), "{short} bytes");
        }
    }

    #[test]
    fn every_header_comes_back_and_no_beginning_of_one_is_taken_for_whole() {
        let (old_digest, new_digest) = (Digest::of(b"old"), Digest::of(b"new"));
        for (old_len, new_len) in
            [(0, 0), (1, 0), (0, 1), (70_000, 69_999), (IMAGE_BYTES_MAX, 0), (0, IMAGE_BYTES_MAX)]
        {
            for body in [
                Body::Stored,
                Body::Coded { isa: Isa::None, base: None, map_entries: 0 },
                Body::Coded { isa: Isa::Thumb, base: Some(0x0800_4F80), map_entries: 192 },
                Body::Coded { isa: Isa::Avr, base: Some(0xFFFF_FF80), map_entries: 1 },
            ] {
                let shape = InPlace { page_bits: 12, reach: 3, lift: 0, patch_crc: 0x1234_5678 };
                let lifted = InPlace { page_bits: 23, reach: 15, lift: 255, ..shape };
                for in_place in [None, Some(shape), Some(lifted)] {
                    check(Header { old_len, new_len, old_digest, new_digest, body, in_place });
                }
            }
        }
    }

    #[test]
    fn foreign_newer_and_oversized_headers_are_refused() {
        assert_eq!(Header::parse(b"BSDIFF40"), Err(HeaderError::Foreign));
        assert_eq!(Header::parse(b""), Err(HeaderError::Foreign));
        assert_eq!(Header::parse(b"FD\x02"), Err(HeaderError::Version(2)));
        assert_eq!(Header::parse(b"FD\x01\x3F"), Err(HeaderError::Isa(0x0F)));
        assert_eq!(Header::parse(b"FD\x01\x00\xFF\xFF\xFF\x7F\x00"), Err(HeaderError::Limits));
        assert_eq!(Header::parse(b"FD\x01\x00\xFF\xFF\xFF\xFF\x00"), Err(HeaderError::Limits));
    }
}
