//! How a slot is reached: a debug probe, a USB socket or a serial port, as one word of text.
//!
//! | text | is |
//! |---|---|
//! | `VID:PID[-INTERFACE][:SERIAL]` | a debug probe by its ids; `1d50:6018:HOST:PORT` and `20b7:9db1:tcp:HOST:PORT` a simulated board's; with `+jtag` behind it, by JTAG in place of SWD |
//! | `VID:PID@BUS-PORT[.PORT…]` | the debug probe of these ids in that USB socket, whatever its serial |
//! | `usb:BUS-PORT[.PORT…]` | a USB socket that boards in DFU mode are plugged into |
//! | `tty:PATH[@BAUD]` | a serial port with a ROM loader behind it; 115200 unless said |
//!
//! Owns the text form, the kinds that leases name ([`PortKind`]) and which back end opens a port.
//! Leaves to others: which of a slot's ports flashes, and who may use which kind.
//!
//! Promise: a port that is not a piece of hardware of this machine says so
//! ([`Port::is_simulated`]): whoever serves it gets the plain bytes.

mod kind;
mod place;
mod serial;

use std::fmt;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::chip::{BackEnd, Chip};
use crate::dfu::{DfuBackend, UsbPath};
use crate::error::FlashError;
use crate::probe::{ProbeBackend, ProbeSelector};
use crate::serial::SerialBackend;
use place::PlacedBackend;

pub use kind::PortKind;
pub use place::PlacedProbe;

/// Symbols per second where a serial port names none: the fastest rate every ROM loader measures.
pub const BAUD_DEFAULT: u32 = 115_200;
/// Symbols per second that a serial port may be asked for.
const BAUDS: std::ops::RangeInclusive<u32> = 1_200..=4_000_000;

/// A way to the board in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Port {
    /// A debug probe, found by its ids and serial number.
    Probe(ProbeSelector),
    /// A debug probe, found by its ids and the socket it is plugged into.
    Placed(PlacedProbe),
    /// A USB socket for boards in DFU mode.
    Usb(UsbPath),
    /// A serial port with a ROM loader behind it.
    Tty(TtyPort),
}

/// A serial port and its rate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TtyPort {
    /// Absolute path of the device.
    pub path: String,
    /// Symbols per second.
    pub baud: u32,
}

/// Why a text is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// No probe's ids.
    #[error("{0:?} is not VID:PID[:SERIAL] of a debug probe, usb:BUS-PORT or tty:PATH")]
    Probe(String),
    /// No place in the USB tree.
    #[error("{0:?} is not a USB socket: usb:BUS-PORT[.PORT…]")]
    Socket(String),
    /// Not the absolute path of a device.
    #[error("{0:?} is not a serial port: tty:/dev/…")]
    Tty(String),
    /// No rate a serial port has.
    #[error("{0:?} names no rate from 1200 to 4000000 symbols per second")]
    Baud(String),
}

impl Port {
    /// The kind as leases name it.
    #[must_use]
    pub fn kind(&self) -> PortKind {
        match self {
            Self::Probe(selector) => selector.kind(),
            Self::Placed(placed) => PortKind::of_probe(placed.ids),
            Self::Usb(_) => PortKind::Dfu,
            Self::Tty(_) => PortKind::Uart,
        }
    }

    /// The transport that it is.
    #[must_use]
    pub const fn back_end(&self) -> BackEnd {
        match self {
            Self::Probe(_) | Self::Placed(_) => BackEnd::Probe,
            Self::Usb(_) => BackEnd::Dfu,
            Self::Tty(_) => BackEnd::Uart,
        }
    }

    /// Whether something else than hardware of this machine answers, as far as the system shows
    /// now: a probe over TCP, a pseudo-terminal, USB that comes over a network or from a program.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        match self {
            Self::Probe(selector) => selector.is_tcp(),
            Self::Placed(PlacedProbe { socket, .. }) | Self::Usb(socket) => {
                place::is_virtual_bus(Path::new(place::SYSFS), socket.bus())
            }
            Self::Tty(tty) => serial::is_virtual(Path::new(&tty.path)),
        }
    }

    /// Whether a probe over TCP is on this very machine; every other port is.
    #[must_use]
    pub fn is_here(&self) -> bool {
        let Self::Probe(selector) = self else { return true };
        let Some(address) = selector.address() else { return true };
        // A name that nobody knows now may be somebody else's later.
        address
            .to_socket_addrs()
            .is_ok_and(|mut found| found.all(|address| address.ip().is_loopback()))
    }

    /// Whether both may lead to one device: the same port, whatever its rate; a probe that is
    /// named without its serial number is any of its kind.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Probe(one), Self::Probe(two)) => one.meets(two),
            (Self::Probe(any), Self::Placed(placed)) | (Self::Placed(placed), Self::Probe(any)) => {
                any.ids() == placed.ids && any.serial().is_none()
            }
            (Self::Placed(one), Self::Placed(two)) => one.socket == two.socket,
            (Self::Placed(PlacedProbe { socket, .. }), Self::Usb(path))
            | (Self::Usb(path), Self::Placed(PlacedProbe { socket, .. })) => socket == path,
            (Self::Usb(one), Self::Usb(two)) => one == two,
            (Self::Tty(one), Self::Tty(two)) => serial::is_same_device(&one.path, &two.path),
            (Self::Tty(_), _) | (_, Self::Tty(_)) | (Self::Usb(_), _) | (_, Self::Usb(_)) => false,
        }
    }

    /// Opens the back end; the device itself is opened when it is first looked at. `chip`, where it
    /// is known already, tells whose loader is to come behind a serial port.
    ///
    /// # Errors
    /// [`FlashError::Driver`] when this machine has no USB.
    pub fn open(&self, chip: Option<&'static Chip>) -> Result<Box<dyn Backend>, FlashError> {
        Ok(match self {
            Self::Probe(selector) => Box::new(ProbeBackend::new(selector.clone())),
            Self::Placed(placed) => Box::new(PlacedBackend::new(placed.clone())),
            Self::Usb(path) => Box::new(DfuBackend::at(path.clone())?),
            Self::Tty(tty) => Box::new(SerialBackend::new(&tty.path, tty.baud, chip)),
        })
    }
}

impl FromStr for Port {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        if text.starts_with("usb:") {
            let path = text.parse().map_err(|_| PortError::Socket(text.to_owned()))?;
            return Ok(Self::Usb(path));
        }
        if let Some(place) = text.strip_prefix("tty:") {
            return TtyPort::read(place).map(Self::Tty);
        }
        if let Some((ids, socket)) = text.split_once('@') {
            return PlacedProbe::read(ids, socket)
                .map(Self::Placed)
                .ok_or_else(|| PortError::Probe(text.to_owned()));
        }
        text.parse().map(Self::Probe).map_err(|_| PortError::Probe(text.to_owned()))
    }
}

impl TtyPort {
    fn read(text: &str) -> Result<Self, PortError> {
        // A path may hold an `@` itself; a rate holds digits only.
        let (path, baud) = match text.rsplit_once('@') {
            Some((path, rate)) if !rate.contains('/') => {
                let digits = rate.bytes().all(|byte| byte.is_ascii_digit());
                let baud = rate.parse().ok().filter(|baud| digits && BAUDS.contains(baud));
                (path, baud.ok_or_else(|| PortError::Baud(text.to_owned()))?)
            }
            Some(_) | None => (text, BAUD_DEFAULT),
        };
        if path.starts_with('/') && !path.ends_with('/') && !path.contains('\0') {
            Ok(Self { path: path.to_owned(), baud })
        } else {
            Err(PortError::Tty(text.to_owned()))
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe(selector) => selector.fmt(f),
            Self::Placed(placed) => placed.fmt(f),
            Self::Usb(path) => path.fmt(f),
            Self::Tty(TtyPort { path, baud: BAUD_DEFAULT }) if !path.contains('@') => {
                write!(f, "tty:{path}")
            }
            Self::Tty(TtyPort { path, baud }) => write!(f, "tty:{path}@{baud}"),
        }
    }
}

impl TryFrom<String> for Port {
    type Error = PortError;

    fn try_from(text: String) -> Result<Self, PortError> {
        text.parse()
    }
}

impl From<Port> for String {
    fn from(port: Port) -> Self {
        port.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> Port {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_form_reads_shows_itself_and_names_its_kind_and_transport() {
        use BackEnd::{Dfu, Probe, Uart};
        let check = |text: &str, shown: &str, kind: &str, back_end: BackEnd| {
            let port = port(text);
            assert_eq!(port.to_string(), shown);
            assert_eq!(port.kind().to_string(), kind, "{text}");
            assert_eq!(port.back_end(), back_end, "{text}");
            let json = serde_json::to_string(&port).expect("text");
            assert_eq!(serde_json::from_str::<Port>(&json).expect("back"), port, "{json}");
        };
        let same = |text: &str, kind: &str, back_end| check(text, text, kind, back_end);
        same("1d50:6018:127.0.0.1:4000", "blackmagic-tcp", Probe);
        same("1d50:6018:7BB180B4", "blackmagic", Probe);
        same("0d28:0204-1:9900", "cmsis-dap", Probe);
        same("1366:0101@1-2.3", "jlink", Probe);
        same("usb:1-2.3", "dfu", Dfu);
        same("tty:/dev/ttyUSB0", "uart", Uart);
        check("tty:/dev/ttyUSB0@115200", "tty:/dev/ttyUSB0", "uart", Uart);
        same("tty:/dev/ttyUSB0@57600", "uart", Uart);
        same("tty:/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0", "uart", Uart);
        same("tty:/dev/odd@name@115200", "uart", Uart);
        check("tty:/dev/odd@name/x", "tty:/dev/odd@name/x@115200", "uart", Uart);
    }

    #[test]
    fn a_text_that_is_no_port_is_refused_for_what_it_meant_to_be() {
        let check = |text: &str, wanted: &dyn Fn(String) -> PortError, about: &str| {
            assert_eq!(text.parse::<Port>(), Err(wanted(about.to_owned())), "{text}");
        };
        for text in ["", "no probe", "127.0.0.1:4000", "xyzw:6018", "1366:0101@", "1366@1-2"] {
            check(text, &PortError::Probe, text);
        }
        for text in ["usb:", "usb:1", "usb:0-1", "usb:1-2:1.0"] {
            check(text, &PortError::Socket, text);
        }
        for text in ["ttyUSB0", "dev/ttyUSB0@9600", "", "/dev/"] {
            let about = text.split('@').next().map(|_| text).unwrap_or_default();
            check(&format!("tty:{text}"), &PortError::Tty, about);
        }
        for text in ["/dev/x@", "/dev/x@fast", "/dev/x@0", "/dev/x@+9600", "/dev/x@4000001"] {
            check(&format!("tty:{text}"), &PortError::Baud, text);
        }
    }

    #[test]
    fn ports_that_may_lead_to_one_device_meet() {
        let check = |one: &str, two: &str, meets: bool| {
            assert_eq!(port(one).meets(&port(two)), meets, "{one} and {two}");
            assert_eq!(port(two).meets(&port(one)), meets, "{two} and {one}");
        };
        check("1366:0101:1", "1366:0101:1", true);
        check("1366:0101:1", "1366:0101:2", false);
        check("1366:0101", "1366:0101:2", true);
        check("1366:0101", "1366:0105", false);
        check("1d50:6018:127.0.0.1:1", "1d50:6018:127.0.0.1:2", false);
        check("1366:0101@1-2", "1366:0101@1-3", false);
        check("1366:0101@1-2", "0d28:0204@1-2", true);
        check("1366:0101@1-2", "1366:0101", true);
        check("1366:0101@1-2", "1366:0101:7", false);
        check("1366:0101@1-2", "usb:1-2", true);
        check("usb:1-2", "usb:1-2", true);
        check("usb:1-2", "usb:1-2.1", false);
        check("tty:/dev/not-there", "tty:/dev/not-there@9600", true);
        check("tty:/dev/not-there", "tty:/dev/nor-this", false);
        check("tty:/dev/not-there", "usb:1-2", false);
        // Two names of one device.
        check("tty:/dev/null", "tty:/dev/../dev/null", true);
    }

    #[test]
    fn what_answers_over_a_network_or_from_a_program_is_simulated_and_a_probe_elsewhere_is_told() {
        let check = |text: &str, simulated: bool, here: bool| {
            let port = port(text);
            assert_eq!((port.is_simulated(), port.is_here()), (simulated, here), "{text}");
        };
        check("1d50:6018:127.0.0.1:4000", true, true);
        check("1d50:6018:[::1]:4000", true, true);
        check("1d50:6018:198.51.100.7:4000", true, false);
        check("1d50:6018:no-such-host.invalid:4000", true, false);
        check("1d50:6018:7BB180B4", false, true);
        check("1366:0101:1", false, true);
        check("usb:99-1", false, true);
        check("tty:/dev/null", false, true);
        check("tty:/dev/not-there", false, true);
        let (_master, slave) = serialport::TTYPort::pair().expect("a pseudo-terminal");
        let path = serialport::SerialPort::name(&slave).expect("its name");
        check(&format!("tty:{path}"), true, true);
    }
}
