#![no_main]

#[path = "../judge.rs"]
mod judge;
#[path = "../../tests/nor/mod.rs"]
mod nor;

libfuzzer_sys::fuzz_target!(|input: &[u8]| judge::judge("in-place", input));
