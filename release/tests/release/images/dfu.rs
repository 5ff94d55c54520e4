//! `.dfu` files, plain and DfuSe.

use proptest::prelude::*;
use release::image::read;
use release::{ImageFormat, PackError};

use super::writers::{DfuTarget, dfu, dfu_crc, dfuse, dfuse_body};
use super::{check_refused, check_unpackable, good, pack_for};
use crate::workbench::firmware;

const DFUSE: ImageFormat = ImageFormat::Dfu { address: None };
const PLAIN: ImageFormat = ImageFormat::Dfu { address: Some(0x0800_0000) };

fn targets() -> Vec<DfuTarget> {
    vec![
        DfuTarget {
            alternate: 0,
            name: "Internal Flash",
            elements: vec![(0x1000, firmware(20)), (0, firmware(8))],
        },
        DfuTarget { alternate: 1, name: "", elements: vec![(0x2000, vec![1])] },
    ]
}

#[test]
fn the_crc_is_the_one_of_the_standard() {
    // CRC-32 of "123456789" is CBF43926; the suffix holds it without the last inversion.
    assert_eq!(!dfu_crc(b"123456789"), 0xCBF4_3926);
}

#[test]
fn a_plain_file_goes_where_the_packer_says() {
    for version in [0x0100, 0x0110] {
        let (pieces, facts) = good(PLAIN, &dfu(version, &firmware(40)));
        assert_eq!(pieces, [(0x0800_0000, firmware(40))]);
        assert_eq!(facts.remarks, ["for USB 0483:df11 device 2200"]);
    }
    check_refused("no address", DFUSE, &dfu(0x0110, &[1]), "the file is dfu and needs @ADDRESS");
    // A longer suffix of a later standard: its first bytes are no firmware.
    let mut longer = dfu(0x0110, &firmware(40));
    let length = longer.len();
    longer[length - 5] = 20;
    let crc = dfu_crc(&longer[..length - 4]);
    longer[length - 4..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(good(PLAIN, &longer).0, [(0x0800_0000, firmware(36))]);
}

#[test]
fn a_dfuse_file_names_targets_and_elements() {
    let (pieces, facts) = good(DFUSE, &dfuse(&targets()));
    assert_eq!(pieces, [(0, firmware(8)), (0x1000, firmware(20)), (0x2000, vec![1])]);
    assert_eq!(
        facts.remarks,
        [
            "for USB 0483:df11 device 2200",
            "target 0 \"Internal Flash\", 2 elements",
            "target 1 \"\", 1 elements",
        ]
    );
    check_refused("an address", PLAIN, &dfuse(&targets()), "addresses of its own");
    // The loader's USB ids are ST's: not for the nRF52 of the demo recipe.
    check_unpackable(
        "another maker's chip",
        DFUSE,
        dfuse(&targets()),
        "the file is for a chip of STMicroelectronics (USB vendor 0483), the recipe for \
         nRF52832_xxAA of nrf52",
    );
    let own = [DfuTarget { alternate: 0, name: "", elements: vec![(0x0800_0000, firmware(8))] }];
    assert!(pack_for("stm32f4", "STM32F405RGTx", DFUSE, dfuse(&own)).is_ok());
}

/// DfuSe with one element of 4 bytes at 0x08000000, byte by byte (UM0391, section 2).
#[test]
fn the_worked_example_is_read() {
    let target =
        format!("546172676574{}{}{}{}", "00", "01000000", hex::encode(b"st"), "00".repeat(253));
    let body = "0c00000001000000".to_owned() + "00000008" + "04000000" + "01020304";
    let prefix = "4466755365".to_owned() + "01" + &hex::encode(297u32.to_le_bytes()) + "01";
    let suffix = "0022".to_owned() + "11df" + "8304" + "1a01" + "554644" + "10";
    let file = hex::decode(prefix + &target + &body + &suffix).unwrap();
    let file = [file.clone(), dfu_crc(&file).to_le_bytes().to_vec()].concat();
    assert_eq!(good(DFUSE, &file).0, [(0x0800_0000, vec![1, 2, 3, 4])]);
}

#[test]
fn a_damaged_file_is_refused_by_its_offset() {
    let body = |spoil: &dyn Fn(&mut Vec<u8>)| {
        let mut body = dfuse_body(&targets());
        spoil(&mut body);
        dfu(0x011A, &body)
    };
    let mut length = dfu(0x0110, &[1]);
    length[12] = 200;
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("empty", Vec::new(), "does not end with a DFU suffix"),
        ("a suffix only", dfu(0x0110, &[]), "needs @ADDRESS"),
        ("a suffix too long", length, "the suffix claims 200 bytes"),
        ("a version we do not know", dfu(0x0200, &[1]), "DFU version 0x0200"),
        ("no prefix", dfu(0x011A, &[1; 20]), "no DfuSe prefix at offset 0x0"),
        ("a wrong size", body(&|b| b[6] ^= 1), "the DfuSe prefix at offset 0x0 claims another"),
        ("no target", body(&|b| b[11] = b't'), "no target at offset 0xb"),
        ("a target too few", body(&|b| b[10] = 1), "no DFU suffix at offset 0x149"),
        ("a target too much", body(&|b| b[10] = 3), "no target at offset 0x264"),
        (
            "a target's length",
            body(&|b| b[11 + 266] ^= 1),
            "the target at offset 0xb claims another",
        ),
        (
            "an element's length",
            body(&|b| b[11 + 274 + 5] = 9),
            "the element at offset 0x11d claims",
        ),
    ];
    for (what, file, words) in cases {
        check_refused(what, DFUSE, &file, words);
    }
    let mut flipped = dfuse(&targets());
    flipped[300] ^= 1;
    check_refused("a flipped bit", DFUSE, &flipped, "the suffix holds the CRC");
    let end = [DfuTarget { alternate: 0, name: "", elements: vec![(u32::MAX, vec![1, 2])] }];
    check_refused("the end", DFUSE, &dfuse(&end), "the element at offset 0x11d runs over the end");
    let twice =
        [DfuTarget { alternate: 0, name: "", elements: vec![(0, vec![1, 2]), (1, vec![3])] }];
    check_refused("given twice", DFUSE, &dfuse(&twice), "offset 0x125 and again at offset 0x12f");
    let options = [DfuTarget { alternate: 1, name: "", elements: vec![(0x1FFF_C000, vec![1])] }];
    let refused = pack_for("stm32f4", "STM32F405RG", DFUSE, dfuse(&options)).err().unwrap();
    let PackError::Image { source, .. } = refused else { panic!("{refused:?}") };
    let words = source.to_string();
    assert!(words.contains("no memory at 0x1fffc000 (the file's offset 0x125)"), "{words}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn one_flipped_bit_is_noticed(at in 0usize..10_000, bit in 0u8..8) {
        let mut file = dfuse(&targets());
        let at = at % file.len();
        file[at] ^= 1 << bit;
        prop_assert!(read(DFUSE, &file).is_err());
    }

    #[test]
    fn no_file_makes_the_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        spoils in prop::collection::vec((0usize..600, any::<u8>()), 1..4),
    ) {
        let _ = read(PLAIN, &bytes);
        // With a good suffix, so that what is inside is read.
        let mut body = dfuse_body(&targets());
        for (at, byte) in spoils {
            if let Some(there) = body.get_mut(at) {
                *there = byte;
            }
        }
        let _ = read(DFUSE, &dfu(0x011A, &body));
        let _ = read(DFUSE, &dfu(0x011A, &bytes));
    }
}
