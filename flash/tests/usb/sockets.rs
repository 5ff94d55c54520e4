//! Simulated sockets that real libusb sees, and the back end over it.

use std::process::Command;

use flash::chips::STM32F405RG;
use flash::dfu::{DfuBackend, UsbPort, WallTime};
use flash::{Backend, Chip, Contact, FlashError, Piece, Plan, ProgramReport};
use simulators::dfu::{Device, Memory, Silicon};
use simulators::usbfs::{Usb, WireTime, preload, under_preload};

pub(crate) const SLOT: &str = "usb:1-2.3";
pub(crate) const OTHER: &str = "usb:1-2.4";
pub(crate) const SERIAL: &str = "STM32FxSTM32";
pub(crate) const UID: [u8; 12] = [0x2A, 0, 0x38, 0, 0x0B, 0x51, 0x33, 0x34, 0x39, 0x38, 0x31, 0x37];
pub(crate) const START: u64 = 0x0800_0000;
pub(crate) static F4: &Chip = &STM32F405RG;

pub(crate) type Hand = DfuBackend<UsbPort, WallTime>;

/// Runs `story` in a process of its own that sees simulated sockets only: the preload library has to
/// be there when a process starts, so the test starts itself again.
pub(crate) fn with_sockets<S: FnOnce(&Usb)>(story: S) {
    if under_preload() {
        return story(&Usb::new(WireTime::NONE).unwrap());
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    run_again::<S>(&mut again);
}

/// Starts this test again as `program`, under the preload library, and takes over its end.
pub(crate) fn run_again<S>(program: &mut Command) {
    let output = preload(program)
        .args([&test_name::<S>(), "--exact", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("1 passed"), "the test was not found again: {said}");
}

/// The path of the test whose closure this is, as the test program knows it.
fn test_name<S>() -> String {
    let path = std::any::type_name::<S>();
    let path = path.split_once("::").map_or(path, |(_, path)| path);
    path.trim_end_matches("::{{closure}}").to_owned()
}

/// An STM32F405 whose flash takes no time: these tests are about the way to it.
pub(crate) fn silicon() -> Silicon {
    let none = std::time::Duration::ZERO;
    Silicon { erase_16k: none, write_word: none, ..Silicon::stm32f405() }
}

pub(crate) fn device() -> Device {
    Device::new(Memory::new(silicon(), UID), SERIAL)
}

pub(crate) fn hand(socket: &str) -> Hand {
    DfuBackend::at(socket.parse().unwrap()).unwrap()
}

/// Bytes that look like a program: a stack in RAM, then no byte like its neighbour.
pub(crate) fn image(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut image: Vec<u8> = (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    let head = [0x00, 0x00, 0x02, 0x20];
    image.iter_mut().zip(head).for_each(|(to, from)| *to = from);
    image
}

pub(crate) fn program(hand: &mut Hand, image: &[u8]) -> Result<ProgramReport, FlashError> {
    let piece = Piece { name: "image", address: START, bytes: image };
    hand.program(&Plan::new(F4, [piece]).unwrap(), &mut |_| {})
}

/// Flash from its start, as a bench instrument sees it.
pub(crate) fn held(usb: &Usb, socket: &str, bytes: usize) -> Vec<u8> {
    usb.with(socket, |device| device.memory().bytes()[..bytes].to_vec()).unwrap()
}

/// Asks again and again, as a station does, until the socket says this.
pub(crate) fn until(hand: &mut Hand, wanted: Contact) {
    let begun = std::time::Instant::now();
    while hand.contact() != Ok(wanted) {
        assert!(begun.elapsed().as_secs() < 10, "still not {wanted:?}");
        std::thread::yield_now();
    }
}
