//! A scanner's keyboard taken for one program alone, by the kernel's own means.

#![allow(unsafe_code, reason = "a keyboard is taken by ioctl; the call says why it is sound")]

use std::ffi::{c_int, c_ulong};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::time::{Duration, Instant};

use simulators::scanner::{Scanner, key};

use crate::inside::{Machine, settle, until};

const EVIOCGRAB: c_ulong = 0x4004_4590;
const O_NONBLOCK: i32 = 0o4000;
const INPUT: u32 = 101;
const EVENT_BYTES: usize = 24;

unsafe extern "C" {
    fn ioctl(file: c_int, request: c_ulong, ...) -> c_int;
}

/// Takes a keyboard for this file alone, or gives it back.
fn grab(keyboard: &File, take: bool) -> io::Result<()> {
    // SAFETY: the file is open, and the request takes a number.
    match unsafe { ioctl(keyboard.as_raw_fd(), EVIOCGRAB, c_int::from(take)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Key codes that were pressed; `None` where nothing came.
fn pressed(keyboard: &mut File) -> Option<Vec<u16>> {
    let mut bytes = [0; 64 * EVENT_BYTES];
    match keyboard.read(&mut bytes) {
        Ok(count) => Some(
            bytes[..count]
                .chunks_exact(EVENT_BYTES)
                .filter(|event| event[16..18] == [1, 0] && event[20..24] == [1, 0, 0, 0])
                .map(|event| u16::from_ne_bytes([event[18], event[19]]))
                .collect(),
        ),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            None
        }
    }
}

pub(crate) fn a_scanner_is_taken_for_one_program_alone(_: &Machine) {
    let mut scanner = Scanner::plug("Simulated scanner").unwrap();
    let device = until("the scanner is a keyboard", || {
        scanner.device().ok().filter(|device| device.exists())
    });
    settle();
    let about = std::fs::metadata(&device).unwrap();
    assert_eq!((about.mode() & 0o777, about.gid()), (0o660, INPUT));
    let open = || File::options().read(true).custom_flags(O_NONBLOCK).open(&device).unwrap();
    let (mut station, mut screen) = (open(), open());
    grab(&station, true).unwrap();
    let busy = grab(&screen, true).unwrap_err();
    assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);

    scanner.scan("SN-123A").unwrap();
    let wanted: Vec<u16> = {
        let shift = 42;
        let keys = "SN-123A".chars().flat_map(|character| {
            let (code, shifted) = key(character).unwrap();
            if shifted { vec![shift, code] } else { vec![code] }
        });
        keys.chain([28]).collect()
    };
    let mut heard = Vec::new();
    let begun = Instant::now();
    until("the whole code came", || {
        heard.extend(pressed(&mut station).unwrap_or_default());
        (heard.len() >= wanted.len()).then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(heard, wanted);
    assert_eq!(pressed(&mut screen), None, "the screen's text fields hear nothing");

    grab(&station, false).unwrap();
    scanner.scan("7").unwrap();
    let mut heard = Vec::new();
    until("everybody hears it again", || {
        heard.extend(pressed(&mut screen).unwrap_or_default());
        (heard == [8, 28]).then_some(())
    });
}
