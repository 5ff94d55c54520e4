//! Real firmware, where the corpus is: the smallest public pairs come back, and stay small.

#![allow(clippy::print_stdout, reason = "says why it was skipped, and the sizes")]

use delta::apply::apply;
use delta::make::{Wish, make};
use delta::{Digest, Isa};
use std::path::{Path, PathBuf};

/// Where the pairs are; absent outside the workplace and its CI.
fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/delta");
    if folder.exists() {
        return Some(folder);
    }
    let in_ci = std::env::var_os("CI").is_some();
    assert!(!in_ci, "{} must be there in CI", folder.display());
    println!("skipped: no {}", folder.display());
    None
}

fn check(folder: &Path, pair: &str, isa: Isa, bytes_max: usize) {
    let read = |name: &str| std::fs::read(folder.join(pair).join(name)).expect("an image");
    let (old, new) = (read("old.bin"), read("new.bin"));
    let made = make(&old, &new, &Wish { isa: Some(isa), ..Wish::default() }, &mut |_, _| {})
        .expect("short");
    assert_eq!(Digest::of(&apply(&old, &made.patch).expect("good")), Digest::of(&new), "{pair}");
    println!("{pair}: {} bytes", made.patch.len());
    assert!(made.patch.len() <= bytes_max, "{pair}: {} bytes", made.patch.len());
}

#[test]
fn the_smallest_public_pairs_come_back_and_stay_small() {
    let Some(folder) = corpus() else { return };
    check(&folder, "atreus-20240306-0307", Isa::Avr, 440);
    check(&folder, "thb2-v18-v19", Isa::Thumb, 165);
}
