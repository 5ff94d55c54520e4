//! The committed program for the chip's RAM is what its source gives.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSection, ObjectSymbol};

/// The compiler that builds this test also assembles for ARMv6-M; no library of that target is
/// needed. The object file.
fn assembled(targets: &Path, name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("assembled.o");
    let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["--edition", "2024", "--target", "thumbv6m-none-eabi", "--crate-type", "lib"])
        .args(["--emit", "obj", "-C", "panic=abort"])
        .arg(format!("{name}.rs"))
        .arg("-o")
        .arg(&object)
        .current_dir(targets)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let bytes = std::fs::read(&object).unwrap();
    let object = object::File::parse(bytes.as_slice()).unwrap();
    let code = object.section_by_name(".text").unwrap().data().unwrap();
    let committed = std::fs::read(targets.join(format!("{name}.bin"))).unwrap();
    assert_eq!(hex::encode(code), hex::encode(committed), "{name}");
    bytes
}

#[test]
fn the_program_for_the_chips_ram_is_what_its_committed_source_gives() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
    let bytes = assembled(&targets, "resident");
    let object = object::File::parse(bytes.as_slice()).unwrap();
    let at = |name| object.symbols().find(|s| s.name() == Ok(name)).unwrap().address();
    // As `src/probe/resident.rs` has them.
    assert_eq!((at("serve"), at("checksum")), (0, 0x30));
}

#[test]
fn the_boot_rom_of_the_simulated_rp2040_is_what_its_committed_source_gives() {
    let rom = Path::new(env!("CARGO_MANIFEST_DIR")).join("../simulators/rom");
    assembled(&rom, "rom");
    assembled(&rom, "boot2");
}
