//! The CoreSight ROM table: lets a debugger find out that the chip is Nordic's.

/// The word at `address`: entries and identification registers, 0 elsewhere.
pub(crate) fn word(address: u32) -> u32 {
    const ROM: u32 = 0xE00F_F000;
    const ENTRIES: [u32; 4] = [0xFFF0_F003, 0xFFF0_2003, 0xFFF0_3003, 0xFFF0_1003];
    const IDENTITY: usize = 0xFD0 / 4;
    // PIDR4-7, PIDR0-3, CIDR0-3.
    let identity: [u32; 12] = match address & !0xFFF {
        ROM => [0x02, 0, 0, 0, 0x06, 0x40, 0x0C, 0, 0x0D, 0x10, 0x05, 0xB1],
        0xE000_E000 => [0x04, 0, 0, 0, 0x0C, 0xB0, 0x0B, 0, 0x0D, 0xE0, 0x05, 0xB1],
        0xE000_1000 => [0x04, 0, 0, 0, 0x02, 0xB0, 0x3B, 0, 0x0D, 0xE0, 0x05, 0xB1],
        0xE000_2000 => [0x04, 0, 0, 0, 0x03, 0xB0, 0x2B, 0, 0x0D, 0xE0, 0x05, 0xB1],
        0xE000_0000 => [0x04, 0, 0, 0, 0x01, 0xB0, 0x3B, 0, 0x0D, 0xE0, 0x05, 0xB1],
        _ => return 0,
    };
    let index = (address & 0xFFF) as usize / 4;
    if let Some(value) = index.checked_sub(IDENTITY).and_then(|at| identity.get(at)) {
        return *value;
    }
    match address & !0xFFF {
        ROM => ENTRIES.get(index).copied().unwrap_or(0),
        _ => 0,
    }
}
