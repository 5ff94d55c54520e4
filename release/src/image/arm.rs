//! Which Arm core an ELF file was built for: the build attributes that compilers leave in it.
//!
//! Arm's "Addenda to, and Errata in, the ABI for the Arm Architecture" (IHI 0045), chapter "Build
//! attributes". Whoever removes them removes only this check: a file without them is for any Arm.

use std::fmt;

use object::LittleEndian;
use object::elf::{FileHeader32, SHT_ARM_ATTRIBUTES};
use object::read::elf::{FileHeader as _, SectionHeader as _};

/// Tag_File: what follows is about the whole file.
const WHOLE_FILE: u8 = 1;
const TAG_CPU_ARCH: u64 = 6;
/// Tags up to here say in the standard what their value is; of later ones the odd have texts.
const TAG_COMPATIBILITY: u64 = 32;

/// An Arm architecture for microcontrollers, in the order in which each runs the code of those
/// before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArmCore {
    /// Cortex-M0, M0+ and M1.
    V6M,
    /// Cortex-M3.
    V7M,
    /// Cortex-M4 and M7.
    V7EM,
    /// Cortex-M33, M55 and M85.
    V8M,
}

/// Families by the beginning of their names, and their cores, from the makers' reference manuals.
const CORES: &[(&str, ArmCore)] = &[
    ("nrf51", ArmCore::V6M),
    ("nrf52", ArmCore::V7EM),
    ("nrf53", ArmCore::V8M),
    ("rp2040", ArmCore::V6M),
    ("stm32f0", ArmCore::V6M),
    ("stm32f1", ArmCore::V7M),
    ("stm32f2", ArmCore::V7M),
    ("stm32f3", ArmCore::V7EM),
    ("stm32f4", ArmCore::V7EM),
    ("stm32f7", ArmCore::V7EM),
    ("stm32g0", ArmCore::V6M),
    ("stm32g4", ArmCore::V7EM),
    ("stm32h7", ArmCore::V7EM),
    ("stm32l0", ArmCore::V6M),
    ("stm32l1", ArmCore::V7M),
    ("stm32l4", ArmCore::V7EM),
    ("stm32l5", ArmCore::V8M),
];

impl ArmCore {
    /// The core of a family, if we know it.
    pub(super) fn of_family(family: &str) -> Option<Self> {
        CORES.iter().find(|(beginning, _)| family.starts_with(beginning)).map(|&(_, core)| core)
    }

    /// The core of a value of Tag_CPU_arch; none for what no microcontroller of ours has.
    const fn of_tag(value: u64) -> Option<Self> {
        match value {
            11 | 12 => Some(Self::V6M),
            10 => Some(Self::V7M),
            13 => Some(Self::V7EM),
            17 | 21 => Some(Self::V8M),
            _ => None,
        }
    }
}

impl fmt::Display for ArmCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V6M => "Armv6-M (Cortex-M0)",
            Self::V7M => "Armv7-M (Cortex-M3)",
            Self::V7EM => "Armv7E-M (Cortex-M4)",
            Self::V8M => "Armv8-M (Cortex-M33)",
        })
    }
}

/// The core that a file says it was built for; none if it says nothing that can be read.
pub(super) fn core(header: &FileHeader32<LittleEndian>, file: &[u8]) -> Option<ArmCore> {
    let endian = header.endian().ok()?;
    let sections = header.section_headers(endian, file).ok()?;
    let section = sections.iter().find(|section| section.sh_type(endian) == SHT_ARM_ATTRIBUTES)?;
    let mut vendors = section.attributes(endian, file).ok()?.subsections().ok()?;
    while let Some(vendor) = vendors.next().ok()? {
        if vendor.vendor() != b"aeabi" {
            continue;
        }
        let mut scopes = vendor.subsubsections();
        while let Some(scope) = scopes.next().ok()? {
            if scope.tag() != WHOLE_FILE {
                continue;
            }
            let mut attributes = scope.attributes();
            while let Some(tag) = attributes.read_tag().ok()? {
                match tag {
                    TAG_CPU_ARCH => return ArmCore::of_tag(attributes.read_integer().ok()?),
                    // Tag_CPU_raw_name and Tag_CPU_name, before the one we look for.
                    4 | 5 => drop(attributes.read_string().ok()?),
                    TAG_COMPATIBILITY => {
                        attributes.read_integer().ok()?;
                        attributes.read_string().ok()?;
                    }
                    tag if tag > TAG_COMPATIBILITY && tag % 2 == 1 => {
                        attributes.read_string().ok()?;
                    }
                    _ => drop(attributes.read_integer().ok()?),
                }
            }
        }
    }
    None
}
