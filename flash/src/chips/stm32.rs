//! ST's STM32: families F0, F1, F3, F4, G0, G4, L0, L1, L4.
//!
//! Where the 96-bit unique id and the flash size lie: the reference manual's chapter "Device
//! electronic signature". Which device it is: DBGMCU_IDCODE.DEV_ID, chapter "Debug support". Sectors,
//! write units and what erased flash reads as: chapter "Embedded flash memory".

use super::{any_probe, caught_by_pin, j_link};
use crate::chip::{
    BackEnd, Chip, EmptyCheck, FlashCache, ProbeProfile, Proof, Protect, Readout, Region,
    RegionKind, Segment, Verified, Way,
};
use crate::identity::{PartReader, UidReader, UidVector};

/// Where a family keeps its 96 bits.
#[derive(Debug, PartialEq, Eq)]
pub struct UidPlace {
    /// The family, lower case.
    pub family: &'static str,
    /// The addresses of the three words, lowest bits first.
    pub words: [u32; 3],
    /// The manual.
    pub manual: &'static str,
    /// A public dump of a real chip that this row was checked with: the words as read, and whose.
    pub vector: Option<UidVector>,
    /// What is known about reading it through the ROM loader.
    pub through_rom: &'static str,
}

/// The unique ids of the families, manual by manual. A row without a dump is unproven.
pub static UID_PLACES: &[&UidPlace] =
    &[&F0_UID, &F1_UID, &F3_UID, &F4_UID, &L0_UID, &L1_UID, &L4_UID, &G0_UID, &G4_UID];

static F0_UID: UidPlace = UidPlace {
    family: "stm32f0",
    words: [0x1FFF_F7AC, 0x1FFF_F7B0, 0x1FFF_F7B4],
    manual: "RM0091, Device electronic signature, Unique device ID register",
    vector: Some(UidVector {
        words: &[0x000C_0020, 0x4143_4305, 0x2030_3432],
        source: "STM32F042, ST Community thread 32364, 2016-11-14",
    }),
    through_rom: "in system memory; shown on STM32F042 (ST Community 202779)",
};

static F1_UID: UidPlace = UidPlace {
    family: "stm32f1",
    words: [0x1FFF_F7E8, 0x1FFF_F7EC, 0x1FFF_F7F0],
    manual: "RM0008, 30.2 Unique device ID register",
    vector: Some(UidVector {
        words: &[0x0671_FF55, 0x5648_7866, 0x8701_3149],
        source: "STM32F103C8 (IDCODE 0x20036410, 64 KiB), a public Blue Pill project, read 2026-08-17",
    }),
    through_rom: "in system memory; not tried",
};

static F3_UID: UidPlace = UidPlace {
    family: "stm32f3",
    words: [0x1FFF_F7AC, 0x1FFF_F7B0, 0x1FFF_F7B4],
    manual: "RM0316, Device electronic signature, Unique device ID register",
    vector: Some(UidVector {
        words: &[0x0025_0023, 0x5732_5707, 0x2034_3634],
        source: "STM32F303CB number 1 of ST Community 477966, 2016-04-27",
    }),
    through_rom: "in system memory; not tried",
};

static F4_UID: UidPlace = UidPlace {
    family: "stm32f4",
    words: [0x1FFF_7A10, 0x1FFF_7A14, 0x1FFF_7A18],
    manual: "RM0090, Device electronic signature, Unique device ID register",
    vector: Some(UidVector {
        words: &[0x006C_0028, 0x3138_5114, 0x3037_3639],
        source: "STM32F401xB/C (0x423, 256 KiB), wrongbaud, Hardware Debugging, 2020-01-30",
    }),
    through_rom: "short reads refused, 256 bytes given (stm32loader issue 43)",
};

static L0_UID: UidPlace = UidPlace {
    family: "stm32l0",
    words: [0x1FF8_0050, 0x1FF8_0054, 0x1FF8_0064],
    manual: "RM0367, Device electronic signature, Unique device ID registers",
    vector: Some(UidVector {
        words: &[0x0E51_3931, 0x3435_3136, 0x002E_0015],
        source: "STM32L07x, Electronics Stack Exchange 551934",
    }),
    through_rom: "short reads refused, 256 bytes given (stm32loader issue 43)",
};

static L1_UID: UidPlace = UidPlace {
    family: "stm32l1",
    words: [0x1FF8_0050, 0x1FF8_0054, 0x1FF8_0064],
    manual: "RM0038, Device electronic signature, Unique device ID registers (Cat. 1 and 2)",
    vector: Some(UidVector {
        words: &[0x0E47_3233, 0x3034_3433, 0x0029_0031],
        source: "STM32L151C6 part A, false.ekta.is, 2013-09-23",
    }),
    through_rom: "behind system memory; not tried",
};

static L4_UID: UidPlace = UidPlace {
    family: "stm32l4",
    words: [0x1FFF_7590, 0x1FFF_7594, 0x1FFF_7598],
    manual: "RM0394, Device electronic signature, Unique device ID register",
    vector: Some(UidVector {
        words: &[0x004A_0029, 0x5833_5011, 0x2031_374B],
        source: "STM32L476, ST Community 820338, 2025-07-08",
    }),
    through_rom: "refused: ST Community 12293 reports NACK for 0x1FFF75E0 on 0x435",
};

static G0_UID: UidPlace = UidPlace {
    family: "stm32g0",
    words: [0x1FFF_7590, 0x1FFF_7594, 0x1FFF_7598],
    manual: "RM0444, Device electronic signature, Unique device ID register",
    vector: Some(UidVector {
        words: &[0x004C_0085, 0x3136_5011, 0x2038_3048],
        source: "STM32G0x1 (0x460, 128 KiB), stm32loader pull request 32, 2019-12-21",
    }),
    through_rom: "shown on 0x460 (stm32loader pull request 32)",
};

static G4_UID: UidPlace = UidPlace {
    family: "stm32g4",
    words: [0x1FFF_7590, 0x1FFF_7594, 0x1FFF_7598],
    manual: "RM0440, Device electronic signature, Unique device ID register",
    vector: None,
    through_rom: "behind system memory, as on stm32l4; not tried",
};

/// DBGMCU_IDCODE in the private peripheral bus (Cortex-M3 and M4) and on APB (Cortex-M0 and M0+).
const IDCODE_PPB: u32 = 0xE004_2000;
const IDCODE_APB: u32 = 0x4001_5800;

const FLASH_START: u64 = 0x0800_0000;
const SRAM: u64 = 0x2000_0000;

// ST-Links run at 4 MHz or less over wires of a fixture. The debug pins are pins of a port (chapter
// "Debug support", "SWJ debug port pins"): firmware may take them, a reset gives them back.
const ANY: ProbeProfile = caught_by_pin(any_probe(2000, 4096, true));
// ST's routines take any length.
const PROBES: &[ProbeProfile] = &[j_link(ANY), ANY];
// The routines of L0 and L1 write half pages.
const SMALL: ProbeProfile = caught_by_pin(any_probe(2000, 0, false));
const SMALL_PROBES: &[ProbeProfile] = &[j_link(SMALL), SMALL];

const PROBE: Way =
    Way { back_end: BackEnd::Probe, proof: Proof::Unproven, verified: Verified::CrcOnTarget };
const PROBE_SIMULATED: Way = Way { proof: Proof::SimulatedBoard, ..PROBE };
const PROBE_READ: Way =
    Way { back_end: BackEnd::Probe, proof: Proof::Unproven, verified: Verified::ReadBack };
const DFU: Way =
    Way { back_end: BackEnd::Dfu, proof: Proof::Unproven, verified: Verified::ReadBack };
const UART: Way =
    Way { back_end: BackEnd::Uart, proof: Proof::Unproven, verified: Verified::ReadBack };

const HALF_WORDS_F1: Protect = Protect::Stm32Readout(Readout::HalfWords { open: 0xA5, user_at: 2 });
const HALF_WORDS: Protect = Protect::Stm32Readout(Readout::HalfWords { open: 0xAA, user_at: 8 });
const DOUBLE_WORDS: Protect = Protect::Stm32Readout(Readout::DoubleWords);
const CONTROL_REGISTER: Protect = Protect::Stm32Readout(Readout::ControlRegister);

/// FLASH_ACR: ICEN, and on G4 and L4 DCEN.
const G0_CACHE: FlashCache = FlashCache { register: 0x4002_2000, on: 1 << 9 };
/// FLASH_ACR.EMPTY (RM0444, 3.7.1).
const G0_EMPTY: EmptyCheck = EmptyCheck { register: 0x4002_2000, bit: 1 << 16 };
const L4_CACHE: FlashCache = FlashCache { register: 0x4002_2000, on: 1 << 9 | 1 << 10 };

/// Program flash of `sectors` equal sectors.
macro_rules! flash {
    ($sectors:expr, $sector_bytes:expr, $write_bytes:expr, $erased:expr) => {
        &[Region {
            kind: RegionKind::Code,
            start: FLASH_START,
            bytes: $sectors as u64 * $sector_bytes as u64,
            segments: &[Segment { sectors: $sectors, sector_bytes: $sector_bytes }],
            write_bytes: $write_bytes,
            erased: $erased,
        }]
    };
}

/// RM0091: pages of 2 KiB, half words.
pub static STM32F072RB: Chip = Chip {
    name: "STM32F072RB",
    family: "stm32f0",
    regions: flash!(64, 0x800, 4, 0xFF),
    ram: (SRAM, 0x4000),
    uid: UidReader::Stm32(&F0_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_APB,
        device: 0x448,
        flash_size: 0x1FFF_F7CC,
        flash_kib: 128,
    },
    protect: HALF_WORDS,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: PROBES,
    ways: &[PROBE_SIMULATED, DFU, UART],
};

/// RM0008 and PM0075: pages of 1 KiB, half words.
pub static STM32F103CB: Chip = Chip {
    name: "STM32F103CB",
    family: "stm32f1",
    regions: flash!(128, 0x400, 4, 0xFF),
    ram: (SRAM, 0x5000),
    uid: UidReader::Stm32(&F1_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_PPB,
        device: 0x410,
        flash_size: 0x1FFF_F7E0,
        flash_kib: 128,
    },
    protect: HALF_WORDS_F1,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: PROBES,
    ways: &[PROBE_SIMULATED, UART],
};

/// The same with half the flash.
pub static STM32F103C8: Chip = Chip {
    name: "STM32F103C8",
    family: "stm32f1",
    regions: flash!(64, 0x400, 4, 0xFF),
    ram: (SRAM, 0x5000),
    uid: UidReader::Stm32(&F1_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_PPB,
        device: 0x410,
        flash_size: 0x1FFF_F7E0,
        flash_kib: 64,
    },
    protect: HALF_WORDS_F1,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: PROBES,
    ways: &[PROBE_SIMULATED, UART],
};

/// RM0316: pages of 2 KiB, half words.
pub static STM32F303CB: Chip = Chip {
    name: "STM32F303CB",
    family: "stm32f3",
    regions: flash!(64, 0x800, 4, 0xFF),
    ram: (SRAM, 0x8000),
    uid: UidReader::Stm32(&F3_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_PPB,
        device: 0x422,
        flash_size: 0x1FFF_F7CC,
        flash_kib: 128,
    },
    protect: HALF_WORDS,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: PROBES,
    ways: &[PROBE_SIMULATED, UART],
};

/// RM0090: four sectors of 16 KiB, one of 64 KiB, seven of 128 KiB; words.
pub static STM32F405RG: Chip = Chip {
    name: "STM32F405RG",
    family: "stm32f4",
    regions: &[Region {
        kind: RegionKind::Code,
        start: FLASH_START,
        bytes: 0x10_0000,
        segments: &[
            Segment { sectors: 4, sector_bytes: 0x4000 },
            Segment { sectors: 1, sector_bytes: 0x1_0000 },
            Segment { sectors: 7, sector_bytes: 0x2_0000 },
        ],
        write_bytes: 4,
        erased: 0xFF,
    }],
    ram: (SRAM, 0x2_0000),
    uid: UidReader::Stm32(&F4_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_PPB,
        device: 0x413,
        flash_size: 0x1FFF_7A22,
        flash_kib: 1024,
    },
    protect: CONTROL_REGISTER,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: PROBES,
    ways: &[PROBE_SIMULATED, DFU, UART],
};

/// RM0444: pages of 2 KiB, double words with ECC.
pub static STM32G071RB: Chip = Chip {
    name: "STM32G071RB",
    family: "stm32g0",
    regions: flash!(64, 0x800, 8, 0xFF),
    ram: (SRAM, 0x9000),
    uid: UidReader::Stm32(&G0_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_APB,
        device: 0x460,
        flash_size: 0x1FFF_75E0,
        flash_kib: 128,
    },
    protect: DOUBLE_WORDS,
    cache: Some(G0_CACHE),
    empty_check: Some(G0_EMPTY),
    arrives_locked: false,
    probes: PROBES,
    ways: &[PROBE_SIMULATED, UART],
};

/// RM0440: pages of 2 KiB, double words with ECC.
pub static STM32G431RB: Chip = Chip {
    name: "STM32G431RB",
    family: "stm32g4",
    regions: flash!(64, 0x800, 8, 0xFF),
    ram: (SRAM, 0x5800),
    uid: UidReader::Stm32(&G4_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_PPB,
        device: 0x468,
        flash_size: 0x1FFF_75E0,
        flash_kib: 128,
    },
    protect: DOUBLE_WORDS,
    cache: Some(L4_CACHE),
    empty_check: None,
    arrives_locked: false,
    probes: PROBES,
    ways: &[PROBE],
};

/// RM0367: pages of 128 bytes, written by half pages; erased flash reads zero.
pub static STM32L053R8: Chip = Chip {
    name: "STM32L053R8",
    family: "stm32l0",
    regions: flash!(512, 0x80, 64, 0x00),
    ram: (SRAM, 0x2000),
    uid: UidReader::Stm32(&L0_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_APB,
        device: 0x417,
        flash_size: 0x1FF8_007C,
        flash_kib: 64,
    },
    protect: Protect::None,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: SMALL_PROBES,
    ways: &[PROBE_READ, UART],
};

/// RM0038, category 1: pages of 256 bytes, written by half pages; erased flash reads zero.
/// Categories 3 to 6 keep their unique id and flash size 0x80 further on and have no row.
pub static STM32L152RB: Chip = Chip {
    name: "STM32L152RB",
    family: "stm32l1",
    regions: flash!(512, 0x100, 128, 0x00),
    ram: (SRAM, 0x4000),
    uid: UidReader::Stm32(&L1_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_PPB,
        device: 0x416,
        flash_size: 0x1FF8_004C,
        flash_kib: 128,
    },
    protect: Protect::None,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: SMALL_PROBES,
    ways: &[PROBE_READ],
};

/// RM0351: pages of 2 KiB, double words with ECC.
pub static STM32L476RG: Chip = Chip {
    name: "STM32L476RG",
    family: "stm32l4",
    regions: flash!(512, 0x800, 8, 0xFF),
    ram: (SRAM, 0x1_8000),
    uid: UidReader::Stm32(&L4_UID),
    part: PartReader::Stm32 {
        idcode: IDCODE_PPB,
        device: 0x415,
        flash_size: 0x1FFF_75E0,
        flash_kib: 1024,
    },
    protect: DOUBLE_WORDS,
    cache: Some(L4_CACHE),
    empty_check: None,
    arrives_locked: false,
    probes: PROBES,
    ways: &[PROBE_SIMULATED, DFU, UART],
};
