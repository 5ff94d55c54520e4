//! CoreSight ROM tables: let a debugger find out whose chip it is and what core it has.

use crate::silicon::CoreKind;

/// The vendor's table: where it is, who says so, and what it points to.
#[derive(Debug)]
pub(crate) struct RomTable {
    /// Address of the table.
    pub(crate) base: u32,
    /// PIDR0 to PIDR4: part number and JEP106 code of the vendor.
    pub(crate) vendor: [u8; 5],
    /// Entries of the table: offsets from its base to components.
    pub(crate) entries: &'static [u32],
}

/// Where Arm puts the table of a core.
pub(crate) const ARM_ROM: u32 = 0xE00F_F000;
const IDENTITY: usize = 0xFD0 / 4;
/// Component class in CIDR1.
const ROM_CLASS: u8 = 0x10;
const SYSTEM_CLASS: u8 = 0xE0;
/// What a table at [`ARM_ROM`] names: system control, DWT, FPB, ITM.
pub(crate) const ARM_ENTRIES: &[u32] = &[0xFFF0_F003, 0xFFF0_2003, 0xFFF0_3003, 0xFFF0_1003];
/// The same on ARMv6-M, which has no ITM.
const ARM_ENTRIES_V6M: &[u32] = &[0xFFF0_F003, 0xFFF0_2003, 0xFFF0_3003];

impl RomTable {
    /// The word at `address`: entries and identification registers, 0 elsewhere.
    pub(crate) fn word(&self, core: CoreKind, address: u32) -> u32 {
        let (base, index) = (address & !0xFFF, (address & 0xFFF) as usize / 4);
        let (pidr, class, entries) = if base == self.base {
            (self.vendor, ROM_CLASS, self.entries)
        } else if base == ARM_ROM && core == CoreKind::M0Plus {
            (arm(0xC0, 0xB4), ROM_CLASS, ARM_ENTRIES_V6M)
        } else if let Some(part) = component(core, base) {
            (arm(part, 0xB0), SYSTEM_CLASS, [].as_slice())
        } else {
            return 0;
        };
        match index.checked_sub(IDENTITY) {
            None => entries.get(index).copied().unwrap_or(0),
            // PIDR4 to PIDR7, PIDR0 to PIDR3, CIDR0 to CIDR3.
            Some(0) => u32::from(pidr[4]),
            Some(at @ 4..=7) => u32::from(pidr[at - 4]),
            Some(8) => 0x0D,
            Some(9) => u32::from(class),
            Some(10) => 0x05,
            Some(11) => 0xB1,
            Some(_) => 0,
        }
    }
}

fn arm(part: u8, high: u8) -> [u8; 5] {
    [part, high, 0x0B, 0, 0x04]
}

/// Low byte of the part number of Arm's component at `base`.
fn component(core: CoreKind, base: u32) -> Option<u8> {
    match (core, base) {
        (CoreKind::M0Plus, 0xE000_E000) => Some(0x08),
        (CoreKind::M0Plus, 0xE000_1000) => Some(0x0A),
        (CoreKind::M0Plus, 0xE000_2000) => Some(0x0B),
        (CoreKind::M3, 0xE000_E000) => Some(0x00),
        (CoreKind::M4, 0xE000_E000) => Some(0x0C),
        (CoreKind::M3 | CoreKind::M4, 0xE000_1000) => Some(0x02),
        (CoreKind::M3 | CoreKind::M4, 0xE000_2000) => Some(0x03),
        (CoreKind::M3 | CoreKind::M4, 0xE000_0000) => Some(0x01),
        (CoreKind::M0Plus | CoreKind::M3 | CoreKind::M4, _) => None,
    }
}
