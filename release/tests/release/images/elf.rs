//! ELF.

use proptest::prelude::*;
use release::ImageFormat;
use release::image::read;

use super::writers::{ARM, ElfSegment, PT_LOAD, RISC_V, elf, with_arm_core};
use super::{check_refused, check_unpackable, good, pack_for, pack_image};

fn load(physical: u32, bytes: &[u8]) -> ElfSegment {
    ElfSegment { kind: PT_LOAD, physical, bytes: bytes.to_vec() }
}

/// Code at 0, initial data for RAM behind it in flash, a note that is not loaded, `.bss`.
fn example() -> Vec<u8> {
    let note = ElfSegment { kind: 4, physical: 0x9000, bytes: vec![9; 8] };
    elf(ARM, 0x101, &[load(0, &[1, 2, 3, 4]), load(4, &[5, 6]), note, load(0x2000_0000, &[])])
}

fn set(mut file: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn loadable_segments_go_to_their_physical_addresses() {
    let (pieces, facts) = good(ImageFormat::Elf, &example());
    assert_eq!(pieces, [(0, vec![1, 2, 3, 4, 5, 6])]);
    assert_eq!(facts.entry_points, [0x101]);
    assert_eq!(facts.remarks, ["for Arm"]);
    // Wherever the file lies in memory.
    for shift in 1..8 {
        let shifted = [vec![0; shift], example()].concat();
        assert_eq!(good(ImageFormat::Elf, &shifted[shift..]).0, pieces);
    }
}

#[test]
fn a_file_for_a_larger_core_than_the_chips_is_refused_and_one_for_a_smaller_is_packed() {
    let check = |name: &str, arch: u8, family: &str, chip: &str, packed: bool| {
        let base = if family.starts_with("stm32") { 0x0800_0000 } else { 0 };
        let file = with_arm_core(elf(ARM, 0x101, &[load(base, &[1, 2, 3, 4])]), name, arch);
        let done = pack_for(family, chip, ImageFormat::Elf, file);
        assert_eq!(done.is_ok(), packed, "{name} for {chip}: {:?}", done.err());
    };
    check("cortex-m0", 12, "nrf51", "nRF51822_xxAA", true);
    check("cortex-m4", 13, "nrf51", "nRF51822_xxAA", false);
    check("cortex-m0", 11, "nrf52", "nRF52832_xxAA", true);
    check("cortex-m4", 13, "nrf52", "nRF52832_xxAA", true);
    check("cortex-m33", 17, "nrf52", "nRF52832_xxAA", false);
    check("cortex-m3", 10, "stm32f1", "STM32F103CB", true);
    check("cortex-m4", 13, "stm32f1", "STM32F103CB", false);
    check("cortex-m3", 10, "stm32g0", "STM32G071RB", false);
    // A core of no microcontroller, or attributes that cannot be read: any Arm.
    check("cortex-a53", 14, "nrf51", "nRF51822_xxAA", true);
    let m4 = with_arm_core(example(), "cortex-m4", 13);
    assert_eq!(good(ImageFormat::Elf, &m4).1.remarks, ["for Armv7E-M (Cortex-M4)"]);
    for cut in 1..m4.len() - example().len() {
        let spoilt = &m4[..m4.len() - cut];
        assert_eq!(good(ImageFormat::Elf, spoilt).1.remarks, ["for Arm"], "{cut} bytes fewer");
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("empty", Vec::new(), "header or the program headers are damaged"),
        ("another file", b"MZ\x90\0\x01\x01".repeat(20), "are damaged"),
        ("64 bits", set(example(), 4, &[2]), "not 32-bit little-endian (class 2, data 1)"),
        ("big-endian", set(example(), 5, &[2]), "not 32-bit little-endian (class 1, data 2)"),
        ("an object file", set(example(), 16, &[1, 0]), "not an executable (type 1)"),
        ("a cut header", example()[..40].to_vec(), "damaged"),
        ("cut program headers", example()[..60].to_vec(), "damaged"),
        (
            "a cut segment",
            example()[..example().len() - 9].to_vec(),
            "segment 1 at offset 0xb8 runs over the end of the file",
        ),
        ("at the end of all addresses", elf(ARM, 0, &[load(u32::MAX, &[1, 2])]), "segment 0 runs"),
    ];
    for (what, file, words) in cases {
        check_refused(what, ImageFormat::Elf, &file, words);
    }
    check_refused("nothing to load", ImageFormat::Elf, &elf(ARM, 0, &[]), "no bytes to flash");
    let twice = elf(ARM, 0, &[load(0, &[1, 2]), load(1, &[3])]);
    check_refused(
        "given twice",
        ImageFormat::Elf,
        &twice,
        "at offset 0x74 and again at offset 0x76",
    );
}

#[test]
fn another_chips_elf_is_not_packed() {
    assert!(pack_image(ImageFormat::Elf, example()).is_ok());
    let risc_v = elf(RISC_V, 0, &[load(0, &[1])]);
    check_unpackable(
        "RISC-V for an nRF52",
        ImageFormat::Elf,
        risc_v,
        "the file is for RISC-V, the recipe for nRF52832_xxAA of nrf52",
    );
    // Linked for RAM: the flash has no such address, and the file's byte is named.
    let ram = elf(ARM, 0, &[load(0, &[1]), load(0x2000_0000, &[1, 2])]);
    check_unpackable(
        "RAM",
        ImageFormat::Elf,
        ram,
        "no memory at 0x20000000 (the file's offset 0x75)",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_file_makes_the_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        spoils in prop::collection::vec((0usize..190, any::<u8>()), 1..4),
        cut in 0usize..200,
    ) {
        let _ = read(ImageFormat::Elf, &bytes);
        let mut file = example();
        for (at, byte) in spoils {
            if let Some(there) = file.get_mut(at) {
                *there = byte;
            }
        }
        file.truncate(cut);
        let _ = read(ImageFormat::Elf, &file);
    }

    #[test]
    fn any_segments_survive_elf(
        pieces in prop::collection::vec((1u32..40_000, prop::collection::vec(any::<u8>(), 1..40)), 1..12),
    ) {
        let (mut segments, mut expected, mut at) = (Vec::new(), Vec::new(), 0);
        for (gap, bytes) in pieces {
            at += gap;
            segments.push(load(at, &bytes));
            expected.push((u64::from(at), bytes.clone()));
            at += bytes.len() as u32;
        }
        segments.reverse();
        prop_assert_eq!(good(ImageFormat::Elf, &elf(ARM, 0, &segments)).0, expected);
    }
}
