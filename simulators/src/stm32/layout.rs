//! What differs between the parts that have one kind of flash controller.

use std::ops::Range;

/// Option registers that name a write-protected range: first and last page.
#[derive(Debug)]
pub(super) struct WriteProtection {
    /// Offset of the register.
    pub(super) register: u32,
    /// First page of the bank it speaks of.
    pub(super) first_page: u32,
}

/// What differs between parts.
#[derive(Debug)]
pub(super) struct DoubleWordLayout {
    /// Option registers: offset in the controller, offset in the option bytes, factory value.
    pub(super) options: &'static [(u32, u32, u32)],
    /// Registers of write-protected ranges.
    pub(super) write_protection: &'static [WriteProtection],
    /// Pages of one bank; the page number in CR counts within the bank.
    pub(super) bank_pages: u32,
    /// CR's bank select, 0 where there is one bank.
    pub(super) bank_select: u32,
    /// CR's mass erase of the second bank, 0 where there is one bank.
    pub(super) mass_erase_2: u32,
    /// SR says that a double word is half written.
    pub(super) says_half_written: bool,
    /// An empty first word starts the boot loader.
    pub(super) empty_check: bool,
    /// FLASH_ACR after a reset.
    pub(super) acr: u32,
    /// nBOOT_SEL (or nSWBOOT0's inverse) and nBOOT0 in OPTR.
    pub(super) boot_select: Option<(u32, u32)>,
}

impl DoubleWordLayout {
    /// The option bytes of a part from the factory: each word with its complement.
    pub(super) fn factory_options(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0xFF; length];
        for &(_, at, value) in self.options {
            write_option(&mut bytes, at as usize, value);
        }
        bytes
    }
}

/// Puts an option word and its complement at offset `at`.
pub(super) fn write_option(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&(!value).to_le_bytes());
}

/// What differs between parts with the controller of half-words.
#[derive(Debug)]
pub(super) struct HalfWordLayout {
    /// The option byte that means no read-out protection.
    pub(super) open: u8,
    /// There is a second level of it, for ever.
    pub(super) has_level_2: bool,
    /// FLASH_OBR: lowest bit of the user options, and bits that always read 1.
    pub(super) user_at: u32,
    pub(super) obr_ones: u32,
    /// The user options that exist.
    pub(super) user_mask: u8,
    /// Pages that one bit of the write protection speaks for; the last one also for all above.
    pub(super) pages_per_bit: u32,
    /// Pages that read-out protection also protects from writing.
    pub(super) pages_protected_with_rdp: u32,
    /// FLASH_CR: the bit that loads the option bytes by a reset, 0 where any reset does and no bit.
    pub(super) load: u32,
}

impl HalfWordLayout {
    /// RDP, USER, two data bytes, four write protection bytes, each with its complement.
    pub(super) fn factory_options(&self) -> Vec<u8> {
        let mut bytes = vec![self.open, !self.open];
        bytes.extend([0xFF, 0x00].repeat(7));
        bytes
    }
}

/// What differs between parts with the controller of sectors.
#[derive(Debug)]
pub(super) struct SectorLayout {
    /// Neighbouring sectors of one size: how many, and KiB of each.
    pub(super) sectors: &'static [(u32, u32)],
    /// Time of an erase of a sector, by its KiB.
    pub(super) erase_ms: &'static [(u32, u64)],
}

/// FLASH_OPTCR as the factory leaves it, without its lock.
pub(super) const FACTORY_OPTCR: u32 = 0x0FFF_AAEC;

impl SectorLayout {
    /// Every sector's cells, lowest first.
    pub(super) fn all(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let mut start = 0;
        self.sectors
            .iter()
            .flat_map(|&(count, kib)| std::iter::repeat_n(kib as usize * 1024, count as usize))
            .map(move |bytes| {
                let sector = start..start + bytes;
                start = sector.end;
                sector
            })
    }

    /// The sector around a cell.
    pub(super) fn sector(&self, place: usize) -> Option<Range<usize>> {
        self.all().find(|sector| sector.contains(&place))
    }

    /// User options and RDP in the first half-word, write protection in the one at 8.
    pub(super) fn factory_options(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0xFF; length];
        write_optcr(&mut bytes, FACTORY_OPTCR);
        bytes
    }
}

/// Puts the options of a FLASH_OPTCR into the option bytes.
pub(super) fn write_optcr(bytes: &mut [u8], optcr: u32) {
    let [user, rdp, protection, more] = optcr.to_le_bytes();
    bytes[..2].copy_from_slice(&[user & 0xEC, rdp]);
    bytes[8..10].copy_from_slice(&[protection, more & 0x0F]);
}
