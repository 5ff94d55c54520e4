//! Who a chip is: family, part, unique id.
//!
//! Owns the readers per family and the judgement whether a UID can be one. Nordic parts, both
//! families: FICR.DEVICEID[0] and [1] at 0x10000060 (nRF51 Series Reference Manual and nRF52832
//! Product Specification, chapter "FICR — Factory information configuration registers", register
//! DEVICEID[n], offset 0x060). The UID is the eight bytes as they lie in memory.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::FlashError;

/// A chip's unique id: the bytes as they lie in its memory; shown as upper-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Uid(Vec<u8>);

impl Uid {
    /// Takes the bytes if they can be a unique id.
    ///
    /// # Errors
    /// [`FlashError::UidImplausible`] unless there are 1 to 16 bytes that are not all alike (an
    /// erased, unread or shorted identity reads as one byte repeated).
    pub fn new(bytes: Vec<u8>) -> Result<Self, FlashError> {
        let alike = bytes.windows(2).all(|pair| pair[0] == pair[1]);
        if bytes.is_empty() || bytes.len() > 16 || alike {
            let uid = Self(bytes).to_string();
            return Err(FlashError::UidImplausible { uid });
        }
        Ok(Self(bytes))
    }

    /// The bytes as they lie in the chip's memory.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// What was found in the slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The family, lower case.
    pub family: String,
    /// The part as the chip names itself; empty while it is locked.
    pub part: String,
    /// The unique id; a locked chip does not tell it.
    pub uid: Option<Uid>,
    /// A name that may repeat, where no unique id can be read: a DFU device's serial number. It
    /// neither activates a unit nor tells that one was here before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weak: Option<String>,
    /// Read-protected: nothing can be read or written until it is erased whole.
    pub locked: bool,
}

/// Where a family keeps its unique id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UidReader {
    /// FICR.DEVICEID[0..2] at 0x10000060.
    NordicDeviceId,
}

impl UidReader {
    /// First address and length in bytes.
    pub fn place(self) -> (u64, usize) {
        match self {
            Self::NordicDeviceId => (0x1000_0060, 8),
        }
    }
}

/// How a chip is told from its siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartReader {
    /// nRF52: FICR.INFO.PART (0x10000100), VARIANT (0x104) and FLASH (0x110, KiB).
    NordicInfo {
        /// The part number as FICR.INFO.PART holds it.
        part: u32,
        /// Least flash in KiB.
        flash_kib: u32,
    },
    /// nRF51: FICR.CODEPAGESIZE (0x10000010) times CODESIZE (0x014); there is no part number.
    NordicCodeSize {
        /// Least flash in KiB.
        flash_kib: u32,
    },
}

impl PartReader {
    /// First address and number of 32-bit words this reader wants.
    pub fn place(self) -> (u64, usize) {
        match self {
            Self::NordicInfo { .. } => (0x1000_0100, 5),
            Self::NordicCodeSize { .. } => (0x1000_0010, 2),
        }
    }

    /// Names the part from the words at [`PartReader::place`].
    ///
    /// # Errors
    /// [`FlashError::WrongChip`] if it is another part or has less flash than the profile counts on.
    pub fn judge(self, words: &[u32]) -> Result<String, FlashError> {
        let word = |index: usize| words.get(index).copied().unwrap_or(u32::MAX);
        match self {
            Self::NordicInfo { part, flash_kib } => {
                let found = word(0);
                if found != part {
                    return Err(FlashError::WrongChip {
                        wanted: format!("nRF{part:05X}"),
                        found: nordic_name(found),
                    });
                }
                if word(4) < flash_kib {
                    return Err(FlashError::WrongChip {
                        wanted: format!("nRF{part:05X} with {flash_kib} KiB of flash"),
                        found: format!("nRF{found:05X} with {} KiB of flash", word(4)),
                    });
                }
                let variant = word(1).to_be_bytes();
                let name = format!("nRF{part:05X}");
                Ok(if variant.iter().all(u8::is_ascii_alphanumeric) {
                    format!("{name}-{}", String::from_utf8_lossy(&variant))
                } else {
                    name
                })
            }
            Self::NordicCodeSize { flash_kib } => {
                let found = u64::from(word(0)) * u64::from(word(1)) / 1024;
                if word(0) != 1024 || found < u64::from(flash_kib) {
                    return Err(FlashError::WrongChip {
                        wanted: format!("nRF51 with {flash_kib} KiB of flash in pages of 1 KiB"),
                        found: format!("{} pages of {} bytes", word(1), word(0)),
                    });
                }
                Ok("nRF51".to_owned())
            }
        }
    }
}

fn nordic_name(part: u32) -> String {
    match part {
        0x5_0000..=0x9_FFFF => format!("nRF{part:05X}"),
        _ => format!("FICR.INFO.PART = {part:#010x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_of_bytes_that_are_all_alike_or_of_a_wrong_length_is_refused() {
        let check = |bytes: &[u8], plausible: bool| {
            assert_eq!(Uid::new(bytes.to_vec()).is_ok(), plausible, "{bytes:02X?}");
        };
        check(&[1, 2, 3, 4, 5, 6, 7, 8], true);
        check(&[0, 0, 0, 0, 0, 0, 0, 1], true);
        check(&[0; 8], false);
        check(&[0xFF; 8], false);
        check(&[0x5A; 12], false);
        check(&[], false);
        check(&[7], false);
        check(&(0..16).collect::<Vec<u8>>(), true);
        check(&(0..17).collect::<Vec<u8>>(), false);
    }

    #[test]
    fn a_uid_is_shown_as_upper_case_hex_of_its_bytes_in_memory_order() {
        let uid = Uid::new(vec![0x0A, 0xFE, 0x00, 0x10]).expect("plausible");
        assert_eq!(uid.to_string(), "0AFE0010");
    }

    #[test]
    fn a_part_is_accepted_only_if_number_and_flash_size_fit() {
        let reader = PartReader::NordicInfo { part: 0x52832, flash_kib: 512 };
        let aae0 = u32::from_be_bytes(*b"AAE0");
        let check =
            |words: &[u32], expected: Result<&str, &str>| match (reader.judge(words), expected) {
                (Ok(name), Ok(wanted)) => assert_eq!(name, wanted),
                (Err(FlashError::WrongChip { found, .. }), Err(wanted)) => {
                    assert_eq!(found, wanted)
                }
                (other, wanted) => panic!("{words:x?}: {other:?}, wanted {wanted:?}"),
            };
        check(&[0x52832, aae0, 0, 64, 512], Ok("nRF52832-AAE0"));
        check(&[0x52832, 0xFFFF_FFFF, 0, 64, 512], Ok("nRF52832"));
        check(&[0x52832, aae0, 0, 32, 256], Err("nRF52832 with 256 KiB of flash"));
        check(&[0x52840, aae0, 0, 256, 1024], Err("nRF52840"));
        check(&[0xFFFF_FFFF; 5], Err("FICR.INFO.PART = 0xffffffff"));
        check(&[], Err("FICR.INFO.PART = 0xffffffff"));
    }

    #[test]
    fn an_nrf51_is_told_by_its_page_size_and_count() {
        let reader = PartReader::NordicCodeSize { flash_kib: 256 };
        assert_eq!(reader.judge(&[1024, 256]), Ok("nRF51".to_owned()));
        assert!(reader.judge(&[1024, 128]).is_err());
        assert!(reader.judge(&[4096, 128]).is_err());
    }
}
