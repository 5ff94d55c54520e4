//! What every image reader must keep, whatever the file: shared by the fuzz targets and by their
//! replay in the room's tests.

use release::ImageFormat;
use release::image::{detect, read};
use release::limits::{IMAGE_BYTES_MAX, INTEGER_MAX, SEGMENTS_MAX};

/// Where raw bytes and ESP images are put.
const ADDRESS: u64 = 0x1_0000;

/// Reads a file in the format of a fuzz target's name; panics when a promise is broken.
pub(crate) fn judge(target: &str, file: &[u8]) {
    match target {
        "intel-hex" => judge_as(ImageFormat::IntelHex, file),
        "srec" => judge_as(ImageFormat::Srec, file),
        "elf" => judge_as(ImageFormat::Elf, file),
        "uf2" => judge_as(ImageFormat::Uf2, file),
        // Raw bytes hold MCUboot images.
        "raw" => judge_as(ImageFormat::Raw { address: ADDRESS }, file),
        "esp" => judge_as(ImageFormat::Esp { address: ADDRESS }, file),
        "dfu" => {
            judge_as(ImageFormat::Dfu { address: None }, file);
            judge_as(ImageFormat::Dfu { address: Some(ADDRESS) }, file);
        }
        other => panic!("no such target: {other}"),
    }
    let _ = detect(file);
}

fn judge_as(format: ImageFormat, file: &[u8]) {
    match read(format, file) {
        Ok(read) => {
            let pieces = &read.segments;
            assert!((1..=SEGMENTS_MAX).contains(&pieces.len()));
            assert!(pieces.iter().all(|piece| !piece.bytes.is_empty()));
            // Pieces that touch would have been merged.
            assert!(pieces.windows(2).all(|pair| pair[0].end() < pair[1].address));
            assert!(pieces.iter().all(|piece| piece.end() <= INTEGER_MAX));
            let bytes: u64 = pieces.iter().map(|piece| piece.bytes.len() as u64).sum();
            assert!(bytes <= IMAGE_BYTES_MAX);
            assert!(read.facts.to_string().lines().all(|line| !line.chars().any(char::is_control)));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
