//! Intel HEX.

use proptest::prelude::*;
use release::image::{HexError, read, read_image};
use release::limits::{IMAGE_BYTES_MAX, SEGMENTS_MAX};
use release::{ImageError, ImageFormat};

use super::writers::{HEX_END as END, hex_record as record};
use super::{check_refused, check_unpackable, good};

fn read_text(text: &str) -> Result<Vec<(u64, Vec<u8>)>, ImageError> {
    let pieces = read_image(ImageFormat::IntelHex, text.as_bytes())?;
    Ok(pieces.into_iter().map(|piece| (piece.address, piece.bytes.to_vec())).collect())
}

#[test]
fn intel_hex_becomes_sorted_merged_pieces() {
    let text = [
        record(4, 0, &[0x10, 0x00]),
        record(0, 0x1010, &[5, 6]),
        record(4, 0, &[0, 0]),
        record(0, 2, &[3, 4]),
        record(0, 0, &[1, 2]),
        record(2, 0, &[0x10, 0x00]),
        record(0, 4, &[7]),
        record(5, 0, &[0x08, 0, 0x01, 0x01]),
        record(3, 0, &[0x10, 0x00, 0, 2]),
        "\r\n".to_owned(),
        END.to_owned(),
    ]
    .concat();
    let expected = vec![(0, vec![1, 2, 3, 4]), (0x1_0004, vec![7]), (0x1000_1010, vec![5, 6])];
    let (pieces, facts) = good(ImageFormat::IntelHex, text.as_bytes());
    assert_eq!(pieces, expected);
    assert_eq!(facts.entry_points, [0x0800_0101, 0x1_0002]);
    assert_eq!(facts.format.as_str(), "intel-hex");
}

#[test]
fn a_refusal_names_the_lines_of_the_file() {
    let twice = record(0, 0, &[1, 2]) + "\n" + &record(0, 4, &[3]) + &record(0, 1, &[4]) + END;
    check_refused(
        "given twice",
        ImageFormat::IntelHex,
        twice.as_bytes(),
        "0x00000001 is given twice, at line 1 and again at line 4",
    );
    let beyond = record(4, 0, &[0x00, 0x07])
        + &record(0, 0xFFFF, &[1])
        + &record(4, 0, &[0, 8])
        + &record(0, 0, &[2])
        + END;
    check_unpackable(
        "beyond the flash",
        ImageFormat::IntelHex,
        beyond.into_bytes(),
        "no memory at 0x00080000 (the file's line 4)",
    );
}

#[test]
fn a_damaged_hex_file_is_refused_by_its_line() {
    let good = record(0, 0, &[1, 2]);
    let cases: [(&str, String, fn(&ImageError) -> bool); 11] = [
        ("cut off", good.clone(), |e| matches!(e, ImageError::Hex(HexError::NoEnd))),
        ("empty", String::new(), |e| matches!(e, ImageError::Hex(HexError::NoEnd))),
        ("no data", END.to_owned(), |e| matches!(e, ImageError::Empty)),
        ("wrong checksum", good.replace("0102", "0103") + END, |e| {
            matches!(e, ImageError::Hex(HexError::BadRecord { line: 1, .. }))
        }),
        ("half a line", good.clone() + ":0200", |e| {
            matches!(e, ImageError::Hex(HexError::BadRecord { line: 2, .. }))
        }),
        ("not hex", ":zz\n".to_owned() + END, |e| {
            matches!(e, ImageError::Hex(HexError::BadRecord { line: 1, .. }))
        }),
        ("another format", "S00600004844521B\n".to_owned(), |e| {
            matches!(e, ImageError::Hex(HexError::BadRecord { line: 1, .. }))
        }),
        ("data after the end", good.clone() + END + &good, |e| {
            matches!(e, ImageError::Hex(HexError::AfterEnd { line: 3 }))
        }),
        ("overlapping", good.clone() + &record(0, 1, &[9]) + END, |e| {
            matches!(e, ImageError::Overlap { address: 1, .. })
        }),
        ("the same byte twice", good.clone() + &good + END, |e| {
            matches!(e, ImageError::Overlap { address: 0, .. })
        }),
        ("over the end of its page", record(0, 0xFFFF, &[1, 2]) + END, |e| {
            matches!(e, ImageError::Hex(HexError::RecordWraps { line: 1 }))
        }),
    ];
    for (what, text, refused) in cases {
        let error = read_text(&text).unwrap_err();
        assert!(refused(&error), "{what}: {error:?}");
    }
    assert!(matches!(
        read_image(ImageFormat::IntelHex, &[0xFF, 0xFE]),
        Err(ImageError::Hex(HexError::NotText))
    ));
    assert!(matches!(
        read_image(ImageFormat::Raw { address: u64::MAX }, &[1]),
        Err(ImageError::OutOfRange { .. })
    ));
    assert!(matches!(read_image(ImageFormat::Raw { address: 0 }, &[]), Err(ImageError::Empty)));
}

#[test]
fn an_image_has_a_size_and_a_number_of_pieces() {
    let pieces = SEGMENTS_MAX + 1;
    let text: String =
        (0..pieces).map(|n| record(0, (n * 2) as u16, &[1])).chain([END.to_owned()]).collect();
    assert!(matches!(read_text(&text), Err(ImageError::TooManySegments { .. })));
    let zeros = vec![0; IMAGE_BYTES_MAX as usize + 1];
    assert!(matches!(
        read_image(ImageFormat::Raw { address: 0 }, &zeros),
        Err(ImageError::TooLarge { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_pieces_survive_intel_hex(
        pieces in prop::collection::vec((1u64..40_000, prop::collection::vec(any::<u8>(), 1..40)), 1..12),
    ) {
        let mut expected: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut text = String::new();
        let mut at = 0;
        for (gap, bytes) in pieces {
            at += gap;
            expected.push((at, bytes.clone()));
            for (index, byte) in bytes.iter().enumerate() {
                let address = at + index as u64;
                text += &record(4, 0, &((address >> 16) as u16).to_be_bytes());
                text += &record(0, address as u16, &[*byte]);
            }
            at += bytes.len() as u64;
        }
        text += END;
        prop_assert_eq!(read_text(&text).unwrap(), expected);
    }

    #[test]
    fn no_file_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ":[0-9A-F]{8,30}\n:[0-9A-F]{8,30}\n") {
        let _ = read(ImageFormat::IntelHex, &bytes);
        let _ = read(ImageFormat::IntelHex, text.as_bytes());
    }
}
