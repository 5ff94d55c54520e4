//! The bus, its resets, and what the chip is to the board around it.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::serial_flash::SerialFlash;
use super::ssi::Ssi;
use crate::board::Setup;
use crate::cells::{Cells, Correction};
use crate::flash_file::FlashFile;
use crate::rom::RomTable;
use crate::silicon::{BusFault, CoreKind, Disguise, Identity, Master, Port, Silicon};
use crate::timing::Timing;

/// Bytes of the flash beside the chip.
pub const FLASH_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of its unique id.
pub const UID_BYTES: usize = 8;

const ROM: &[u8] = include_bytes!("../../rom/rom.bin");
const ROM_BYTES: u32 = 16 * 1024;
/// The flash's window and its three aliases.
const WINDOW: u32 = 0x1000_0000;
const WINDOW_BYTES: u32 = 0x0100_0000;
const XIP_CTRL: u32 = 0x1400_0000;
const SSI: u32 = 0x1800_0000;
const RAM: u32 = 0x2000_0000;
const RAM_BYTES: u32 = 264 * 1024;
/// SYSINFO.CHIP_ID: revision, part, manufacturer (2.20.1).
const CHIP_ID_AT: u32 = 0x4000_0000;
const CHIP_ID: u32 = 0x2000_2927;
const IO_QSPI: u32 = 0x4001_8000;
/// VREG_AND_CHIP_RESET.CHIP_RESET and its flag of a rescue (2.10.6).
const CHIP_RESET: u32 = 0x4006_4008;
const RESCUED: u32 = 1 << 20;
const APB_END: u32 = 0x4007_0000;
const SIO: Range<u32> = 0xD000_0000..0xD000_0180;
const RAM_NOISE: u8 = 0xC5;

/// SWD ids of core 0, core 1 and the rescue port (2.3.4.1), as TARGETSEL takes them.
const TARGETS: &[u32] = &[0x0100_2927, 0x1100_2927, 0xF100_2927];

static IDENTITY: Identity = Identity {
    dpidr: 0x0BC1_2477,
    ap_idr: 0x0477_0031,
    rom_table: 0xE00F_F003,
    core: CoreKind::M0Plus,
    cpuid: 0x410C_C601,
    breakpoint_control: 0x40,
    comparators: 4,
    interrupts: 32,
    vendor_debug: None,
};

/// JEP106 bank 9, 0x13: Raspberry Pi; part 2.
static ROM_TABLE: RomTable = RomTable {
    base: 0xE00F_F000,
    vendor: [0x02, 0x30, 0x09, 0, 0x09],
    entries: &[0xFFF0_F003, 0xFFF0_2003, 0xFFF0_3003],
};

/// What distinguishes one board with an RP2040 from another.
#[derive(Debug)]
pub struct Config {
    /// The flash's unique id as it comes over the wire.
    pub uid: [u8; UID_BYTES],
    /// Whether things take time.
    pub timing: Timing,
    /// The flash.
    pub cells: FlashFile,
    /// Whether the board starts in the fixture.
    pub seated: bool,
}

impl From<Config> for Setup {
    fn from(config: Config) -> Self {
        let (timing, seated) = (config.timing, config.seated);
        Self { chip: Rc::new(RefCell::new(Chip::new(config))), timing, seated }
    }
}

/// Everything behind the bus, and the flash.
#[derive(Debug)]
pub struct Chip {
    cells: Cells,
    flash: SerialFlash,
    ssi: Ssi,
    ram: Vec<u8>,
    chip_id: u32,
    rescued: bool,
}

enum Spot {
    Rom(usize),
    Flash(usize),
    Ram(usize),
    Register(u32),
    Nothing,
}

impl Chip {
    /// A chip without power.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            cells: Cells::new(config.cells, Correction::None, config.timing),
            flash: SerialFlash::new(config.uid),
            ssi: Ssi::new(),
            ram: vec![RAM_NOISE; RAM_BYTES as usize],
            chip_id: CHIP_ID,
            rescued: false,
        }
    }

    fn spot(&self, address: u32) -> Spot {
        match address {
            0..ROM_BYTES => Spot::Rom(address as usize),
            WINDOW..XIP_CTRL => {
                let at = (address - WINDOW) % WINDOW_BYTES;
                // A flash that is still at work, or not asked in the right way, shows nothing.
                if self.ssi.is_window() && !self.cells.busy() {
                    Spot::Flash(self.flash.place(at))
                } else {
                    Spot::Nothing
                }
            }
            _ if (RAM..RAM + RAM_BYTES).contains(&address) => Spot::Ram((address - RAM) as usize),
            _ if (XIP_CTRL..XIP_CTRL + 0x20).contains(&address)
                || (SSI..SSI + 0x100).contains(&address)
                || (CHIP_ID_AT..APB_END).contains(&address)
                || SIO.contains(&address) =>
            {
                Spot::Register(address)
            }
            _ => Spot::Nothing,
        }
    }

    fn read_register(&mut self, address: u32) -> u32 {
        match address {
            CHIP_ID_AT => self.chip_id,
            CHIP_RESET if self.rescued => RESCUED,
            _ if (SSI..SSI + 0x100).contains(&address) => self.ssi.read(address - SSI),
            _ if (IO_QSPI..IO_QSPI + 0x30).contains(&address) => {
                self.ssi.read_pin(address - IO_QSPI)
            }
            _ => 0,
        }
    }

    fn write_register(&mut self, address: u32, value: u32) {
        let Self { ssi, flash, cells, .. } = self;
        match address {
            CHIP_RESET => self.rescued &= value & RESCUED == 0,
            _ if (SSI..SSI + 0x100).contains(&address) => {
                ssi.write(address - SSI, value, flash, cells);
            }
            _ if (IO_QSPI..IO_QSPI + 0x30).contains(&address) => {
                ssi.write_pin(address - IO_QSPI, value, flash, cells);
            }
            _ => {}
        }
    }

    fn bytes_at(&self, spot: &Spot, into: &mut [u8]) -> Result<(), BusFault> {
        let length = into.len();
        let found = match *spot {
            Spot::Rom(at) => {
                for (at, byte) in (at..).zip(into) {
                    *byte = ROM.get(at).copied().unwrap_or(0);
                }
                return Ok(());
            }
            Spot::Flash(at) => self.cells.bytes().get(at..at + length),
            Spot::Ram(at) => self.ram.get(at..at + length),
            Spot::Register(_) | Spot::Nothing => None,
        };
        into.copy_from_slice(found.ok_or(BusFault)?);
        Ok(())
    }
}

impl Silicon for Chip {
    fn identity(&self) -> &'static Identity {
        &IDENTITY
    }

    fn cells(&self) -> &Cells {
        &self.cells
    }

    fn cells_mut(&mut self) -> &mut Cells {
        &mut self.cells
    }

    fn place(&self, address: u32) -> Option<usize> {
        let at = address.checked_sub(WINDOW)? as usize;
        (at < self.flash.bytes).then_some(at)
    }

    fn page(&self, place: usize) -> Range<usize> {
        let start = place / 0x1000 * 0x1000;
        start..start + 0x1000
    }

    fn power_up(&mut self) {
        self.ram.fill(RAM_NOISE);
        self.flash.power_up();
        self.rescued = false;
        self.reset(true);
    }

    fn reset(&mut self, hard: bool) {
        // The flash has no reset pin: it goes on with what it is doing.
        if hard {
            self.ssi = Ssi::new();
        }
    }

    fn targets(&self) -> &'static [u32] {
        TARGETS
    }

    fn rescue(&mut self) {
        self.reset(true);
        self.rescued = true;
    }

    fn read32(&mut self, address: u32, _: Master) -> Result<u32, BusFault> {
        let mut bytes = [0; 4];
        match self.spot(address & !3) {
            Spot::Register(address) => return Ok(self.read_register(address)),
            spot @ (Spot::Rom(_) | Spot::Flash(_) | Spot::Ram(_) | Spot::Nothing) => {
                self.bytes_at(&spot, &mut bytes)?;
            }
        }
        Ok(u32::from_le_bytes(bytes))
    }

    fn write32(&mut self, address: u32, value: u32, _: Master) -> Result<(), BusFault> {
        match self.spot(address & !3) {
            Spot::Ram(at) => {
                self.ram[at..at + 4].copy_from_slice(&value.to_le_bytes());
                Ok(())
            }
            Spot::Register(address) => {
                self.write_register(address, value);
                Ok(())
            }
            Spot::Rom(_) | Spot::Flash(_) | Spot::Nothing => {
                self.cells.counters.refused += 1;
                Err(BusFault)
            }
        }
    }

    fn read_narrow(&mut self, address: u32, bytes: &mut [u8], by: Master) -> Result<(), BusFault> {
        let spot = self.spot(address);
        if let Spot::Register(_) = spot {
            let word = self.read32(address & !3, by)?.to_le_bytes();
            let lane = (address & 3) as usize;
            bytes.copy_from_slice(word.get(lane..lane + bytes.len()).ok_or(BusFault)?);
            return Ok(());
        }
        self.bytes_at(&spot, bytes)
    }

    fn write_narrow(&mut self, address: u32, bytes: &[u8], _: Master) -> Result<(), BusFault> {
        match self.spot(address) {
            Spot::Ram(at) => {
                self.ram.get_mut(at..at + bytes.len()).ok_or(BusFault)?.copy_from_slice(bytes);
                Ok(())
            }
            Spot::Rom(_) | Spot::Flash(_) | Spot::Register(_) | Spot::Nothing => {
                self.cells.counters.refused += 1;
                Err(BusFault)
            }
        }
    }

    fn private_read(&mut self, address: u32) -> u32 {
        ROM_TABLE.word(IDENTITY.core, address)
    }

    fn port(&self) -> Port {
        Port::Open
    }

    fn locked(&self) -> bool {
        false
    }

    fn protect(&mut self, _: u8) -> Result<(), String> {
        Err("an RP2040 has no read-out protection".to_owned())
    }

    fn disguise(&mut self, disguise: Disguise) -> Result<(), String> {
        match disguise {
            Disguise::Uid(uid) => {
                let uid = uid.try_into().map_err(|_| format!("the id has {UID_BYTES} bytes"))?;
                self.flash.uid = Some(uid);
            }
            Disguise::UidUnreadable => self.flash.uid = None,
            Disguise::Part(part) => self.chip_id = part,
            Disguise::FlashKib(kib) => {
                let bytes = kib as usize * 1024;
                if !bytes.is_power_of_two() || !(0x1_0000..=FLASH_BYTES).contains(&bytes) {
                    return Err("flash has 64 to 2048 KiB, a power of two".to_owned());
                }
                self.flash.bytes = bytes;
            }
        }
        Ok(())
    }

    fn take_uart(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// The ROM's own loop waits for the flash; only a lost supply stops the core.
    fn pauses_core(&self) -> bool {
        self.cells.power_lost()
    }
}
