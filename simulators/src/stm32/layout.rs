//! What differs between the parts that have the controller of double words.

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
