//! The front for a real kernel: devices behind `vhci_hcd`, the host controller of USB/IP.
//!
//! The kernel is handed one end of a socket pair and enumerates what answers on the other: its USB
//! stack, its class drivers, udev and the access rights are the real ones. That needs root and the
//! module `vhci-hcd`; the tests do it in an emulated machine of their own.
//!
//! Owns the ports and the USB/IP conversation. Leaves what a device says to its [`Gadget`]: the
//! DFU [`Device`](crate::dfu::Device) and a serial port, [`Modem`]. A port's reset does not reach the
//! device: `vhci_hcd` keeps it to itself.

mod auto_reset;
mod gadget;
mod modem;
mod wire;

use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::dfu::Setup;
use wire::Command;

pub use auto_reset::AutoReset;
pub use gadget::{Gadget, Outcome};
pub use modem::{Echo, FarEnd, Lines, Modem};

/// The controller as the kernel shows it.
const CONTROLLER: &str = "/sys/devices/platform/vhci_hcd.0";
/// `USB_SPEED_FULL`.
const FULL_SPEED: u8 = 2;
/// `VDEV_ST_NULL` in the controller's status: nothing is plugged in.
const FREE: &str = "004";
/// The kernel takes a device off a port within this.
const FREE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What keeps a device from being plugged in.
#[derive(Debug, thiserror::Error)]
pub enum VhciError {
    /// The kernel's module is not loaded, or this is not root.
    #[error("plugging into {CONTROLLER}")]
    Controller(#[source] io::Error),
    /// The port still holds another device.
    #[error("port {0} of {CONTROLLER} is not free")]
    Occupied(u8),
}

struct State<G> {
    gadget: G,
    seated: bool,
    wire: Option<UnixStream>,
    failed: Option<VhciError>,
}

struct Shared<G> {
    state: Mutex<State<G>>,
    changed: Condvar,
    begun: Instant,
}

impl<G> Shared<G> {
    fn lock(&self) -> MutexGuard<'_, State<G>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A device in a port of the controller. It stays there as long as the process.
pub struct Plugged<G> {
    shared: Arc<Shared<G>>,
}

/// Plugs a device into a port, 0 to 7.
pub fn plug<G: Gadget>(port: u8, gadget: G) -> Plugged<G> {
    let state = State { gadget, seated: true, wire: None, failed: None };
    let shared =
        Shared { state: Mutex::new(state), changed: Condvar::new(), begun: Instant::now() };
    let shared = Arc::new(shared);
    let served = Arc::clone(&shared);
    thread::spawn(move || keep(&served, port));
    Plugged { shared }
}

impl<G: Gadget> Plugged<G> {
    /// Does something with the device.
    pub fn with<R>(&self, act: impl FnOnce(&mut G) -> R) -> R {
        let done = act(&mut self.shared.lock().gadget);
        self.shared.changed.notify_all();
        done
    }

    /// Pulls it out; it loses its power.
    pub fn unplug(&self) {
        let mut state = self.shared.lock();
        state.seated = false;
        state.gadget.power(false);
        if let Some(wire) = &state.wire {
            // A kernel that closed its end first has nothing to be told.
            let _ = wire.shutdown(Shutdown::Both);
        }
    }

    /// Puts it back.
    pub fn replug(&self) {
        let mut state = self.shared.lock();
        state.seated = true;
        state.gadget.power(true);
        self.shared.changed.notify_all();
    }

    /// Why it is not in its port, if the kernel refused it.
    pub fn failure(&self) -> Option<VhciError> {
        self.shared.lock().failed.take()
    }
}

/// Attaches the device whenever it shows on the bus, and serves it until it leaves.
fn keep<G: Gadget>(shared: &Shared<G>, port: u8) {
    loop {
        let mut state = shared.lock();
        while !(state.seated && state.gadget.is_on_the_bus()) {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let enumeration = state.gadget.enumerations();
        drop(state);
        match attach(port) {
            Ok(mut wire) => {
                // Without a second end nobody could pull it out again.
                match wire.try_clone() {
                    Ok(second) => shared.lock().wire = Some(second),
                    Err(error) => {
                        shared.lock().failed = Some(VhciError::Controller(error));
                        return;
                    }
                }
                // The conversation ends with the stream, whichever side closed it.
                let _ = serve(shared, enumeration, &mut wire);
                shared.lock().wire = None;
            }
            Err(error) => {
                shared.lock().failed = Some(error);
                return;
            }
        }
    }
}

/// Hands one end of a new stream to the kernel and gives the other.
fn attach(port: u8) -> Result<UnixStream, VhciError> {
    until_free(port)?;
    let (ours, kernels) = UnixStream::pair().map_err(VhciError::Controller)?;
    let device = 1 << 16 | (u32::from(port) + 1);
    let order = format!("{port} {} {device} {FULL_SPEED}", kernels.as_raw_fd());
    let path = Path::new(CONTROLLER).join("attach");
    let mut file = fs::File::options().write(true).open(path).map_err(VhciError::Controller)?;
    io::Write::write_all(&mut file, order.as_bytes()).map_err(VhciError::Controller)?;
    Ok(ours)
}

#[allow(clippy::disallowed_methods, reason = "the kernel does not tell when a port is free")]
fn until_free(port: u8) -> Result<(), VhciError> {
    let begun = Instant::now();
    loop {
        let path = Path::new(CONTROLLER).join("status");
        let status = fs::read_to_string(path).map_err(VhciError::Controller)?;
        let is_free = status.lines().any(|line| {
            let mut words = line.split_whitespace();
            let is_ours = words.nth(1).and_then(|number| number.parse().ok()) == Some(port);
            is_ours && words.next() == Some(FREE)
        });
        if is_free {
            return Ok(());
        }
        if begun.elapsed() > FREE_WITHIN {
            return Err(VhciError::Occupied(port));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A transfer the device has not answered yet.
struct Waiting {
    number: u32,
    endpoint: u8,
    length: usize,
}

fn serve<G: Gadget>(
    shared: &Shared<G>,
    enumeration: u32,
    stream: &mut UnixStream,
) -> io::Result<()> {
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        match wire::read(stream)? {
            Command::Unlink { number, target } => {
                let before = waiting.len();
                waiting.retain(|one| one.number != target);
                let status = if waiting.len() < before { wire::TAKEN_BACK } else { 0 };
                wire::unlinked(stream, number, status)?;
            }
            Command::Submit { number, endpoint: 0, inward, length, setup, out } => {
                let answered = control(shared, setup, &out);
                match answered {
                    Outcome::Done(bytes) => {
                        let moved = if inward { bytes.len().min(length) } else { out.len() };
                        let answer = &bytes[..bytes.len().min(length)];
                        wire::ended(stream, number, 0, moved, answer)?;
                    }
                    Outcome::Stall => wire::ended(stream, number, wire::STALLED, 0, &[])?,
                    Outcome::Babble => wire::ended(stream, number, wire::OVERFLOWED, 0, &[])?,
                    Outcome::Silence | Outcome::Late(..) => {
                        waiting.push(Waiting { number, endpoint: 0, length });
                    }
                    Outcome::Gone => return Ok(()),
                }
            }
            Command::Submit { number, endpoint, inward: true, length, .. } => {
                waiting.push(Waiting { number, endpoint, length });
            }
            Command::Submit { number, endpoint, out, .. } => {
                shared.lock().gadget.take(endpoint, &out);
                wire::ended(stream, number, 0, out.len(), &[])?;
            }
        }
        let mut state = shared.lock();
        let mut at = 0;
        while let Some(Waiting { number, endpoint, length }) = waiting.get(at) {
            match state.gadget.give(*endpoint, *length) {
                Some(bytes) => {
                    wire::ended(stream, *number, 0, bytes.len(), &bytes)?;
                    waiting.remove(at);
                }
                None => at += 1,
            }
        }
        if !state.gadget.is_on_the_bus() || state.gadget.enumerations() != enumeration {
            return Ok(());
        }
    }
}

/// Standard requests that only tell what was chosen are answered here (USB 2.0, 9.4).
#[allow(clippy::disallowed_methods, reason = "a late device takes its time")]
fn control<G: Gadget>(shared: &Shared<G>, setup: Setup, out: &[u8]) -> Outcome {
    let now = shared.begun.elapsed();
    let outcome = match (setup.kind, setup.request) {
        // SET_CONFIGURATION, CLEAR_FEATURE.
        (0x00, 9) | (0x00..=0x02, 1) => Outcome::Done(Vec::new()),
        // SET_INTERFACE.
        (0x01, 11) => {
            let [alternate, _] = setup.value.to_le_bytes();
            shared.lock().gadget.select(alternate);
            Outcome::Done(Vec::new())
        }
        // GET_STATUS, GET_CONFIGURATION.
        (0x80..=0x82, 0) => Outcome::Done(vec![0, 0]),
        (0x80, 8) => Outcome::Done(vec![1]),
        _ => shared.lock().gadget.control(setup, out, now),
    };
    match outcome {
        Outcome::Late(late, then) => {
            thread::sleep(late);
            *then
        }
        Outcome::Done(_) | Outcome::Stall | Outcome::Silence | Outcome::Babble | Outcome::Gone => {
            outcome
        }
    }
}
