//! Espressif's own `esptool`, unmodified, against `rom-loader`: it shows that the model speaks the
//! protocol and not only what our own station expects.
//!
//! `ESPTOOL` names the program. There is no core for its stub, hence `--no-stub`; a pseudo-terminal
//! has no reset lines, hence `no-reset`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests")]

mod loader;

use std::process::Command;

use loader::{Loader, image};

const CHIPS: [(&str, &str); 2] = [("esp32c3", "ESP32-C3"), ("esp32", "ESP32-D0WD-V3")];

fn start(chip: &str) -> Loader {
    Loader::start(&["--uid", "6055F9123456", "--chip", chip, "--time-scale", "0"])
}

/// Runs the tool on a loader that was just reset; whether it was content, and all it said.
fn tool(loader: &Loader, arguments: &[&str]) -> (bool, String) {
    let program = std::env::var_os("ESPTOOL").expect("ESPTOOL names esptool");
    assert_eq!(loader.ask("reset"), "ok");
    let out = Command::new(program)
        .args(["--no-stub", "--before", "no-reset", "--after", "no-reset"])
        .args(["--connect-attempts", "2", "--baud", "460800", "--port", &loader.tty])
        .args(arguments)
        .output()
        .unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn it_reads_the_mac_and_the_size_of_the_flash() {
    for (chip, name) in CHIPS {
        let loader = start(chip);
        let (fine, text) = tool(&loader, &["read-mac"]);
        assert!(fine && text.contains(name), "{chip}: {text}");
        assert!(text.contains("60:55:f9:12:34:56"), "{chip}: {text}");
        let (fine, text) = tool(&loader, &["flash-id"]);
        assert!(fine && text.contains("4MB"), "{chip}: {text}");
    }
}

#[test]
fn it_writes_verifies_and_reads_both_chips() {
    let folder = tempfile::tempdir().unwrap();
    for (chip, _) in CHIPS {
        let (written, read) = (folder.path().join("image.bin"), folder.path().join("read.bin"));
        let bytes = image(&written, 9000);
        let file = written.to_str().unwrap();
        let loader = start(chip);
        let (fine, text) = tool(&loader, &["write-flash", "0x8000", file, "0x10000", file]);
        assert!(fine && text.contains("Hash of data verified"), "{chip}: {text}");
        for at in [0x8000, 0x1_0000] {
            let held = loader.ask(&format!("dump-hex {at} {}", bytes.len()));
            assert!(held.strip_prefix("ok ").unwrap() == hex::encode(&bytes), "{chip} {at:#x}");
        }
        let (fine, text) = tool(&loader, &["verify-flash", "0x10000", file]);
        assert!(fine, "{chip}: {text}");
        let into = read.to_str().unwrap();
        let (fine, text) = tool(&loader, &["read-flash", "0x10000", "9000", into]);
        assert!(fine, "{chip}: {text}");
        assert!(std::fs::read(&read).unwrap() == bytes, "{chip}");
        assert_eq!(loader.ask("flip 0x10010 3"), "ok");
        let (fine, text) = tool(&loader, &["verify-flash", "0x10000", file]);
        assert!(!fine, "{chip}: {text}");
    }
}

#[test]
fn it_finds_the_faults_that_a_real_chip_would_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.bin");
    image(&file, 3000);
    let write = ["--chip", "esp32c3", "write-flash", "0x1000", file.to_str().unwrap()];
    let check = |levers: &[&str]| {
        let loader = start("esp32c3");
        for lever in levers {
            assert_eq!(loader.ask(lever), "ok", "{lever}");
        }
        let (fine, text) = tool(&loader, &write);
        assert!(!fine, "{levers:?}: {text}");
    };
    std::thread::scope(|scope| {
        let cases: [&[&str]; 5] = [
            &["stuck 0x1001 0"],
            // In one column: the loader's eight bits do not see it, its digest does.
            &["stuck 0x1001 0", "stuck 0x1003 0"],
            &["cut 600"],
            &["remove"],
            &["silence"],
        ];
        for levers in cases {
            scope.spawn(move || check(levers));
        }
    });
}
