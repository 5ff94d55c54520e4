//! The conversation below the visit: scripted answers, plain DFU 1.1, long blocks, whole erase.

use std::time::Duration;

use flash::dfu::{
    DfuError, Doing, Function, Mode, Port, Setup, State, StatusCode, Talk, Transport, UsbFault,
    Waiter, describe, language, text,
};
use simulators::dfu::{Bus, Device, Flavour, LoaderState, Memory, Silicon};

use crate::bench::*;

fn talk(bus: &Bus) -> (Talk<ModelWire>, ModelTime) {
    let mut wire = ModelPort(bus.cable(SLOT)).open().unwrap();
    let function = describe(&mut wire).unwrap();
    assert_eq!(function.mode, Mode::Dfu);
    (Talk::begin(wire, function, 0).unwrap(), ModelTime(bus.clone()))
}

/// A device that takes everything and always answers the same status.
struct Parrot {
    status: Vec<u8>,
    asked: u32,
}

impl Transport for Parrot {
    fn control_in(&mut self, _: Setup, into: &mut [u8], _: Duration) -> Result<usize, UsbFault> {
        self.asked += 1;
        into[..self.status.len()].copy_from_slice(&self.status);
        Ok(self.status.len())
    }

    fn control_out(&mut self, _: Setup, _: &[u8], _: Duration) -> Result<(), UsbFault> {
        Ok(())
    }

    fn select(&mut self, _: u8, _: u8) -> Result<(), UsbFault> {
        Ok(())
    }

    fn reset(&mut self) -> Result<(), UsbFault> {
        Ok(())
    }
}

#[derive(Default)]
struct Clock(Duration);

impl Waiter for Clock {
    fn now(&mut self) -> Duration {
        self.0
    }

    fn wait(&mut self, pause: Duration) {
        self.0 += pause;
    }
}

fn dfuse() -> Function {
    let bus = bus_with(f4_device());
    let mut wire = ModelPort(bus.cable(SLOT)).open().unwrap();
    describe(&mut wire).unwrap()
}

#[test]
fn a_device_that_stays_busy_or_answers_nonsense_ends_the_wait() {
    let doing = Doing::ErasePage(0x0800_0000);
    let check = |status: &[u8], wanted: DfuError, waited_ms: u128| {
        let parrot = Parrot { status: status.to_vec(), asked: 0 };
        let mut talk = Talk::begin(parrot, dfuse(), 0).unwrap();
        let mut clock = Clock::default();
        assert_eq!(talk.erase_page(0x0800_0000, &mut clock), Err(wanted), "{status:02x?}");
        assert_eq!(clock.0.as_millis(), waited_ms, "{status:02x?}");
    };
    let overdue = || DfuError::Overdue { doing, limit: Duration::from_secs(10) };
    check(&[0, 100, 0, 0, 4, 0], overdue(), 10_000);
    check(&[0, 0, 0, 0, 4, 0], overdue(), 10_000); // asked every millisecond
    check(&[0, 0xFF, 0xFF, 0xFF, 4, 0], overdue(), 0); // four hours and a half: not waited for
    check(&[0, 1, 0, 0, 3, 0], overdue(), 10_000);
    check(&[0, 0, 0, 0, 99, 0], DfuError::BadStatus { doing }, 0);
    check(&[0, 0, 0, 0, 4], DfuError::Short { doing, wanted: 6, found: 5 }, 0);
    check(&[], DfuError::Short { doing, wanted: 6, found: 0 }, 0);
    check(&[0, 0, 0, 0, 9, 0], DfuError::OutOfStep { doing, found: State::UploadIdle }, 0);
    check(&[4, 0, 0, 0, 10, 0], DfuError::Refused { doing, code: StatusCode(4) }, 0);
}

#[test]
fn settling_ends_for_every_state_a_device_can_pretend_to_be_in() {
    for state in 0..=255u8 {
        let parrot = Parrot { status: vec![0, 10, 0, 0, state, 0], asked: 0 };
        let mut talk = Talk::begin(parrot, dfuse(), 0).unwrap();
        let settled = talk.settle(&mut Clock::default());
        assert_eq!(settled.is_ok(), state == 2, "{state}: {settled:?}");
    }
}

#[test]
fn texts_and_states_are_read_without_changing_anything() {
    let bus = bus_with(f4_device());
    let mut wire = ModelPort(bus.cable(SLOT)).open().unwrap();
    let first = language(&mut wire).unwrap();
    assert!(first.is_some());
    assert_eq!(text(&mut wire, first, 3).unwrap().as_deref(), Some(SERIAL));
    assert_eq!(text(&mut wire, first, 0), Ok(None));
    assert_eq!(text(&mut wire, first, 200), Ok(None));
    assert_eq!(text(&mut wire, None, 3), Ok(None));
    let (mut talk, mut time) = talk(&bus);
    assert_eq!(talk.state(), Ok(State::Idle));
    talk.set_address(START, &mut time).unwrap();
    assert_eq!(talk.state(), Ok(State::DownloadIdle));
    assert_eq!(talk.state(), Ok(State::DownloadIdle));
    talk.abort().unwrap();
    assert_eq!(talk.state(), Ok(State::Idle));
    // Clearing where nothing is wrong is itself wrong, and the device says so.
    assert!(talk.clear_status().is_err());
    talk.settle(&mut time).unwrap();
    assert_eq!(bus.with(SLOT, |d| d.loader_state()), Some(Some(LoaderState::Idle)));
}

#[test]
fn an_address_the_chip_does_not_have_is_refused_by_the_device_and_above_32_bits_by_us() {
    let bus = bus_with(f4_device());
    let (mut talk, mut time) = talk(&bus);
    let doing = Doing::SetAddress(0x0900_0000);
    let refused = DfuError::Refused { doing, code: StatusCode::TARGET };
    assert_eq!(talk.set_address(0x0900_0000, &mut time), Err(refused));
    talk.settle(&mut time).unwrap();
    let address = 0x1_0800_0000;
    let doing = Doing::SetAddress(address);
    let ours = DfuError::NotAllowed { doing, address };
    assert_eq!(talk.set_address(address, &mut time), Err(ours));
}

#[test]
fn everything_is_erased_at_once_and_the_device_is_given_the_time_it_asks_for() {
    let bus = bus_with(f4_device());
    let old = image(300_000, 1);
    bus.with(SLOT, |d| d.memory_mut().put(0x0800_0000, &old));
    let (mut talk, mut time) = talk(&bus);
    talk.erase_all(&mut time).unwrap();
    assert!(held(&bus, SLOT, START, 1 << 20).iter().all(|byte| *byte == 0xFF));
    // 64 times 16 KiB at 250 ms.
    assert_eq!(bus.now(), Duration::from_secs(16));
    assert_eq!(bus.with(SLOT, |d| d.erases()), Some(1));
}

#[test]
fn blocks_longer_than_the_host_can_carry_go_out_shorter_each_behind_its_own_address() {
    let long = Silicon { transfer_bytes: 8192, ..Silicon::stm32f405() };
    let bus = bus_with(Device::new(Memory::new(long, UID), SERIAL));
    let (mut hand, _) = identified(&bus, &F4);
    let image = image(50_001, 71);
    program(&mut hand, &F4, &[(START + 12, &image)]).unwrap();
    assert!(held(&bus, SLOT, START + 12, image.len()) == image);
}

#[test]
fn a_plain_device_takes_one_image_gives_it_back_and_is_reset_if_it_waits_for_that() {
    for manifestation_tolerant in [true, false] {
        let flavour = Flavour::Plain { manifestation_tolerant };
        let bus = bus_with(f4_device().with_flavour(flavour));
        let old = image(100_000, 80);
        bus.with(SLOT, |d| d.memory_mut().put(0x0800_0000, &old));
        let (mut talk, mut time) = talk(&bus);
        let image = image(70_001, 81);
        let mut sent = 0;
        talk.download_image(&image, &mut time, &mut |bytes| sent += bytes).unwrap();
        assert_eq!(sent, 70_001);
        assert!(held(&bus, SLOT, START, image.len()) == image);
        if !manifestation_tolerant {
            assert_eq!(bus.with(SLOT, |d| d.runs_its_program()), Some(true));
            continue;
        }
        assert_eq!(talk.state(), Ok(State::Idle));
        let mut back = vec![0; 70_001];
        assert_eq!(talk.upload_image(&mut back, &mut time), Ok(70_001));
        assert!(back == image);
        let mut more = vec![0; (1 << 20) + 5000];
        assert_eq!(talk.upload_image(&mut more, &mut time), Ok(1 << 20));
        let refused = talk.download_image(&vec![1; (1 << 20) + 1], &mut time, &mut |_| {});
        let doing = Doing::Download { address: 1 << 20, bytes: 1 };
        assert_eq!(refused, Err(DfuError::Refused { doing, code: StatusCode::TARGET }));
    }
}
