//! Simulated sockets that real libusb sees, and the back end over it.

use flash::chips::STM32F405RG;
use flash::dfu::{DfuBackend, UsbPort, WallTime};
use flash::{Backend, Chip, Contact, FlashError, Piece, Plan, ProgramReport};
use simulators::dfu::{Device, Memory, Silicon};
use simulators::usbfs::Usb;
pub(crate) use simulators::usbfs::{run_again, with_sockets};

pub(crate) const SLOT: &str = "usb:1-2.3";
pub(crate) const OTHER: &str = "usb:1-2.4";
pub(crate) const SERIAL: &str = "STM32FxSTM32";
pub(crate) const UID: [u8; 12] = [0x2A, 0, 0x38, 0, 0x0B, 0x51, 0x33, 0x34, 0x39, 0x38, 0x31, 0x37];
pub(crate) const START: u64 = 0x0800_0000;
pub(crate) static F4: &Chip = &STM32F405RG;

pub(crate) type Hand = DfuBackend<UsbPort, WallTime>;

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
