//! Whole visits over DFU.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use flash::dfu::{DfuBackend, Waiter};
use flash::{Backend, Contact, FlashError, Presence, SelfTest, Step, UnlockApproval, Via};
use simulators::dfu::{Application, Bus, Device, Flavour, Memory, Silicon};

use crate::bench::*;

#[test]
fn a_64_kib_image_is_written_without_an_erase_compared_and_started() {
    let bus = bus_with(f4_device());
    let mut hand = hand(&bus, SLOT);
    assert_eq!(steady(&bus, &mut hand), Ok(Contact::Board));
    let identity = hand.identify(&F4).unwrap();
    assert_eq!(identity.family, "stm32f4");
    assert_eq!(identity.part, "Internal Flash 1024 KiB");
    assert_eq!(identity.uid.map(|uid| uid.as_bytes().to_vec()), Some(UID.to_vec()));
    assert!(!identity.locked && identity.weak.is_none());
    assert_eq!(hand.is_blank(START, 1 << 20), Ok(true));

    let image = image(64 << 10, 1);
    let mut steps: Vec<Step> = Vec::new();
    let mut last = None;
    let report = hand
        .program(&plan(&F4, &[(START, &image)]), &mut |progress| {
            assert!(progress.done_bytes <= progress.total_bytes);
            if steps.last() != Some(&progress.step) {
                steps.push(progress.step);
            }
            last = Some(progress);
        })
        .unwrap();
    assert_eq!(steps, [Step::Survey, Step::Erase, Step::Program, Step::Verify]);
    assert_eq!(last.map(|p| (p.done_bytes, p.total_bytes)), Some((64 << 10, 64 << 10)));
    assert_eq!((report.sectors_blank, report.sectors_erased), (4, 0));
    assert_eq!((report.written_bytes, report.verified_bytes), (64 << 10, 64 << 10));
    assert!(held(&bus, SLOT, START, image.len()) == image);
    assert_eq!(bus.with(SLOT, |d| d.erases()), Some(0));

    let verified = hand.verify(&plan(&F4, &[(START, &image)]), &mut |_| {}).unwrap();
    assert_eq!(verified.verified_bytes, 64 << 10);
    let mut part = [0; 10];
    hand.read(START + 1001, &mut part).unwrap();
    assert_eq!(part, image[1001..1011]);
    assert_eq!(hand.is_blank(START + (64 << 10), 64), Ok(true));
    assert_eq!(hand.is_blank(START, 64), Ok(false));
    assert_eq!(hand.presence(), Ok(Presence::Still));

    hand.reset_and_run().unwrap();
    assert_eq!(bus.with(SLOT, |d| d.runs_its_program()), Some(true));
    assert_eq!(hand.contact(), Ok(Contact::Nothing));
    assert_eq!(hand.read(START, &mut part), Err(FlashError::NotIdentified { wanted: Step::Read }));
    assert_eq!(hand.presence(), Ok(Presence::Still), "its program need not show on USB");
    bus.insert(SLOT, f4_device());
    assert_eq!(hand.presence(), Ok(Presence::Gone), "a loader is the next board");
    assert_eq!(hand.presence(), Ok(Presence::Still), "and that one is there");
}

#[test]
fn an_equal_page_is_left_alone_a_filled_one_erased_and_everything_outside_the_plan_kept() {
    let check = |device: Device, chip, page: u64, erased_pages: u32, blank_pages: u32| {
        let bus = bus_with(device);
        let old = image(96 << 10, 7);
        bus.with(SLOT, |d| d.memory_mut().put(0x0800_0000, &old));
        let (mut hand, _) = identified(&bus, chip);
        let equal = program(&mut hand, chip, &[(START, &old)]).unwrap();
        assert_eq!((equal.written_bytes, bus.with(SLOT, |d| d.programmed_bytes())), (0, Some(0)));

        // Three bytes in the middle of a filled page, and a block far out where it is blank.
        let block = image(136, 9);
        let report =
            program(&mut hand, chip, &[(page + 0x3F1, b"new"), (0x080E_0100, &block)]).unwrap();
        assert_eq!(
            (report.sectors_erased, report.sectors_blank, report.sectors_equal),
            (erased_pages, blank_pages, 0)
        );
        assert_eq!(bus.with(SLOT, |d| d.erases()), Some(erased_pages.into()));
        let mut wanted = old.clone();
        let at = usize::try_from(page - START).unwrap() + 0x3F1;
        wanted[at..at + 3].copy_from_slice(b"new");
        assert!(held(&bus, SLOT, START, wanted.len()) == wanted);
        assert!(held(&bus, SLOT, 0x080E_0100, 136) == block);
    };
    check(f4_device(), &F4, START + 0x4000, 1, 1);
    check(f4_device(), &F4, START + 0x1_0000, 1, 1);
    check(l4_device(), &L4, START + 0x4000, 1, 1);
}

#[test]
fn one_piece_across_pages_of_three_sizes_is_written_whole() {
    let bus = bus_with(f4_device());
    bus.with(SLOT, |d| d.memory_mut().put(0x0800_FFFC, &[0; 12]));
    let (mut hand, _) = identified(&bus, &F4);
    let long = image(0x1_5004, 3);
    let report = program(&mut hand, &F4, &[(START + 0xC003, &long)]).unwrap();
    assert_eq!((report.sectors_erased, report.sectors_blank), (2, 1));
    assert!(held(&bus, SLOT, START + 0xC003, long.len()) == long);
}

#[test]
fn an_unreadable_uid_leaves_only_a_weak_serial_and_an_impossible_one_is_refused() {
    let hidden = Silicon { shows_uid: false, ..Silicon::stm32f405() };
    let bus = bus_with(Device::new(Memory::new(hidden, UID), SERIAL));
    let (mut hand, identity) = identified(&bus, &F4);
    assert_eq!((identity.uid, identity.locked), (None, false));
    assert_eq!(identity.weak.as_deref(), Some(SERIAL));
    let image = image(4096, 1);
    program(&mut hand, &F4, &[(START, &image)]).unwrap();

    let blank = Device::new(Memory::new(Silicon::stm32f405(), [0xFF; 12]), SERIAL);
    let bus = bus_with(blank);
    let refused = crate::bench::hand(&bus, SLOT).identify(&F4);
    assert_eq!(refused, Err(FlashError::UidImplausible { uid: "FF".repeat(12) }));
}

#[test]
fn another_chip_is_refused_by_what_it_is_and_nothing_is_written() {
    let small = Silicon { pages: vec![(4, 16 << 10), (1, 64 << 10)], ..Silicon::stm32f405() };
    let elsewhere = Silicon { start: 0x0900_0000, ..Silicon::stm32f405() };
    let plain = Flavour::Plain { manifestation_tolerant: true };
    let check = |device: Device, found: &str| {
        let bus = bus_with(device);
        let refused = hand(&bus, SLOT).identify(&F4);
        let wanted = F4.name.to_owned();
        assert_eq!(refused, Err(FlashError::WrongChip { wanted, found: found.to_owned() }));
        assert_eq!(bus.with(SLOT, |d| d.programmed_bytes() + d.erases()), Some(0));
    };
    check(Device::new(Memory::new(small, UID), SERIAL), "Internal Flash with 128 KiB");
    check(
        Device::new(Memory::new(elsewhere, UID), SERIAL),
        "memories Internal Flash, Option Bytes, OTP Memory, Device Feature",
    );
    check(f4_device().with_flavour(plain), "a DFU device without addresses");
    let bus = bus_with(f4_device());
    let unknown = hand(&bus, SLOT).identify(&STRANGER);
    assert_eq!(unknown, Err(FlashError::UnknownChip { chip: STRANGER.name.to_owned() }));
    // More flash than the profile counts on is no trouble.
    assert!(hand(&bus, SLOT).identify(&F0).is_ok_and(|identity| identity.uid.is_none()));
}

#[test]
fn a_locked_chip_says_so_and_is_erased_whole_only_with_an_approval() {
    let bus = bus_with(f4_device());
    let old = image(4096, 5);
    bus.with(SLOT, |d| {
        d.memory_mut().put(0x0800_0000, &old);
        d.memory_mut().lock();
    });
    let (mut hand, identity) = identified(&bus, &F4);
    assert_eq!((identity.locked, identity.uid), (true, None));
    assert_eq!(program(&mut hand, &F4, &[(START, &old)]), Err(FlashError::Locked));
    assert!(held(&bus, SLOT, START, 4096) == old, "nothing was touched");

    let approval = UnlockApproval { record: "17".to_owned() };
    hand.unlock(&F4, &approval).unwrap();
    let identity = hand.identify(&F4).unwrap();
    assert_eq!((identity.locked, identity.uid.is_some()), (false, true));
    assert_eq!(hand.is_blank(START, 1 << 20), Ok(true));
    program(&mut hand, &F4, &[(START, &old)]).unwrap();
    assert_eq!(
        hand.protect(),
        Err(FlashError::Unsupported { chip: F4.name.to_owned(), step: Step::Protect })
    );
}

#[test]
fn of_two_boards_with_one_serial_the_one_in_the_named_port_is_written() {
    let bus = Bus::new();
    for path in ["usb:1-2.3", "usb:1-2.4"] {
        bus.insert(path, f4_device());
    }
    let image = image(8192, 11);
    let mut right = hand(&bus, "usb:1-2.4");
    right.identify(&F4).unwrap();
    program(&mut right, &F4, &[(START, &image)]).unwrap();
    assert!(held(&bus, "usb:1-2.4", START, 8192) == image);
    assert_eq!(bus.with("usb:1-2.3", |d| d.transfers()), Some(0));
    // The other slot's board leaving and coming back is none of this visit's business.
    bus.remove("usb:1-2.3");
    bus.reseat("usb:1-2.3");
    assert_eq!(right.presence(), Ok(Presence::Still));
}

#[test]
fn a_running_program_is_told_to_detach_by_itself_or_by_a_reset() {
    for (will_detach, behind) in [(true, 0), (false, 0), (true, 2), (false, 3)] {
        let mut memory = Memory::new(Silicon::stm32f405(), UID);
        let old = image(1024, 2);
        memory.put(0x0800_0000, &old);
        let application = Application::RunTimeDfu { will_detach, behind };
        let bus = bus_with(Device::new(memory, SERIAL).running(application));
        let (mut hand, identity) = identified(&bus, &F4);
        assert!(identity.uid.is_some(), "{will_detach}, {behind} interfaces before it");
        let new = image(2048, 3);
        program(&mut hand, &F4, &[(START, &new)]).unwrap();
        hand.reset_and_run().unwrap();
        assert_eq!(bus.with(SLOT, |d| d.runs_its_program()), Some(true));
        assert_eq!(hand.presence(), Ok(Presence::Still), "its program shows on USB");
        bus.remove(SLOT);
        assert_eq!(hand.presence(), Ok(Presence::Gone));
    }
}

#[test]
fn a_board_swapped_between_two_steps_is_gone() {
    let bus = bus_with(f4_device());
    let (mut hand, _) = identified(&bus, &F4);
    bus.insert(SLOT, f4_device());
    assert_eq!(hand.presence(), Ok(Presence::Gone));
    let (mut hand, _) = identified(&bus, &F4);
    bus.remove(SLOT);
    bus.reseat(SLOT);
    let mut byte = [0];
    let Err(FlashError::Silent { during: Step::Read, .. }) = hand.read(START, &mut byte) else {
        panic!("the old enumeration is not to be used");
    };
    assert_eq!(steady(&bus, &mut hand), Ok(Contact::Board));
    bus.remove(SLOT);
    assert_eq!(hand.contact(), Ok(Contact::Nothing));
    assert!(matches!(hand.identify(&F4), Err(FlashError::Silent { during: Step::Identify, .. })));
}

#[test]
fn a_plug_that_bounces_is_contact_only_once_it_stays() {
    let bus = bus_with(f4_device());
    let mut hand = hand(&bus, SLOT);
    for _ in 0..5 {
        assert_eq!(hand.contact(), Ok(Contact::Nothing));
        bus.wait(Duration::from_millis(60));
        bus.remove(SLOT);
        bus.reseat(SLOT);
    }
    assert_eq!(steady(&bus, &mut hand), Ok(Contact::Board));
    assert_eq!(hand.contact(), Ok(Contact::Board));
    // Swapped between two looks.
    bus.insert(SLOT, f4_device());
    assert_eq!(hand.contact(), Ok(Contact::Nothing));
    bus.remove(SLOT);
    assert_eq!(steady(&bus, &mut hand), Ok(Contact::Nothing));
}

#[test]
fn blank_stretches_of_an_image_are_not_sent() {
    let bus = bus_with(f4_device());
    let old = image(64 << 10, 7);
    bus.with(SLOT, |d| d.memory_mut().put(0x0800_0000, &old));
    let (mut hand, _) = identified(&bus, &F4);
    let mut new = image(64 << 10, 8);
    // From the middle of one block to the middle of another: 3 blocks of 2 KiB between them.
    new[0x5400..0x7400].fill(0xFF);
    let report = program(&mut hand, &F4, &[(START, &new)]).unwrap();
    assert_eq!(report.written_bytes, (64 << 10) - (3 << 11));
    assert_eq!(bus.with(SLOT, |d| d.programmed_bytes()), Some(report.written_bytes));
    assert!(held(&bus, SLOT, START, new.len()) == new);
}

#[test]
fn of_a_page_that_has_to_be_erased_only_what_is_kept_is_read() {
    let bus = bus_with(f4_device());
    let old = image(256 << 10, 7);
    bus.with(SLOT, |d| d.memory_mut().put(0x0800_0000, &old));
    let (mut hand, _) = identified(&bus, &F4);
    let new = image(192 << 10, 8);
    let mut surveyed = 0;
    let before = bus.with(SLOT, |d| d.transfers()).unwrap();
    let mut at_erase = None;
    let report = hand
        .program(&plan(&F4, &[(START, &new)]), &mut |progress| {
            if progress.step == Step::Survey {
                surveyed = progress.done_bytes;
            } else if at_erase.is_none() {
                at_erase = bus.with(SLOT, |d| d.transfers());
            }
        })
        .unwrap();
    // Six pages: the last is planned in part, so that its second half has to be kept.
    assert_eq!((report.sectors_erased, report.written_bytes), (6, 256 << 10));
    assert_eq!(surveyed, 256 << 10);
    let transfers = at_erase.unwrap() - before;
    // One block of 2 KiB for each page, the last page's second half, and seven around them.
    assert!(transfers <= 6 + 32 + 7, "{transfers}");
    assert!(held(&bus, SLOT, START, new.len()) == new);
    assert!(held(&bus, SLOT, START + (192 << 10), 64 << 10) == old[192 << 10..]);
}

/// The bus's time and the wall's together: a UART is waited for on the wall.
struct BothTimes(Bus, Instant);

impl Waiter for BothTimes {
    fn now(&mut self) -> Duration {
        self.0.now() + self.1.elapsed()
    }

    fn wait(&mut self, pause: Duration) {
        self.0.wait(pause);
    }
}

#[test]
fn a_self_test_starts_the_program_and_names_a_silent_uart() {
    let uart = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp:{}", uart.local_addr().unwrap());
    let bus = bus_with(f4_device());
    let old = image(1024, 2);
    bus.with(SLOT, |d| d.memory_mut().put(0x0800_0000, &old));
    let time = BothTimes(bus.clone(), Instant::now());
    let mut hand = DfuBackend::new(ModelPort(bus.cable(SLOT)), time);
    hand.identify(&F4).unwrap();
    let test = |via| SelfTest { via, expect: "FLASHLINE".to_owned(), within_ms: 60 };
    assert_eq!(
        hand.self_test(&test(Via::Rtt { control_block: None }), &mut |_| {}),
        Err(FlashError::Unsupported { chip: F4.name.to_owned(), step: Step::SelfTest })
    );
    let silent = hand.self_test(&test(Via::Uart { endpoint, baud: 115_200 }), &mut |_| {});
    let expected = "FLASHLINE".to_owned();
    assert_eq!(silent, Err(FlashError::SelfTestSilent { expected, within_ms: 60 }));
    assert_eq!(bus.with(SLOT, |d| d.runs_its_program()), Some(true));
}
