//! Slots that are USB sockets: real libusb in real workers, boards in their DFU loader.
//!
//! Needs the Debian packages of `simulators`' feature `umockdev`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use audit::Event;
use flash::BackEnd;
use simulators::dfu::{Device, Memory, Silicon};
use simulators::usbfs::{Usb, with_sockets};
use station_daemon::api::view::{SlotState, TroubleCode};
use station_daemon::config::SlotConfig;

use super::World;
use super::paper::{Parcel, Plan, STM32_BLOCK_AT};
use super::station::{Station, port};

const SLOT: &str = "usb:1-2.3";
const UID: [u8; 12] = [0x2A, 0, 0x38, 0, 0x0B, 0x51, 0x33, 0x34, 0x39, 0x38, 0x31, 0x37];
const SERIAL: &str = "STM32FxSTM32";
const FLASH: u64 = 0x0800_0000;

fn for_stm32(plan: &mut Plan) {
    plan.chip = "STM32F405RG";
    plan.self_test = false;
    plan.port_kinds = vec!["dfu"];
}

fn device(shows_uid: bool) -> Device {
    let none = Duration::ZERO;
    let silicon = Silicon { erase_16k: none, write_word: none, shows_uid, ..Silicon::stm32f405() };
    Device::new(Memory::new(silicon, UID), SERIAL)
}

/// A worker starts with a cleared environment; this one is given the preload library again.
fn worker(world: &World) -> PathBuf {
    let path = world.path().join("worker");
    let word = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("no {name}"));
    let script = format!(
        "#!/bin/sh\nLD_PRELOAD={} UMOCKDEV_DIR={} exec {} \"$@\"\n",
        word("LD_PRELOAD"),
        word("UMOCKDEV_DIR"),
        env!("CARGO_BIN_EXE_station-daemon")
    );
    let mut file = std::fs::File::create(&path).expect("a script");
    std::io::Write::write_all(&mut file, script.as_bytes()).expect("a script");
    file.set_permissions(std::fs::Permissions::from_mode(0o755)).expect("a program");
    path
}

fn start(world: &World, parcel: &Parcel) -> Station {
    let slot = SlotConfig {
        number: 1,
        ports: vec![port(SLOT)],
        chips: BTreeMap::new(),
        uart: None,
        baud: 115_200,
    };
    let station = Station::start_with(world.path(), &[slot], &worker(world));
    let approved = station.desk.ask(|desk| desk.approve_unproven("STM32F405RG", BackEnd::Dfu, 12));
    assert_eq!(approved, Ok(Ok(())));
    station.deliver(parcel);
    station
}

/// A station whose slot is an empty socket, and a board to be put into it. A machine without any device
/// has no USB, as far as a worker can tell.
fn before_an_empty_socket(usb: &Usb, world: &World, parcel: &Parcel, shows_uid: bool) -> Station {
    usb.insert(SLOT, device(shows_uid)).expect("a socket");
    usb.remove(SLOT).expect("out");
    let station = start(world, parcel);
    station.wait_slot(1, SlotState::Empty);
    station
}

fn held(usb: &Usb, at: u64, bytes: usize) -> Vec<u8> {
    let from = usize::try_from(at - FLASH).expect("in flash");
    usb.with(SLOT, |device| device.memory().bytes()[from..from + bytes].to_vec()).expect("a board")
}

fn holds_image(usb: &Usb, parcel: &Parcel) {
    for (address, bytes) in &parcel.image {
        assert!(&held(usb, *address, bytes.len()) == bytes, "image at {address:#x}");
    }
}

#[test]
fn a_board_in_a_usb_socket_is_flashed_by_the_whole_station_and_known_when_it_comes_back() {
    with_sockets(|usb| {
        let world = World::new(for_stm32);
        let parcel = world.parcel();
        let station = before_an_empty_socket(usb, &world, &parcel, true);
        usb.reseat(SLOT).expect("in");
        let passed = station.wait_slot(1, SlotState::Pass);
        let code = activation::code_for("demo-lamp", "stm32f4", &UID).to_string();
        assert_eq!(passed.code.as_deref(), Some(code.as_str()));
        holds_image(usb, &parcel);
        let block = held(usb, STM32_BLOCK_AT, activation::BLOCK_BYTES);
        assert_eq!(
            station.visit_events(),
            ["contact", "identified", "reserved", "programming", "verified", "activated", "passed"]
        );

        // Its program runs and is silent on USB: it stays good until its loader is there again.
        assert_eq!(usb.with(SLOT, |device| device.runs_its_program()), Some(true));
        usb.remove(SLOT).expect("out");
        let erases = usb.with(SLOT, |device| device.erases());
        usb.reseat(SLOT).expect("in");
        let seen = station.wait_slot(1, SlotState::SeenBefore);
        assert_eq!(seen.code, passed.code);
        assert_eq!(usb.with(SLOT, |device| device.erases()), erases, "it was only compared");
        assert_eq!(held(usb, STM32_BLOCK_AT, activation::BLOCK_BYTES), block);
        station.stop();
    });
}

#[test]
fn a_board_with_a_serial_number_only_is_a_new_unit_each_time_and_is_given_no_code() {
    with_sockets(|usb| {
        let world = World::new(|plan| {
            for_stm32(plan);
            plan.activation = false;
        });
        let parcel = world.parcel();
        let station = before_an_empty_socket(usb, &world, &parcel, false);
        usb.reseat(SLOT).expect("in");
        let passed = station.wait_slot(1, SlotState::Pass);
        assert_eq!(passed.code, None);
        holds_image(usb, &parcel);
        usb.remove(SLOT).expect("out");
        usb.reseat(SLOT).expect("in");
        station.wait("another visit that passes", |view| {
            view.order.as_ref().is_some_and(|order| order.passed == 2)
        });
        let weak: Vec<Option<String>> = station
            .records()
            .into_iter()
            .filter_map(|record| match record.event {
                Event::Passed { uid: None, weak, .. } => Some(weak),
                _ => None,
            })
            .collect();
        assert_eq!(weak, [Some(SERIAL.to_owned()), Some(SERIAL.to_owned())]);
        station.stop();
    });
}

#[test]
fn a_release_that_activates_refuses_a_board_with_a_serial_number_only() {
    with_sockets(|usb| {
        let world = World::new(for_stm32);
        let parcel = world.parcel();
        let station = before_an_empty_socket(usb, &world, &parcel, false);
        usb.reseat(SLOT).expect("in");
        let failed = station.wait_slot(1, SlotState::Fail);
        let code = failed.trouble.map(|trouble| trouble.code);
        assert_eq!(code, Some(TroubleCode::IdentityWeak));
        assert!(held(usb, FLASH, 4096).iter().all(|byte| *byte == 0xFF));
        station.stop();
    });
}

#[test]
fn a_board_whose_loader_another_program_speaks_to_is_named_and_flashed_once_it_is_free() {
    use flash::dfu::{Port as _, Transport as _, UsbPort};

    with_sockets(|usb| {
        let world = World::new(for_stm32);
        let parcel = world.parcel();
        usb.insert(SLOT, device(true)).expect("a socket");
        let mut other = UsbPort::new(SLOT.parse().expect("a socket")).expect("a port");
        let mut other = other.open().expect("another program");
        other.select(0, 0).expect("its interface");
        let station = start(&world, &parcel);
        let failed = station.wait_slot(1, SlotState::Fail);
        assert_eq!(failed.trouble.map(|trouble| trouble.code), Some(TroubleCode::ProbeBusy));
        drop(other);
        usb.remove(SLOT).expect("out");
        station.wait_slot(1, SlotState::Empty);
        usb.reseat(SLOT).expect("in");
        station.wait_slot(1, SlotState::Pass);
        holds_image(usb, &parcel);
        station.stop();
    });
}
