//! The seed corpus of the fuzz targets, made here and replayed here, on the stable compiler.
//!
//! A file that the fuzzer found is put beside the seeds in `fuzz/corpus/<target>/`; it is replayed
//! from then on. `FLASHLINE_WRITE_SEEDS=1` writes the seeds when a writer has changed.

use crate::world::*;
use audit::{Tree, write_export, write_partial_export};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

#[path = "../../fuzz/judge.rs"]
mod judge;

const TARGETS: [&str; 3] = ["checkpoint", "record", "export"];

fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let all = records(5);
    let head = head_of(&all);
    let cosigned = head.cosign(HUB, &hub_key(), 1_795_176_060).unwrap();
    let (mut whole, mut part) = (Vec::new(), Vec::new());
    write_export(&mut whole, &head, &all).unwrap();
    let tree = Tree::from_leaf_hashes(leaves_of(&all));
    let some = [(1, &all[1]), (4, &all[4])];
    write_partial_export(&mut part, &cosigned, &tree, 5, some).unwrap();
    let unknown =
        br#"{"at_ms":-1,"epoch":3,"event":"teleported","seq":9,"v":1,"where":["m\u0001",{"x":-1}]}"#;
    vec![
        ("checkpoint", "signed", head.as_str().as_bytes().to_vec()),
        ("checkpoint", "cosigned", cosigned.as_str().as_bytes().to_vec()),
        ("record", "contact", all[0].clone()),
        ("record", "identified", all[1].clone()),
        ("record", "unknown-event", unknown.to_vec()),
        ("export", "complete", whole),
        ("export", "partial", part),
    ]
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

#[test]
fn the_seeds_in_the_corpus_are_these() {
    let write = std::env::var_os("FLASHLINE_WRITE_SEEDS").is_some();
    for (target, name, bytes) in seeds() {
        let path = corpus().join(target).join(name);
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(&path).and_then(|mut file| file.write_all(&bytes)).unwrap();
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
        let body = corpus().with_file_name(format!("fuzz_targets/{target}.rs"));
        let body = fs::read_to_string(body).unwrap();
        assert!(body.contains(&format!("judge(\"{target}\"")), "{target}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}
