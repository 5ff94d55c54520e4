//! The parts that are modelled.
//!
//! Addresses and bits of the G071 and the F103 were held against ST's device headers, the flash
//! controllers of all of them against what probe-rs' routines do with them. Not confirmed by a dump of
//! a real chip: the ROM table and access port identification, the factory's option bytes except the
//! G071's OPTR, and the data sheets' times, which are remembered.

use std::time::Duration;

use super::clocks::ClockLayout;
use super::debug_pins::DebugPins;
use super::layout::{DoubleWordLayout, HalfWordLayout, SectorLayout, WriteProtection};
use super::part::{ControllerKind, Part, Times, UsartAt};
use super::usart::UsartLayout;
use crate::jtag::Tap;
use crate::rom::{ARM_ENTRIES, ARM_ROM, RomTable};
use crate::silicon::{CoreKind, Identity};

/// PIDR0 to PIDR4 of a ROM table by ST (JEP106 bank 0, 0x20) with this device id.
const fn st(device_id: u32) -> [u8; 5] {
    [device_id as u8, (device_id >> 8) as u8 & 0xF, 0x0A, 0, 0]
}

/// The ports of a Cortex-M3 or M4 part: ST's boundary scan with an instruction register of five bits,
/// and behind it Arm's debug port with one of four (RM0008 §31.6, RM0090 §38.6, RM0351 §48.6). The
/// boundary scan's id holds ST's device id; Arm's, as OpenOCD's target files have it, is that of
/// the core's revision.
const fn chain(revision_and_device: u32, debug_port: u32) -> [Tap; 2] {
    let st = revision_and_device << 12 | 0x41;
    [
        Tap { idcode: st, ir_bits: 5, idcode_instruction: 0b0_0001 },
        Tap { idcode: debug_port, ir_bits: 4, idcode_instruction: 0b1110 },
    ]
}

const ARM_M3: u32 = 0x3BA0_0477;
const ARM_M4: u32 = 0x4BA0_0477;

/// The flash controller and the clocks of all but the F4.
const FLASH: u32 = 0x4002_2000;
const CLOCKS: u32 = 0x4002_1000;

/// RM0008 §3.3.3, PM0075 §2.6: FLASH_OBR, option bytes.
const HALF_WORDS_F1: HalfWordLayout = HalfWordLayout {
    open: 0xA5,
    has_level_2: false,
    user_at: 2,
    obr_ones: 0x3E0,
    user_mask: 0x07,
    pages_per_bit: 4,
    pages_protected_with_rdp: 4,
    load: 0,
};

/// RM0091 §3.5, §4 (F07x) and RM0316 §4.5, §5 (F303xB/C): the same but for nothing that is modelled.
const HALF_WORDS: HalfWordLayout = HalfWordLayout {
    open: 0xAA,
    has_level_2: true,
    user_at: 8,
    obr_ones: 0,
    user_mask: 0xFF,
    pages_per_bit: 2,
    pages_protected_with_rdp: 0,
    load: 1 << 13,
};

/// The modelled part that `name` means: probe-rs's name, with or without package letters.
#[must_use]
pub fn part(name: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| {
        name.get(..part.name.len()).is_some_and(|head| head.eq_ignore_ascii_case(part.name))
    })
}

/// Every modelled part.
pub static PARTS: &[Part] = &[
    // RM0444 and the STM32G071x8/xB data sheet.
    Part {
        name: "STM32G071RB",
        flash_kib: 128,
        page_bytes: 2048,
        ram_bytes: 36 * 1024,
        uid_at: 0x1FFF_7590,
        flash_size_at: 0x1FFF_75E0,
        dbgmcu_at: 0x4001_5800,
        device_id: 0x460,
        revision_id: 0x2000,
        identity: Identity {
            dpidr: 0x0BC1_1477,
            ap_idr: 0x0477_0031,
            rom_table: 0xF000_0003,
            core: CoreKind::M0Plus,
            cpuid: 0x410C_C601,
            breakpoint_control: 0x40,
            comparators: 4,
            interrupts: 32,
            vendor_debug: None,
        },
        taps: &[],
        rom_table: RomTable { base: 0xF000_0000, vendor: st(0x460), entries: &[0xF00F_F003] },
        system: 0x1FFF_0000..0x1FFF_7000,
        engineering: 0x1FFF_7500..0x1FFF_7800,
        otp: 0x1FFF_7000..0x1FFF_7400,
        options: 0x1FFF_7800..0x1FFF_7880,
        options_2: 0..0,
        code_ram: 0..0,
        peripherals: &[(0x4000_0000, 0x4002_6800), (0x5000_0000, 0x5000_1800)],
        flash_at: FLASH,
        controller: ControllerKind::DoubleWord(DoubleWordLayout {
            options: &[
                (0x20, 0x00, 0xFFFF_FEAA),
                (0x24, 0x08, 0xFFFF_FFFF),
                (0x28, 0x10, 0x0000_0000),
                (0x2C, 0x18, 0x0000_00FF),
                (0x30, 0x20, 0x0000_00FF),
                (0x34, 0x28, 0xFFFF_FFFF),
                (0x38, 0x30, 0x0000_0000),
                (0x80, 0x70, 0x0000_0000),
            ],
            write_protection: &[
                WriteProtection { register: 0x2C, first_page: 0 },
                WriteProtection { register: 0x30, first_page: 0 },
            ],
            bank_pages: 64,
            bank_select: 0,
            mass_erase_2: 0,
            says_half_written: true,
            empty_check: true,
            acr: 0x0004_0600,
            boot_select: Some((1 << 24, 1 << 26)),
        }),
        debug_pins: DebugPins::Mode {
            register: 0x5000_0000,
            enable: (0x34, 0),
            after_reset: 0xEBFF_FFFF,
        },
        clocks: ClockLayout {
            at: CLOCKS,
            after_reset: &[(0x00, 0x0000_0500)],
            oscillators: &[(8, 10), (16, 17), (24, 25)],
            configuration: 0x08,
            choice: (0b111, 3),
        },
        usart_layout: UsartLayout::New,
        usarts: &[
            UsartAt { base: 0x4000_4400, enable: (0x3C, 17) },
            UsartAt { base: 0x4001_3800, enable: (0x40, 14) },
        ],
        times: Times {
            program: Duration::from_micros(85),
            page_erase: Duration::from_millis(22),
            mass_erase: Duration::from_micros(22_100),
        },
    },
    // RM0008, PM0075 and the STM32F103x8/xB data sheet.
    Part {
        name: "STM32F103CB",
        flash_kib: 128,
        page_bytes: 1024,
        ram_bytes: 20 * 1024,
        uid_at: 0x1FFF_F7E8,
        flash_size_at: 0x1FFF_F7E0,
        dbgmcu_at: 0xE004_2000,
        device_id: 0x410,
        revision_id: 0x2003,
        identity: Identity {
            dpidr: 0x1BA0_1477,
            ap_idr: 0x1477_0011,
            rom_table: ARM_ROM | 3,
            core: CoreKind::M3,
            cpuid: 0x411F_C231,
            breakpoint_control: 0x260,
            comparators: 6,
            interrupts: 43,
            vendor_debug: Some(0xE004_2000),
        },
        taps: &chain(0x1_6410, ARM_M3),
        rom_table: RomTable { base: ARM_ROM, vendor: st(0x410), entries: ARM_ENTRIES },
        system: 0x1FFF_F000..0x1FFF_F7E0,
        engineering: 0x1FFF_F7E0..0x1FFF_F800,
        otp: 0..0,
        options: 0x1FFF_F800..0x1FFF_F810,
        options_2: 0..0,
        code_ram: 0..0,
        peripherals: &[(0x4000_0000, 0x4002_3400)],
        flash_at: FLASH,
        controller: ControllerKind::HalfWord(HALF_WORDS_F1),
        debug_pins: DebugPins::Remap,
        clocks: ClockLayout {
            at: CLOCKS,
            after_reset: &[(0x00, 0x0000_0083), (0x14, 0x0000_0014), (0x24, 0x0C00_0000)],
            oscillators: &[(0, 1), (16, 17), (24, 25)],
            configuration: 0x04,
            choice: (0b11, 2),
        },
        usart_layout: UsartLayout::Old,
        usarts: &[
            UsartAt { base: 0x4001_3800, enable: (0x18, 14) },
            UsartAt { base: 0x4000_4400, enable: (0x1C, 17) },
        ],
        times: Times {
            program: Duration::from_nanos(52_500),
            page_erase: Duration::from_millis(20),
            mass_erase: Duration::from_millis(20),
        },
    },
    // RM0351 and the STM32L476xx data sheet.
    Part {
        name: "STM32L476RG",
        flash_kib: 1024,
        page_bytes: 2048,
        ram_bytes: 96 * 1024,
        uid_at: 0x1FFF_7590,
        flash_size_at: 0x1FFF_75E0,
        dbgmcu_at: 0xE004_2000,
        device_id: 0x415,
        revision_id: 0x1007,
        identity: Identity {
            dpidr: 0x2BA0_1477,
            ap_idr: 0x2477_0011,
            rom_table: ARM_ROM | 3,
            core: CoreKind::M4,
            cpuid: 0x410F_C241,
            breakpoint_control: 0x260,
            comparators: 6,
            interrupts: 82,
            vendor_debug: Some(0xE004_2000),
        },
        taps: &chain(0x0_6415, ARM_M4),
        rom_table: RomTable { base: ARM_ROM, vendor: st(0x415), entries: ARM_ENTRIES },
        system: 0x1FFF_0000..0x1FFF_7000,
        engineering: 0x1FFF_7400..0x1FFF_7800,
        otp: 0x1FFF_7000..0x1FFF_7400,
        options: 0x1FFF_7800..0x1FFF_7828,
        options_2: 0x1FFF_F808..0x1FFF_F828,
        code_ram: 0x1000_0000..0x1000_8000,
        peripherals: &[(0x4000_0000, 0x4002_4400), (0x4800_0000, 0x5006_0C00)],
        flash_at: FLASH,
        controller: ControllerKind::DoubleWord(DoubleWordLayout {
            options: &[
                (0x20, 0x00, 0xFFEF_F8AA),
                (0x24, 0x08, 0xFFFF_FFFF),
                (0x28, 0x10, 0x0000_0000),
                (0x2C, 0x18, 0xFF00_FFFF),
                (0x30, 0x20, 0xFF00_FFFF),
                (0x44, 0x28, 0xFFFF_FFFF),
                (0x48, 0x30, 0xFFFF_0000),
                (0x4C, 0x38, 0xFF00_FFFF),
                (0x50, 0x40, 0xFF00_FFFF),
            ],
            write_protection: &[
                WriteProtection { register: 0x2C, first_page: 0 },
                WriteProtection { register: 0x30, first_page: 0 },
                WriteProtection { register: 0x4C, first_page: 256 },
                WriteProtection { register: 0x50, first_page: 256 },
            ],
            bank_pages: 256,
            bank_select: 1 << 11,
            mass_erase_2: 1 << 15,
            says_half_written: false,
            empty_check: false,
            acr: 0x0000_0600,
            boot_select: None,
        }),
        debug_pins: DebugPins::Mode {
            register: 0x4800_0000,
            enable: (0x4C, 0),
            after_reset: 0xABFF_FFFF,
        },
        clocks: ClockLayout {
            at: CLOCKS,
            after_reset: &[(0x00, 0x0000_0063), (0x48, 0x0000_0100)],
            oscillators: &[(0, 1), (8, 10), (16, 17), (24, 25)],
            configuration: 0x08,
            choice: (0b11, 2),
        },
        usart_layout: UsartLayout::New,
        usarts: &[
            UsartAt { base: 0x4000_4400, enable: (0x58, 17) },
            UsartAt { base: 0x4001_3800, enable: (0x60, 14) },
        ],
        times: Times {
            program: Duration::from_nanos(81_690),
            page_erase: Duration::from_micros(22_020),
            mass_erase: Duration::from_micros(22_130),
        },
    },
    // RM0091 and the STM32F072x8/xB data sheet.
    Part {
        name: "STM32F072RB",
        flash_kib: 128,
        page_bytes: 2048,
        ram_bytes: 16 * 1024,
        uid_at: 0x1FFF_F7AC,
        flash_size_at: 0x1FFF_F7CC,
        dbgmcu_at: 0x4001_5800,
        device_id: 0x448,
        revision_id: 0x2001,
        identity: Identity {
            dpidr: 0x0BB1_1477,
            ap_idr: 0x0477_0021,
            rom_table: 0xF000_0003,
            core: CoreKind::M0Plus,
            cpuid: 0x410C_C200,
            breakpoint_control: 0x40,
            comparators: 4,
            interrupts: 32,
            vendor_debug: None,
        },
        taps: &[],
        rom_table: RomTable { base: 0xF000_0000, vendor: st(0x448), entries: &[0xF00F_F003] },
        system: 0x1FFF_C800..0x1FFF_F780,
        engineering: 0x1FFF_F780..0x1FFF_F800,
        otp: 0..0,
        options: 0x1FFF_F800..0x1FFF_F810,
        options_2: 0..0,
        code_ram: 0..0,
        peripherals: &[(0x4000_0000, 0x4002_4400), (0x4800_0000, 0x4800_1800)],
        flash_at: FLASH,
        controller: ControllerKind::HalfWord(HALF_WORDS),
        debug_pins: DebugPins::Mode {
            register: 0x4800_0000,
            enable: (0x14, 17),
            after_reset: 0x2800_0000,
        },
        clocks: ClockLayout {
            at: CLOCKS,
            after_reset: &[(0x00, 0x0000_0083), (0x14, 0x0000_0014), (0x24, 0x0C00_0000)],
            oscillators: &[(0, 1), (16, 17), (24, 25)],
            configuration: 0x04,
            choice: (0b11, 2),
        },
        usart_layout: UsartLayout::New,
        usarts: &[
            UsartAt { base: 0x4000_4400, enable: (0x1C, 17) },
            UsartAt { base: 0x4001_3800, enable: (0x18, 14) },
        ],
        times: Times {
            program: Duration::from_nanos(53_500),
            page_erase: Duration::from_millis(30),
            mass_erase: Duration::from_millis(30),
        },
    },
    // RM0316 and the STM32F303xB/xC data sheet.
    Part {
        name: "STM32F303CB",
        flash_kib: 128,
        page_bytes: 2048,
        ram_bytes: 32 * 1024,
        uid_at: 0x1FFF_F7AC,
        flash_size_at: 0x1FFF_F7CC,
        dbgmcu_at: 0xE004_2000,
        device_id: 0x422,
        revision_id: 0x2003,
        identity: Identity {
            dpidr: 0x2BA0_1477,
            ap_idr: 0x2477_0011,
            rom_table: ARM_ROM | 3,
            core: CoreKind::M4,
            cpuid: 0x410F_C241,
            breakpoint_control: 0x260,
            comparators: 6,
            interrupts: 82,
            vendor_debug: Some(0xE004_2000),
        },
        taps: &chain(0x0_6422, ARM_M4),
        rom_table: RomTable { base: ARM_ROM, vendor: st(0x422), entries: ARM_ENTRIES },
        system: 0x1FFF_D800..0x1FFF_F780,
        engineering: 0x1FFF_F780..0x1FFF_F800,
        otp: 0..0,
        options: 0x1FFF_F800..0x1FFF_F810,
        options_2: 0..0,
        code_ram: 0x1000_0000..0x1000_2000,
        peripherals: &[
            (0x4000_0000, 0x4002_4400),
            (0x4800_0000, 0x4800_1800),
            (0x5000_0000, 0x5000_0800),
        ],
        flash_at: FLASH,
        controller: ControllerKind::HalfWord(HALF_WORDS),
        debug_pins: DebugPins::Mode {
            register: 0x4800_0000,
            enable: (0x14, 17),
            after_reset: 0xA800_0000,
        },
        clocks: ClockLayout {
            at: CLOCKS,
            after_reset: &[(0x00, 0x0000_0083), (0x14, 0x0000_0014), (0x24, 0x0C00_0000)],
            oscillators: &[(0, 1), (16, 17), (24, 25)],
            configuration: 0x04,
            choice: (0b11, 2),
        },
        usart_layout: UsartLayout::New,
        usarts: &[
            UsartAt { base: 0x4000_4400, enable: (0x1C, 17) },
            UsartAt { base: 0x4001_3800, enable: (0x18, 14) },
        ],
        times: Times {
            program: Duration::from_nanos(53_500),
            page_erase: Duration::from_millis(30),
            mass_erase: Duration::from_millis(30),
        },
    },
    // RM0090 and the STM32F405xx data sheet, erase times of table "Flash memory programming" at x32.
    Part {
        name: "STM32F405RG",
        flash_kib: 1024,
        page_bytes: 16 * 1024,
        ram_bytes: 128 * 1024,
        uid_at: 0x1FFF_7A10,
        flash_size_at: 0x1FFF_7A22,
        dbgmcu_at: 0xE004_2000,
        device_id: 0x413,
        revision_id: 0x100F,
        identity: Identity {
            dpidr: 0x2BA0_1477,
            ap_idr: 0x2477_0011,
            rom_table: ARM_ROM | 3,
            core: CoreKind::M4,
            cpuid: 0x410F_C241,
            breakpoint_control: 0x260,
            comparators: 6,
            interrupts: 82,
            vendor_debug: Some(0xE004_2000),
        },
        taps: &chain(0x0_6413, ARM_M4),
        rom_table: RomTable { base: ARM_ROM, vendor: st(0x413), entries: ARM_ENTRIES },
        system: 0x1FFF_0000..0x1FFF_7800,
        engineering: 0x1FFF_7A10..0x1FFF_7A80,
        otp: 0x1FFF_7800..0x1FFF_7A10,
        options: 0x1FFF_C000..0x1FFF_C010,
        options_2: 0..0,
        code_ram: 0x1000_0000..0x1001_0000,
        peripherals: &[(0x4000_0000, 0x4008_0000), (0x5000_0000, 0x5006_0C00)],
        flash_at: 0x4002_3C00,
        controller: ControllerKind::Sector(SectorLayout {
            sectors: &[(4, 16), (1, 64), (7, 128)],
            erase_ms: &[(16, 250), (64, 550), (128, 1000)],
        }),
        debug_pins: DebugPins::Mode {
            register: 0x4002_0000,
            enable: (0x30, 0),
            after_reset: 0xA800_0000,
        },
        clocks: ClockLayout {
            at: 0x4002_3800,
            after_reset: &[(0x00, 0x0000_0083), (0x04, 0x2400_3010), (0x30, 0x0010_0000)],
            oscillators: &[(0, 1), (16, 17), (24, 25)],
            configuration: 0x08,
            choice: (0b11, 2),
        },
        usart_layout: UsartLayout::Old,
        usarts: &[
            UsartAt { base: 0x4000_4400, enable: (0x40, 17) },
            UsartAt { base: 0x4001_1000, enable: (0x44, 4) },
        ],
        times: Times {
            program: Duration::from_micros(16),
            page_erase: Duration::from_millis(250),
            mass_erase: Duration::from_secs(8),
        },
    },
    // RM0440 (category 2) and the STM32G431x6/x8/xB data sheet.
    Part {
        name: "STM32G431RB",
        flash_kib: 128,
        page_bytes: 2048,
        ram_bytes: 22 * 1024,
        uid_at: 0x1FFF_7590,
        flash_size_at: 0x1FFF_75E0,
        dbgmcu_at: 0xE004_2000,
        device_id: 0x468,
        revision_id: 0x2001,
        identity: Identity {
            dpidr: 0x2BA0_1477,
            ap_idr: 0x2477_0011,
            rom_table: ARM_ROM | 3,
            core: CoreKind::M4,
            cpuid: 0x410F_C241,
            breakpoint_control: 0x260,
            comparators: 6,
            interrupts: 102,
            vendor_debug: Some(0xE004_2000),
        },
        taps: &chain(0x0_6468, ARM_M4),
        rom_table: RomTable { base: ARM_ROM, vendor: st(0x468), entries: ARM_ENTRIES },
        system: 0x1FFF_0000..0x1FFF_7000,
        engineering: 0x1FFF_7500..0x1FFF_7800,
        otp: 0x1FFF_7000..0x1FFF_7400,
        options: 0x1FFF_7800..0x1FFF_7830,
        options_2: 0..0,
        code_ram: 0x1000_0000..0x1000_2800,
        peripherals: &[
            (0x4000_0000, 0x4002_4400),
            (0x4800_0000, 0x4800_2000),
            (0x5000_0000, 0x5006_0C00),
        ],
        flash_at: FLASH,
        controller: ControllerKind::DoubleWord(DoubleWordLayout {
            options: &[
                (0x20, 0x00, 0xFFEF_F8AA),
                (0x24, 0x08, 0xFFFF_FFFF),
                (0x28, 0x10, 0x0000_0000),
                (0x2C, 0x18, 0xFF00_FFFF),
                (0x30, 0x20, 0xFF00_FFFF),
                (0x70, 0x28, 0xFFFE_FF00),
            ],
            write_protection: &[
                WriteProtection { register: 0x2C, first_page: 0 },
                WriteProtection { register: 0x30, first_page: 0 },
            ],
            bank_pages: 64,
            bank_select: 0,
            mass_erase_2: 0,
            says_half_written: false,
            empty_check: false,
            acr: 0x0004_0600,
            boot_select: None,
        }),
        debug_pins: DebugPins::Mode {
            register: 0x4800_0000,
            enable: (0x4C, 0),
            after_reset: 0xABFF_FFFF,
        },
        clocks: ClockLayout {
            at: CLOCKS,
            after_reset: &[(0x00, 0x0000_0500), (0x08, 0x0000_0005)],
            oscillators: &[(8, 10), (16, 17), (24, 25)],
            configuration: 0x08,
            choice: (0b11, 2),
        },
        usart_layout: UsartLayout::New,
        usarts: &[
            UsartAt { base: 0x4000_4400, enable: (0x58, 17) },
            UsartAt { base: 0x4001_3800, enable: (0x60, 14) },
        ],
        times: Times {
            program: Duration::from_nanos(81_690),
            page_erase: Duration::from_micros(22_020),
            mass_erase: Duration::from_micros(22_130),
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_the_drivers_names_with_and_without_the_package() {
        for name in ["STM32G071RB", "STM32G071RBTx", "stm32g071rbtx"] {
            assert_eq!(part(name).map(|part| part.name), Some("STM32G071RB"), "{name}");
        }
        for name in ["STM32G071", "STM32G0", "", "nRF52832_xxAA"] {
            assert!(part(name).is_none(), "{name}");
        }
    }
}
