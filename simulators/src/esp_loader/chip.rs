//! What a debugger of the loader can see: eFuses, registers, and the SPI controller with the flash
//! behind it.
//!
//! Registers that nothing here acts on keep what is written until the next power-up and read 0
//! before; a real chip has reset values of its own there, and faults outside its address map.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::flash::Flash;

/// The place that older loaders are told apart by.
const MAGIC_AT: u32 = 0x4000_1000;
/// SPI_CMD: the bit that starts a command given by the user registers; it clears itself.
const SPI_USER: u32 = 1 << 18;
/// The flash command that asks for manufacturer and size.
const READ_ID: u32 = 0x9F;
/// Winbond, serial flash with 3 V.
const MANUFACTURER: u32 = 0x40EF;

/// A chip this room can be.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name on the command line.
    pub name: &'static str,
    /// The id in images, and in GET_SECURITY_INFO where the loader has that.
    pub chip_id: u16,
    /// The loader knows GET_SECURITY_INFO.
    pub tells_security: bool,
    /// Bytes of FLASH_BEGIN's data: ESP32 has no word for encryption.
    pub begin_bytes: usize,
    /// What stands at 0x40001000.
    pub magic: u32,
    /// Where the two words of the MAC are, the low one first.
    pub mac_at: u32,
    /// Other eFuses and registers that tell revision and package.
    pub fuses: &'static [(u32, u32)],
    /// SPI1's CMD, USR2 and W0.
    pub spi: [u32; 3],
    /// The crystal's rate as the ROM measures it with its own drifting clock, in Hz, where it does:
    /// CHANGE_BAUDRATE is off by as much. The crystal has 40 MHz.
    pub measured_crystal: Option<u32>,
    /// UART0's divider, from which tools compute the crystal.
    pub uart_divider_at: u32,
    /// Where the second-stage loader is in flash.
    pub boot_offset: u32,
    /// The loader's first lines in download mode, and when it starts what is in flash.
    pub banners: [&'static str; 2],
}

/// Every chip this room can be.
pub static MODELS: &[Model] = &[
    Model {
        name: "esp32c3",
        chip_id: 5,
        tells_security: true,
        begin_bytes: 20,
        magic: 0x1B31_506F,
        mac_at: 0x6000_8844,
        // Block 1: WAFER_VERSION_MINOR_LO = 4 in word 3, everything else 0: revision 0.4, QFN32,
        // no flash inside.
        fuses: &[(0x6000_8850, 4 << 18)],
        spi: [0x6000_2000, 0x6000_2020, 0x6000_2058],
        measured_crystal: None,
        uart_divider_at: 0x6000_0014,
        boot_offset: 0,
        banners: [
            "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n\
             rst:0x1 (POWERON),boot:0x4 (DOWNLOAD(USB/UART0/1))\r\nwaiting for download\r\n",
            "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n\
             rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n",
        ],
    },
    Model {
        name: "esp32",
        chip_id: 0,
        tells_security: false,
        begin_bytes: 16,
        magic: 0x00F0_1D83,
        mac_at: 0x3FF5_A004,
        // Revision 3.1: bit 15 of word 3, bits 20 and 24 of word 5, bit 31 of APB_CTL_DATE; package
        // 1 in word 3: D0WD. What the ROM measures its crystal with: CK8M's rate in word 4, and
        // RTCCALICFG1; 2053 * 15625 * 53 / 40 Hz are 6 % too many.
        fuses: &[
            (0x3FF5_A010, 53),
            (0x3FF5_F06C, 2053 << 7),
            (0x3FF5_A00C, 1 << 15 | 1 << 9),
            (0x3FF5_A014, 1 << 20 | 1 << 24),
            (0x3FF6_607C, 1 << 31),
        ],
        spi: [0x3FF4_2000, 0x3FF4_2024, 0x3FF4_2080],
        measured_crystal: Some(42_503_515),
        uart_divider_at: 0x3FF4_0014,
        boot_offset: 0x1000,
        banners: [
            "ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),\
             boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\nwaiting for download\r\n",
            "ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),\
             boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n",
        ],
    },
];

/// The model with this name.
#[must_use]
pub fn model(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

/// The rate of the crystals of all models, in Hz.
pub const CRYSTAL: u32 = 40_000_000;

/// One chip.
#[derive(Debug)]
pub struct Chip {
    /// What it is.
    pub model: &'static Model,
    /// The MAC as it is printed, first byte first.
    pub mac: [u8; 6],
    /// The flash behind it.
    pub flash: Flash,
    /// What was written since power-up.
    registers: BTreeMap<u32, u32>,
}

impl Chip {
    /// A chip with a blank flash of `flash_bytes`, a power of two; `file` keeps the flash.
    ///
    /// # Errors
    /// The file cannot be read or has another length.
    pub fn new(
        model: &'static Model,
        mac: [u8; 6],
        flash_bytes: u32,
        file: Option<&Path>,
    ) -> io::Result<Self> {
        let flash = Flash::new(flash_bytes, file)?;
        Ok(Self { model, mac, flash, registers: BTreeMap::new() })
    }

    /// The supply came back, or the reset pin was released: on these chips both clear everything
    /// but the flash.
    pub fn restart(&mut self) {
        self.registers.clear();
    }

    /// A register or eFuse word, while the UART runs at `baud`.
    #[must_use]
    pub fn read(&self, address: u32, baud: u32) -> u32 {
        let [a, b, c, d, e, f] = self.mac;
        let fuse = self.model.fuses.iter().find(|(at, _)| *at == address);
        match (address.checked_sub(self.model.mac_at), fuse) {
            (Some(0), _) => u32::from_be_bytes([c, d, e, f]),
            (Some(4), _) => u32::from_be_bytes([0, 0, a, b]),
            (_, Some((_, value))) => *value,
            _ if address == MAGIC_AT => self.model.magic,
            _ if address == self.model.uart_divider_at => CRYSTAL / baud.max(1),
            _ => self.registers.get(&address).copied().unwrap_or(0),
        }
    }

    /// Writes the bits of a register that `mask` has; eFuses and ROM keep theirs.
    pub fn write(&mut self, address: u32, value: u32, mask: u32) {
        let [cmd, usr2, w0] = self.model.spi;
        let held = self.registers.get(&address).copied().unwrap_or(0);
        let mut value = held & !mask | value & mask;
        if address == cmd && value & SPI_USER != 0 {
            value &= !SPI_USER;
            let command = self.registers.get(&usr2).copied().unwrap_or(0) & 0xFF;
            let answer = if command == READ_ID {
                MANUFACTURER | self.flash.bytes().trailing_zeros() << 16
            } else {
                0
            };
            self.registers.insert(w0, answer);
        }
        self.registers.insert(address, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x60, 0x55, 0xF9, 0x12, 0x34, 0x56];

    #[test]
    fn the_mac_lies_in_the_efuses_last_byte_first() {
        for model in MODELS {
            let chip = Chip::new(model, MAC, 0x1000, None).unwrap();
            assert_eq!(chip.read(model.mac_at, 115_200), 0xF912_3456, "{}", model.name);
            assert_eq!(chip.read(model.mac_at + 4, 115_200), 0x6055, "{}", model.name);
        }
    }

    #[test]
    fn the_flash_answers_its_id_through_the_spi_controller() {
        for model in MODELS {
            let mut chip = Chip::new(model, MAC, 0x40_0000, None).unwrap();
            let [cmd, usr2, w0] = model.spi;
            chip.write(usr2, 7 << 28 | READ_ID, u32::MAX);
            chip.write(cmd, SPI_USER, u32::MAX);
            assert_eq!((chip.read(cmd, 9600), chip.read(w0, 9600)), (0, 0x16_40EF));
        }
    }

    #[test]
    fn registers_keep_what_is_written_until_power_up_and_efuses_their_own() {
        let mut chip = Chip::new(&MODELS[0], MAC, 0x1000, None).unwrap();
        chip.write(0x6000_8050, 0x1234_5678, u32::MAX);
        chip.write(0x6000_8050, 0, 0xFFFF);
        assert_eq!(chip.read(0x6000_8050, 9600), 0x1234_0000);
        chip.write(0x6000_8844, 0, u32::MAX);
        assert_eq!(chip.read(0x6000_8844, 9600), 0xF912_3456);
        chip.restart();
        assert_eq!(chip.read(0x6000_8050, 9600), 0);
    }
}
