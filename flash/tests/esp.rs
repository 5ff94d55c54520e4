//! The ESP32 back end against simulated ROM loaders on pseudo-terminals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod loader;

use std::time::{Duration, Instant};

use flash::esp::{EspBackend, ResetLines};
use flash::{
    Backend, Contact, Damage, FlashError, Identity, Presence, SelfTest, Step, UnlockApproval, Via,
};
use loader::{Board, PATIENCE, all_at_once, noise, plan, program, row};
use simulators::esp_loader::{self, Settings, serve};

const C3: &str = "esp32c3";
const FIRST: &str = "esp32";
const MAC: [u8; 6] = [0x60, 0x55, 0xF9, 0x12, 0x34, 0x56];
const BAUD: u32 = 460_800;

impl Board {
    fn new(name: &str) -> Self {
        Self::with(name, MAC, 0.0)
    }

    fn with(name: &str, mac: [u8; 6], time_scale: f64) -> Self {
        let model = esp_loader::chip::model(name).unwrap();
        let chip = esp_loader::Chip::new(model, mac, 0x20_0000, None).unwrap();
        Self::at(|control| serve(Settings { chip, control, time_scale }))
    }

    fn backend(&self) -> EspBackend {
        EspBackend::new(&self.served.tty, BAUD)
    }

    fn identified(&self, name: &str) -> (EspBackend, Identity) {
        let mut backend = self.backend();
        let identity = backend.identify(row(name)).unwrap();
        (backend, identity)
    }
}

/// An image that the chip starts, with the line that its program says.
fn startable(chip_id: u8, line: &str) -> Vec<u8> {
    let mut image = vec![0; 24];
    (image[0], image[1], image[12]) = (0xE9, 1, chip_id);
    let text = [noise(300, 90), format!("{line}\0").into_bytes()].concat();
    image.extend_from_slice(&0x3C00_0020_u32.to_le_bytes());
    image.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
    image.extend_from_slice(&text);
    image.resize((image.len() + 1).next_multiple_of(16) - 1, 0);
    image.push(text.iter().fold(0xEF, |sum, byte| sum ^ byte));
    image
}

#[test]
fn several_images_at_their_offsets_come_onto_both_chips_and_are_hashed_there() {
    for name in [C3, FIRST] {
        let board = Board::new(name);
        let mut backend = board.backend();
        assert_eq!(backend.contact(), Ok(Contact::Board));
        let identity = backend.identify(row(name)).unwrap();
        assert_eq!(identity.family, row(name).family);
        assert_eq!(identity.uid.unwrap().as_bytes(), MAC);
        assert!(!identity.locked);
        let state: serde_json::Value = serde_json::from_str(&board.pull("state")).unwrap();
        assert!(state["baud"].as_u64().unwrap().abs_diff(u64::from(BAUD)) < 100, "{state}");
        let revision = if name == C3 { "0.4" } else { "3.1" };
        assert_eq!(identity.part, format!("{name} revision {revision}, 2 MiB"));

        let (boot, table, app) = (noise(0x4321, 1), noise(0xC00, 2), noise(0x1_8003, 3));
        let pieces: [(u64, &[u8]); 3] = [(0x1000, &boot), (0x8000, &table), (0x1_0000, &app)];
        let (done, events) = program(&mut backend, name, &pieces);
        let report = done.unwrap();
        assert_eq!(report.verified_bytes, (boot.len() + table.len() + app.len()) as u64);
        assert_eq!((report.sectors_equal, report.sectors_erased), (0, 5 + 1 + 25));
        for (at, bytes) in pieces {
            assert!(board.cells(at, bytes.len()) == bytes, "{name} {at:#x}");
        }
        assert_eq!(board.counter("kept_bytes"), 0);
        for step in [Step::Survey, Step::Program, Step::Verify] {
            let of_step: Vec<_> = events.iter().filter(|event| event.step == step).collect();
            assert!(of_step.len() >= 2 && of_step[0].done_bytes == 0, "{step}: {events:?}");
            assert!(of_step.windows(2).all(|pair| pair[0].done_bytes <= pair[1].done_bytes));
            let last = of_step[of_step.len() - 1];
            assert_eq!(last.done_bytes, last.total_bytes, "{step}");
        }
    }
}

#[test]
fn what_is_equal_is_left_alone_and_bytes_outside_the_plan_are_kept() {
    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    let image = noise(0x2_3000, 4);
    program(&mut backend, C3, &[(0, &image)]).0.unwrap();
    let (erases, written) = (board.counter("sector_erases"), board.counter("programmed_bytes"));
    let report = program(&mut backend, C3, &[(0, &image)]).0.unwrap();
    assert_eq!((report.sectors_equal, report.written_bytes), (0x23, 0));
    assert_eq!(report.verified_bytes, 0x2_3000);
    assert_eq!(board.counter("programmed_bytes"), written);

    let mut new = image.clone();
    new[0x5123..0x5130].fill(0x5A);
    new[0x1_F000..0x2_0001].fill(0xA5);
    let report = program(
        &mut backend,
        C3,
        &[(0x5123, &new[0x5123..0x5130]), (0x1_F000, &new[0x1_F000..0x2_0001])],
    );
    let report = report.0.unwrap();
    assert_eq!((report.sectors_erased, report.verified_bytes), (3, 13 + 0x1001));
    assert_eq!(board.counter("sector_erases"), erases + 3);
    assert!(board.cells(0, image.len()) == new);
}

#[test]
fn any_bytes_are_read_and_blank_stretches_are_told_by_their_hash() {
    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    let image = noise(0x300, 5);
    program(&mut backend, C3, &[(0x1_0000, &image)]).0.unwrap();
    for (from, to) in [(0, 0x300), (1, 2), (0x3D, 0x107), (0x2FE, 0x2FF)] {
        let mut into = vec![0; to - from];
        backend.read(0x1_0000 + from as u64, &mut into).unwrap();
        assert!(into == image[from..to], "{from:#x}..{to:#x}");
    }
    let check = |backend: &mut EspBackend, at: u64, bytes: u64, blank: bool| {
        assert_eq!(backend.is_blank(at, bytes), Ok(blank), "{at:#x}+{bytes:#x}");
    };
    check(&mut backend, 0, 0x1_0000, true);
    check(&mut backend, 0, 0x1_0001, false);
    check(&mut backend, 0x1_0300, 0x1F_0000 - 0x300, true);
    check(&mut backend, 0x1_02FF, 2, false);
    check(&mut backend, 0x1_0301, 2, true);
    check(&mut backend, 5, 0, true);
    let outside = backend.read(0x1F_FFFF, &mut [0; 2]);
    assert!(matches!(outside, Err(FlashError::OutOfRange { .. })), "{outside:?}");
}

#[test]
fn what_differs_is_named_by_its_address_and_counted() {
    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    let image = noise(0x1_5000, 6);
    program(&mut backend, C3, &[(0x1000, &image)]).0.unwrap();
    let differs = |backend: &mut EspBackend, at: u64, bytes: u64| {
        let found = backend.verify(&plan(C3, &[(0x1000, &image[..])]), &mut |_| ());
        let wanted = image[usize::try_from(at - 0x1000).unwrap()];
        let error = FlashError::VerifyDiffered { address: at, bytes, wanted, found: wanted ^ 0x10 };
        assert_eq!(found, Err(error));
    };
    let whole = backend.verify(&plan(C3, &[(0x1003, &image[3..0x123])]), &mut |_| ()).unwrap();
    assert_eq!(whole.verified_bytes, 0x120);
    board.pull("flip 0x4567 4");
    differs(&mut backend, 0x4567, 1);
    board.pull("flip 0x12345 0");
    differs(&mut backend, 0x4567, 2);
    // Next to the plan is not in it.
    let beside = backend.verify(&plan(C3, &[(0x4568, &image[0x3568..0x3570])]), &mut |_| ());
    assert!(beside.is_ok(), "{beside:?}");
}

#[test]
fn a_stuck_cell_is_a_refused_write_with_the_loaders_error() {
    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    board.pull("stuck 0x11405 0");
    let image = vec![0xFF; 0x2000];
    let image = [&image[..0x1000], &noise(0x1000, 7)].concat();
    let mut image = image;
    image[0x1405] |= 1;
    let wanted = FlashError::WriteFailed { address: 0x1_1400, bytes: 0x400, code: 0x08 };
    assert_eq!(program(&mut backend, C3, &[(0x1_0000, &image)]).0, Err(wanted));
    assert_eq!(backend.presence(), Ok(Presence::Still));

    // Two stuck cells in one column escape the loader's eight bits, but not the digest.
    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    board.pull("stuck 0x11405 0");
    board.pull("stuck 0x11406 0");
    image[0x1406] |= 1;
    let (wanted, found) = (image[0x1405], image[0x1405] & 0xFE);
    let differed = FlashError::VerifyDiffered { address: 0x1_1405, bytes: 2, wanted, found };
    assert_eq!(program(&mut backend, C3, &[(0x1_0000, &image)]).0, Err(differed));
}

#[test]
fn power_lost_while_writing_is_a_silence_and_the_next_visit_repairs_the_board() {
    let image = noise(0x6000, 8);
    all_at_once(&[0, 0x401, 0x5FFF], |cut| {
        let board = Board::new(C3);
        let (mut backend, _) = board.identified(C3);
        board.pull(&format!("cut {cut}"));
        let error = program(&mut backend, C3, &[(0, &image)]).0.unwrap_err();
        let is_silent = matches!(&error, FlashError::Silent { during: Step::Program, .. });
        assert!(is_silent, "cut {cut}: {error:?}");
        assert_eq!(backend.contact(), Ok(Contact::Nothing), "cut {cut}");
        board.pull("power on");
        assert_eq!(backend.contact(), Ok(Contact::Board), "cut {cut}");
        backend.identify(row(C3)).unwrap();
        program(&mut backend, C3, &[(0, &image)]).0.unwrap();
        assert!(board.cells(0, image.len()) == image, "cut {cut}");
    });
}

#[test]
fn contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step() {
    let image = noise(0x3000, 16);
    // Erasing is what comes first of writing.
    let cases = [(Step::Program, Step::Erase), (Step::Verify, Step::Verify)];
    all_at_once(&cases, |(begins, lost)| {
        let board = Board::new(C3);
        let (mut backend, _) = board.identified(C3);
        let mut pulled = false;
        let done = backend.program(&plan(C3, &[(0, &image[..])]), &mut |progress| {
            if progress.step == *begins && !pulled {
                board.pull("remove");
                pulled = true;
            }
        });
        let is_lost = matches!(&done, Err(FlashError::Silent { during, .. }) if during == lost);
        assert!(is_lost, "{lost}: {done:?}");
    });
}

#[test]
fn a_chip_in_secure_download_mode_is_locked_for_ever() {
    let board = Board::new(C3);
    board.pull("lock");
    let (mut backend, identity) = board.identified(C3);
    assert_eq!((identity.locked, identity.uid), (true, None));
    assert_eq!(program(&mut backend, C3, &[(0, &[1; 4])]).0, Err(FlashError::Locked));
    let approval = UnlockApproval { record: "r1".to_owned() };
    let unlocked = backend.unlock(row(C3), &approval);
    assert!(matches!(unlocked, Err(FlashError::Unsupported { .. })));
    assert_eq!(board.counter("sector_erases"), 0);
}

#[test]
fn a_chip_that_refuses_to_tell_who_it_is_is_not_identified() {
    let board = Board::new(C3);
    board.pull("nack 1000");
    let error = board.backend().identify(row(C3)).unwrap_err();
    assert!(matches!(error, FlashError::Refused { during: Step::Identify, .. }), "{error:?}");
}

#[test]
fn a_board_that_was_without_power_in_a_visit_is_told_from_one_that_refuses() {
    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    let mut pulled = false;
    let image = noise(0x8000, 9);
    let done = backend.program(&plan(C3, &[(0, &image[..])]), &mut |progress| {
        if progress.step == Step::Program && progress.done_bytes > 0x2000 && !pulled {
            board.pull("power off");
            board.pull("power on");
            pulled = true;
        }
    });
    assert!(pulled && matches!(done, Err(FlashError::Silent { .. })), "{done:?}");
    backend.identify(row(C3)).unwrap();
    board.pull("reset");
    let mut byte = [0];
    let read = backend.read(0, &mut byte);
    assert!(matches!(read, Err(FlashError::Silent { during: Step::Read, .. })), "{read:?}");
}

#[test]
fn a_board_that_left_or_lost_its_power_between_steps_is_gone() {
    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    assert_eq!(backend.presence(), Ok(Presence::Still));
    assert_eq!(backend.contact(), Ok(Contact::Board));
    board.pull("power off");
    board.pull("power on");
    assert_eq!(backend.presence(), Ok(Presence::Gone), "a moment without power");
    backend.identify(row(C3)).unwrap();
    assert_eq!(backend.presence(), Ok(Presence::Still));
    board.pull("remove");
    assert_eq!(backend.presence(), Ok(Presence::Gone));
    let begun = Instant::now();
    assert_eq!(backend.contact(), Ok(Contact::Nothing));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    board.pull("insert");
    assert_eq!(backend.contact(), Ok(Contact::Board));
}

#[test]
fn disturbed_answers_and_requests_are_asked_again_in_every_step() {
    let image = noise(0x5000, 10);
    let neighbour = noise(0x10, 11);
    let check = |(step, lever): &(Step, &str)| {
        let board = Board::new(C3);
        if *step == Step::Identify {
            board.pull(lever);
        }
        let (mut backend, identity) = board.identified(C3);
        assert_eq!(identity.uid.unwrap().as_bytes(), MAC, "{lever}");
        program(&mut backend, C3, &[(0x5008, &neighbour)]).0.unwrap();
        let mut pulled = *step == Step::Identify;
        let pieces = [(0x8, &image[..])];
        let done = backend.program(&plan(C3, &pieces), &mut |progress| {
            if progress.step == *step && !pulled {
                board.pull(lever);
                pulled = true;
            }
        });
        assert!(pulled && done.is_ok(), "{step} {lever}: {done:?}");
        assert!(board.cells(8, image.len()) == image, "{step} {lever}");
        assert!(board.cells(0x5008, 16) == neighbour, "{step} {lever}");
        assert!(board.cells(0x5018, 0x1000).iter().all(|byte| *byte == 0xFF), "{step} {lever}");
    };
    let steps = [Step::Identify, Step::Survey, Step::Program, Step::Verify];
    let levers = [
        "noise 1 0",
        "noise 1 1",
        "noise 1 4",
        "noise 3 9",
        "noise-in 1 0",
        "noise-in 1 1",
        "noise-in 1 9",
        "noise-in 1 2000",
        "drop 1 0",
        "drop 1 3",
        "drop 14 13",
        "nack 1",
        "nack 2",
    ];
    let cases: Vec<(Step, &str)> =
        steps.iter().flat_map(|step| levers.iter().map(|lever| (*step, *lever))).collect();
    all_at_once(&cases, check);
}

#[test]
fn no_bit_that_flips_on_the_way_back_makes_another_chip_of_it() {
    const AT_ONCE: u32 = 16;
    let lanes: Vec<u32> = (0..AT_ONCE).collect();
    all_at_once(&lanes, |lane| {
        let board = Board::new(C3);
        // From the first answer after SYNC's eight to beyond the last of the identification.
        for skip in (8 * 14 + lane..900).step_by(AT_ONCE as usize) {
            board.pull("reset");
            board.pull(&format!("noise 1 {skip}"));
            let identity = board.backend().identify(row(C3)).unwrap();
            assert_eq!(identity.uid.unwrap().as_bytes(), MAC, "noise 1 {skip}");
            assert_eq!(identity.part, "esp32c3 revision 0.4, 2 MiB", "noise 1 {skip}");
        }
    });
}

#[test]
fn silence_refusals_and_noise_are_told_apart() {
    type Expected = fn(&FlashError) -> bool;
    let check = |(lever, expected): &(&str, Expected)| {
        let board = Board::new(C3);
        let (mut backend, _) = board.identified(C3);
        board.pull(lever);
        let begun = Instant::now();
        let error = program(&mut backend, C3, &[(0, &noise(0x1000, 12))]).0.unwrap_err();
        assert!(expected(&error), "{lever}: {error:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{lever}: {:?}", begun.elapsed());
    };
    let cases: [(&str, Expected); 4] = [
        // Without a parity bit only a stop bit can be wrong.
        ("damage 1000000", |error| {
            matches!(error, FlashError::LineDamaged { during: Step::Survey, damage, .. }
                if *damage == Damage::Framing)
        }),
        ("silence", |error| matches!(error, FlashError::Silent { during: Step::Survey, .. })),
        ("nack 1000", |error| matches!(error, FlashError::Refused { during: Step::Survey, .. })),
        ("noise 1000000", |error| {
            matches!(error, FlashError::LineNoise { during: Step::Survey, .. })
        }),
    ];
    all_at_once(&cases, check);
}

#[test]
fn refused_erases_name_their_address() {
    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    let mut pulled = false;
    let done = backend.program(&plan(C3, &[(0x3000, &noise(0x1000, 13))]), &mut |progress| {
        if progress.step == Step::Program && !pulled {
            // Two of three questions about the marker get through in between.
            board.pull("nack 3");
            pulled = true;
        }
    });
    assert!(done.is_ok(), "{done:?}");
}

#[test]
fn a_loader_left_at_another_rate_is_found_there_and_brought_to_the_wanted_one() {
    all_at_once(&[115_200, BAUD, 921_600], |baud| {
        let board = Board::new(C3);
        board.pull(&format!("baud {baud}"));
        let mut backend = board.backend();
        if *baud != 921_600 {
            assert_eq!(backend.contact(), Ok(Contact::Board), "{baud}");
        }
        assert_eq!(backend.identify(row(C3)).unwrap().uid.unwrap().as_bytes(), MAC);
        assert!(board.pull("state").contains(&format!("\"baud\":{BAUD}")), "{baud}");
    });
}

#[test]
fn another_chip_too_little_flash_and_an_impossible_mac_are_refused_before_anything_is_written() {
    let board = Board::new(FIRST);
    let mut backend = board.backend();
    let error = backend.identify(row(C3)).unwrap_err();
    let FlashError::WrongChip { wanted, found } = &error else { panic!("{error:?}") };
    assert_eq!((wanted.as_str(), found.as_str()), (C3, FIRST));
    let done = program(&mut backend, C3, &[(0, &[1; 4])]).0;
    assert_eq!(done, Err(FlashError::NotIdentified { wanted: Step::Program }));
    let stm32 = backend.identify(row("STM32F103CB"));
    assert!(matches!(stm32, Err(FlashError::UnknownChip { .. })), "{stm32:?}");

    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    let error = program(&mut backend, C3, &[(0x1F_FFFC, &[1; 8])]).0.unwrap_err();
    let FlashError::WrongChip { wanted, found } = &error else { panic!("{error:?}") };
    assert!(wanted.contains("4 MiB") && found.contains("2 MiB"), "{error:?}");
    assert_eq!(board.counter("sector_erases"), 0);

    for mac in [[0; 6], [0xFF; 6], [0x61, 0x55, 0xF9, 1, 2, 3]] {
        let board = Board::with(C3, mac, 0.0);
        let error = board.backend().identify(row(C3)).unwrap_err();
        assert!(matches!(error, FlashError::UidImplausible { .. }), "{error:?}");
    }
}

#[test]
fn a_port_that_is_not_there_taken_or_unplugged_is_a_missing_busy_or_lost_probe() {
    let mut backend = EspBackend::new("/dev/no-such-port", BAUD);
    assert!(matches!(backend.contact(), Err(FlashError::ProbeMissing { .. })));

    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    assert!(matches!(board.backend().contact(), Err(FlashError::ProbeBusy { .. })), "taken");
    board.pull("unplug");
    let error = loop {
        match program(&mut backend, C3, &[(0, &noise(0x400, 14))]).0 {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, FlashError::ProbeLost { .. }), "{error:?}");
}

#[test]
fn an_empty_slot_is_seen_in_a_moment_and_a_program_that_talks_is_no_loader() {
    let board = Board::new(C3);
    board.pull("remove");
    let mut backend = board.backend().with_reset(ResetLines::Fixture);
    let begun = Instant::now();
    assert_eq!(backend.contact(), Ok(Contact::Nothing));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    board.pull("insert");
    assert_eq!(backend.contact(), Ok(Contact::Board));
    board.pull("run");
    let error = backend.identify(row(C3)).unwrap_err();
    let is_named = matches!(
        error,
        FlashError::Silent { during: Step::Identify, .. }
            | FlashError::LineNoise { during: Step::Identify, .. }
            | FlashError::LineDamaged { during: Step::Identify, .. }
    );
    assert!(is_named, "{error:?}");
}

#[test]
fn the_program_is_started_and_its_line_is_heard_on_the_same_port() {
    let board = Board::new(C3);
    let test = |expect: &str, within_ms: u64| SelfTest {
        via: Via::Uart { endpoint: board.served.tty.clone(), baud: 115_200 },
        expect: expect.to_owned(),
        within_ms,
    };
    let line = "FLASHLINE lamp 1.0 ok";
    let (mut backend, _) = board.identified(C3);
    program(&mut backend, C3, &[(0, &startable(5, line))]).0.unwrap();
    assert_eq!(backend.self_test(&test("FLASHLINE", 20_000), &mut |_| ()).unwrap(), line);
    assert!(matches!(backend.presence(), Err(FlashError::Unsupported { .. })));

    board.pull("reset");
    backend.identify(row(C3)).unwrap();
    let error = backend.self_test(&test("other", 300), &mut |_| ()).unwrap_err();
    assert!(
        matches!(&error, FlashError::SelfTestDiffered { heard, .. } if heard == line),
        "{error:?}"
    );
    board.pull("reset");
    backend.identify(row(C3)).unwrap();
    backend.reset_and_run().unwrap();
    assert!(board.pull("state").contains("\"running\":true"));
}

#[test]
fn what_needs_efuses_is_not_done() {
    let board = Board::new(C3);
    let (mut backend, _) = board.identified(C3);
    assert!(matches!(backend.protect(), Err(FlashError::Unsupported { .. })));
    let approval = UnlockApproval { record: "r1".to_owned() };
    let unlocked = backend.unlock(row(C3), &approval);
    assert!(matches!(unlocked, Err(FlashError::Unsupported { .. })));
    let test =
        SelfTest { via: Via::Rtt { control_block: None }, expect: String::new(), within_ms: 1 };
    let heard = backend.self_test(&test, &mut |_| ());
    assert!(matches!(heard, Err(FlashError::Unsupported { .. })));
    assert_eq!(backend.presence(), Ok(Presence::Still));
}

#[test]
fn at_the_chips_own_pace_a_visit_stays_near_the_time_on_the_wire() {
    let board = Board::with(C3, MAC, 1.0);
    let image = noise(0x8000, 15);
    let (mut backend, _) = board.identified(C3);
    let begun = Instant::now();
    let report = program(&mut backend, C3, &[(0, &image)]).0.unwrap();
    // One transfer at 10 bits a byte and eight sector erases; the upper bound is for a busy machine.
    let wire = Duration::from_micros(0x8000 * 10 * 1_000_000 / u64::from(BAUD));
    let floor = wire + Duration::from_millis(8 * 45);
    assert!(begun.elapsed() >= floor, "faster than the chip: {:?}", begun.elapsed());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    println!("{:?} for 32 KiB, floor {floor:?}: {:?}", begun.elapsed(), report.times);
}
