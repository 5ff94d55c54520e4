//! ESP images.

use proptest::prelude::*;
use release::ImageFormat;
use release::image::read;

use super::writers::esp;
use super::{check_refused, check_unpackable, good};
use crate::workbench::firmware;

const ESP32_C3: u16 = 5;
const AT: ImageFormat = ImageFormat::Esp { address: 0x1_0000 };

/// An application: its description first, then code.
fn example() -> Vec<u8> {
    let mut description = vec![0x32, 0x54, 0xCD, 0xAB];
    description.resize(256, 0);
    description[16..21].copy_from_slice(b"1.2.3");
    description[48..52].copy_from_slice(b"lamp");
    let segments = [(0x3C00_0020, description), (0x4200_0020, firmware(101))];
    esp(ESP32_C3, 0x4038_0400, &segments, true)
}

#[test]
fn the_file_goes_to_its_address_and_is_shown() {
    let (pieces, facts) = good(AT, &example());
    assert_eq!(pieces, [(0x1_0000, example())]);
    assert_eq!(facts.entry_points, [0x4038_0400]);
    assert_eq!(
        facts.remarks,
        [
            "for ESP32-C3 (ESP chip id 5)",
            "segment 0 for 0x3c000020, 256 bytes",
            "application \"lamp\" version \"1.2.3\"",
            "segment 1 for 0x42000020, 101 bytes",
            "checksum and SHA-256 good",
        ]
    );
    let (_, facts) = good(AT, &esp(0, 1, &[(0, firmware(15))], false));
    assert_eq!(facts.remarks[2], "checksum good, no SHA-256 in the file");
    let signed = [example(), vec![0xE7; 40]].concat();
    let (pieces, facts) = good(AT, &signed);
    assert_eq!(pieces[0].1, signed);
    assert_eq!(facts.remarks[5], "40 bytes behind the ESP image are flashed too");
}

/// The smallest image, byte by byte: header, one segment of 4 bytes, padding, checksum
/// `EF ^ 01 ^ 02 ^ 03 ^ 04`.
#[test]
fn the_worked_example_is_read() {
    let text = "e901020000040840ee00000005000000000000000000000000000c42040000000102030400000000\
                000000000000eb";
    let mut file = hex::decode(text.replace(' ', "")).unwrap();
    assert_eq!(file.len(), 47);
    check_refused("cut off", AT, &file, "ends before the checksum");
    file.insert(40, 0);
    let (pieces, facts) = good(AT, &file);
    assert_eq!(pieces, [(0x1_0000, file)]);
    assert_eq!(facts.entry_points, [0x4008_0400]);
    assert_eq!(facts.remarks[1], "segment 0 for 0x420c0000, 4 bytes");
}

#[test]
fn a_damaged_image_is_refused_by_its_offset() {
    let spoilt = |at: usize, byte: u8| {
        let mut file = example();
        file[at] = byte;
        file
    };
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("empty", Vec::new(), "no header"),
        ("another magic", spoilt(0, 0xEA), "no header"),
        ("a cut header", example()[..23].to_vec(), "no header"),
        ("no segments", spoilt(1, 0), "0 segments, 1 to 16 are allowed"),
        ("too many segments", spoilt(1, 17), "17 segments"),
        ("a cut segment", example()[..300].to_vec(), "segment 1 at offset 0x120 runs over"),
        ("a flipped bit of code", spoilt(300, 0x55), "the checksum at offset 0x18f is"),
        ("a flipped bit of the header", spoilt(4, 1), "the SHA-256 at offset 0x190"),
        ("a cut SHA-256", example()[..example().len() - 1].to_vec(), "ends before the checksum"),
    ];
    for (what, file, words) in cases {
        check_refused(what, AT, &file, words);
    }
    let nowhere = ImageFormat::Esp { address: u64::MAX };
    check_refused("no address", nowhere, &example(), "no memory at 0xffffffffffffffff");
    check_unpackable("for an nRF52", ImageFormat::Esp { address: 0 }, example(), "ESP32-C3");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn one_flipped_bit_is_noticed(at in 0usize..448, bit in 0u8..8) {
        let mut file = example();
        prop_assert_eq!(file.len(), 432);
        let at = at % file.len();
        file[at] ^= 1 << bit;
        // The flag that there is a SHA-256 guards itself only by its other values.
        prop_assume!(at != 23);
        prop_assert!(read(AT, &file).is_err());
    }

    #[test]
    fn no_file_makes_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..432) {
        let _ = read(AT, &bytes);
        if let Some(first) = bytes.first_mut() {
            *first = 0xE9;
        }
        let _ = read(AT, &bytes);
        let _ = read(AT, &example()[..cut]);
    }
}
