//! `rom-loader` as a process, for the tests around it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A chip in its loader, until it is dropped.
pub(crate) struct Loader {
    process: Child,
    /// Its serial port.
    pub(crate) tty: String,
    control: TcpStream,
}

impl Loader {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_rom-loader"))
            .arg("--until-stdin-ends")
            .args(arguments)
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

    /// Pulls a lever; its answer.
    pub(crate) fn ask(&self, lever: &str) -> String {
        (&self.control).write_all(format!("{lever}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::with_capacity(1, &self.control).read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Both fail only if it ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A file of reproducible bytes.
#[allow(dead_code, reason = "not every test file writes images")]
pub(crate) fn image(path: &Path, length: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
    std::fs::File::create(path).unwrap().write_all(&bytes).unwrap();
    bytes
}
