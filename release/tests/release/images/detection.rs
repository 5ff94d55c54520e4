//! Formats are told apart by content, and a mistake on the command line is found.

use proptest::prelude::*;
use release::image::{detect, read};
use release::{FormatName, ImageFormat};

use super::corpus::seeds;

#[test]
fn every_format_is_recognised_by_its_content() {
    // Manifests and leases have targets as well, and are no images.
    let documents = ["manifest", "lease"];
    for seed in seeds().into_iter().filter(|seed| !documents.contains(&seed.target)) {
        let Ok(format) = seed.target.parse::<FormatName>() else { panic!("{}", seed.target) };
        let expected = (format != FormatName::Raw).then_some(format);
        assert_eq!(detect(&seed.bytes), expected, "{} {}", seed.target, seed.name);
    }
    for seed in seeds().into_iter().filter(|seed| documents.contains(&seed.target)) {
        assert_eq!(detect(&seed.bytes), None, "{} {}", seed.target, seed.name);
    }
    for (what, bytes) in [
        ("nothing", &b""[..]),
        ("a colon", b":"),
        ("a word", b"Some words"),
        ("a vector table", &[0x00, 0x00, 0x01, 0x20, 0x01, 0x01, 0, 0]),
    ] {
        assert_eq!(detect(bytes), None, "{what}");
    }
}

#[test]
fn the_format_is_chosen_by_word_content_and_address() {
    let hex = b":00000001FF\n";
    let esp = [0xE9, 1, 0, 0];
    let raw = [1, 2, 3, 4];
    let cases: [(&str, &[u8], Option<FormatName>, Option<u64>, Result<ImageFormat, &str>); 10] = [
        ("hex", hex, None, None, Ok(ImageFormat::IntelHex)),
        ("hex with an address", hex, None, Some(0), Err("intel-hex and has addresses of its own")),
        ("hex as bytes", hex, Some(FormatName::Raw), Some(7), Ok(ImageFormat::Raw { address: 7 })),
        ("hex said to be srec", hex, Some(FormatName::Srec), None, Ok(ImageFormat::Srec)),
        ("bytes", &raw, None, Some(7), Ok(ImageFormat::Raw { address: 7 })),
        ("bytes without an address", &raw, None, None, Err("raw bytes need @ADDRESS")),
        (
            "raw without an address",
            &raw,
            Some(FormatName::Raw),
            None,
            Err("raw and needs @ADDRESS"),
        ),
        ("esp", &esp, None, Some(7), Ok(ImageFormat::Esp { address: 7 })),
        ("esp without an address", &esp, None, None, Err("esp and needs @ADDRESS")),
        ("elf with an address", &raw, Some(FormatName::Elf), Some(0), Err("elf and has addresses")),
    ];
    for (what, file, said, address, expected) in cases {
        match (ImageFormat::choose(file, said, address), expected) {
            (Ok(chosen), Ok(expected)) => assert_eq!(chosen, expected, "{what}"),
            (Err(error), Err(words)) => {
                assert!(error.to_string().contains(words), "{what}: {error}");
            }
            (chosen, _) => panic!("{what}: {chosen:?}"),
        }
    }
}

#[test]
fn a_format_is_called_by_its_word() {
    for format in FormatName::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    assert!("hexx".parse::<FormatName>().is_err());
}

proptest! {
    #[test]
    fn no_file_makes_the_choice_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), address in any::<Option<u64>>()) {
        if let Ok(format) = ImageFormat::choose(&bytes, None, address) {
            let _ = read(format, &bytes);
        }
    }
}
