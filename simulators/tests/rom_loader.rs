//! `rom-loader` as a process: what it prints, what its serial port and its levers answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests")]

mod loader;

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use loader::Loader;

const UID: &str = "0123456789ABCDEF01234567";

#[test]
fn the_process_speaks_on_its_serial_port_and_keeps_its_flash_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chip.flash");
    let flash = ["--flash", file.to_str().unwrap()];
    let arguments = ["--chip", "stm32f103", "--uid", UID, "--time-scale", "0", flash[0], flash[1]];
    let loader = Loader::start(&arguments);
    let mut port = serialport::new(&loader.tty, 57_600)
        .timeout(Duration::from_secs(30))
        .parity(serialport::Parity::Even)
        .open()
        .unwrap();
    let mut check = |say: &[u8], wanted: &[u8]| {
        port.write_all(say).unwrap();
        let mut heard = vec![0; wanted.len()];
        port.read_exact(&mut heard).unwrap();
        assert_eq!(heard, wanted, "{say:02x?}");
    };
    check(&[0x7F], &[0x79]);
    check(&[0x02, 0xFD], &[0x79, 1, 0x04, 0x10, 0x79]);
    check(&[0x31, 0xCE], &[0x79]);
    check(&[0x08, 0, 0, 0x10, 0x18], &[0x79]);
    check(&[1, 0xAB, 0xCD, 0x67], &[0x79]);
    check(&[0x11, 0xEE], &[0x79]);
    check(&[0x1F, 0xFF, 0xF7, 0xE8, 0xFF], &[0x79]);
    check(&[11, 0xF4], &[&[0x79][..], &hex::decode(UID).unwrap()].concat());
    assert_eq!(loader.ask("dump-hex 0x08000010 2"), "ok abcd");
    assert!(loader.ask("nonsense").starts_with("error"));
    drop(loader);

    let loader = Loader::start(&arguments);
    assert_eq!(loader.ask("dump-hex 0x08000010 4"), "ok abcdffff");
}

#[test]
fn wrong_arguments_are_refused_with_what_would_be_right() {
    let check = |arguments: &[&str], wanted: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_rom-loader")).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && text.contains(wanted), "{text}");
    };
    check(
        &["--chip", "stm32h7", "--uid", UID],
        "stm32f103, stm32f103x8, stm32f303, stm32f072, stm32f405, stm32g071, stm32l053, stm32l476, \
         esp32c3, esp32",
    );
    check(&["--chip", "stm32f103", "--uid", "01"], "24 hex digits");
    check(&["--chip", "stm32f103", "--uid", "010203040506"], "an STM32 has 24 hex digits");
    check(&["--chip", "esp32c3", "--uid", UID], "an ESP32 has 12 hex digits");
    check(&["--chip", "esp32", "--uid", "010203040506", "--flash-mib", "3"], "1, 2, 4, 8 or 16");
}

#[test]
fn an_esp32_keeps_its_flash_in_the_file_and_says_what_it_would_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chip.flash");
    let arguments = [
        "--chip",
        "esp32c3",
        "--uid",
        "6055F9123456",
        "--flash-mib",
        "1",
        "--flash",
        file.to_str().unwrap(),
    ];
    let loader = Loader::start(&arguments);
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 1 << 20);
    assert!(loader.ask("says x").starts_with("error"));
    let mut port =
        serialport::new(&loader.tty, 115_200).timeout(Duration::from_secs(30)).open().unwrap();
    assert_eq!(loader.ask("flip 0x1000 7"), "ok");
    assert_eq!(loader.ask("run"), "ok");
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b"invalid header: 0xffffffff\r\n") {
        port.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    assert!(said.starts_with(b"ESP-ROM:esp32c3"), "{}", String::from_utf8_lossy(&said));
    drop(loader);

    let loader = Loader::start(&arguments);
    assert_eq!(loader.ask("dump-hex 0x1000 2"), "ok 7fff");
}
