//! The seed corpus of the fuzz targets, made here and replayed here, on the stable compiler.
//!
//! A file that the fuzzer found is put beside the seeds in `fuzz/corpus/<target>/`; it is replayed
//! from then on. `FLASHLINE_WRITE_SEEDS=1` writes the seeds when a writer has changed.

use std::fs;
use std::path::PathBuf;

use release::folder::{Readers, replace_file};
use release::lease::without_keys;

use super::writers::*;
use crate::workbench::{Numbered, Shelf, firmware, packed_manifest};

#[path = "../../../fuzz/judge.rs"]
mod judge;

/// The fuzz targets: each is named like its format, or like its document.
const TARGETS: [&str; 9] =
    ["intel-hex", "srec", "elf", "uf2", "raw", "esp", "dfu", "manifest", "lease"];

/// A small file to begin from.
pub(super) struct Seed {
    pub(super) target: &'static str,
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// The seeds: each format's good files, small, with every kind of record.
pub(super) fn seeds() -> Vec<Seed> {
    let hex = [
        hex_record(4, 0, &[0x10, 0]),
        hex_record(0, 0x10, &[1, 2, 3]),
        hex_record(2, 0, &[0x10, 0]),
        hex_record(0, 0, &[4]),
        hex_record(3, 0, &[0, 0, 1, 0]),
        hex_record(5, 0, &[0, 0, 1, 1]),
        HEX_END.to_owned(),
    ];
    let srec = [
        srec_record(0, 0, b"seed"),
        srec_record(1, 0, &[1, 2]),
        srec_record(2, 0x1_0000, &[3]),
        srec_record(3, 0x100_0000, &[4]),
        srec_record(5, 3, &[]),
        srec_record(7, 1, &[]),
    ];
    let code = ElfSegment { kind: PT_LOAD, physical: 0x800_0000, bytes: vec![1, 2, 3, 4] };
    let data = ElfSegment { kind: PT_LOAD, physical: 0x800_0010, bytes: vec![5] };
    let target = DfuTarget {
        alternate: 0,
        name: "Internal Flash",
        elements: vec![(0x800_0000, vec![1, 2, 3]), (0x800_1000, vec![4])],
    };
    let mcuboot_image = mcuboot(0, &firmware(20), &[(0x50, vec![1, 0, 0, 0])]);
    let two_chips = crate::chips::lamp_with_radio().pack(&mut Numbered::default()).unwrap();
    let lease = Shelf::good().lease;
    let seed = |target, name, bytes| Seed { target, name, bytes };
    vec![
        seed("intel-hex", "every-kind", hex.concat().into_bytes()),
        seed("srec", "every-kind", srec.concat().into_bytes()),
        seed("elf", "two-segments", elf(ARM, 0x101, &[code, data])),
        seed("uf2", "two-blocks", uf2(&uf2_blocks(UF2_NRF52, 0x1000, &firmware(260)))),
        seed("raw", "mcuboot", mcuboot_image),
        seed("esp", "hashed", esp(5, 1, &[(0x4200_0000, firmware(20))], true)),
        seed("esp", "not-hashed", esp(0, 1, &[(0, vec![1]), (8, vec![2])], false)),
        seed("dfu", "dfuse", dfuse(&[target])),
        seed("dfu", "plain", dfu(0x0110, &firmware(9))),
        seed("manifest", "one-chip", packed_manifest().to_vec()),
        seed("manifest", "two-chips", two_chips.manifest_bytes),
        seed("lease", "whole", lease.clone()),
        seed("lease", "erased", without_keys(&lease, |_| true).unwrap()),
    ]
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

#[test]
fn the_seeds_in_the_corpus_are_these() {
    let write = std::env::var_os("FLASHLINE_WRITE_SEEDS").is_some();
    for seed in seeds() {
        let path = corpus().join(seed.target).join(seed.name);
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            replace_file(&path, &seed.bytes, Readers::Everybody).unwrap();
        }
        let there = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(there == seed.bytes, "{}: see this file's head", path.display());
    }
}

#[test]
fn every_file_of_the_corpus_keeps_the_readers_promises() {
    for target in TARGETS {
        let mut files = 0;
        for file in fs::read_dir(corpus().join(target)).unwrap() {
            let path = file.unwrap().path();
            // Printed only on failure: which file it was.
            println!("{}", path.display());
            let bytes = fs::read(&path).unwrap();
            judge::judge(target, &bytes);
            // And every file that a cut, or one changed byte, makes of it.
            for at in 0..bytes.len() {
                judge::judge(target, &bytes[..at]);
                let mut changed = bytes.clone();
                for flip in [0x01, 0x80, 0xFF] {
                    changed[at] = bytes[at] ^ flip;
                    judge::judge(target, &changed);
                }
            }
            files += 1;
        }
        assert!(files > 0, "{target} has no seeds");
    }
}

#[test]
fn every_target_is_one_of_the_fuzz_package() {
    let manifest = fs::read_to_string(corpus().with_file_name("Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
        let file = format!("fuzz_targets/{}.rs", target.replace('-', "_"));
        let body = fs::read_to_string(corpus().with_file_name(&file)).unwrap();
        assert!(body.contains(&format!("judge(\"{target}\"")), "{file}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}
