//! The seed corpus of the fuzz targets, made here and replayed here, on the stable compiler.
//!
//! A file that the fuzzer found is put beside the seeds in `fuzz/corpus/<target>/`; it is replayed
//! from then on. `FLASHLINE_WRITE_SEEDS=1` writes the seeds when a format has changed.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use crate::world::*;

#[path = "../../fuzz/judge.rs"]
mod judge;

/// The fuzz targets.
const TARGETS: [&str; 3] = ["block", "certificate", "csv"];

const CSV: &str = "batch;id;key;certificate\n\
    b1;lamp-1;0011;AAE=\n\
    b1;lamp-2;\"22AA\";AAI=\r\n\
    \"b1\";lamp-3;33bb;AAMA\n";

/// `(path in the corpus, bytes)`.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let world = world();
    let other_heading = "\u{FEFF}key;certificate;id;batch\n0011;AAE=;lamp-1;b1";
    vec![
        ("product-key", world.product_key.public().to_vec()),
        ("mac-secret", mac_secret().as_bytes().to_vec()),
        ("block/ed25519", world.block().to_vec()),
        ("block/stored", world.stored_block().to_vec()),
        ("block/hmac-sha256", mac_block().to_vec()),
        ("block/pool", world.pool_block().to_vec()),
        ("block/receipt", world.receipt().to_vec()),
        ("certificate/good", world.certificate().as_bytes().to_vec()),
        ("csv/three-rows", CSV.into()),
        ("csv/other-order", other_heading.into()),
        ("csv/twice", "batch;id;key;certificate\nb1;aa;00ff;AAE=\nb1;bb;00FF;AAI=\n".into()),
        ("csv/stray-quote", "batch;id;key;certificate\nb1;a\"a;00ff;AAE=\n".into()),
    ]
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a developer's seeds, not a product's data")]
fn the_seeds_in_the_corpus_are_these() {
    let write = std::env::var_os("FLASHLINE_WRITE_SEEDS").is_some();
    for (name, bytes) in seeds() {
        let path = corpus().join(name);
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let there = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(there == bytes, "{}: see this file's head", path.display());
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
        let file = corpus().with_file_name(format!("fuzz_targets/{target}.rs"));
        assert!(fs::read_to_string(&file).unwrap().contains(&format!("judge(\"{target}\"")));
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}
