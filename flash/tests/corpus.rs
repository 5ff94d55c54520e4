//! The seeds of the fuzz targets, replayed on the stable compiler with cuts and changed bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::PathBuf;

use flash::dfu::{DfuFile, Function, MemoryMap};

#[path = "../fuzz/judge.rs"]
mod judge;

/// The fuzz targets, as they are named in `fuzz/Cargo.toml`.
const TARGETS: [&str; 3] = ["memory-map", "usb-descriptors", "dfu-file"];

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
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
            for at in 0..bytes.len() {
                judge::judge(target, &bytes[..at]);
                let mut changed = bytes.clone();
                for flip in [0x01, 0x02, 0x10, 0x80, 0xFF] {
                    changed[at] = bytes[at] ^ flip;
                    judge::judge(target, &changed);
                }
                let mut longer = bytes.clone();
                longer.insert(at, bytes[at]);
                judge::judge(target, &longer);
            }
            files += 1;
        }
        assert!(files > 0, "{target} has no seeds");
    }
}

#[test]
fn the_seeds_are_what_their_names_say() {
    let read = |name: &str| fs::read(corpus().join(name)).unwrap();
    let map = |name: &str| {
        MemoryMap::read(&String::from_utf8(read(&format!("memory-map/{name}"))).unwrap())
    };
    for good in ["stm32f405", "stm32l476", "two-segments", "two-segments-comma", "last-byte"] {
        assert!(map(good).is_ok(), "{good}: {:?}", map(good));
    }
    for bad in ["empty", "too-far", "over-each-other"] {
        assert!(map(bad).is_err(), "{bad}");
    }
    let function = |name: &str| Function::read(&read(&format!("usb-descriptors/{name}")));
    for good in ["stm32-loader", "composite-run-time", "hid-first", "short-functional"] {
        assert!(function(good).is_ok(), "{good}: {:?}", function(good));
    }
    for bad in ["no-transfer-size", "length-zero"] {
        assert!(function(bad).is_err(), "{bad}");
    }
    for good in ["plain", "dfuse", "dfuse-two-targets", "empty-image"] {
        let bytes = read(&format!("dfu-file/{good}"));
        assert!(DfuFile::read(&bytes).is_ok(), "{good}: {:?}", DfuFile::read(&bytes));
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
