//! What every reader of bytes from outside must keep, whatever the file: shared by the fuzz targets
//! and by their replay in the room's tests.

use release::image::{detect, read};
use release::lease::{show_lease, without_keys};
use release::limits::{IMAGE_BYTES_MAX, INTEGER_MAX, SEGMENTS_MAX};
use release::{Digest, ImageFormat, Manifest, Summary};

/// Where raw bytes and ESP images are put.
const ADDRESS: u64 = 0x1_0000;

/// Reads a file in the format of a fuzz target's name; panics when a promise is broken.
pub(crate) fn judge(target: &str, file: &[u8]) {
    match target {
        "manifest" => return judge_manifest(file),
        "lease" => return judge_lease(file),
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

fn judge_manifest(file: &[u8]) {
    match Manifest::from_bytes(file) {
        Ok(manifest) => {
            let summary = Summary::of(&manifest, Digest::of(file)).to_string();
            assert!(summary.lines().all(|line| !line.chars().any(char::is_control)));
            for channel in &manifest.recipe.channels {
                let chunks = manifest.chunks(*channel);
                let plain: u64 = chunks.iter().map(|chunk| chunk.bytes as u64 - 16).sum();
                assert_eq!(plain, manifest.images.iter().map(|image| image.bytes).sum::<u64>());
            }
            for image in &manifest.images {
                assert!(manifest.place_of(image).is_some(), "an image without a chip");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn judge_lease(file: &[u8]) {
    match show_lease(file) {
        Ok(terms) => {
            // One spelling: written again without a change it is the same.
            assert_eq!(without_keys(file, |_| false).ok().as_deref(), Some(file));
            let erased = without_keys(file, |_| true).expect("a lease without its keys");
            let rest = show_lease(&erased).expect("a lease without its keys reads");
            assert_eq!(rest.version, terms.version);
            assert!(rest.releases.iter().all(|leased| leased.wrapped_key.is_none()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
