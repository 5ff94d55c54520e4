//! Motorola S-records.

use proptest::prelude::*;
use release::ImageFormat;
use release::image::read;

use super::writers::srec_record as record;
use super::{check_refused, check_unpackable, good};

/// The example of the format's manual page (srec(5)), to the letter.
const MANUAL: &str = "S00F000068656C6C6F202020202000003C\n\
    S11F00007C0802A6900100049421FFF07C6C1B787C8C23783C6000003863000026\n\
    S11F001C4BFFFFE5398000007D83637880010014382100107C0803A64E800020E9\n\
    S111003848656C6C6F20776F726C642E0A0042\n\
    S5030003F9\n\
    S9030000FC\n";

#[test]
fn the_manuals_example_is_read() {
    let (pieces, facts) = good(ImageFormat::Srec, MANUAL.as_bytes());
    assert_eq!(pieces.len(), 1);
    let (address, bytes) = &pieces[0];
    assert_eq!((*address, bytes.len()), (0, 0x38 + 14));
    assert_eq!(&bytes[..4], [0x7C, 0x08, 0x02, 0xA6]);
    assert_eq!(&bytes[0x38..], b"Hello world.\n\0");
    assert_eq!(facts.remarks, ["header \"hello     \""]);
    assert!(facts.entry_points.is_empty());
}

#[test]
fn every_length_of_address_is_read_and_the_entry_is_shown() {
    let text = [
        record(3, 0x0800_0000, &[1, 2]),
        record(2, 0x01_0000, &[3]),
        record(1, 0xFFFF, &[4]),
        record(6, 3, &[]),
        "\r\n".to_owned(),
        record(7, 0x0800_0101, &[]),
    ]
    .concat();
    let (pieces, facts) = good(ImageFormat::Srec, text.as_bytes());
    assert_eq!(pieces, [(0xFFFF, vec![4, 3]), (0x0800_0000, vec![1, 2])]);
    assert_eq!(facts.entry_points, [0x0800_0101]);
}

#[test]
fn a_damaged_file_is_refused_by_its_line() {
    let data = record(1, 0, &[1, 2]);
    let end = record(9, 0, &[]);
    let cases: [(&str, String, &str); 16] = [
        ("cut off", data.clone(), "the end record (S7, S8 or S9) is missing"),
        ("empty", String::new(), "the end record"),
        ("no data", end.clone(), "no bytes to flash"),
        ("wrong checksum", data.replace("0102", "0103") + &end, "line 1 has the checksum F7"),
        (
            "half a line",
            data.clone() + "S1050000",
            "line 2 has 2 bytes after its count, which says 5",
        ),
        ("an odd digit", data.clone() + "S105000", "line 2 is not hex digits"),
        ("no digits", "S1\n".to_owned(), "line 1 has 0 bytes"),
        ("not hex", "S1zz\n".to_owned() + &end, "line 1 is not hex digits"),
        (
            "the reserved kind",
            data.clone() + &record(4, 0, &[]) + &end,
            "line 2 is of the reserved",
        ),
        ("another format", ":00000001FF\n".to_owned(), "line 1 does not begin with S"),
        ("after the end", data.clone() + &end + &data, "line 3 comes after the end"),
        (
            "a wrong count",
            data.clone() + &record(5, 2, &[]) + &end,
            "line 2 counts 2 data records, 1",
        ),
        ("an end with data", data.clone() + &record(9, 0, &[1]), "line 2 has no address"),
        ("no address", "S101FE\n".to_owned() + &end, "line 1 has no address"),
        ("over 64 KiB", record(1, 0xFFFF, &[1, 2]) + &end, "line 1 runs over the end"),
        ("given twice", data.clone() + &data + &end, "twice, at line 1 and again at line 2"),
    ];
    for (what, text, words) in cases {
        check_refused(what, ImageFormat::Srec, text.as_bytes(), words);
    }
    check_refused("not text", ImageFormat::Srec, &[0xFF, 0xFE, b'\n'], "line 1 does not begin");
    check_refused(
        "32 bits",
        ImageFormat::Srec,
        record(3, u32::MAX, &[1, 2]).as_bytes(),
        "line 1 runs",
    );
    check_unpackable(
        "beyond the flash",
        ImageFormat::Srec,
        (record(3, 0x7FFF0, &[0; 17]) + &end).into_bytes(),
        "no memory at 0x00080000 (the file's line 1)",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_pieces_survive_srec(
        pieces in prop::collection::vec((1u32..40_000, prop::collection::vec(any::<u8>(), 1..40)), 1..12),
    ) {
        let mut expected: Vec<(u64, Vec<u8>)> = Vec::new();
        let (mut text, mut at) = (record(0, 0, b"test"), 0);
        for (gap, bytes) in pieces {
            at += gap;
            text += &record(if at < 0xFF00 { 1 } else { 3 }, at, &bytes);
            expected.push((u64::from(at), bytes.clone()));
            at += bytes.len() as u32;
        }
        text += &record(7, 0, &[]);
        prop_assert_eq!(good(ImageFormat::Srec, text.as_bytes()).0, expected);
    }

    #[test]
    fn one_changed_character_is_noticed(at in 0usize..MANUAL.len(), byte in b'0'..=b'Z') {
        let mut text = MANUAL.as_bytes().to_vec();
        // A header or an end of another length is another good file.
        let kind = at == 0 || text[at - 1] == b'\n' || text[at - 1] == b'S';
        prop_assume!(text[at] != byte && text[at] != b'\n' && !kind);
        text[at] = byte;
        prop_assert!(read(ImageFormat::Srec, &text).is_err());
    }

    #[test]
    fn no_file_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "S[0-9][0-9A-F]{0,30}\nS[0-9][0-9A-F]{2,30}\n") {
        let _ = read(ImageFormat::Srec, &bytes);
        let _ = read(ImageFormat::Srec, text.as_bytes());
    }
}
