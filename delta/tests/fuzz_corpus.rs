//! The fuzz targets' seeds, replayed with cuts and changed bytes on the stable compiler.
//!
//! `DELTA_SEEDS=write` writes the seeds anew from what the maker makes.

#![allow(clippy::print_stdout, reason = "says what was written")]

mod images;
#[path = "../fuzz/judge.rs"]
mod judge;
mod nor;

use delta::make::{Pages, Wish, make};
use delta::{Body, Header, Isa};
use images::{Dice, edited, firmware};
use std::path::{Path, PathBuf};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// A patch as input of `apply` and `in-place`, and as it is for `info`.
fn seed(name: &str, isa: Isa, old_len: usize, in_place: bool) -> (Vec<u8>, Vec<u8>) {
    let mut dice = Dice::new(name.bytes().map(u64::from).sum());
    let old = firmware(&mut dice, old_len);
    let new = match name {
        "stored" => dice.bytes(300, 256),
        "empty" => Vec::new(),
        _ => edited(&mut dice, &old),
    };
    let in_place = in_place.then_some(Pages { page_bytes: 256, ring_pages: 2, spare_pages: 0 });
    let wish = Wish { isa: Some(isa), in_place, ..Wish::default() };
    let made = make(&old, &new, &wish, &mut |_, _| {}).expect("short");
    let (header, body_at) = Header::parse(&made.patch).expect("a header");
    let (kind, base, entries) = match header.body {
        Body::Stored => (0x80, 0, 0),
        Body::Coded { isa, base, map_entries } => {
            let with_base = if base.is_some() { 0x40 } else { 0 };
            (isa.number() | with_base, (base.unwrap_or(0) >> 20) as u8, map_entries as u8)
        }
    };
    let ([a, b], [c, d]) = ((old.len() as u16).to_le_bytes(), (new.len() as u16).to_le_bytes());
    let shape = [kind, entries, a, b, c, d, base, 1, 40, 0];
    assert_eq!(shape.len(), judge::SHAPE_BYTES);
    let input = [&shape[..], &old, &made.patch[body_at..]].concat();
    (input, made.patch)
}

#[test]
fn there_is_a_seed_for_every_kind_of_patch() {
    let write = std::env::var("DELTA_SEEDS").is_ok_and(|what| what == "write");
    let check = |target: &str, name: &str, bytes: &[u8]| {
        let path = folder(target).join(name);
        if write {
            let mut file = std::fs::File::create(&path).expect("the corpus can be written");
            std::io::Write::write_all(&mut file, bytes).expect("room on the disk");
            println!("wrote {}", path.display());
        }
        let seed = std::fs::read(&path).expect("a seed");
        // The maker may have learnt since; the kind of patch is the same.
        let kind = if target == "info" { 3 } else { 0 };
        assert_eq!(seed[kind] & 0x8F, bytes[kind] & 0x8F, "{}", path.display());
    };
    for (name, isa, old_len) in [
        ("none", Isa::None, 500),
        ("thumb", Isa::Thumb, 700),
        ("avr", Isa::Avr, 700),
        ("riscv", Isa::RiscV, 700),
        ("tc32", Isa::Tc32, 600),
        ("xtensa", Isa::Xtensa, 700),
        ("stored", Isa::None, 100),
        ("empty", Isa::None, 100),
    ] {
        let (input, patch) = seed(name, isa, old_len, false);
        check("apply", name, &input);
        check("info", name, &patch);
        let (input, patch) = seed(name, isa, old_len, true);
        check("in-place", name, &input);
        check("info", &format!("{name}-in-place"), &patch);
    }
}

#[test]
fn every_seed_cut_and_changed_keeps_the_promises() {
    let mut judged = 0;
    for target in ["apply", "info", "in-place"] {
        let mut seeds: Vec<PathBuf> = std::fs::read_dir(folder(target))
            .expect("the corpus")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        seeds.sort();
        for path in seeds {
            println!("{}", path.display());
            let seed = std::fs::read(&path).expect("a seed");
            judge::judge(target, &seed);
            let mut dice = Dice::new(seed.len() as u64);
            for _ in 0..12 {
                let mut changed = seed.clone();
                changed.truncate(1 + dice.roll(seed.len()));
                judge::judge(target, &changed);
                let mut changed = seed.clone();
                for _ in 0..=dice.roll(4) {
                    let at = dice.roll(changed.len());
                    changed[at] = dice.roll(256) as u8;
                }
                judge::judge(target, &changed);
                judged += 2;
            }
        }
    }
    println!("{judged} inputs");
    assert!(judged > 500);
}
