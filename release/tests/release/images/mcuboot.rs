//! MCUboot headers and TLVs inside images.

use proptest::prelude::*;
use release::ImageFormat;
use release::image::{HashSeen, read};

use super::writers::mcuboot;
use super::{check_refused, good};
use crate::workbench::firmware;

const AT: ImageFormat = ImageFormat::Raw { address: 0xC000 };

fn example() -> Vec<u8> {
    mcuboot(0, &firmware(100), &[(0x50, vec![1, 0, 0, 0])])
}

fn spoilt(at: usize, byte: u8) -> Vec<u8> {
    let mut file = example();
    file[at] = byte;
    file
}

#[test]
fn a_header_at_the_start_or_at_a_page_is_shown() {
    let (_, facts) = good(AT, &example());
    assert!(!facts.is_plain());
    let [image] = &facts.mcuboot[..] else { panic!("{facts:?}") };
    assert_eq!((image.address, image.version.as_str()), (0xC000, "1.2.3+4"));
    assert_eq!((image.header_bytes, image.image_bytes, image.flags), (32, 100, 0));
    assert_eq!(image.hash, HashSeen::Good);
    let tlvs: Vec<(u64, u64, bool)> =
        image.tlvs.iter().map(|tlv| (tlv.kind, tlv.bytes, tlv.protected)).collect();
    assert_eq!(tlvs, [(0x50, 4, true), (0x10, 32, false), (0x01, 32, false), (0x24, 64, false)]);

    // A boot loader, then two slots; one starts where no page does and is code to us.
    let mut merged = firmware(2048);
    merged.extend(example());
    merged.resize(5000, 0xFF);
    merged.extend(example());
    merged.resize(8192, 0xFF);
    merged.extend(example());
    let (_, facts) = good(AT, &merged);
    let addresses: Vec<u64> = facts.mcuboot.iter().map(|image| image.address).collect();
    assert_eq!(addresses, [0xC800, 0xE000]);
}

#[test]
fn an_image_without_a_header_is_plain() {
    let (_, facts) = good(AT, &firmware(4096));
    assert!(facts.is_plain(), "{facts:?}");
}

#[test]
fn a_damaged_image_at_the_start_is_refused_and_inside_is_code() {
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("a magic number only", example()[..4].to_vec(), "ends before"),
        ("cut off", example()[..100].to_vec(), "0x0000c000: the image ends before"),
        ("a short header", spoilt(8, 31), "the header claims 31 bytes"),
        ("no TLVs", example()[..132].to_vec(), "the TLVs behind the code are damaged"),
        ("a protected length", spoilt(10, 16), "the TLVs behind the code are damaged"),
        ("a TLV's length", spoilt(132 + 6, 5), "the TLVs behind the code are damaged"),
        ("a flipped bit of code", spoilt(50, 0), "the hash is of other bytes"),
    ];
    for (what, file, words) in cases {
        check_refused(what, AT, &file, words);
        let inside = [firmware(1024), file].concat();
        assert!(good(AT, &inside).1.is_plain(), "{what}");
    }
    let many: Vec<(u16, Vec<u8>)> = (0..65).map(|_| (0x40, Vec::new())).collect();
    check_refused("many TLVs", AT, &mcuboot(0, &[1], &many), "more than 64 TLVs");
}

#[test]
fn an_encrypted_image_has_a_hash_we_cannot_check() {
    let mut file = mcuboot(4, &firmware(100), &[]);
    file[50] ^= 1;
    assert_eq!(good(AT, &file).1.mcuboot[0].hash, HashSeen::Encrypted);
}

#[test]
fn the_longer_hashes_are_checked_too() {
    for (kind, algorithm) in [(0x11u16, &ring::digest::SHA384), (0x12, &ring::digest::SHA512)] {
        let file = example();
        // Up to the end of the protected TLVs, then one hash only.
        let mut file = file[..32 + 100 + 12].to_vec();
        let hash = ring::digest::digest(algorithm, &file);
        let length = hash.as_ref().len() as u16;
        for half in [0x6907, length + 8, kind, length] {
            file.extend(half.to_le_bytes());
        }
        file.extend_from_slice(hash.as_ref());
        assert_eq!(good(AT, &file).1.mcuboot[0].hash, HashSeen::Good);
        file[60] ^= 1;
        check_refused("a flipped bit", AT, &file, "the hash is of other bytes");
    }
}

#[test]
fn no_more_than_eight_headers_are_shown() {
    let mut file = Vec::new();
    for _ in 0..10 {
        file.extend(example());
        file.resize(file.len().next_multiple_of(1024), 0xFF);
    }
    assert_eq!(good(ImageFormat::Raw { address: 0 }, &file).1.mcuboot.len(), 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_file_makes_the_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 1..200),
        spoils in prop::collection::vec((4usize..250, any::<u8>()), 1..4),
        address in any::<u64>(),
    ) {
        let raw = ImageFormat::Raw { address };
        let _ = read(raw, &[&0x96F3_B83Du32.to_le_bytes()[..], &bytes].concat());
        let mut file = example();
        for (at, byte) in spoils {
            file[at] = byte;
        }
        let _ = read(raw, &file);
    }
}
