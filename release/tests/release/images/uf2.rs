//! UF2.

use proptest::prelude::*;
use release::ImageFormat;
use release::image::{ChipClaim, read};

use super::writers::{UF2_NRF52, Uf2Block, uf2, uf2_blocks};
use super::{check_refused, check_unpackable, good, pack_image};
use crate::workbench::firmware;

fn blocks() -> Vec<Uf2Block> {
    uf2_blocks(UF2_NRF52, 0x1000, &firmware(600))
}

fn spoilt(spoil: impl FnOnce(&mut Vec<Uf2Block>)) -> Vec<u8> {
    let mut blocks = blocks();
    spoil(&mut blocks);
    uf2(&blocks)
}

#[test]
fn blocks_become_one_piece_in_any_order() {
    let (pieces, facts) = good(ImageFormat::Uf2, &uf2(&blocks()));
    assert_eq!(pieces, [(0x1000, firmware(600))]);
    assert_eq!(facts.remarks, ["for nRF52 (UF2 family 0x1b57745f)"]);
    let (pieces, facts) = good(ImageFormat::Uf2, &spoilt(|blocks| blocks.reverse()));
    assert_eq!(pieces, [(0x1000, firmware(600))]);
    assert_eq!(facts.remarks[1], "the blocks are not in order");
}

#[test]
fn what_is_not_flashed_is_said() {
    let elsewhere = spoilt(|blocks| blocks[2].flags |= 1);
    let (pieces, facts) = good(ImageFormat::Uf2, &elsewhere);
    assert_eq!(pieces, [(0x1000, firmware(512))]);
    assert_eq!(facts.remarks[1], "1 blocks are not for the main flash and not flashed");

    let mut blocks = uf2_blocks(0xe48b_ff59, 0x1000_0000, &firmware(300));
    let mut erratum = blocks[0].clone();
    (erratum.family, erratum.address, erratum.count) = (0xe48b_ff57, 0x10ff_ff00, 2);
    blocks.insert(0, erratum);
    let (pieces, facts) = good(ImageFormat::Uf2, &uf2(&blocks));
    assert_eq!(pieces, [(0x1000_0000, firmware(300))]);
    assert_eq!(
        facts.remarks,
        [
            "the block for the erratum RP2350-E10 is not flashed",
            "for RP2350 (Arm, secure) (UF2 family 0xe48bff59)"
        ]
    );
}

#[test]
fn a_damaged_file_is_refused_by_its_block() {
    let mut cut = uf2(&blocks());
    cut.pop();
    let mut magic = uf2(&blocks());
    magic[512 + 508] ^= 1;
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("cut off", cut, "1535 bytes are not whole blocks"),
        ("empty", Vec::new(), "no bytes"),
        ("another magic", magic, "offset 0x200 has not UF2's magic numbers"),
        (
            "a missing block",
            spoilt(|b| drop(b.remove(1))),
            "says that there are 3 blocks, the file has 2",
        ),
        (
            "a block too much",
            spoilt(|b| b.push(b[0].clone())),
            "says that there are 3 blocks, the file has 4",
        ),
        (
            "a block twice",
            spoilt(|b| b[2] = b[1].clone()),
            "offset 0x400 has the number 1 of an earlier",
        ),
        (
            "a number too high",
            spoilt(|b| b[0].number = 3),
            "offset 0x0 has the number 3, the last is 2",
        ),
        ("two families", spoilt(|b| b[1].family ^= 1), "offset 0x200 is for another family"),
        ("a family missing", spoilt(|b| b[1].flags = 0), "offset 0x200 is for another family"),
        ("a file inside", spoilt(|b| b[0].flags |= 0x1000), "offset 0x0 carries a file"),
        ("at the end", spoilt(|b| b[2].address = u32::MAX), "offset 0x400 runs over the end"),
    ];
    for (what, file, words) in cases {
        check_refused(what, ImageFormat::Uf2, &file, words);
    }
    let mut much = uf2(&blocks());
    much[512 + 16..512 + 20].copy_from_slice(&477u32.to_le_bytes());
    check_refused("too much data", ImageFormat::Uf2, &much, "offset 0x200 claims 477 bytes");
    let twice = spoilt(|b| b[2].address -= 1);
    check_refused(
        "given twice",
        ImageFormat::Uf2,
        &twice,
        "offset 0x220 and again at offset 0x420",
    );
}

#[test]
fn another_familys_uf2_is_not_packed() {
    assert!(pack_image(ImageFormat::Uf2, uf2(&blocks())).is_ok());
    for (family, called) in [
        (0xe48b_ff56, "RP2040 (UF2 family 0xe48bff56)"),
        (0xada5_2840, "nRF52840 (UF2 family 0xada52840)"),
        (0x1234_5678, "the unknown UF2 family 0x12345678"),
    ] {
        let file = uf2(&uf2_blocks(family, 0x1000, &[1]));
        let words = format!("the file is for {called}, the recipe for nRF52832_xxAA of nrf52");
        check_unpackable(called, ImageFormat::Uf2, file, &words);
    }
    let beyond = uf2(&uf2_blocks(UF2_NRF52, 0x7_FF00, &firmware(300)));
    check_unpackable(
        "beyond the flash",
        ImageFormat::Uf2,
        beyond,
        "no memory at 0x00080000 (the file's offset 0x220)",
    );
}

#[test]
fn a_claim_is_judged_by_family_and_chip() {
    let cases = [
        (ChipClaim::Uf2Family(0xada5_2840), "nrf52", "nRF52840_xxAA", Some(true)),
        (ChipClaim::Uf2Family(0xada5_2840), "nrf52", "nRF52832_xxAA", Some(false)),
        (ChipClaim::Uf2Family(0xada5_2840), "z80", "Z80", Some(false)),
        (ChipClaim::Uf2Family(1), "z80", "Z80", None),
        (ChipClaim::Uf2Family(0x1c5f_21b0), "esp32s3", "esp32s3", Some(false)),
        (ChipClaim::Machine(243), "esp32c3", "esp32c3", Some(true)),
        (ChipClaim::Machine(94), "esp32s3", "esp32s3", Some(true)),
        (ChipClaim::Machine(243), "esp32", "esp32", Some(false)),
        (ChipClaim::Machine(40), "stm32g0", "STM32G071RB", Some(true)),
        (ChipClaim::Machine(3), "z80", "Z80", None),
        (ChipClaim::EspChip(5), "esp32c3", "esp32c3", Some(true)),
        (ChipClaim::EspChip(0), "esp32c3", "esp32c3", Some(false)),
        (ChipClaim::EspChip(99), "esp32c3", "esp32c3", Some(false)),
        (ChipClaim::EspChip(99), "nrf52", "nRF52832_xxAA", None),
    ];
    for (claim, family, chip, fits) in cases {
        assert_eq!(claim.fits(family, chip), fits, "{claim} for {chip} of {family}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_survive_uf2(address in 0u32..1_000_000, bytes in prop::collection::vec(any::<u8>(), 1..2000)) {
        let file = uf2(&uf2_blocks(UF2_NRF52, address, &bytes));
        prop_assert_eq!(good(ImageFormat::Uf2, &file).0, [(u64::from(address), bytes)]);
    }

    #[test]
    fn no_file_makes_the_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 512),
        spoils in prop::collection::vec((0usize..1536, any::<u8>()), 1..4),
        cut in 0usize..4,
    ) {
        let _ = read(ImageFormat::Uf2, &bytes);
        let mut file = uf2(&blocks());
        for (at, byte) in spoils {
            file[at] = byte;
        }
        file.truncate(cut * 512);
        let _ = read(ImageFormat::Uf2, &file);
    }
}
