//! How a scanner is reached: a serial port (USB-CDC too), or a keyboard taken for the station alone.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use evdev::{Device, EventType};
use flash::{Port, TtyPort};
use serde::Deserialize;

use super::keys::{Keyboard, Stroke};

/// How long a read waits for something to come.
const READ_WAIT: Duration = Duration::from_millis(100);
/// How often a taken keyboard is looked at.
const KEY_PAUSE: Duration = Duration::from_millis(10);

/// Where a scanner is plugged in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ScannerPort {
    /// `tty:PATH[@BAUD]` – it sends what it reads.
    Tty(TtyPort),
    /// `hid:PATH` – it types what it reads, on this event device.
    Hid(PathBuf),
}

/// Why a text names no scanner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scanner: tty:/dev/…, or hid:/dev/input/… of its keyboard")]
pub struct NotAScanner(String);

impl FromStr for ScannerPort {
    type Err = NotAScanner;

    fn from_str(text: &str) -> Result<Self, NotAScanner> {
        if let Some(path) = text.strip_prefix("hid:") {
            let path = Path::new(path);
            let good = path.is_absolute() && path.file_name().is_some();
            return good
                .then(|| Self::Hid(path.to_owned()))
                .ok_or_else(|| NotAScanner(text.into()));
        }
        match text.parse() {
            Ok(Port::Tty(tty)) => Ok(Self::Tty(tty)),
            Ok(Port::Probe(_) | Port::Placed(_) | Port::Usb(_)) | Err(_) => {
                Err(NotAScanner(text.into()))
            }
        }
    }
}

impl TryFrom<String> for ScannerPort {
    type Error = NotAScanner;

    fn try_from(text: String) -> Result<Self, NotAScanner> {
        text.parse()
    }
}

impl fmt::Display for ScannerPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tty(tty) => Port::Tty(tty.clone()).fmt(f),
            Self::Hid(path) => write!(f, "hid:{}", path.display()),
        }
    }
}

/// An open scanner.
pub(super) trait Reader {
    /// What came since the last time, after a short wait for it where it can wait.
    ///
    /// # Errors
    /// The system's; the scanner is gone then.
    fn read(&mut self) -> io::Result<Vec<u8>>;

    /// How long to leave it alone before the next read.
    fn pause(&self) -> Duration;
}

impl ScannerPort {
    /// Takes the scanner for this program.
    ///
    /// # Errors
    /// The system's: not there, not ours, or somebody else has it.
    pub(super) fn open(&self) -> io::Result<Box<dyn Reader>> {
        Ok(match self {
            Self::Tty(tty) => {
                let port = serialport::new(&tty.path, tty.baud).timeout(READ_WAIT);
                // Taken for this program alone, as by TIOCEXCL.
                Box::new(Serial(port.open_native().map_err(io::Error::from)?))
            }
            Self::Hid(path) => {
                let mut device = Device::open(path)?;
                // From here on no other program hears it: not the screen, not a login prompt.
                device.grab()?;
                device.set_nonblocking(true)?;
                Box::new(Typing { device, keyboard: Keyboard::default() })
            }
        })
    }
}

struct Serial(serialport::TTYPort);

impl Reader for Serial {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 512];
        match io::Read::read(&mut self.0, &mut bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(bytes[..count].to_vec()),
            Err(error) if is_silence(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn pause(&self) -> Duration {
        Duration::ZERO
    }
}

struct Typing {
    device: Device,
    keyboard: Keyboard,
}

impl Reader for Typing {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.device.fetch_events() {
            Ok(events) => {
                for event in events.filter(|event| event.event_type() == EventType::KEY) {
                    let stroke = match event.value() {
                        0 => Stroke::Up,
                        1 => Stroke::Down,
                        // A key held down repeats; no scanner holds one.
                        _ => continue,
                    };
                    bytes.extend(self.keyboard.take(event.code(), stroke));
                }
            }
            Err(error) if is_silence(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(bytes)
    }

    fn pause(&self) -> Duration {
        KEY_PAUSE
    }
}

fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_is_a_serial_port_or_a_keyboard_and_nothing_else() {
        let check = |text: &str, wanted: Option<&str>| {
            let found = text.parse::<ScannerPort>().map(|port| port.to_string());
            assert_eq!(found.ok().as_deref(), wanted, "{text}");
        };
        check("tty:/dev/serial/by-id/usb-x", Some("tty:/dev/serial/by-id/usb-x"));
        check("tty:/dev/ttyS0@9600", Some("tty:/dev/ttyS0@9600"));
        check("hid:/dev/input/by-path/x-event-kbd", Some("hid:/dev/input/by-path/x-event-kbd"));
        check("hid:input/event3", None);
        check("hid:/", None);
        check("hid:", None);
        check("usb:1-2", None);
        check("1366:0101", None);
        check("/dev/ttyACM0", None);
        check("", None);
    }
}
