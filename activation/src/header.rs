//! The first 48 bytes of every block, whatever its mode: which format, which chip, which index.

use crate::block::{Claim, FAMILY_BYTES_MAX, UID_BYTES_MAX};
use crate::mode::Mode;
use crate::refusal::Refusal;
use crate::wire::{Fields, unpadded};

/// Bytes of the header.
#[cfg(feature = "issue")]
pub(crate) const HEADER_BYTES: usize = 48;
pub(crate) const MAGIC: [u8; 4] = *b"FLAB";
pub(crate) const VERSION: u8 = 1;

/// What a block says about itself, nothing proven.
pub(crate) struct Header<'a> {
    pub(crate) stated_bytes: usize,
    pub(crate) family: &'a [u8],
    pub(crate) uid: &'a [u8],
    pub(crate) index: u32,
}

impl<'a> Header<'a> {
    /// Takes the header of a block of `mode` off the front of `fields`; `None` is the end of the
    /// bytes.
    pub(crate) fn take(
        fields: &mut Fields<'a>,
        magic: [u8; 4],
        mode: Mode,
    ) -> Option<Result<Self, Refusal>> {
        if *fields.take()? != magic {
            return Some(Err(Refusal::NotOurs));
        }
        let [version, found] = *fields.take()?;
        if version != VERSION {
            return Some(Err(Refusal::UnknownVersion { version }));
        }
        match Mode::of(found) {
            Some(named) if named == mode => {}
            Some(_) => return Some(Err(Refusal::OtherMode { mode: found })),
            None => return Some(Err(Refusal::UnknownScheme { scheme: found })),
        }
        let stated_bytes = usize::from(u16::from_le_bytes(*fields.take()?));
        let [family_bytes, uid_bytes, reserved_a, reserved_b] = *fields.take()?;
        if [reserved_a, reserved_b] != [0, 0] {
            return Some(Err(Refusal::Malformed));
        }
        let family: &[u8; FAMILY_BYTES_MAX] = fields.take()?;
        let uid: &[u8; UID_BYTES_MAX] = fields.take()?;
        let index = fields.take_u32()?;
        let (Some(family), Some(uid)) = (unpadded(family, family_bytes), unpadded(uid, uid_bytes))
        else {
            return Some(Err(Refusal::Malformed));
        };
        Some(Ok(Self { stated_bytes, family, uid, index }))
    }

    /// Refuses the header of another chip.
    pub(crate) fn check_chip(&self, claim: &Claim<'_>) -> Result<(), Refusal> {
        if self.family != claim.family.as_bytes() {
            return Err(Refusal::OtherFamily);
        }
        if self.uid != claim.uid {
            return Err(Refusal::OtherChip);
        }
        Ok(())
    }
}

/// The header of a block of `bytes` bytes for the chip of `claim`, which was checked.
#[cfg(feature = "issue")]
#[allow(
    clippy::indexing_slicing,
    reason = "hosts only; offsets are the table of FORMAT.md, lengths were checked"
)]
pub(crate) fn make(
    magic: [u8; 4],
    mode: Mode,
    bytes: usize,
    claim: &Claim<'_>,
    index: u32,
) -> [u8; HEADER_BYTES] {
    let (family, uid) = (claim.family.as_bytes(), claim.uid);
    let mut header = [0; HEADER_BYTES];
    header[0..4].copy_from_slice(&magic);
    header[4] = VERSION;
    header[5] = mode.number();
    header[6..8].copy_from_slice(&(bytes as u16).to_le_bytes());
    header[8] = family.len() as u8;
    header[9] = uid.len() as u8;
    header[12..12 + family.len()].copy_from_slice(family);
    header[28..28 + uid.len()].copy_from_slice(uid);
    header[44..48].copy_from_slice(&index.to_le_bytes());
    header
}
