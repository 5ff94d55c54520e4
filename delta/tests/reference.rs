//! `FORMAT.md` is enough: a decoder written from it alone, in Python, agrees byte for byte; and its
//! worked example is real.

mod images;

use delta::apply::apply;
use delta::make::{Pages, Wish, make};
use delta::{Body, Isa};
use images::{Dice, edited, firmware};
use std::path::Path;
use std::process::Command;

/// Runs the reference decoder; `None` if it refuses, with what it said.
fn decoded(old: &[u8], patch: &[u8]) -> Result<Vec<u8>, String> {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder for the images");
    let path = |name: &str| folder.path().join(name);
    for (name, bytes) in [("old", old), ("patch", patch)] {
        let mut file = std::fs::File::create(path(name)).expect("a new file");
        std::io::Write::write_all(&mut file, bytes).expect("room on the disk");
    }
    let ran = Command::new("python3")
        .arg(room.join("tests/reference_decoder.py"))
        .arg(room.join("src/prior.rs"))
        .args([path("old"), path("patch"), path("new")])
        .output()
        .expect("python3 is installed");
    if ran.status.success() {
        Ok(std::fs::read(path("new")).expect("the decoder wrote it"))
    } else {
        Err(String::from_utf8_lossy(&ran.stderr).into_owned())
    }
}

#[test]
fn a_decoder_written_from_the_format_page_alone_agrees() {
    for (seed, isa) in (100..).zip(Isa::ALL.into_iter().cycle().take(12)) {
        println!("seed {seed} {isa:?}");
        let mut dice = Dice::new(seed);
        let old = firmware(&mut dice, 3000);
        let new = edited(&mut dice, &old);
        // Every third one for updating in place.
        let pages = Pages { page_bytes: 512, ring_pages: 2, spare_pages: 0 };
        let in_place = (seed % 3 == 0).then_some(pages);
        let wish = Wish { isa: Some(isa), in_place, ..Wish::default() };
        let made = make(&old, &new, &wish, &mut |_, _| {}).expect("short");
        assert_eq!(decoded(&old, &made.patch), Ok(new));
    }
}

#[test]
fn a_decoder_written_from_the_format_page_alone_refuses_what_is_damaged() {
    let mut dice = Dice::new(7);
    let old = firmware(&mut dice, 800);
    let new = edited(&mut dice, &old);
    let made = make(&old, &new, &Wish::default(), &mut |_, _| {}).expect("short");
    let (patch, len) = (&made.patch, made.patch.len());
    let longer = [patch, &b"more than it needs"[..]].concat();
    for bad in [&patch[..len - 5], &longer] {
        let refusal = decoded(&old, bad).expect_err("must be refused");
        assert!(refusal.starts_with("refused"), "{refusal}");
    }
    assert!(decoded(&new, patch).is_err(), "another old image");
}

/// Bytes of the lines between a heading and the end of the next code block of `FORMAT.md`.
fn example(name: &str) -> Vec<u8> {
    let page = include_str!("../FORMAT.md");
    let (_, block) = page.split_once(&format!("{name}:\n\n```text\n")).expect("the example");
    let (block, _) = block.split_once("```").expect("its end");
    let hex: Vec<char> = block
        .lines()
        .flat_map(|line| line.split("  ").next().unwrap_or("").chars())
        .filter(char::is_ascii_hexdigit)
        .collect();
    hex.chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex"))
        .collect()
}

#[test]
fn the_worked_example_is_what_the_maker_makes() {
    let (old, new, patch) = (example("Old image"), example("New image"), example("Patch"));
    assert_eq!(apply(&old, &patch).as_deref(), Ok(&new[..]));
    let made = make(&old, &new, &Wish { isa: Some(Isa::Thumb), ..Wish::default() }, &mut |_, _| {})
        .expect("short");
    assert_eq!(made.patch, patch, "made: {:02x?}", made.patch);
    assert!(matches!(made.header.body, Body::Coded { isa: Isa::Thumb, base: None, .. }));
}
