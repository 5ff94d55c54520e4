//! The seeds of the fuzz targets, replayed on the stable compiler with cuts and changed bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::PathBuf;

use flash::dfu::{DfuFile, Function, MemoryMap};
use flash::esp::frame::{Answer, Receiver};
use flash::uart::frame::{Abilities, Command, product_id};

#[path = "../fuzz/judge.rs"]
mod judge;

/// The fuzz targets, as they are named in `fuzz/Cargo.toml`.
const TARGETS: [&str; 5] =
    ["memory-map", "usb-descriptors", "dfu-file", "an3155-answers", "esp-answers"];

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
fn the_seeds_of_serial_loaders_are_what_their_names_say() {
    let an3155 = |name: &str| fs::read(corpus().join("an3155-answers").join(name)).unwrap();
    let erases = |name: &str| {
        let abilities = Abilities::parse(&an3155(name)).unwrap();
        (abilities.has(Command::Erase), abilities.has(Command::ExtendedErase))
    };
    assert_eq!((erases("get-f103"), erases("get-f303")), ((true, false), (false, true)));
    assert_eq!(erases("both-erases"), (true, true));
    assert_eq!(erases("version-alone"), (false, false));
    assert_eq!(product_id(&an3155("id-f103")), Some(0x410));
    assert_eq!(product_id(&an3155("id-of-three-bytes")), None);

    let answers = |name: &str| {
        let mut receiver = Receiver::default();
        let bytes = fs::read(corpus().join("esp-answers").join(name)).unwrap();
        let packets = bytes.iter().filter_map(|byte| receiver.take(*byte));
        packets.filter_map(|packet| Answer::parse(&packet)).collect::<Vec<_>>()
    };
    let check = |name: &str, count: usize, holds: fn(&Answer) -> bool| {
        let answers = answers(name);
        assert_eq!(answers.len(), count, "{name}");
        assert!(answers.iter().all(holds), "{name}: {answers:?}");
    };
    check("register", 1, |answer| answer.value == 0x1B31_506F);
    check("register-with-escapes", 1, |answer| answer.value == 0xC0DB_DCDD);
    check("sync-eight-times", 8, |answer| answer.command == 0x08);
    check("digest", 1, |answer| answer.md5().is_some());
    check("digest-in-capitals", 1, |answer| answer.md5().is_some());
    check("digest-of-33-digits", 1, |answer| answer.md5().is_none());
    check("security-info", 1, |answer| answer.security() == Some((5, false)));
    check("security-info-s2", 1, |answer| answer.security().is_none());
    check("refused", 1, |answer| answer.error == Some(8));
    check("read-64", 1, |answer| answer.data.len() == 64);
    check("broken-escape", 1, |answer| answer.value == 1);
    check("status-of-two-bytes", 0, |_| false);
    check("too-long", 1, |answer| answer.value == 1);
    check("banner-then-answer", 1, |answer| answer.value == 1);
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
