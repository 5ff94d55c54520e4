//! The seed corpus of the fuzz targets, made here and replayed here, on the stable compiler.
//!
//! A file that the fuzzer found is put beside the seeds in `fuzz/corpus/<target>/`; it is replayed
//! from then on. `FLASHLINE_WRITE_SEEDS=1` writes the seeds when a form has changed.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use ring::signature::Ed25519KeyPair;
use sync::stick::{Address, ListedFile, ParcelList, Seal, Way, seal};
use zeroize::Zeroizing;

#[path = "../../fuzz/judge.rs"]
mod judge;

const TARGETS: [&str; 2] = ["letter", "list"];

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let sender = Ed25519KeyPair::from_seed_unchecked(&judge::SENDER_SEED).unwrap();
    let address = Address::new(judge::TENANT, judge::STATION, Way::Up).unwrap();
    let letter = |name: &str, plain: &[u8]| {
        let seed = Zeroizing::new([5; 32]);
        let receiver = &judge::RECEIVER_PUBLIC;
        let (address, sender, number) = (&address, &sender, judge::NUMBER);
        seal(Seal { address, number, name, receiver, sender, seed }, plain).unwrap()
    };
    let mut list = ParcelList::new(&address, judge::NUMBER, 5, &[1; 32]);
    let empty = list.sign(&sender).unwrap();
    let name = "00".repeat(32);
    list.letters.push(ListedFile { name: "request".into(), bytes: 9, sha256: name.clone() });
    list.chunks.push(ListedFile { name: name.clone(), bytes: 9, sha256: name });
    vec![
        ("letter", "short", letter("request", b"{}")),
        ("letter", "repetitive", letter("journal/1/0", &[b'r'; 3_000])),
        ("list", "empty", empty),
        ("list", "letter-and-chunk", list.sign(&sender).unwrap()),
    ]
}

#[test]
fn the_seeds_in_the_corpus_are_these() {
    let write = std::env::var_os("FLASHLINE_WRITE_SEEDS").is_some();
    for (target, name, bytes) in seeds() {
        let path = corpus().join(target).join(name);
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        }
        let there = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(there == bytes, "{}: see this file's head", path.display());
        assert!(judge::judge(target, &bytes), "{target}/{name} is good");
    }
}

#[test]
fn every_file_of_the_corpus_keeps_the_promises_whole_cut_and_changed() {
    for target in TARGETS {
        let mut files = 0;
        for file in fs::read_dir(corpus().join(target)).unwrap() {
            let path = file.unwrap().path();
            // Printed only on failure: which file it was.
            println!("{}", path.display());
            let bytes = fs::read(&path).unwrap();
            judge::judge(target, &bytes);
            for at in 0..bytes.len() {
                assert!(!judge::judge(target, &bytes[..at]), "cut at {at}");
                let mut changed = bytes.clone();
                for flip in [0x01, 0x80, 0xFF] {
                    changed[at] = bytes[at] ^ flip;
                    assert!(!judge::judge(target, &changed), "{flip:#x} at {at}");
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
        let file = format!("fuzz_targets/{target}.rs");
        let body = fs::read_to_string(corpus().with_file_name(&file)).unwrap();
        assert!(body.contains(&format!("judge(\"{target}\"")), "{file}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}
