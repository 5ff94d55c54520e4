//! The whole back end against a simulated nRF52832, through the unmodified probe-rs driver.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bench;

use std::time::{Duration, Instant};

use bench::{
    Board, Cable, UID, firmware_that_says, firmware_that_says_by_rtt, noise, nrf52, plan, program,
};
use flash::probe::ProbeBackend;
use flash::{Backend, Contact, FlashError, Presence, SelfTest, Step, UnlockApproval, Via};
use simulators::nrf52::Revision;
use simulators::timing::Timing;

/// The demo's activation block lies in the last flash page.
const BLOCK_AT: u64 = 0x7_F000;

#[test]
fn a_blank_board_gets_image_block_and_uicr_words_without_an_erase() {
    let board = Board::new();
    let (mut backend, identity) = board.identified();
    assert_eq!(identity.family, "nrf52");
    assert!(identity.part.starts_with("nRF52832"), "{}", identity.part);
    assert_eq!(identity.uid.unwrap().as_bytes(), UID);
    assert!(!identity.locked);

    let image = noise(0x9345, 1);
    let block = noise(300, 2);
    let uicr = [0x11, 0x22, 0x33, 0x44];
    let pieces: [(u64, &[u8]); 3] = [(0, &image), (BLOCK_AT, &block), (0x1000_1080, &uicr)];
    let (done, events) = program(&mut backend, &pieces);
    let report = done.unwrap();
    assert_eq!((report.sectors_equal, report.sectors_erased), (0, 0));
    assert_eq!(report.sectors_blank, 10 + 1 + 1);
    assert_eq!(report.verified_bytes, 0x9345 + 300 + 4);
    for (at, bytes) in pieces {
        assert!(board.cells(at, bytes.len()) == bytes, "at {at:#x}");
    }
    assert_eq!(board.counter("page_erases"), 0);
    assert_eq!(board.counter("mass_erases"), 0);
    assert_eq!(board.counter("refused"), 0);
    assert_eq!(board.counter("words_with_lost_bits"), 0);
    assert_eq!(board.counter("uicr_words"), 1);

    for step in [Step::Survey, Step::Program, Step::Verify] {
        let of_step: Vec<_> = events.iter().filter(|event| event.step == step).collect();
        assert!(of_step.len() >= 2, "{step}: {events:?}");
        assert_eq!(of_step[0].done_bytes, 0);
        let last = of_step[of_step.len() - 1];
        assert_eq!(last.done_bytes, last.total_bytes, "{step}");
    }
}

#[test]
fn the_same_image_again_writes_nothing_and_is_still_compared() {
    let board = Board::new();
    let image = noise(0x5000, 3);
    let (mut backend, _) = board.identified();
    program(&mut backend, &[(0, &image)]).0.unwrap();
    drop(backend);
    let words = board.counter("programmed_words");
    let (mut again, _) = board.identified();
    let report = program(&mut again, &[(0, &image)]).0.unwrap();
    assert_eq!((report.sectors_equal, report.written_bytes), (5, 0));
    assert_eq!(report.verified_bytes, 0x5000);
    assert_eq!(board.counter("programmed_words"), words);
    assert_eq!(board.counter("page_erases"), 0);
    assert_eq!(again.verify(&plan(&[(0, &image)]), &mut |_| ()).unwrap().verified_bytes, 0x5000);
}

#[test]
fn only_changed_sectors_are_erased_and_bytes_outside_the_plan_are_kept() {
    let board = Board::new();
    let (mut backend, _) = board.identified();
    let old = noise(0x4000, 4);
    let customer = noise(16, 5);
    program(&mut backend, &[(0, &old), (0x1000_1090, &customer)]).0.unwrap();

    let mut new = old.clone();
    new[0x1010] ^= 0x5A;
    let other_customer = [0x5A; 4];
    let pieces: [(u64, &[u8]); 2] = [(0, &new[..0x1100]), (0x1000_1094, &other_customer)];
    let report = program(&mut backend, &pieces).0.unwrap();
    assert_eq!((report.sectors_equal, report.sectors_erased), (1, 2));
    assert_eq!(board.counter("page_erases"), 2);
    assert!(board.cells(0, 0x4000) == new);
    let mut uicr = customer.clone();
    uicr[4..8].copy_from_slice(&other_customer);
    assert_eq!(board.cells(0x1000_1090, 16), uicr);
    assert_eq!(board.counter("words_with_lost_bits"), 0);
}

#[test]
fn a_stuck_cell_is_named_by_its_address_and_counted() {
    let board = Board::new();
    let (mut backend, _) = board.identified();
    board.pull("stuck 8197 3");
    board.pull("stuck 20481 0");
    let image = vec![0xFF; 0x6000]
        .iter()
        .enumerate()
        .map(|(at, byte)| if at % 2 == 0 { 0x00 } else { *byte })
        .collect::<Vec<u8>>();
    let error = program(&mut backend, &[(0, &image)]).0.unwrap_err();
    let wanted =
        FlashError::VerifyDiffered { address: 0x2005, bytes: 2, wanted: 0xFF, found: 0xF7 };
    assert_eq!(error, wanted);
    let error = backend.verify(&plan(&[(0, &image)]), &mut |_| ()).unwrap_err();
    assert_eq!(error, wanted);
}

#[test]
fn power_lost_at_any_word_is_a_silence_and_the_next_visit_repairs_the_board() {
    let image = noise(0x3000, 6);
    for cut in [1, 100, 0x2FF, 0xBFE] {
        let board = Board::new();
        let (mut backend, _) = board.identified();
        board.pull(&format!("cut {cut}"));
        let error = program(&mut backend, &[(0, &image)]).0.unwrap_err();
        assert!(
            matches!(&error, FlashError::Silent { during: Step::Program, .. }),
            "cut {cut}: {error:?}"
        );
        assert_eq!(backend.contact().unwrap(), Contact::Nothing, "cut {cut}");
        board.pull("heal");
        board.pull("power on");
        assert_eq!(backend.contact().unwrap(), Contact::Board, "cut {cut}");
        backend.identify(nrf52()).unwrap();
        program(&mut backend, &[(0, &image)]).0.unwrap();
        assert!(board.cells(0, image.len()) == image, "cut {cut}");
    }
}

#[test]
fn an_unpowered_board_is_no_contact_and_found_as_soon_as_it_is_there() {
    let board = Board::new();
    board.pull("power off");
    let mut backend = board.backend();
    let begun = Instant::now();
    assert_eq!(backend.contact().unwrap(), Contact::Nothing);
    assert_eq!(backend.presence().unwrap(), Presence::Gone);
    let error = backend.identify(nrf52()).unwrap_err();
    assert!(matches!(error, FlashError::Silent { during: Step::Identify, .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    board.pull("power on");
    assert_eq!(backend.contact().unwrap(), Contact::Board);
    backend.identify(nrf52()).unwrap();
}

#[test]
fn a_board_that_is_pulled_or_loses_its_power_for_a_moment_is_gone() {
    let check = |levers: &[&str]| {
        let board = Board::new();
        let (mut backend, _) = board.identified();
        assert_eq!(backend.presence().unwrap(), Presence::Still);
        for lever in levers {
            board.pull(lever);
        }
        assert_eq!(backend.presence().unwrap(), Presence::Gone, "{levers:?}");
    };
    check(&["remove"]);
    check(&["power off"]);
    check(&["remove", "insert"]);
    check(&["power off", "power on"]);
}

#[test]
fn a_locked_chip_is_an_identity_without_a_uid_and_opens_only_by_an_approved_erase() {
    let board = Board::new();
    let image = noise(0x1000, 7);
    let (mut backend, _) = board.identified();
    program(&mut backend, &[(0, &image)]).0.unwrap();
    board.pull("lock");
    assert_eq!(backend.contact().unwrap(), Contact::Board);
    let identity = backend.identify(nrf52()).unwrap();
    assert!(identity.locked);
    assert_eq!((identity.uid, identity.part.as_str()), (None, ""));
    assert_eq!(program(&mut backend, &[(0, &image)]).0, Err(FlashError::Locked));
    assert_eq!(board.counter("mass_erases"), 0);
    assert!(board.cells(0, image.len()) == image);

    let approval = UnlockApproval { record: "7/12".to_owned() };
    backend.unlock(nrf52(), &approval).unwrap();
    assert_eq!(board.counter("mass_erases"), 1);
    assert!(!backend.identify(nrf52()).unwrap().locked);
    program(&mut backend, &[(0, &image)]).0.unwrap();
}

#[test]
fn protection_is_written_confirmed_and_found_again_at_the_next_visit() {
    let board = Board::new();
    let (mut backend, _) = board.identified();
    let image = noise(0x1000, 8);
    program(&mut backend, &[(0, &image)]).0.unwrap();
    backend.protect().unwrap();
    assert_eq!(board.cells(0x1000_1208, 4), [0x00, 0xFF, 0xFF, 0xFF]);
    let error = backend.read(0, &mut [0; 16]).unwrap_err();
    assert_eq!(error, FlashError::Locked);
    assert_eq!(backend.presence().unwrap(), Presence::Still);
    drop(backend);
    assert!(board.backend().identify(nrf52()).unwrap().locked);
}

#[test]
fn silicon_that_arrives_locked_is_opened_programmed_and_locked_again() {
    let board = Board::with(UID, Revision::Three, Timing::OFF);
    let mut backend = board.backend();
    assert!(backend.identify(nrf52()).unwrap().locked);
    let approval = UnlockApproval { record: "7/13".to_owned() };
    backend.unlock(nrf52(), &approval).unwrap();
    let identity = backend.identify(nrf52()).unwrap();
    assert!(!identity.locked);
    assert_eq!(identity.part, "nRF52832-AAG0");
    let image = firmware_that_says("here I am");
    program(&mut backend, &[(0, &image)]).0.unwrap();
    let line = backend.self_test(&uart_test(&board, "here", 5000), &mut |_| ()).unwrap();
    assert_eq!(line, "here I am");
    backend.protect().unwrap();
    drop(backend);
    assert!(board.backend().identify(nrf52()).unwrap().locked);
}

#[test]
fn another_chip_is_refused_before_anything_is_written() {
    let board = Board::new();
    let mut backend = board.backend();
    let error = backend.identify(flash::chip("nRF51822_xxAA").unwrap()).unwrap_err();
    assert!(matches!(error, FlashError::WrongChip { .. }), "{error:?}");
    assert_eq!(board.counter("programmed_words"), 0);
    assert_eq!(board.counter("page_erases"), 0);
}

#[test]
fn a_uid_that_cannot_be_one_is_refused() {
    for uid in [[0; 8], [0xFF; 8]] {
        let board = Board::with(uid, Revision::Old, Timing::OFF);
        let error = board.backend().identify(nrf52()).unwrap_err();
        assert!(matches!(error, FlashError::UidImplausible { .. }), "{error:?}");
    }
}

#[test]
fn a_probe_that_is_not_there_or_goes_away_is_named_as_such() {
    let board = Board::new();
    let (mut backend, _) = board.identified();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut nowhere = ProbeBackend::new(format!("1d50:6018:{closed}").parse().unwrap());
    drop(board);
    let error = backend.read(0, &mut [0; 4]).unwrap_err();
    assert!(matches!(error, FlashError::ProbeLost { during: Step::Read, .. }), "{error:?}");
    let error = nowhere.contact().unwrap_err();
    assert!(matches!(error, FlashError::ProbeMissing { .. }), "{error:?}");
}

#[test]
fn a_probe_replugged_in_a_step_is_lost_and_replugged_between_two_looks_is_no_trouble() {
    let board = Board::new();
    let cable = Cable::to(&board);
    let mut backend = cable.backend();
    assert_eq!(backend.contact().unwrap(), Contact::Board);
    cable.replug();
    assert_eq!(backend.contact().unwrap(), Contact::Board);
    backend.identify(nrf52()).unwrap();
    cable.replug();
    let (done, _) = program(&mut backend, &[(0, &noise(0x1000, 10))]);
    assert!(matches!(done, Err(FlashError::ProbeLost { .. })), "{done:?}");
    assert_eq!(backend.contact().unwrap(), Contact::Board);
    backend.identify(nrf52()).unwrap();
    program(&mut backend, &[(0, &noise(0x1000, 10))]).0.unwrap();
}

#[test]
fn steps_out_of_order_are_refused() {
    let board = Board::new();
    let mut backend = board.backend();
    let error = backend.read(0, &mut [0; 4]).unwrap_err();
    assert_eq!(error, FlashError::NotIdentified { wanted: Step::Read });
    let (done, _) = program(&mut backend, &[(0, &[1, 2, 3, 4])]);
    assert_eq!(done, Err(FlashError::NotIdentified { wanted: Step::Program }));
}

#[test]
fn memory_is_read_at_any_address_and_length_and_blank_is_told_from_written() {
    let board = Board::new();
    let (mut backend, _) = board.identified();
    let image = noise(0x2000, 9);
    program(&mut backend, &[(0x1000, &image)]).0.unwrap();
    for (at, length) in [(0x1000, 1), (0x1001, 2), (0x1003, 7), (0x17FE, 0x805), (0x1000, 0x2000)] {
        let mut read = vec![0; length];
        backend.read(at, &mut read).unwrap();
        let from = usize::try_from(at).unwrap() - 0x1000;
        assert!(read == image[from..from + length], "{at:#x}+{length}");
    }
    assert!(backend.is_blank(0, 0x1000).unwrap());
    assert!(!backend.is_blank(0, 0x1004).unwrap());
    assert!(backend.is_blank(0x3000, 0x7_D000).unwrap());
}

fn uart_test(board: &Board, expect: &str, within_ms: u64) -> SelfTest {
    SelfTest {
        via: Via::Uart { endpoint: format!("tcp:{}", board.served.addresses.uart), baud: 115_200 },
        expect: expect.to_owned(),
        within_ms,
    }
}

#[test]
fn the_self_test_hears_the_first_line_after_reset() {
    let board = Board::new();
    let (mut backend, _) = board.identified();
    let image = firmware_that_says("FLASHLINE demo-lamp 1.0.0 activation=valid");
    program(&mut backend, &[(0, &image)]).0.unwrap();
    let test = uart_test(&board, "activation=valid", 5000);
    for _ in 0..2 {
        let line = backend.self_test(&test, &mut |_| ()).unwrap();
        assert_eq!(line, "FLASHLINE demo-lamp 1.0.0 activation=valid");
    }
    backend.reset_and_run().unwrap();
    assert_eq!(backend.presence().unwrap(), Presence::Still);
}

#[test]
fn a_self_test_fails_by_what_was_heard_by_silence_by_lockup_or_by_a_closed_port() {
    let check = |image: &[u8], expect: &str, wanted: &str| {
        let board = Board::new();
        let (mut backend, _) = board.identified();
        program(&mut backend, &[(0, image)]).0.unwrap();
        let mut test = uart_test(&board, expect, 300);
        if wanted == "listen_failed" {
            test.via = Via::Uart { endpoint: "/nowhere/tty".to_owned(), baud: 115_200 };
        }
        let error = backend.self_test(&test, &mut |_| ()).unwrap_err();
        assert_eq!(serde_json::to_value(&error).unwrap()["error"], wanted, "{error:?}");
    };
    let says = firmware_that_says("FLASHLINE demo-lamp 1.0.0 activation=invalid");
    check(&says, "activation=valid", "self_test_differed");
    check(&firmware_that_says("")[..], "activation=valid", "self_test_silent");
    check(&[0xFF, 0xFF, 0xFF, 0x00], "activation=valid", "core_stuck");
    check(&says, "activation=invalid", "listen_failed");
}

#[test]
fn a_board_pulled_during_its_self_test_is_a_silence() {
    let board = Board::new();
    let (mut backend, _) = board.identified();
    let image = firmware_that_says("hello");
    program(&mut backend, &[(0, &image)]).0.unwrap();
    let test = uart_test(&board, "never said", 60_000);
    let mut pulled = false;
    let error = backend
        .self_test(&test, &mut |_| {
            if !std::mem::replace(&mut pulled, true) {
                board.pull("remove");
            }
        })
        .unwrap_err();
    assert!(matches!(error, FlashError::Silent { during: Step::SelfTest, .. }), "{error:?}");
}

#[test]
fn the_self_test_hears_rtt_at_a_known_address_or_by_looking_for_it() {
    for control_block in [Some(0x2000_F000), None] {
        let board = Board::new();
        let (mut backend, _) = board.identified();
        let image = firmware_that_says_by_rtt("FLASHLINE by RTT");
        program(&mut backend, &[(0, &image)]).0.unwrap();
        let via = Via::Rtt { control_block };
        let test = SelfTest { via, expect: "FLASHLINE".to_owned(), within_ms: 5000 };
        for _ in 0..2 {
            assert_eq!(backend.self_test(&test, &mut |_| ()).unwrap(), "FLASHLINE by RTT");
        }
    }
}

#[test]
fn what_an_earlier_firmware_said_by_rtt_passes_no_later_one() {
    let board = Board::new();
    let (mut backend, _) = board.identified();
    let image = firmware_that_says_by_rtt("FLASHLINE by RTT");
    program(&mut backend, &[(0, &image)]).0.unwrap();
    backend.reset_and_run().unwrap();
    let magic = |backend: &mut ProbeBackend| {
        let mut magic = [0; 10];
        backend.read(0x2000_F000, &mut magic).unwrap();
        magic
    };
    while &magic(&mut backend) != b"SEGGER RTT" {}
    // The block lies above everything the flash routine uses, so programming leaves it in RAM.
    let mute = firmware_that_says("");
    let plan = plan(&[(0, &mute)]);
    backend.program(&plan, &mut |_| ()).unwrap();
    let via = Via::Rtt { control_block: Some(0x2000_F000) };
    let test = SelfTest { via, expect: "FLASHLINE".to_owned(), within_ms: 200 };
    let error = backend.self_test(&test, &mut |_| ()).unwrap_err();
    assert!(matches!(error, FlashError::SelfTestSilent { .. }), "{error:?}");
}

#[test]
fn a_probe_unplugged_while_rtt_is_awaited_is_lost_at_once() {
    for control_block in [Some(0x2000_F000), None] {
        let board = Board::new();
        let (mut backend, _) = board.identified();
        let image = firmware_that_says("");
        program(&mut backend, &[(0, &image)]).0.unwrap();
        let via = Via::Rtt { control_block };
        let test = SelfTest { via, expect: "never said".to_owned(), within_ms: 60_000 };
        let begun = Instant::now();
        let mut pulled = false;
        let error = backend
            .self_test(&test, &mut |_| {
                if !std::mem::replace(&mut pulled, true) {
                    board.pull("unplug");
                }
            })
            .unwrap_err();
        assert!(matches!(error, FlashError::ProbeLost { during: Step::SelfTest, .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_probe_that_another_program_uses_is_busy_until_that_lets_go() {
    let board = Board::new();
    let mut first = board.backend();
    assert_eq!(first.contact().unwrap(), Contact::Board);
    let mut second = board.backend();
    let error = second.contact().unwrap_err();
    assert!(matches!(error, FlashError::ProbeBusy { .. }), "{error:?}");
    drop(first);
    assert_eq!(second.contact().unwrap(), Contact::Board);
    drop(second);
    board.pull("busy on");
    let error = board.backend().contact().unwrap_err();
    assert!(matches!(error, FlashError::ProbeBusy { .. }), "{error:?}");
    board.pull("busy off");
    assert_eq!(board.backend().contact().unwrap(), Contact::Board);
}

#[test]
fn contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step() {
    let check = |lost_in: Step, old: &[u8]| {
        let board = Board::new();
        let (mut backend, _) = board.identified();
        program(&mut backend, &[(0, old)]).0.unwrap();
        let image = noise(0x8000, 12);
        let plan = plan(&[(0, &image)]);
        let mut pulled = false;
        let error = backend
            .program(&plan, &mut |progress| {
                if progress.step == lost_in && !std::mem::replace(&mut pulled, true) {
                    board.pull("remove");
                }
            })
            .unwrap_err();
        let FlashError::Silent { during, .. } = error else { panic!("{lost_in}: {error:?}") };
        assert_eq!(during, lost_in);
        board.pull("insert");
        board.pull("power on");
        drop(backend);
        let (mut backend, _) = board.identified();
        program(&mut backend, &[(0, &image)]).0.unwrap();
        assert!(board.cells(0, image.len()) == image, "{lost_in}");
    };
    check(Step::Erase, &noise(0x8000, 11));
    check(Step::Program, &[0xFF]);
    check(Step::Verify, &[0xFF]);
}

#[test]
fn bits_flipped_on_the_way_to_the_chip_never_pass_a_wrong_board() {
    let image = noise(0x5000, 13);
    let mut told = Vec::new();
    for block in 1..=8 {
        let board = Board::new();
        let (mut backend, _) = board.identified();
        board.pull(&format!("flip write {block}"));
        match program(&mut backend, &[(0, &image)]).0 {
            Ok(_) => assert!(board.cells(0, image.len()) == image, "block {block}"),
            Err(error) => told.push(error),
        }
        board.pull("heal");
        drop(backend);
        let (mut backend, _) = board.identified();
        program(&mut backend, &[(0, &image)]).0.unwrap();
        assert!(board.cells(0, image.len()) == image, "block {block}");
    }
    // The routine itself is read back before it runs; a flipped image byte is in the chip by then.
    let during = Step::Survey;
    let noisy =
        |e: &FlashError| matches!(e, FlashError::LineNoise { during: d, .. } if *d == during);
    assert!(told.iter().any(noisy), "{told:?}");
    let differed = |e: &FlashError| matches!(e, FlashError::VerifyDiffered { .. });
    assert!(told.iter().any(differed), "{told:?}");
}

#[test]
fn bits_flipped_on_the_way_back_change_no_kept_byte_and_are_told_when_they_go_on() {
    let old = noise(0x2000, 14);
    let patch = noise(40, 15);
    let mut wanted = old.clone();
    wanted[0x123..0x123 + 40].copy_from_slice(&patch);
    let check = |lever: &str, during: Option<Step>| {
        let board = Board::new();
        let (mut backend, _) = board.identified();
        program(&mut backend, &[(0, &old)]).0.unwrap();
        board.pull(lever);
        // The rest of the sector is read, so that it can be written back.
        match (program(&mut backend, &[(0x123, &patch)]).0, during) {
            (Ok(_), None) => assert!(board.cells(0, old.len()) == wanted, "{lever}"),
            (Err(FlashError::LineNoise { during, .. }), Some(step)) => {
                assert_eq!(during, step, "{lever}");
                assert!(board.cells(0, old.len()) == old, "{lever}");
            }
            (other, _) => panic!("{lever}: {other:?}"),
        }
    };
    check("flip read 1", None);
    check("flip read 1 every", Some(Step::Survey));
    check("flip parity 1", Some(Step::Survey));
}
