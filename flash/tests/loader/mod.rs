//! A simulated ROM loader on a pseudo-terminal with its levers, and what its tests share.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use flash::{Backend, Chip, FlashError, Piece, Plan, ProgramReport, Progress, chip};
use simulators::rom_loader::Served;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A board in its loader.
pub(crate) struct Board {
    pub(crate) served: Served,
    control: TcpStream,
}

impl Board {
    /// The board that a loader's front serves; the front is given the place for its levers.
    pub(crate) fn at(serve: impl FnOnce(SocketAddr) -> std::io::Result<Served>) -> Self {
        let served = serve("127.0.0.1:0".parse().unwrap()).unwrap();
        let control = TcpStream::connect(served.control).unwrap();
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { served, control }
    }

    pub(crate) fn pull(&self, lever: &str) -> String {
        (&self.control).write_all(format!("{lever}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::with_capacity(1, &self.control).read_line(&mut answer).unwrap();
        match answer.trim_end().strip_prefix("ok") {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("{lever}: {answer}"),
        }
    }

    pub(crate) fn cells(&self, at: u64, length: usize) -> Vec<u8> {
        hex::decode(self.pull(&format!("dump-hex {at} {length}"))).unwrap()
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let counters: serde_json::Value = serde_json::from_str(&self.pull("counters")).unwrap();
        counters[name].as_u64().unwrap()
    }
}

pub(crate) fn row(name: &str) -> &'static Chip {
    chip(name).unwrap()
}

pub(crate) fn plan<'a>(name: &str, pieces: &[(u64, &'a [u8])]) -> Plan<'a> {
    let pieces =
        pieces.iter().map(|(address, bytes)| Piece { name: "image", address: *address, bytes });
    Plan::new(row(name), pieces).unwrap()
}

pub(crate) fn program(
    backend: &mut impl Backend,
    name: &str,
    pieces: &[(u64, &[u8])],
) -> (Result<ProgramReport, FlashError>, Vec<Progress>) {
    let mut events = Vec::new();
    let done = backend.program(&plan(name, pieces), &mut |progress| events.push(progress));
    (done, events)
}

/// Runs every case on a thread of its own: they spend their time waiting.
pub(crate) fn all_at_once<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| check(case));
        }
    });
}

/// Reproducible bytes.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
