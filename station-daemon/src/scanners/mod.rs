//! The station's scanners: one thread per configured scanner, from bytes to the desk.
//!
//! Owns opening a scanner for this program alone, finding where a scan ends, and opening it again
//! after it was unplugged. What a label says is in [`label`]; what it does is the desk's.
//!
//! Promise: every scan that begins ends at the desk, as its bytes or as a named refusal.

mod frame;
mod gs1;
mod keys;
pub mod label;
mod port;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::desk::DeskHandle;
use frame::Frames;

pub use port::{NotAScanner, ScannerPort};

/// Time between two tries to open a scanner that is not there.
const OPEN_PAUSE: Duration = Duration::from_millis(500);

/// The running scanners.
pub struct Scanners {
    running: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl Scanners {
    /// Starts a thread for each scanner; they are numbered from 1.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(ports: &[ScannerPort], desk: &DeskHandle) -> std::io::Result<Self> {
        let mut running = Vec::new();
        for (number, port) in (1..).zip(ports) {
            let (stop, told) = channel();
            let scanner = Scanner { number, port: port.clone(), desk: desk.clone(), told };
            desk.tell(move |desk| desk.scanner_is(number, false));
            let name = format!("scanner-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(move || scanner.run())?;
            running.push((stop, thread));
        }
        Ok(Self { running })
    }

    /// Stops them and waits for their ends.
    pub fn stop(self) {
        for (stop, thread) in self.running {
            // What a thread is told by its sender being gone.
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("a scanner's thread panicked");
            }
        }
    }
}

struct Scanner {
    number: u32,
    port: ScannerPort,
    desk: DeskHandle,
    told: Receiver<()>,
}

impl Scanner {
    fn run(self) {
        let number = self.number;
        let mut said = false;
        while self.told.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Timeout) {
            match self.port.open() {
                Ok(mut reader) => {
                    tracing::info!(scanner = number, port = %self.port, "a scanner is there");
                    said = false;
                    self.desk.tell(move |desk| desk.scanner_is(number, true));
                    let Err(error) = self.listen(&mut *reader) else { return };
                    tracing::warn!(scanner = number, %error, "a scanner went away");
                    self.desk.tell(move |desk| desk.scanner_is(number, false));
                }
                // Once, and not twice a second.
                Err(error) if !said => {
                    said = true;
                    tracing::warn!(scanner = number, port = %self.port, %error, "no scanner");
                }
                Err(_) => {}
            }
            if self.told.recv_timeout(OPEN_PAUSE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Hears scans until told to stop.
    fn listen(&self, reader: &mut dyn port::Reader) -> std::io::Result<()> {
        let number = self.number;
        let mut frames = Frames::default();
        while self.told.recv_timeout(reader.pause()) == Err(RecvTimeoutError::Timeout) {
            let bytes = reader.read()?;
            let now = Instant::now();
            let ended = frames.take(&bytes, now);
            for frame in ended.into_iter().chain(frames.quiet(now)) {
                self.desk.tell(move |desk| desk.scan_heard(number, frame, now));
            }
        }
        Ok(())
    }
}
