//! Who a chip is: family, part, unique id.
//!
//! Owns the readers per family and the judgement whether a UID can be one. Nordic parts, both
//! families: FICR.DEVICEID[0] and [1] at 0x10000060 (nRF51 Series Reference Manual and nRF52832
//! Product Specification, chapter "FICR — Factory information configuration registers", register
//! DEVICEID[n], offset 0x060). The UID is the eight bytes as they lie in memory.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chips::UidPlace;
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
    /// FICR.DEVICEID[0..2] at 0x10000060; with a public dump of the family.
    NordicDeviceId(UidVector),
    /// Three words of an STM32's device electronic signature.
    Stm32(&'static UidPlace),
    /// In the flash chip beside it (RP2040), which tells it by its own command 0x4B; with a public
    /// dump, its bytes as they come in words of four.
    ExternalFlash(UidVector),
    /// The factory MAC address in eFuse, read by the ROM loader's back end (ESP32 family).
    EfuseMac,
}

/// What was read from a real chip, and whose publication says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidVector {
    /// The words at [`UidReader::words`], as a debugger shows them.
    pub words: &'static [u32],
    /// Where they were published.
    pub source: &'static str,
}

impl UidReader {
    /// The addresses of the 32-bit words a debug probe reads, in the order of the id's bytes; empty
    /// where a probe cannot read it. Word accesses only: STM32L0 and L1 refuse others here.
    pub fn words(self) -> Vec<u64> {
        match self {
            Self::NordicDeviceId(_) => vec![0x1000_0060, 0x1000_0064],
            Self::Stm32(place) => place.words.map(u64::from).to_vec(),
            Self::ExternalFlash(_) | Self::EfuseMac => Vec::new(),
        }
    }

    /// Takes the words read at [`UidReader::words`] for a unique id.
    ///
    /// # Errors
    /// [`FlashError::UidImplausible`] as [`Uid::new`]; of an STM32 also if two of its words are all
    /// ones or all zeros, as of a chip that was never given its id (ST Community 411456: thirteen
    /// STM32F100, some of them alike).
    pub fn judge(self, words: &[u32]) -> Result<Uid, FlashError> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let empty = words.iter().filter(|word| [0, u32::MAX].contains(word)).count();
        if let (Self::Stm32(_), 2..) = (self, empty) {
            return Err(FlashError::UidImplausible { uid: Uid(bytes).to_string() });
        }
        Uid::new(bytes)
    }

    /// A real chip's words that this reader was checked with; without them it is unproven.
    pub fn vector(self) -> Option<UidVector> {
        match self {
            Self::NordicDeviceId(vector) | Self::ExternalFlash(vector) => Some(vector),
            Self::Stm32(place) => place.vector,
            Self::EfuseMac => None,
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
    /// STM32: DBGMCU_IDCODE.DEV_ID and the flash size of the device electronic signature.
    Stm32 {
        /// Address of DBGMCU_IDCODE.
        idcode: u32,
        /// DEV_ID, bits 11:0.
        device: u16,
        /// Address of the flash size in KiB, 16 bits.
        flash_size: u32,
        /// Least flash in KiB.
        flash_kib: u16,
    },
    /// RP2040: SYSINFO.CHIP_ID at 0x40000000 (RP2040 Datasheet, 2.20 "SYSINFO"): part 2 of
    /// manufacturer 0x927.
    Rp2040,
    /// The loader tells it, in its back end's own way.
    ByLoader,
}

impl PartReader {
    /// The addresses of the 32-bit words a debug probe reads.
    pub fn words(self) -> Vec<u64> {
        match self {
            Self::NordicInfo { .. } => vec![0x1000_0100, 0x1000_0104, 0x1000_0110],
            Self::NordicCodeSize { .. } => vec![0x1000_0010, 0x1000_0014],
            Self::Stm32 { idcode, flash_size, .. } => {
                vec![u64::from(idcode), u64::from(flash_size & !3)]
            }
            Self::Rp2040 => vec![0x4000_0000],
            Self::ByLoader => Vec::new(),
        }
    }

    /// Names the part from the words at [`PartReader::words`].
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
                if word(2) < flash_kib {
                    return Err(FlashError::WrongChip {
                        wanted: format!("nRF{part:05X} with {flash_kib} KiB of flash"),
                        found: format!("nRF{found:05X} with {} KiB of flash", word(2)),
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
            Self::Stm32 { device, flash_size, flash_kib, .. } => {
                let found = word(0) & 0xFFF;
                if found != u32::from(device) {
                    return Err(FlashError::WrongChip {
                        wanted: device_name(u32::from(device)),
                        found: device_name(found),
                    });
                }
                // The size may be the upper half of its word.
                let kib = word(1) >> (8 * (flash_size & 2)) & 0xFFFF;
                let name = device_name(found);
                if kib < u32::from(flash_kib) || kib == 0xFFFF {
                    return Err(FlashError::WrongChip {
                        wanted: format!("{name} with {flash_kib} KiB of flash"),
                        found: format!("{name} with {kib} KiB of flash"),
                    });
                }
                Ok(format!("{name}, {kib} KiB"))
            }
            Self::Rp2040 => match word(0) {
                id if id & 0x0FFF_FFFF == 0x2927 => Ok(format!("RP2040 B{}", id >> 28)),
                id => Err(FlashError::WrongChip {
                    wanted: "RP2040".to_owned(),
                    found: format!("CHIP_ID = {id:#010x}"),
                }),
            },
            Self::ByLoader => Ok(String::new()),
        }
    }
}

/// STM32 device ids and what they stand for: DBGMCU_IDCODE.DEV_ID of the reference manuals, the
/// same numbers as the ROM loaders' product ids in AN2606.
pub static STM32_DEVICES: &[(u16, &str)] = &[
    (0x410, "STM32F10xxx medium-density"),
    (0x411, "STM32F2xxxx"),
    (0x412, "STM32F10xxx low-density"),
    (0x413, "STM32F405xx/407xx/415xx/417xx"),
    (0x414, "STM32F10xxx high-density"),
    (0x415, "STM32L475xx/476xx/486xx"),
    (0x416, "STM32L1xxx6/8/B"),
    (0x417, "STM32L05xxx/06xxx"),
    (0x418, "STM32F105xx/107xx"),
    (0x419, "STM32F42xxx/43xxx"),
    (0x420, "STM32F100xx medium-density value line"),
    (0x421, "STM32F446xx"),
    (0x422, "STM32F302xB(C)/303xB(C)/358xx"),
    (0x423, "STM32F401xB(C)"),
    (0x425, "STM32L031xx/041xx"),
    (0x427, "STM32L1xxxC"),
    (0x428, "STM32F100xx high-density value line"),
    (0x429, "STM32L1xxxA"),
    (0x430, "STM32F10xxx XL-density"),
    (0x431, "STM32F411xx"),
    (0x432, "STM32F373xx/378xx"),
    (0x433, "STM32F401xD(E)"),
    (0x435, "STM32L43xxx/44xxx"),
    (0x436, "STM32L1xxxD"),
    (0x437, "STM32L1xxxE"),
    (0x438, "STM32F303x4(6,8)/334xx/328xx"),
    (0x440, "STM32F051xx/030x8"),
    (0x442, "STM32F091xx/098xx/030xC"),
    (0x444, "STM32F03xx4/6"),
    (0x445, "STM32F04xxx/070x6"),
    (0x447, "STM32L07xxx/08xxx"),
    (0x448, "STM32F071xx/072xx/070xB"),
    (0x456, "STM32G05xxx/06xxx"),
    (0x460, "STM32G07xxx/08xxx"),
    (0x466, "STM32G03xxx/04xxx"),
    (0x467, "STM32G0Bxxx/0Cxxx"),
    (0x468, "STM32G431xx/441xx"),
    (0x469, "STM32G47xxx/48xxx"),
];

/// A device id in words.
pub(crate) fn device_name(id: u32) -> String {
    match STM32_DEVICES.iter().find(|(known, _)| u32::from(*known) == id) {
        Some((_, name)) => format!("{name} ({id:#05x})"),
        None => format!("device {id:#05x}"),
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
        check(&[0x52832, aae0, 512], Ok("nRF52832-AAE0"));
        check(&[0x52832, 0xFFFF_FFFF, 512], Ok("nRF52832"));
        check(&[0x52832, aae0, 256], Err("nRF52832 with 256 KiB of flash"));
        check(&[0x52840, aae0, 1024], Err("nRF52840"));
        check(&[0xFFFF_FFFF; 3], Err("FICR.INFO.PART = 0xffffffff"));
        check(&[], Err("FICR.INFO.PART = 0xffffffff"));
    }

    #[test]
    fn an_nrf51_is_told_by_its_page_size_and_count() {
        let reader = PartReader::NordicCodeSize { flash_kib: 256 };
        assert_eq!(reader.judge(&[1024, 256]), Ok("nRF51".to_owned()));
        assert!(reader.judge(&[1024, 128]).is_err());
        assert!(reader.judge(&[4096, 128]).is_err());
    }

    #[test]
    fn an_stm32_is_told_by_device_id_and_flash_size_in_either_half_of_its_word() {
        let check = |flash_size, words: &[u32], wanted: Result<&str, &str>| {
            let reader = PartReader::Stm32 { idcode: 0, device: 0x410, flash_size, flash_kib: 128 };
            let found = match reader.judge(words) {
                Err(FlashError::WrongChip { found, .. }) => Err(found),
                other => Ok(other.expect("a part")),
            };
            assert_eq!(found.as_deref().map_err(String::as_str), wanted, "{words:x?}");
        };
        let name = "STM32F10xxx medium-density (0x410), 128 KiB";
        check(0x1FFF_F7E0, &[0x2003_6410, 0xFFFF_0080], Ok(name));
        check(0x1FFF_7A22, &[0x2003_6410, 0x0080_FFFF], Ok(name));
        let small = "STM32F10xxx medium-density (0x410) with 64 KiB of flash";
        check(0x1FFF_F7E0, &[0x2003_6410, 0xFFFF_0040], Err(small));
        check(0x1FFF_F7E0, &[0x1000_6414, 0x200], Err("STM32F10xxx high-density (0x414)"));
        check(0x1FFF_F7E0, &[0, 0], Err("device 0x000"));
        let unread = "STM32F10xxx medium-density (0x410) with 65535 KiB of flash";
        check(0x1FFF_F7E0, &[0x410, u32::MAX], Err(unread));
    }
}
