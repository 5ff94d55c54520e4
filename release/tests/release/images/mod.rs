//! Image files are read to the byte or refused by what is wrong with them: one file of tests per
//! format, here what they share.

mod corpus;
mod detection;
mod dfu;
mod elf;
mod esp;
mod hex_files;
mod mcuboot;
mod srec;
mod uf2;
pub(crate) mod writers;

use release::image::{Facts, leave_out, place, read};
use release::recipe::{Exclude, Memory};
use release::{Digest, ImageError, ImageFile, ImageFormat, PackError, Segment, Summary};
use zeroize::Zeroizing;

use crate::workbench::*;

/// The pieces and the facts of a good file.
fn good(format: ImageFormat, file: &[u8]) -> (Vec<(u64, Vec<u8>)>, Facts) {
    let read = read(format, file).unwrap_or_else(|error| panic!("{format:?}: {error}"));
    let pieces = read.segments.iter().map(|piece| (piece.address, piece.bytes.to_vec()));
    (pieces.collect(), read.facts)
}

/// Why a bad file is refused.
fn refused(what: &str, format: ImageFormat, file: &[u8]) -> ImageError {
    match read(format, file) {
        Ok(_) => panic!("{what}: was read"),
        Err(error) => error,
    }
}

/// Asserts that a file is refused in these words, which name the line or the offset.
fn check_refused(what: &str, format: ImageFormat, file: &[u8], words: &str) {
    let error = refused(what, format, file).to_string();
    assert!(error.contains(words), "{what}: {error:?} does not say {words:?}");
}

/// Packs one image for the demo recipe, which is for an nRF52832.
fn pack_image(format: ImageFormat, file: Vec<u8>) -> Result<release::Packed, PackError> {
    let mut pack = pack_of("demo-lamp", "1.0.0", Vec::new());
    pack.images[0].format = format;
    pack.images[0].file = Zeroizing::new(file);
    pack.pack(&mut Numbered::default())
}

/// Packs one image for a chip of the table.
fn pack_for(
    family: &str,
    chip: &str,
    format: ImageFormat,
    file: Vec<u8>,
) -> Result<release::Packed, PackError> {
    let mut pack = pack_of("demo-lamp", "1.0.0", Vec::new());
    pack.recipe = toml::from_str(&format!(
        "family = \"{family}\"\nchip = \"{chip}\"\nchannels = [\"production\"]"
    ))
    .unwrap();
    pack.images[0].format = format;
    pack.images[0].file = Zeroizing::new(file);
    pack.pack(&mut Numbered::default())
}

/// Asserts that an image is not packed, in these words.
fn check_unpackable(what: &str, format: ImageFormat, file: Vec<u8>, words: &str) {
    match pack_image(format, file) {
        Err(PackError::Image { source, .. }) => {
            let source = source.to_string();
            assert!(source.contains(words), "{what}: {source:?} does not say {words:?}");
        }
        Err(other) => panic!("{what}: {other:?}"),
        Ok(_) => panic!("{what}: was packed"),
    }
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
            Err(ImageError::OutOfRange { address, .. }) => assert_eq!(address, outside),
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[test]
fn an_unknown_chip_needs_a_memory_map() {
    let mut pack = pack_of("demo-lamp", "1.0.0", firmware(8));
    pack.recipe.chips[0].chip = label("Z80");
    assert!(matches!(pack.pack(&mut Numbered::default()), Err(PackError::UnknownChip { .. })));
}

#[test]
fn two_images_that_claim_one_address_are_named() {
    let mut pack = pack_of("demo-lamp", "1.0.0", firmware(16));
    let (format, file) = (ImageFormat::Raw { address: 15 }, Zeroizing::new(vec![1]));
    pack.images.push(ImageFile { name: name("config"), chip: None, format, file });
    let refused = pack.pack(&mut Numbered::default()).err().map(|error| error.to_string());
    let words = "packing the images app and config: both claim the address 0x0000000f";
    assert_eq!(refused.as_deref(), Some(words));
}

#[test]
fn the_summary_shows_the_format_the_entry_the_headers_and_the_gaps() {
    let mut app = firmware(64);
    app.resize(1024, 0xFF);
    app.extend(writers::mcuboot(0, &firmware(100), &[(0x50, vec![1, 0, 0, 0])]));
    let segments = [(0u32, app), (0x8000, firmware(16))]
        .map(|(physical, bytes)| writers::ElfSegment { kind: writers::PT_LOAD, physical, bytes });
    let file = writers::elf(writers::ARM, 0x101, &segments);
    let packed = pack_image(ImageFormat::Elf, file).unwrap();
    let text = Summary::of(&packed.manifest, Digest::of(&packed.manifest_bytes)).to_string();
    for line in [
        "  format   elf\n",
        "  entry    0x00000101\n",
        "  says     for Arm\n",
        "  mcuboot  1.2.3+4 at 0x00000400, header 32 + code 100 bytes, flags 0x0, hash good; \
         security counter (4 bytes, protected), SHA-256 (32 bytes), key hash (32 bytes), \
         Ed25519 signature (64 bytes)\n",
        "  gap      0x00000520..0x00008000 31456 bytes\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    // The facts travel in the signed manifest.
    let read = release::Manifest::from_bytes(&packed.manifest_bytes).unwrap();
    assert_eq!(read.images[0].facts.as_ref().unwrap().entry_points, [0x101]);
}

#[test]
fn what_a_manifest_says_of_an_image_is_short_and_printable() {
    let spoils: [(&str, fn(&mut Facts)); 5] = [
        ("too many remarks", |facts| facts.remarks = vec!["x".to_owned(); 65]),
        ("a long remark", |facts| facts.remarks = vec!["x".repeat(257)]),
        ("two lines in one", |facts| facts.remarks = vec!["a\nb".to_owned()]),
        ("too many entry points", |facts| facts.entry_points = vec![0; 5]),
        ("an entry point beyond all addresses", |facts| facts.entry_points = vec![u64::MAX]),
    ];
    let file = writers::hex_record(0, 0, &[1]) + writers::HEX_END;
    let manifest = pack_image(ImageFormat::IntelHex, file.into_bytes()).unwrap().manifest;
    for (what, spoil) in spoils {
        let mut manifest = manifest.clone();
        assert!(manifest.check().is_ok());
        spoil(manifest.images[0].facts.as_mut().unwrap());
        assert!(manifest.check().is_err(), "{what}");
    }
}
