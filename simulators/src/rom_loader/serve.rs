//! A loader behind a pseudo-terminal, its levers behind a TCP port.
//!
//! Owns the terminal, the socket, the threads and the wall clock. The station's baud rate is read
//! from the terminal's settings whenever bytes come or go. Serves every chip that is a [`Line`].

#![allow(unsafe_code, reason = "a terminal is borrowed from a library that does not lend it")]

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::termios::{InputFlags, LocalFlags, SetArg, tcgetattr, tcsetattr};
use serialport::{SerialPort, TTYPort};

use super::chip::Chip;
use super::lever::{self, Lever};
use super::wire::Wire;

/// The longest wait for the station's next byte; then the clock and the levers are looked at.
const WAIT: Duration = Duration::from_millis(10);

/// A byte as it comes out of a station's receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The byte.
    pub byte: u8,
    /// Its parity or stop bit was wrong.
    pub damaged: bool,
}

/// A chip at the end of a serial line. Told the time, never asks.
pub trait Line: Send + 'static {
    /// Bytes the station sent at `baud`, read at `now`.
    fn receive(&mut self, bytes: &[u8], baud: u32, now: Duration);

    /// Bytes that have arrived at a station listening at `baud`.
    fn arrived(&mut self, baud: u32, now: Duration) -> Vec<Arrival>;

    /// When the next byte arrives.
    fn next_due(&self) -> Option<Duration>;

    /// Whether the serial adapter is gone.
    fn unplugged(&self) -> bool;

    /// Pulls a lever; the answer has no line end.
    fn pull(&mut self, lever: Lever) -> String;
}

/// What to serve.
#[derive(Debug)]
pub struct Settings {
    /// The chip.
    pub chip: Chip,
    /// Where the levers listen; port 0 picks one.
    pub control: SocketAddr,
    /// Factor on the time of bytes and of the chip; 0 = everything is instant.
    pub time_scale: f64,
}

/// A loader being served. Dropping it takes the serial port away.
#[derive(Debug)]
pub struct Served {
    /// The serial port for the station.
    pub tty: String,
    /// Where the levers listen.
    pub control: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Waits until the adapter is unplugged.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was printed where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts an STM32's loader.
///
/// # Errors
/// No pseudo-terminal, or the control port cannot be listened on.
pub fn serve(settings: Settings) -> io::Result<Served> {
    serve_line(Wire::new(settings.chip, settings.time_scale), settings.control)
}

/// Puts a chip on a pseudo-terminal.
///
/// # Errors
/// No pseudo-terminal, or the control port cannot be listened on.
pub fn serve_line(line: impl Line, control: SocketAddr) -> io::Result<Served> {
    let (near, far) = TTYPort::pair().map_err(io::Error::from)?;
    let tty = far.name().ok_or(ErrorKind::NotFound)?;
    // Held open without the lock that `far` has: the station opens this end for itself alone.
    let held = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&tty)?;
    drop(far);
    pass_marks(&held)?;
    let levers = TcpListener::bind(control)?;
    let control = levers.local_addr()?;
    let wire = Arc::new(Mutex::new(line));
    let stop = Arc::new(AtomicBool::new(false));

    let shared = Arc::clone(&wire);
    thread::spawn(move || {
        for stream in levers.incoming().flatten() {
            let wire = Arc::clone(&shared);
            thread::spawn(move || {
                if let Err(error) = pull_levers(stream, &wire) {
                    tracing::debug!(%error, "connection ended");
                }
            });
        }
    });
    let port = Port { near, far: Some(held), wire, stop: Arc::clone(&stop), start: Instant::now() };
    let thread = thread::Builder::new().name("rom-loader".to_owned()).spawn(move || {
        if let Err(error) = port.run() {
            tracing::error!(%error, "the serial line ended");
        }
    })?;
    Ok(Served { tty, control, stop, thread: Some(thread) })
}

struct Port<L> {
    near: TTYPort,
    /// Held open, so that the station may close and open its end.
    far: Option<File>,
    wire: Arc<Mutex<L>>,
    stop: Arc<AtomicBool>,
    start: Instant,
}

impl<L: Line> Port<L> {
    fn run(mut self) -> io::Result<()> {
        let mut block = [0; 512];
        while !self.stop.load(Ordering::Relaxed) {
            if locked(&self.wire).unplugged() {
                self.far = None;
                return Ok(());
            }
            let baud = self.near.baud_rate().map_err(io::Error::from)?;
            let now = self.start.elapsed();
            let (bytes, due) = {
                let mut wire = locked(&self.wire);
                (wire.arrived(baud, now), wire.next_due())
            };
            if !bytes.is_empty() {
                let bytes = self.as_the_terminal_gives(&bytes)?;
                self.near.write_all(&bytes)?;
            }
            let wait = due.map_or(WAIT, |due| due.saturating_sub(self.start.elapsed()).min(WAIT));
            self.near.set_timeout(wait).map_err(io::Error::from)?;
            match self.near.read(&mut block) {
                Ok(count) => {
                    let baud = self.near.baud_rate().map_err(io::Error::from)?;
                    let now = self.start.elapsed();
                    locked(&self.wire).receive(&block[..count], baud, now);
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Has a pseudo-terminal leave it to this room to mark damaged bytes: it knows of none itself, and
/// would take a mark for three bytes of the line's own.
fn pass_marks(terminal: &File) -> io::Result<()> {
    let mut settings = tcgetattr(terminal)?;
    settings.local_flags.insert(LocalFlags::EXTPROC);
    Ok(tcsetattr(terminal, SetArg::TCSANOW, &settings)?)
}

impl<L: Line> Port<L> {
    /// What a reader gets: where it asked for marks (`PARMRK`), a damaged byte comes behind 0xFF and
    /// 0x00, and 0xFF is doubled.
    fn as_the_terminal_gives(&self, bytes: &[Arrival]) -> io::Result<Vec<u8>> {
        // SAFETY: the terminal is open as long as this port is.
        let near = unsafe { BorrowedFd::borrow_raw(self.near.as_raw_fd()) };
        let settings = tcgetattr(near)?;
        let marks = settings.input_flags.contains(InputFlags::PARMRK)
            && settings.local_flags.contains(LocalFlags::EXTPROC);
        let given = |arrival: &Arrival| match *arrival {
            Arrival { byte, damaged: true } if marks => vec![0xFF, 0x00, byte],
            Arrival { byte: 0xFF, .. } if marks => vec![0xFF, 0xFF],
            Arrival { byte, .. } => vec![byte],
        };
        Ok(bytes.iter().flat_map(given).collect())
    }
}

fn pull_levers(stream: TcpStream, wire: &Mutex<impl Line>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = match lever::parse(&line) {
            Some(lever) => locked(wire).pull(lever),
            None => format!("error no lever: {line:?}"),
        };
        output.write_all(format!("{answer}\n").as_bytes())?;
    }
    Ok(())
}

/// A thread that panicked leaves a wire that is still whole.
fn locked<L>(wire: &Mutex<L>) -> MutexGuard<'_, L> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}
