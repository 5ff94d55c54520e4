//! A barcode scanner that types what it reads, as a keyboard of this machine (Linux `uinput`).
//!
//! The kernel takes it for hardware: an event device appears, udev sets its rights, and whoever reads
//! keyboards reads it. Needs the module `uinput` and the right to open `/dev/uinput`.

#![allow(unsafe_code, reason = "uinput is told by ioctl; every call says why it is sound")]

use std::ffi::{c_int, c_ulong};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

const UI_DEV_CREATE: c_ulong = 0x5501;
const UI_DEV_DESTROY: c_ulong = 0x5502;
const UI_DEV_SETUP: c_ulong = 0x405C_5503;
const UI_SET_EVBIT: c_ulong = 0x4004_5564;
const UI_SET_KEYBIT: c_ulong = 0x4004_5565;
/// With room for 64 bytes.
const UI_GET_SYSNAME: c_ulong = 0x8040_552C;
const NAME_BYTES: usize = 64;

const SYNC: u16 = 0;
const KEY: u16 = 1;
const ENTER: u16 = 28;
const SHIFT: u16 = 42;
/// Key codes of a US keyboard, row by row (`input-event-codes.h`): without shift and with it.
const ROWS: [(u16, &str, &str); 5] = [
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
];

unsafe extern "C" {
    fn ioctl(file: c_int, request: c_ulong, ...) -> c_int;
}

/// The key and whether shift is held; `None` for what the scanner cannot type.
pub fn key(character: char) -> Option<(u16, bool)> {
    let at = |first: &u16, row: &str| Some(first + u16::try_from(row.find(character)?).ok()?);
    let plain = ROWS.iter().find_map(|(first, row, _)| Some((at(first, row)?, false)));
    plain.or_else(|| ROWS.iter().find_map(|(first, _, row)| Some((at(first, row)?, true))))
}

/// A scanner that is plugged in until it is dropped.
pub struct Scanner {
    file: File,
}

impl Scanner {
    /// Plugs a scanner in. `name` is how it shows, at most 79 bytes of it.
    ///
    /// # Errors
    /// The system's, where `/dev/uinput` is not there or not ours.
    pub fn plug(name: &str) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open("/dev/uinput")?;
        let scanner = Self { file };
        scanner.tell(UI_SET_EVBIT, KEY.into())?;
        let typed = ROWS.iter().flat_map(|(first, row, _)| (*first..).take(row.len()));
        for code in typed.chain([ENTER, SHIFT]) {
            scanner.tell(UI_SET_KEYBIT, code.into())?;
        }
        // struct uinput_setup: bus USB, vendor, product, version; name; no force feedback.
        let mut setup = [0_u8; 92];
        for (at, word) in [(0, 3_u16), (2, 0x05F9), (4, 0x2203), (6, 1)] {
            setup[at..at + 2].copy_from_slice(&word.to_ne_bytes());
        }
        let name = &name.as_bytes()[..name.len().min(79)];
        setup[8..8 + name.len()].copy_from_slice(name);
        // SAFETY: the file is open, and the kernel reads the 92 bytes that the request's number says.
        done(unsafe { ioctl(scanner.file.as_raw_fd(), UI_DEV_SETUP, setup.as_ptr()) })?;
        scanner.tell(UI_DEV_CREATE, 0)?;
        Ok(scanner)
    }

    fn tell(&self, request: c_ulong, value: c_int) -> io::Result<()> {
        // SAFETY: the file is open, and these requests take a number.
        done(unsafe { ioctl(self.file.as_raw_fd(), request, value) })
    }

    /// The device that programs read, such as `/dev/input/event3`.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotFound`] until the kernel has made it.
    pub fn device(&self) -> io::Result<PathBuf> {
        let mut name = [0_u8; NAME_BYTES];
        // SAFETY: the file is open, and the kernel writes at most the bytes the request's number says.
        done(unsafe { ioctl(self.file.as_raw_fd(), UI_GET_SYSNAME, name.as_mut_ptr()) })?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let folder = PathBuf::from("/sys/devices/virtual/input")
            .join(String::from_utf8_lossy(name).into_owned());
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            if name.to_string_lossy().starts_with("event") {
                return Ok(PathBuf::from("/dev/input").join(name));
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Reads a code: types it and presses Enter.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a character the scanner cannot type; the system's.
    pub fn scan(&mut self, code: &str) -> io::Result<()> {
        for character in code.chars() {
            let (code, shifted) = key(character).ok_or(io::ErrorKind::InvalidInput)?;
            if shifted {
                self.press(SHIFT, 1)?;
            }
            self.press(code, 1)?;
            self.press(code, 0)?;
            if shifted {
                self.press(SHIFT, 0)?;
            }
        }
        self.press(ENTER, 1)?;
        self.press(ENTER, 0)
    }

    fn press(&mut self, code: u16, value: i32) -> io::Result<()> {
        // struct input_event on 64-bit Linux: a time that the kernel fills in, kind, code, value.
        let mut events = [0_u8; 48];
        for (at, kind, code, value) in [(0, KEY, code, value), (24, SYNC, 0, 0)] {
            events[at + 16..at + 18].copy_from_slice(&kind.to_ne_bytes());
            events[at + 18..at + 20].copy_from_slice(&code.to_ne_bytes());
            events[at + 20..at + 24].copy_from_slice(&value.to_ne_bytes());
        }
        self.file.write_all(&events)
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        // The kernel unplugs it with the file in any case.
        let _ = self.tell(UI_DEV_DESTROY, 0);
    }
}

fn done(answer: c_int) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn characters_have_the_keys_of_a_us_keyboard() {
        let check = |character, wanted| assert_eq!(key(character), wanted, "{character:?}");
        check('1', Some((2, false)));
        check('0', Some((11, false)));
        check('-', Some((12, false)));
        check('q', Some((16, false)));
        check('S', Some((31, true)));
        check('m', Some((50, false)));
        check('ü', None);
        check(' ', Some((57, false)));
        check(':', Some((39, true)));
        check('-', Some((12, false)));
    }
}
