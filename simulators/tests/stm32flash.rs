//! Debian's `stm32flash`, which other people wrote, against `rom-loader`: it shows that the model
//! speaks the protocol and not only what our own station expects.
//!
//! Needs the Debian package `stm32flash`. It checks that the terminal took its settings, and a
//! pseudo-terminal has no parity: hence `-m 8n1`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Loader {
    process: Child,
    tty: String,
    control: TcpStream,
}

impl Loader {
    fn start(chip: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_rom-loader"))
            .args(["--uid", "0123456789ABCDEF01234567", "--until-stdin-ends", "--chip", chip])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: serde_json::Value = serde_json::from_str(&line).unwrap();
        let control = TcpStream::connect(ports["control"].as_str().unwrap()).unwrap();
        control.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { process, tty: ports["tty"].as_str().unwrap().to_owned(), control }
    }

    fn ask(&self, lever: &str) -> String {
        (&self.control).write_all(format!("{lever}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::with_capacity(1, &self.control).read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    /// Runs the tool; whether it was content, and all it said.
    fn tool(&self, arguments: &[&str]) -> (bool, String) {
        let out = Command::new("stm32flash")
            .args(["-b", "115200", "-m", "8n1"])
            .args(arguments)
            .arg(&self.tty)
            .output()
            .unwrap();
        let text = [out.stdout, out.stderr].concat();
        (out.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Both fail only if it ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn image(path: &Path, length: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
    std::fs::File::create(path).unwrap().write_all(&bytes).unwrap();
    bytes
}

#[test]
fn it_writes_verifies_and_reads_both_chips() {
    for (chip, device) in [("stm32f103", "0x0410"), ("stm32f303", "0x0422")] {
        let folder = tempfile::tempdir().unwrap();
        let (written, read) = (folder.path().join("image.bin"), folder.path().join("read.bin"));
        let bytes = image(&written, 5000);
        let loader = Loader::start(chip);
        let (fine, text) = loader.tool(&["-w", written.to_str().unwrap(), "-v"]);
        assert!(fine && text.contains(device), "{chip}: {text}");
        assert!(text.contains("Done"), "{chip}: {text}");
        let (fine, text) = loader.tool(&["-r", read.to_str().unwrap(), "-S", "0x08000000:5000"]);
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
        let loader = Loader::start("stm32f103");
        assert_eq!(loader.ask(lever), "ok");
        let (fine, text) = loader.tool(&write);
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
    let loader = Loader::start("stm32f103");
    let check = |arguments: &[&str], locked: bool| {
        let (fine, text) = loader.tool(arguments);
        assert!(fine, "{arguments:?}: {text}");
        let state = loader.ask("state");
        assert!(state.contains(&format!("\"locked\":{locked}")), "{arguments:?}: {state}");
    };
    check(&["-w", file.to_str().unwrap()], false);
    check(&["-j"], true);
    check(&["-k"], false);
    assert_eq!(loader.ask("dump-hex 0x08000000 2"), "ok ffff");
}
