//! A board on loopback ports and everything a test does to it.

#![allow(dead_code, reason = "every test file uses another part of the bench")]
#![allow(unreachable_pub, reason = "a module shared by test programs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests call this")]

pub mod firmware;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use probe_rs::config::{Registry, TargetSelector};
use probe_rs::flashing::{DownloadOptions, FlashError};
use probe_rs::probe::list::Lister;
use probe_rs::probe::{DebugProbeSelector, WireProtocol};
use probe_rs::{Permissions, Session};
use simulators::flash_file::FlashFile;
use simulators::nrf52::Revision;
use simulators::timing::Timing;
use simulators::{Addresses, BoardConfig, Served, Setup, serve, stm32};

pub const CHIP: &str = "nRF52832_xxAA";
pub const UID: [u8; 8] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08];
/// How long anything on the bench may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub const STM32_UID: [u8; 12] = [0x3A, 0x00, 0x2B, 0x00, 5, b'P', b'4', b'Q', b'W', b' ', b'7', 1];

pub struct Bench {
    pub served: Served,
    chip: &'static str,
    control: Lines,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(Revision::Old, Timing::OFF)
    }

    pub fn with(revision: Revision, timing: Timing) -> Self {
        Self::start(revision, timing, FlashFile::in_memory())
    }

    pub fn on_file(path: &Path) -> Self {
        Self::start(Revision::Old, Timing::OFF, FlashFile::open(path).unwrap())
    }

    fn start(revision: Revision, timing: Timing, cells: FlashFile) -> Self {
        Self::of(CHIP, BoardConfig { uid: UID, revision, timing, cells, seated: true })
    }

    pub fn stm32(name: &'static str) -> Self {
        Self::stm32_with(name, Timing::OFF)
    }

    pub fn stm32_with(name: &'static str, timing: Timing) -> Self {
        let part = stm32::part(name).unwrap();
        let cells = FlashFile::blank(part.factory());
        let uid = STM32_UID;
        Self::of(name, stm32::Config { part, uid, timing, cells, seated: true })
    }

    fn of(chip: &'static str, config: impl Into<Setup> + Send + 'static) -> Self {
        let served = serve(Addresses::any(), config).unwrap();
        let control = Lines::connect(served.addresses.control);
        Self { served, chip, control }
    }

    pub fn attach(&self, permissions: Permissions) -> Result<Session, probe_rs::Error> {
        self.attach_as(self.chip.into(), permissions)
    }

    pub fn attach_as(
        &self,
        chip: TargetSelector,
        permissions: Permissions,
    ) -> Result<Session, probe_rs::Error> {
        static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::from_builtin_families);
        let selector: DebugProbeSelector =
            format!("1d50:6018:{}", self.served.addresses.probe).parse().unwrap();
        let mut probe = Lister::new().open(selector)?;
        probe.select_protocol(WireProtocol::Swd)?;
        probe.attach_with_registry(chip, permissions, &REGISTRY)
    }

    pub fn flash(&self, session: &mut Session, at: u64, image: &[u8]) -> Result<(), FlashError> {
        let mut loader = session.target().flash_loader();
        loader.add_data(at, image)?;
        let mut options = DownloadOptions::default();
        options.verify = true;
        loader.commit(session, options)
    }

    pub fn ask(&self, line: &str) -> String {
        self.control.ask(line)
    }

    /// Pulls a lever; the answer without its `ok`.
    pub fn pull(&self, lever: &str) -> String {
        let answer = self.ask(lever);
        match answer.strip_prefix("ok") {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("{lever}: {answer}"),
        }
    }

    pub fn cells(&self, at: u32, length: usize) -> Vec<u8> {
        hex::decode(self.pull(&format!("dump-hex {at} {length}"))).unwrap()
    }

    pub fn counter(&self, name: &str) -> u64 {
        let counters: serde_json::Value = serde_json::from_str(&self.pull("counters")).unwrap();
        counters[name].as_u64().unwrap()
    }

    pub fn state(&self, name: &str) -> serde_json::Value {
        let state: serde_json::Value = serde_json::from_str(&self.pull("state")).unwrap();
        state[name].clone()
    }

    pub fn uart(&self) -> Lines {
        Lines::connect(self.served.addresses.uart)
    }

    pub fn probe_port(&self) -> TcpStream {
        let stream = TcpStream::connect(self.served.addresses.probe).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// A line-wise connection with a deadline.
pub struct Lines {
    stream: TcpStream,
}

impl Lines {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    pub fn ask(&self, line: &str) -> String {
        (&self.stream).write_all(format!("{line}\n").as_bytes()).unwrap();
        self.next()
    }

    pub fn next(&self) -> String {
        // One reader per line loses nothing: the other side sends one line at a time.
        let mut line = String::new();
        BufReader::with_capacity(1, &self.stream).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// Reproducible bytes.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}
