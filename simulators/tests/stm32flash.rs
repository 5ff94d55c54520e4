//! Debian's `stm32flash`, which other people wrote, against `rom-loader`: it shows that the model
//! speaks the protocol and not only what our own station expects.
//!
//! Needs the Debian package `stm32flash`. It checks that the terminal took its settings, and a
//! pseudo-terminal has no parity: hence `-m 8n1`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests")]

mod loader;

use std::process::Command;

use loader::{Loader, image};

fn start(chip: &str) -> Loader {
    Loader::start(&["--uid", "0123456789ABCDEF01234567", "--chip", chip])
}

/// Runs the tool; whether it was content, and all it said.
fn tool(loader: &Loader, arguments: &[&str]) -> (bool, String) {
    let out = Command::new("stm32flash")
        .args(["-b", "115200", "-m", "8n1"])
        .args(arguments)
        .arg(&loader.tty)
        .output()
        .unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn it_writes_verifies_and_reads_every_chip() {
    // The G0 is younger than the tool.
    for (chip, device) in [
        ("stm32f103", "0x0410"),
        ("stm32f303", "0x0422"),
        ("stm32f072", "0x0448"),
        ("stm32f405", "0x0413"),
        ("stm32l476", "0x0415"),
        ("stm32l053", "0x0417"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (written, read) = (folder.path().join("image.bin"), folder.path().join("read.bin"));
        let bytes = image(&written, 5000);
        let loader = start(chip);
        let (fine, text) = tool(&loader, &["-w", written.to_str().unwrap(), "-v"]);
        assert!(fine && text.contains(device), "{chip}: {text}");
        assert!(text.contains("Done"), "{chip}: {text}");
        let (fine, text) = tool(&loader, &["-r", read.to_str().unwrap(), "-S", "0x08000000:5000"]);
        assert!(fine, "{chip}: {text}");
        assert!(std::fs::read(&read).unwrap()[..5000] == bytes, "{chip}");
        let held = loader.ask("dump-hex 0x08000000 5000");
        assert!(held.strip_prefix("ok ").unwrap() == hex::encode(&bytes), "{chip}");
    }
}

#[test]
fn it_finds_the_faults_that_a_real_chip_would_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.bin");
    image(&file, 2000);
    let write = ["-w", file.to_str().unwrap(), "-v"];
    let check = |lever: &str| {
        let loader = start("stm32f103");
        assert_eq!(loader.ask(lever), "ok");
        let (fine, text) = tool(&loader, &write);
        assert!(!fine, "{lever}: {text}");
    };
    check("stuck 0x08000101 0");
    check("lock");
    check("cut 600");
    check("remove");
}

#[test]
fn it_locks_and_opens_the_chip() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.bin");
    image(&file, 512);
    let loader = start("stm32f103");
    let check = |arguments: &[&str], locked: bool| {
        let (fine, text) = tool(&loader, arguments);
        assert!(fine, "{arguments:?}: {text}");
        let state = loader.ask("state");
        assert!(state.contains(&format!("\"locked\":{locked}")), "{arguments:?}: {state}");
    };
    check(&["-w", file.to_str().unwrap()], false);
    check(&["-j"], true);
    check(&["-k"], false);
    assert_eq!(loader.ask("dump-hex 0x08000000 2"), "ok ffff");
}
