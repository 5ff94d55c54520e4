//! What an image file says of itself: its format, where execution starts, for which chip it is.
//!
//! [`Facts`] travel in the signed manifest, so that a hub and a person who never see the plain image
//! can read them. [`ChipClaim`] is judged against the recipe when packing and is not kept.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::arm::ArmCore;
use super::format::FormatName;
use super::mcuboot::Mcuboot;
use super::pieces::Pieces;
use crate::limits::{
    ENTRY_POINTS_MAX, INTEGER_MAX, MCUBOOT_HEADERS_MAX, MCUBOOT_TLVS_MAX, REMARK_BYTES_MAX,
    REMARKS_MAX,
};

/// What an image file says of itself. Shown to people; no station decides by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// How the file was written.
    pub format: FormatName,
    /// Where it says that execution starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<u64>,
    /// The MCUboot images in it, by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcuboot: Vec<Mcuboot>,
    /// What else a person should know, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl Facts {
    /// Whether there is nothing to say that the pieces do not say: raw bytes without headers.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.format == FormatName::Raw
            && self.entry_points.is_empty()
            && self.mcuboot.is_empty()
            && self.remarks.is_empty()
    }

    /// Whether every part keeps its limit: what a manifest may carry.
    pub(crate) fn keeps_limits(&self) -> bool {
        let short =
            |text: &str| text.len() <= REMARK_BYTES_MAX && !text.chars().any(char::is_control);
        let small = |numbers: &[u64]| numbers.iter().all(|&number| number <= INTEGER_MAX);
        self.entry_points.len() <= ENTRY_POINTS_MAX
            && small(&self.entry_points)
            && self.remarks.len() <= REMARKS_MAX
            && self.remarks.iter().all(|remark| short(remark))
            && self.mcuboot.len() <= MCUBOOT_HEADERS_MAX
            && self.mcuboot.iter().all(|image| {
                short(&image.version)
                    && small(&[image.address, image.header_bytes, image.image_bytes, image.flags])
                    && image.tlvs.len() <= MCUBOOT_TLVS_MAX
                    && image.tlvs.iter().all(|tlv| small(&[tlv.kind, tlv.bytes]))
            })
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  format   {}", self.format)?;
        for entry in &self.entry_points {
            writeln!(f, "  entry    {entry:#010x}")?;
        }
        for image in &self.mcuboot {
            writeln!(f, "  mcuboot  {image}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "  says     {remark}")?;
        }
        Ok(())
    }
}

/// What a reader found in a file.
pub(super) struct Found {
    pub(super) pieces: Pieces,
    pub(super) entry_points: Vec<u64>,
    pub(super) chip: Option<ChipClaim>,
    pub(super) remarks: Vec<String>,
}

impl Found {
    pub(super) const fn of(pieces: Pieces) -> Self {
        Self { pieces, entry_points: Vec::new(), chip: None, remarks: Vec::new() }
    }

    /// Notes an entry point, each once; beyond the limit a file only repeats itself.
    pub(super) fn entry(&mut self, address: u64) {
        if self.entry_points.len() < ENTRY_POINTS_MAX && !self.entry_points.contains(&address) {
            self.entry_points.push(address);
        }
    }

    /// Notes for which chip the file is.
    pub(super) fn claim(&mut self, claim: ChipClaim) {
        self.remark(format!("for {claim}"));
        self.chip = Some(claim);
    }

    /// Notes a line for people; beyond the limit it says once that there is more.
    pub(super) fn remark(&mut self, remark: String) {
        match self.remarks.len() + 1 {
            REMARKS_MAX => self.remarks.push("and more".to_owned()),
            number if number < REMARKS_MAX => self.remarks.push(remark),
            _ => {}
        }
    }
}

/// For which chip a file says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChipClaim {
    /// An instruction set: ELF's `e_machine`.
    Machine(u16),
    /// A kind of Arm core, from ELF's build attributes.
    ArmCore(ArmCore),
    /// A UF2 family id.
    Uf2Family(u32),
    /// The chip id of an ESP image.
    EspChip(u16),
    /// The USB vendor of a `.dfu` file's suffix.
    UsbVendor(u16),
}

pub(super) const ARM: u16 = 40;
const XTENSA: u16 = 94;
const RISC_V: u16 = 243;

/// Families by the beginning of their names, and their instruction set. The longer beginnings come
/// first.
const MACHINES: &[(&str, u16)] = &[
    ("nrf51", ARM),
    ("nrf52", ARM),
    ("nrf53", ARM),
    ("stm32", ARM),
    ("rp2040", ARM),
    ("esp32c", RISC_V),
    ("esp32h", RISC_V),
    ("esp32p", RISC_V),
    ("esp32", XTENSA),
];

/// UF2 family id, the chips as they are called, our family, and how such a chip's name begins where
/// the id is for some of the family only. From `uf2families.json` of the UF2 project; the RP2350's
/// from Raspberry Pi's SDK.
const UF2_FAMILIES: &[(u32, &str, &str, &str)] = &[
    (0x00ff_6919, "STM32L4", "stm32l4", ""),
    (0x0424_0bdf, "STM32L5", "stm32l5", ""),
    (0x1b57_745f, "nRF52", "nrf52", ""),
    (0x1c5f_21b0, "ESP32", "esp32", ""),
    (0x1e1f_432d, "STM32L1", "stm32l1", ""),
    (0x202e_3a91, "STM32L0", "stm32l0", ""),
    (0x2146_0ff0, "STM32WL", "stm32wl", ""),
    (0x2b88_d29c, "ESP32-C2", "esp32c2", ""),
    (0x300f_5633, "STM32G0", "stm32g0", ""),
    (0x3327_26f6, "ESP32-H2", "esp32h2", ""),
    (0x3d30_8e94, "ESP32-P4", "esp32p4", ""),
    (0x4c71_240a, "STM32G4", "stm32g4", ""),
    (0x53b8_0f00, "STM32F7", "stm32f7", ""),
    (0x540d_df62, "ESP32-C6", "esp32c6", ""),
    (0x5511_4460, "SAMD51", "samd51", ""),
    (0x5775_5a57, "STM32F4", "stm32f4", ""),
    (0x5d1a_0a2e, "STM32F2", "stm32f2", ""),
    (0x5ee2_1072, "STM32F1", "stm32f1", ""),
    (0x621e_937a, "nRF52833", "nrf52", "nRF52833"),
    (0x6478_24b6, "STM32F0", "stm32f0", ""),
    (0x68ed_2b88, "SAMD21", "samd21", ""),
    (0x6b84_6188, "STM32F3", "stm32f3", ""),
    (0x6d09_22fa, "STM32F407", "stm32f4", "STM32F407"),
    (0x6db6_6082, "STM32H7", "stm32h7", ""),
    (0x70d1_6653, "STM32WB", "stm32wb", ""),
    (0x8fb0_60fe, "STM32F407VG", "stm32f4", "STM32F407VG"),
    (0xada5_2840, "nRF52840", "nrf52", "nRF52840"),
    (0xbfdd_4eee, "ESP32-S2", "esp32s2", ""),
    (0xc47e_5767, "ESP32-S3", "esp32s3", ""),
    (0xd42b_a06c, "ESP32-C3", "esp32c3", ""),
    (0xe48b_ff56, "RP2040", "rp2040", ""),
    (0xe48b_ff59, "RP2350 (Arm, secure)", "rp2350", ""),
    (0xe48b_ff5a, "RP2350 (RISC-V)", "rp2350", ""),
    (0xe48b_ff5b, "RP2350 (Arm, non-secure)", "rp2350", ""),
];

/// Chip id of an ESP image (`esp_chip_id_t` of ESP-IDF), name, our family.
const ESP_CHIPS: &[(u16, &str, &str)] = &[
    (0x0000, "ESP32", "esp32"),
    (0x0002, "ESP32-S2", "esp32s2"),
    (0x0005, "ESP32-C3", "esp32c3"),
    (0x0009, "ESP32-S3", "esp32s3"),
    (0x000c, "ESP32-C2", "esp32c2"),
    (0x000d, "ESP32-C6", "esp32c6"),
    (0x0010, "ESP32-H2", "esp32h2"),
    (0x0012, "ESP32-P4", "esp32p4"),
];

/// Makers of chips with a DFU loader of their own: USB vendor id, name, and how the families that
/// are theirs begin. From usb.org's list; 0xFFFF in a suffix means any.
const USB_MAKERS: &[(u16, &str, &str)] = &[
    (0x0483, "STMicroelectronics", "stm32"),
    (0x1915, "Nordic Semiconductor", "nrf"),
    (0x2e8a, "Raspberry Pi", "rp2"),
    (0x303a, "Espressif", "esp32"),
];

impl ChipClaim {
    /// Whether the claim fits a family and a chip by its probe-rs name. None: our tables know too
    /// little of the family to say.
    #[must_use]
    pub fn fits(self, family: &str, chip: &str) -> Option<bool> {
        match self {
            Self::Machine(machine) => MACHINES
                .iter()
                .find(|(beginning, _)| family.starts_with(beginning))
                .map(|&(_, needed)| machine == needed),
            // A core runs what was built for the smaller ones.
            Self::ArmCore(built_for) => match ArmCore::of_family(family) {
                Some(core) => Some(built_for <= core),
                None => Self::Machine(ARM).fits(family, chip),
            },
            Self::Uf2Family(id) => match UF2_FAMILIES.iter().find(|row| row.0 == id) {
                Some(&(_, _, of, beginning)) => Some(of == family && begins_with(chip, beginning)),
                None => UF2_FAMILIES.iter().any(|row| row.2 == family).then_some(false),
            },
            Self::EspChip(id) => match ESP_CHIPS.iter().find(|row| row.0 == id) {
                Some(&(_, _, of)) => Some(of == family),
                None => ESP_CHIPS.iter().any(|row| row.2 == family).then_some(false),
            },
            // A product's own vendor id says nothing about its chip.
            Self::UsbVendor(vendor) => {
                let (.., of) = USB_MAKERS.iter().find(|row| row.0 == vendor)?;
                let is_known = USB_MAKERS.iter().any(|row| family.starts_with(row.2));
                is_known.then_some(family.starts_with(of))
            }
        }
    }
}

fn begins_with(chip: &str, beginning: &str) -> bool {
    chip.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

impl fmt::Display for ChipClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(ARM) => f.write_str("Arm"),
            Self::Machine(XTENSA) => f.write_str("Xtensa"),
            Self::Machine(RISC_V) => f.write_str("RISC-V"),
            Self::ArmCore(core) => write!(f, "{core}"),
            Self::Machine(machine) => write!(f, "ELF machine {machine}"),
            Self::Uf2Family(id) => match UF2_FAMILIES.iter().find(|row| row.0 == *id) {
                Some(row) => write!(f, "{} (UF2 family {id:#010x})", row.1),
                None => write!(f, "the unknown UF2 family {id:#010x}"),
            },
            Self::EspChip(id) => match ESP_CHIPS.iter().find(|row| row.0 == *id) {
                Some(row) => write!(f, "{} (ESP chip id {id})", row.1),
                None => write!(f, "the unknown ESP chip id {id}"),
            },
            Self::UsbVendor(id) => match USB_MAKERS.iter().find(|row| row.0 == *id) {
                Some(row) => write!(f, "a chip of {} (USB vendor {id:04x})", row.1),
                None => write!(f, "the USB vendor {id:04x}"),
            },
        }
    }
}
