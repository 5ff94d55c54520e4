//! The back end against a chip, and with a firmware, that other people wrote: QEMU's nRF51822 and
//! Debian's MicroPython for the micro:bit.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;

use flash::probe::ProbeBackend;
use flash::{Backend, Contact, FlashError, Piece, Plan, Presence, SelfTest, Via};
use ihex::Record;
use simulators::qemu::EmulatedBoard;
use simulators::{Addresses, serve_board};

const UID: [u8; 8] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xF8];
const FIRMWARE: &str = "/usr/share/firmware-microbit-micropython/firmware.hex";
/// First address of the records for UICR, which the profile does not program.
const UICR: u64 = 0x1000_1000;

/// The firmware's bytes in touching pieces, by first address.
fn firmware() -> BTreeMap<u64, Vec<u8>> {
    let text = std::fs::read_to_string(FIRMWARE).unwrap();
    let mut pieces: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut base = 0;
    for record in ihex::Reader::new(&text) {
        match record.unwrap() {
            Record::Data { offset, value } => {
                let at = base + u64::from(offset);
                match pieces.last_entry() {
                    Some(mut last) if *last.key() + last.get().len() as u64 == at => {
                        last.get_mut().extend(value);
                    }
                    Some(_) | None => drop(pieces.insert(at, value)),
                }
            }
            Record::ExtendedSegmentAddress(segment) => base = u64::from(segment) << 4,
            Record::ExtendedLinearAddress(upper) => base = u64::from(upper) << 16,
            Record::EndOfFile
            | Record::StartSegmentAddress { .. }
            | Record::StartLinearAddress(_) => {}
        }
    }
    pieces
}

#[test]
fn micropython_is_flashed_to_an_nrf51_says_its_banner_and_is_recognised_again() {
    let board = EmulatedBoard::start(UID, true).unwrap();
    let served = serve_board(Addresses::any(), move || board).unwrap();
    let selector = format!("1d50:6018:{}", served.addresses.probe);
    let mut backend = ProbeBackend::new(selector.parse().unwrap());
    let chip = flash::chip("nRF51822_xxAA").unwrap();

    assert_eq!(backend.contact().unwrap(), Contact::Board);
    let identity = backend.identify(chip).unwrap();
    assert_eq!((identity.family.as_str(), identity.locked), ("nrf51", false));
    assert_eq!(identity.uid.unwrap().as_bytes(), UID);

    let pieces = firmware();
    let all = pieces.iter().map(|(at, bytes)| Piece { name: "firmware", address: *at, bytes });
    let refused = Plan::new(chip, all.clone()).err();
    assert!(matches!(refused, Some(FlashError::OutOfRange { .. })), "{refused:?}");
    let plan = Plan::new(chip, all.filter(|piece| piece.address < UICR)).unwrap();
    let report = backend.program(&plan, &mut |_| ()).unwrap();
    assert_eq!((report.sectors_equal, report.sectors_erased), (0, 0));
    assert_eq!(report.verified_bytes, plan.bytes());
    assert!(plan.bytes() > 200_000, "{}", plan.bytes());

    let endpoint = format!("tcp:{}", served.addresses.uart);
    let test = SelfTest {
        via: Via::Uart { endpoint, baud: 115_200 },
        expect: "MicroPython v1.9".to_owned(),
        within_ms: 30_000,
    };
    let line = backend.self_test(&test, &mut |_| ()).unwrap();
    assert!(line.starts_with("MicroPython v1.9"), "{line:?}");
    assert_eq!(backend.presence().unwrap(), Presence::Still);

    backend.identify(chip).unwrap();
    let report = backend.program(&plan, &mut |_| ()).unwrap();
    assert_eq!((report.sectors_blank, report.sectors_erased, report.written_bytes), (0, 0, 0));
}
