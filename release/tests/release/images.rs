//! Image files are read to the byte or refused by what is wrong with them.

use proptest::prelude::*;
use release::image::{leave_out, place, read_image};
use release::limits::{IMAGE_BYTES_MAX, SEGMENTS_MAX};
use release::recipe::{Exclude, Memory};
use release::{ImageError, ImageFormat, PackError, Segment};
use zeroize::Zeroizing;

use crate::workbench::*;

/// One Intel HEX record with its checksum.
fn record(kind: u8, offset: u16, data: &[u8]) -> String {
    let [high, low] = offset.to_be_bytes();
    let mut bytes = vec![data.len() as u8, high, low, kind];
    bytes.extend_from_slice(data);
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes.push(sum.wrapping_neg());
    format!(":{}\n", hex::encode_upper(bytes))
}

const END: &str = ":00000001FF\n";

fn read(text: &str) -> Result<Vec<(u64, Vec<u8>)>, ImageError> {
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
        record(5, 0, &[0, 0, 0, 0]),
        record(3, 0, &[0, 0, 0, 0]),
        "\r\n".to_owned(),
        END.to_owned(),
    ]
    .concat();
    let expected = vec![(0, vec![1, 2, 3, 4]), (0x1_0004, vec![7]), (0x1000_1010, vec![5, 6])];
    assert_eq!(read(&text).unwrap(), expected);
}

#[test]
fn a_damaged_hex_file_is_refused_by_its_line() {
    let good = record(0, 0, &[1, 2]);
    let cases: [(&str, String, fn(&ImageError) -> bool); 11] = [
        ("cut off", good.clone(), |e| matches!(e, ImageError::NoEnd)),
        ("empty", String::new(), |e| matches!(e, ImageError::NoEnd)),
        ("no data", END.to_owned(), |e| matches!(e, ImageError::Empty)),
        ("wrong checksum", good.replace("0102", "0103") + END, |e| {
            matches!(e, ImageError::BadRecord { line: 1, .. })
        }),
        ("half a line", good.clone() + ":0200", |e| {
            matches!(e, ImageError::BadRecord { line: 2, .. })
        }),
        ("not hex", ":zz\n".to_owned() + END, |e| {
            matches!(e, ImageError::BadRecord { line: 1, .. })
        }),
        ("another format", "S00600004844521B\n".to_owned(), |e| {
            matches!(e, ImageError::BadRecord { line: 1, .. })
        }),
        ("data after the end", good.clone() + END + &good, |e| {
            matches!(e, ImageError::AfterEnd { line: 3 })
        }),
        ("overlapping", good.clone() + &record(0, 1, &[9]) + END, |e| {
            matches!(e, ImageError::Overlap { address: 1 })
        }),
        ("the same byte twice", good.clone() + &good + END, |e| {
            matches!(e, ImageError::Overlap { address: 0 })
        }),
        ("over the end of its page", record(0, 0xFFFF, &[1, 2]) + END, |e| {
            matches!(e, ImageError::RecordWraps { line: 1 })
        }),
    ];
    for (what, text, refused) in cases {
        let error = read(&text).unwrap_err();
        assert!(refused(&error), "{what}: {error:?}");
    }
    assert!(matches!(read_image(ImageFormat::IntelHex, &[0xFF, 0xFE]), Err(ImageError::NotText)));
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
    assert!(matches!(read(&text), Err(ImageError::TooManySegments { .. })));
    let zeros = vec![0; IMAGE_BYTES_MAX as usize + 1];
    assert!(matches!(
        read_image(ImageFormat::Raw { address: 0 }, &zeros),
        Err(ImageError::TooLarge { .. })
    ));
}

fn piece(address: u64, bytes: &[u8]) -> Segment {
    Segment { address, bytes: Zeroizing::new(bytes.to_vec()) }
}

#[test]
fn excluded_ranges_take_out_exactly_their_bytes_and_are_counted() {
    let ranges = [
        Exclude { start: 2, end: 4 },
        Exclude { start: 9, end: 20 },
        Exclude { start: 30, end: 31 },
    ];
    let image = vec![piece(0, &[0, 1, 2, 3, 4]), piece(8, &[8, 9, 10])];
    let (kept, left) = leave_out(image, &ranges).unwrap();
    assert_eq!(kept, [piece(0, &[0, 1]), piece(4, &[4]), piece(8, &[8])]);
    let counted: Vec<u64> = left.iter().map(|left| left.bytes).collect();
    assert_eq!(counted, [2, 2, 0]);
    let all = [Exclude { start: 0, end: 100 }];
    assert!(matches!(leave_out(vec![piece(3, &[1])], &all), Err(ImageError::Empty)));
}

#[test]
fn every_byte_needs_a_memory_of_the_chip() {
    let memory = [
        Memory { name: name("a"), start: 0, bytes: 4 },
        Memory { name: name("b"), start: 4, bytes: 4 },
        Memory { name: name("uicr"), start: 100, bytes: 4 },
    ];
    let placed = place(vec![piece(2, &[2, 3, 4, 5])], &memory).unwrap();
    assert_eq!(placed, [piece(2, &[2, 3]), piece(4, &[4, 5])]);
    for (at, outside) in [(6u64, 8u64), (50, 50), (98, 98), (102, 104)] {
        match place(vec![piece(at, &[0; 3])], &memory) {
            Err(ImageError::OutOfRange { address }) => assert_eq!(address, outside),
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[test]
fn a_hex_beyond_the_chips_flash_is_not_packed() {
    let mut pack = pack_of("demo-lamp", "1.0.0", Vec::new());
    let beyond = record(4, 0, &[0x00, 0x07])
        + &record(0, 0xFFFF, &[1])
        + &record(4, 0, &[0, 8])
        + &record(0, 0, &[2])
        + END;
    pack.images[0].format = ImageFormat::IntelHex;
    pack.images[0].file = Zeroizing::new(beyond.into_bytes());
    match pack.pack(&mut Numbered::default()).err() {
        Some(PackError::Image { source: ImageError::OutOfRange { address }, .. }) => {
            assert_eq!(address, 0x8_0000);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_chip_needs_a_memory_map() {
    let mut pack = pack_of("demo-lamp", "1.0.0", firmware(8));
    pack.recipe.chip = label("Z80");
    assert!(matches!(pack.pack(&mut Numbered::default()), Err(PackError::UnknownChip { .. })));
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
        prop_assert_eq!(read(&text).unwrap(), expected);
    }

    #[test]
    fn no_file_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ":[0-9A-F]{8,30}\n:[0-9A-F]{8,30}\n") {
        let _ = read_image(ImageFormat::IntelHex, &bytes);
        let _ = read_image(ImageFormat::IntelHex, text.as_bytes());
    }
}
