//! What libusb asks of a device file: the usbdevfs system calls (Linux `usbdevice_fs.h`).
//!
//! Owns transfers under way: each is answered by the device model at once and handed out when its
//! time has come. Serves endpoint 0 only, which is all a DFU device has.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::machine::Machine;
use super::sys::{Answers, Argument, Client};
use crate::dfu::{Reply, Setup};

/// Numbers of the calls: the low byte of a request whose type is `'U'`.
mod call {
    pub(super) const RESET_ENDPOINT: u8 = 3;
    pub(super) const SET_INTERFACE: u8 = 4;
    pub(super) const SET_CONFIGURATION: u8 = 5;
    pub(super) const GET_DRIVER: u8 = 8;
    pub(super) const SUBMIT: u8 = 10;
    pub(super) const DISCARD: u8 = 11;
    pub(super) const REAP: u8 = 12;
    pub(super) const REAP_NOW: u8 = 13;
    pub(super) const CLAIM: u8 = 15;
    pub(super) const RELEASE: u8 = 16;
    pub(super) const RESET: u8 = 20;
    pub(super) const CLEAR_HALT: u8 = 21;
    pub(super) const GET_CAPABILITIES: u8 = 26;
    pub(super) const DISCONNECT_AND_CLAIM: u8 = 27;
}

const ENOENT: i32 = 2;
const EAGAIN: i32 = 11;
const EBUSY: i32 = 16;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ENOTTY: i32 = 25;
const EPIPE: i32 = 32;
const ENODATA: i32 = 61;
const EOVERFLOW: i32 = 75;
const ESHUTDOWN: i32 = 108;

/// Zero packets, continuation, no limit of packet size, reaping after a disconnect.
const CAPABILITIES: u32 = 0x17;
/// `struct usbdevfs_urb` on 64-bit Linux: where its parts lie.
const URB_BYTES: usize = 56;
const URB_TYPE: usize = 0;
const URB_STATUS: usize = 4;
const URB_BUFFER: usize = 16;
const URB_LENGTH: usize = 24;
const URB_ACTUAL: usize = 28;
const CONTROL: u8 = 2;
const SETUP_BYTES: usize = 8;
/// How long one look for a finished transfer may block the caller: libusb asks without a pause,
/// and measures its own time limits between two looks.
const REAP_BLOCKS: Duration = Duration::from_millis(2);

/// A transfer under way.
struct Urb {
    client: Client,
    urb: Argument,
    buffer: Option<Argument>,
    due: Due,
    status: i32,
    answer: Vec<u8>,
    sent: usize,
}

/// When a transfer is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    At(Duration),
    Never,
}

/// One enumeration of one device, as its device file answers.
pub(super) struct DeviceFile {
    shared: Arc<Shared>,
    port: String,
    address: u8,
    urbs: Vec<Urb>,
    /// Who has the interface: it is one program's at a time.
    claimed: Option<Client>,
}

impl DeviceFile {
    pub(super) fn new(shared: Arc<Shared>, port: &str, address: u8) -> Self {
        Self { shared, port: port.to_owned(), address, urbs: Vec::new(), claimed: None }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Machine) -> R) -> R {
        self.shared.with(act)
    }

    fn is_there(&self) -> bool {
        self.with(|machine| machine.has(&self.port, self.address))
    }

    fn submit(&mut self, client: Client, argument: &mut Argument) -> Result<(), i32> {
        let mut urb = argument.follow(0, URB_BYTES).ok_or(EINVAL)?;
        let head = urb.bytes();
        let length = i32::from_ne_bytes(at(head, URB_LENGTH));
        if head[URB_TYPE] != CONTROL {
            return Err(EINVAL);
        }
        let length = usize::try_from(length).map_err(|_| EINVAL)?;
        let mut buffer = urb.follow(URB_BUFFER, length).ok_or(EINVAL)?;
        let bytes = buffer.bytes();
        if bytes.len() < SETUP_BYTES {
            return Err(EINVAL);
        }
        let word = |place: usize| u16::from_le_bytes([bytes[place], bytes[place + 1]]);
        let (value, index, length) = (word(2), word(4), word(6));
        let setup = Setup { kind: bytes[0], request: bytes[1], value, index, length };
        let inward = setup.kind & 0x80 != 0;
        let out = if inward { Vec::new() } else { bytes[SETUP_BYTES..].to_vec() };
        let sent = out.len();
        let (reply, begun, wire) = self.with(|machine| {
            let moved = usize::from(length);
            (machine.control(&self.port, setup, &out), machine.now(), machine.wire_time(moved))
        });
        let mut over = begun + wire;
        let mut reply = reply;
        if let Reply::Late(late, after) = reply {
            (over, reply) = (over + late, *after);
        }
        let (due, status, answer) = match reply {
            Reply::In(bytes) => (Due::At(over), 0, bytes),
            Reply::Ack => (Due::At(over), 0, Vec::new()),
            Reply::Stall => (Due::At(over), -EPIPE, Vec::new()),
            Reply::Babble => (Due::At(over), -EOVERFLOW, Vec::new()),
            Reply::Gone => (Due::At(over), -ESHUTDOWN, Vec::new()),
            Reply::Hang | Reply::Late(..) => (Due::Never, 0, Vec::new()),
        };
        self.urbs.push(Urb { client, urb, buffer: Some(buffer), due, status, answer, sent });
        Ok(())
    }

    fn discard(&mut self, client: Client, address: u64) -> Result<(), i32> {
        let now = self.with(|machine| machine.now());
        let urb = self.urbs.iter_mut().find(|urb| {
            let over = matches!(urb.due, Due::At(due) if due <= now);
            urb.client == client && urb.urb.address() == address && !over
        });
        let Some(urb) = urb else { return Err(EINVAL) };
        (urb.due, urb.status, urb.sent) = (Due::At(now), -ENOENT, 0);
        urb.answer.clear();
        Ok(())
    }

    #[allow(clippy::disallowed_methods, reason = "a simulated transfer takes its time")]
    fn reap(&mut self, client: Client, argument: &mut Argument) -> Result<(), i32> {
        let is_own = |urb: &&Urb| urb.client == client;
        let next = self.urbs.iter().filter(is_own).filter_map(|urb| match urb.due {
            Due::At(due) => Some(due),
            Due::Never => None,
        });
        let now = self.with(|machine| machine.now());
        let left = next.min().map_or(REAP_BLOCKS, |due| due.saturating_sub(now));
        if !left.is_zero() && self.urbs.iter().any(|urb| is_own(&urb)) {
            std::thread::sleep(left.min(REAP_BLOCKS));
        }
        let now = self.with(|machine| machine.now());
        let done = self
            .urbs
            .iter()
            .position(|urb| urb.client == client && matches!(urb.due, Due::At(due) if due <= now));
        let Some(done) = done else {
            return Err(if self.is_there() { EAGAIN } else { ENODEV });
        };
        let Urb { mut urb, buffer, status, answer, sent, .. } = self.urbs.remove(done);
        let moved = if let Some(mut buffer) = buffer {
            let room = buffer.bytes().get_mut(SETUP_BYTES..).unwrap_or_default();
            let count = answer.len().min(room.len());
            room[..count].copy_from_slice(&answer[..count]);
            if status == 0 { count.max(sent) } else { 0 }
        } else {
            0
        };
        let head = urb.bytes();
        head[URB_STATUS..URB_STATUS + 4].copy_from_slice(&status.to_ne_bytes());
        let moved = i32::try_from(moved).unwrap_or(i32::MAX).to_ne_bytes();
        head[URB_ACTUAL..URB_ACTUAL + 4].copy_from_slice(&moved);
        let mut place = argument.follow(0, 8).ok_or(EINVAL)?;
        place.point(0, &urb);
        Ok(())
    }

    fn set_interface(&self, argument: &mut Argument) -> Result<(), i32> {
        let mut chosen = argument.follow(0, 8).ok_or(EINVAL)?;
        let alternate = u32::from_ne_bytes(at(chosen.bytes(), 4));
        let alternate = u8::try_from(alternate).map_err(|_| EINVAL)?;
        self.with(|machine| machine.select(&self.port, alternate));
        Ok(())
    }
}

fn at<const N: usize>(bytes: &[u8], place: usize) -> [u8; N] {
    bytes.get(place..place + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

impl Answers for DeviceFile {
    fn ioctl(&mut self, client: Client, request: u64, mut argument: Argument) -> Result<(), i32> {
        let [number, kind, ..] = request.to_le_bytes();
        if kind != b'U' {
            return Err(ENOTTY);
        }
        match number {
            call::REAP | call::REAP_NOW => return self.reap(client, &mut argument),
            call::DISCARD => return self.discard(client, argument.word(0)),
            _ if !self.is_there() => return Err(ENODEV),
            _ => {}
        }
        match number {
            call::SUBMIT => self.submit(client, &mut argument),
            call::GET_CAPABILITIES => {
                let mut place = argument.follow(0, 4).ok_or(EINVAL)?;
                place.bytes().copy_from_slice(&CAPABILITIES.to_ne_bytes());
                Ok(())
            }
            // No kernel driver is bound to a DFU interface.
            call::GET_DRIVER => Err(ENODATA),
            call::SET_INTERFACE => self.set_interface(&mut argument),
            call::RESET => {
                self.with(|machine| machine.reset(&self.port));
                Ok(())
            }
            call::CLAIM | call::DISCONNECT_AND_CLAIM => {
                if self.claimed.is_some_and(|other| other != client) {
                    return Err(EBUSY);
                }
                self.claimed = Some(client);
                Ok(())
            }
            call::RELEASE => {
                self.claimed.take_if(|owner| *owner == client);
                Ok(())
            }
            call::SET_CONFIGURATION | call::RESET_ENDPOINT | call::CLEAR_HALT => Ok(()),
            _ => Err(ENOTTY),
        }
    }

    fn vanished(&mut self, client: Client) {
        self.claimed.take_if(|owner| *owner == client);
        self.urbs.retain(|urb| urb.client != client);
    }
}
