//! Where things are in an nRF51822_xxAA, as QEMU lays it out.

/// Bytes of flash from address 0.
pub(super) const FLASH_BYTES: u32 = 0x4_0000;
/// First byte of RAM.
pub(super) const RAM_BASE: u32 = 0x2000_0000;
/// Bytes of RAM.
pub(super) const RAM_BYTES: u32 = 0x4000;
/// FICR.DEVICEID[0] and [1].
pub(super) const DEVICE_ID: u32 = 0x1000_0060;
/// First byte of the private peripheral bus.
pub(super) const PRIVATE_BUS: u32 = 0xE000_0000;

/// Flash controller: CONFIG, and its values "write" and "erase".
pub(super) const NVMC_CONFIG: u32 = 0x4001_E504;
pub(super) const NVMC_WRITE: u32 = 1;
pub(super) const NVMC_ERASE: u32 = 2;
/// Flash controller: erases everything.
pub(super) const NVMC_ERASE_ALL: u32 = 0x4001_E50C;

/// What answers at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Flash, written by the flash controller's rules.
    Flash,
    /// FICR or UICR.
    Information,
    /// RAM.
    Ram,
    /// Peripheral registers: whole words only.
    Peripheral,
    /// Nothing.
    Nowhere,
}

impl Place {
    /// What answers to all of `bytes` bytes at `address`.
    pub(super) fn of(address: u32, bytes: usize) -> Self {
        let holds = |start: u32, size: u32| {
            address
                .checked_sub(start)
                .is_some_and(|offset| offset < size && bytes <= (size - offset) as usize)
        };
        if holds(0, FLASH_BYTES) {
            Self::Flash
        } else if holds(0x1000_0000, 0x1000) || holds(0x1000_1000, 0x1000) {
            Self::Information
        } else if holds(RAM_BASE, RAM_BYTES) {
            Self::Ram
        } else if holds(0x4000_0000, 0x8_0000) || holds(0x5000_0000, 0x1000) {
            Self::Peripheral
        } else {
            Self::Nowhere
        }
    }

    /// Whether instructions can be fetched here.
    pub(super) fn is_executable(self) -> bool {
        matches!(self, Self::Flash | Self::Ram)
    }

    /// Whether QEMU may pick the width of accesses here.
    pub(super) fn is_memory(self) -> bool {
        matches!(self, Self::Flash | Self::Information | Self::Ram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_lies_in_one_place_or_nowhere() {
        let check = |address, bytes, place| {
            assert_eq!(Place::of(address, bytes), place, "{address:#x}+{bytes}");
        };
        check(0, 1, Place::Flash);
        check(0x3_FFFC, 4, Place::Flash);
        check(0x3_FFFD, 4, Place::Nowhere);
        check(0x1000_0060, 8, Place::Information);
        check(0x1000_10C0, 16, Place::Information);
        check(0x2000_3FFF, 1, Place::Ram);
        check(0x2000_4000, 1, Place::Nowhere);
        check(0x4001_E504, 4, Place::Peripheral);
        check(0xFFFF_FFFE, 2, Place::Nowhere);
    }
}
