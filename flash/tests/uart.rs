//! The UART back end against simulated STM32 ROM loaders on pseudo-terminals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod loader;

use std::time::{Duration, Instant};

use flash::uart::{BAUDS, Loader, Restart, UartBackend};
use flash::{
    Backend, Contact, Damage, FlashError, Identity, Presence, SelfTest, Step, UnlockApproval, Via,
};
use loader::{Board, PATIENCE, all_at_once, noise, plan, program, row};
use simulators::rom_loader::models::model;
use simulators::rom_loader::{Chip, Settings, serve};

const F103: &str = "STM32F103CB";
const SMALL: &str = "STM32F103C8";
const F303: &str = "STM32F303CB";
const F072: &str = "STM32F072RB";
const F405: &str = "STM32F405RG";
const G071: &str = "STM32G071RB";
const L053: &str = "STM32L053R8";
const L476: &str = "STM32L476RG";
const UID: [u8; 12] = [0x23, 0, 0x25, 0, 0x07, 0x57, 0x32, 0x57, 0x34, 0x36, 0x34, 0x20];
const BASE: u64 = 0x0800_0000;
const BAUD: u32 = 115_200;

impl Board {
    fn new(name: &str) -> Self {
        Self::with(name, UID, 0.0)
    }

    fn with(name: &str, uid: [u8; 12], time_scale: f64) -> Self {
        let model = model(match name {
            F072 => "stm32f072",
            F303 => "stm32f303",
            F405 => "stm32f405",
            G071 => "stm32g071",
            L053 => "stm32l053",
            L476 => "stm32l476",
            SMALL => "stm32f103x8",
            F103 => "stm32f103",
            _ => panic!("no model of {name}"),
        });
        let chip = Chip::new(model.unwrap(), uid, None).unwrap();
        Self::at(|control| serve(Settings { chip, control, time_scale }))
    }

    fn backend(&self) -> UartBackend {
        UartBackend::new(&self.served.tty, BAUD)
    }

    fn identified(&self, name: &str) -> (UartBackend, Identity) {
        let mut backend = self.backend();
        let identity = backend.identify(row(name)).unwrap();
        (backend, identity)
    }
}

/// A vector table that a chip can start from.
fn startable(length: usize, seed: u64) -> Vec<u8> {
    let mut image = noise(length, seed);
    image[..8].copy_from_slice(&[0x00, 0x10, 0x00, 0x20, 0x41, 0x01, 0x00, 0x08]);
    image
}

#[test]
fn image_and_block_come_onto_every_chip_and_are_compared() {
    all_at_once(&[F103, F303, F072, F405, G071, L053, L476], |name| {
        let board = Board::new(name);
        let mut backend = board.backend();
        assert_eq!(backend.contact(), Ok(Contact::Board));
        let identity = backend.identify(row(name)).unwrap();
        let flash_kib = row(name).regions[0].bytes / 1024;
        assert_eq!(identity.family, row(name).family);
        assert!(!identity.locked);
        if *name == L476 {
            // Its loader shows neither unique id nor flash size.
            assert_eq!((identity.uid, identity.weak.as_deref()), (None, Some("0x415")));
        } else {
            assert_eq!(identity.uid.unwrap().as_bytes(), UID, "{name}");
            assert!(identity.part.ends_with(&format!("{flash_kib} KiB")), "{}", identity.part);
        }

        let image = noise(0x2345, 1);
        let block = noise(300, 2);
        let at = BASE + flash_kib.min(128) * 1024 - 0x800;
        let (done, events) = program(&mut backend, name, &[(BASE, &image), (at, &block)]);
        let report = done.unwrap();
        assert_eq!(report.verified_bytes, 0x2345 + 300, "{name}");
        assert!(board.cells(BASE, image.len()) == image, "{name}");
        assert!(board.cells(at, block.len()) == block, "{name}");
        assert_eq!(board.counter("kept_bytes"), 0, "{name}");
        assert_eq!(board.counter("mass_erases"), 0, "{name}");
        let erases = report.sectors_erased > 0;
        for step in [Step::Survey, Step::Erase, Step::Program, Step::Verify] {
            let of_step: Vec<_> = events.iter().filter(|event| event.step == step).collect();
            let events_min = if erases || step != Step::Erase { 2 } else { 1 };
            assert!(of_step.len() >= events_min, "{name} {step}: {events:?}");
            assert_eq!(of_step[0].done_bytes, 0, "{name} {step}");
            let last = of_step[of_step.len() - 1];
            assert_eq!(last.done_bytes, last.total_bytes, "{name} {step}");
        }

        // Over another program, which costs erases; a neighbour in the last page stays.
        let (other, neighbour) = (noise(0x2345, 3), noise(64, 4));
        program(&mut backend, name, &[(at + 0x400, &neighbour)]).0.unwrap();
        let report = program(&mut backend, name, &[(BASE, &other), (at, &other[..300])]).0.unwrap();
        assert!(report.sectors_erased > 0, "{name}: {report:?}");
        assert!(board.cells(BASE, other.len()) == other, "{name}");
        assert!(board.cells(at, 300) == other[..300], "{name}");
        assert!(board.cells(at + 0x400, 64) == neighbour, "{name}");
        assert_eq!(board.counter("kept_bytes"), 0, "{name}");
        let report = program(&mut backend, name, &[(BASE, &other)]).0.unwrap();
        assert_eq!((report.written_bytes, report.sectors_erased), (0, 0), "{name}");
    });
}

#[test]
fn the_same_image_again_writes_nothing_and_other_bytes_of_a_page_are_kept() {
    let board = Board::new(F103);
    let (mut backend, _) = board.identified(F103);
    let image = noise(0x1000, 3);
    program(&mut backend, F103, &[(BASE, &image)]).0.unwrap();
    let (words, erases) = (board.counter("programmed_bytes"), board.counter("page_erases"));
    let report = program(&mut backend, F103, &[(BASE, &image)]).0.unwrap();
    assert_eq!((report.sectors_equal, report.written_bytes), (4, 0));
    assert_eq!(report.verified_bytes, 0x1000);
    assert_eq!(board.counter("programmed_bytes"), words);
    assert_eq!(board.counter("page_erases"), erases);

    let mut new = image.clone();
    new[0x410..0x420].fill(0x5A);
    let report = program(&mut backend, F103, &[(BASE + 0x410, &new[0x410..0x420])]).0.unwrap();
    assert_eq!((report.sectors_erased, report.verified_bytes), (1, 16));
    assert!(board.cells(BASE, 0x1000) == new);

    // A page that is blank where it changes needs no erase.
    let erases = board.counter("page_erases");
    for at in [0x5000, 0x5100] {
        let report = program(&mut backend, F103, &[(BASE + at, &new[..64])]).0.unwrap();
        assert_eq!((report.sectors_blank, report.written_bytes), (1, 64));
    }
    assert_eq!(board.counter("page_erases"), erases);
    assert_eq!(board.counter("kept_bytes"), 0);
}

#[test]
fn a_stuck_cell_is_named_by_its_address_and_counted() {
    let board = Board::new(F103);
    let (mut backend, _) = board.identified(F103);
    board.pull("stuck 0x08000805 3");
    board.pull("stuck 0x08000A01 0");
    // A half-word that is not all ones is not programmed at all: both bytes differ.
    let image: Vec<u8> = (0..0x1000).map(|at| if at % 2 == 0 { 0 } else { 0xFF }).collect();
    let wanted =
        FlashError::VerifyDiffered { address: BASE + 0x804, bytes: 4, wanted: 0x00, found: 0xFF };
    assert_eq!(program(&mut backend, F103, &[(BASE, &image)]).0, Err(wanted.clone()));
    assert_eq!(backend.verify(&plan(F103, &[(BASE, &image)]), &mut |_| ()), Err(wanted));
}

#[test]
fn power_lost_while_writing_is_a_silence_and_the_next_visit_repairs_the_board() {
    let image = noise(0x800, 6);
    all_at_once(&[2, 300, 0x7FC], |cut| {
        let board = Board::new(F103);
        let (mut backend, _) = board.identified(F103);
        board.pull(&format!("cut {cut}"));
        let error = program(&mut backend, F103, &[(BASE, &image)]).0.unwrap_err();
        assert!(
            matches!(&error, FlashError::Silent { during: Step::Program, .. }),
            "cut {cut}: {error:?}"
        );
        assert_eq!(backend.contact(), Ok(Contact::Nothing), "cut {cut}");
        board.pull("power on");
        assert_eq!(backend.contact(), Ok(Contact::Board), "cut {cut}");
        backend.identify(row(F103)).unwrap();
        program(&mut backend, F103, &[(BASE, &image)]).0.unwrap();
        assert!(board.cells(BASE, image.len()) == image, "cut {cut}");
    });
}

#[test]
fn contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step() {
    let image = noise(0x800, 16);
    all_at_once(&[Step::Erase, Step::Verify], |step| {
        let board = Board::new(F103);
        let (mut backend, _) = board.identified(F103);
        let mut pulled = false;
        let done = backend.program(&plan(F103, &[(BASE, &image[..])]), &mut |progress| {
            if progress.step == *step && !pulled {
                board.pull("remove");
                pulled = true;
            }
        });
        let is_lost = matches!(&done, Err(FlashError::Silent { during, .. }) if during == step);
        assert!(is_lost, "{step}: {done:?}");
    });
}

#[test]
fn a_board_that_left_or_lost_its_power_between_steps_is_gone() {
    let board = Board::new(F103);
    let (mut backend, _) = board.identified(F103);
    assert_eq!(backend.presence(), Ok(Presence::Still));
    assert_eq!(backend.contact(), Ok(Contact::Board));
    board.pull("power off");
    board.pull("power on");
    assert_eq!(backend.presence(), Ok(Presence::Gone), "a moment without power");
    backend.identify(row(F103)).unwrap();
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
fn bits_flipped_or_lost_on_the_wire_are_asked_for_again() {
    // Bytes of all ones are what a terminal that marks damaged ones doubles.
    let image = [noise(0x500, 7), vec![0xFF; 0x80], noise(0x80, 17)].concat();
    let levers = [
        "noise 1 0",
        "noise 1 1",
        "noise 1 2",
        "noise 1 40",
        "noise-in 1 0",
        "drop 3 50",
        "damage 1 0",
        "damage 1 2",
        "damage 3 30",
        "nack 2",
    ];
    all_at_once(&levers, |lever| {
        let board = Board::new(F103);
        let (mut backend, _) = board.identified(F103);
        board.pull(lever);
        let report = program(&mut backend, F103, &[(BASE, &image)]).0;
        assert!(report.is_ok(), "{lever}: {report:?}");
        assert!(board.cells(BASE, image.len()) == image, "{lever}");
    });
}

#[test]
fn no_bit_that_flips_on_the_way_back_makes_another_chip_of_it() {
    const AT_ONCE: u32 = 16;
    let lanes: Vec<u32> = (0..AT_ONCE).collect();
    all_at_once(&lanes, |lane| {
        let board = Board::new(F103);
        for skip in (*lane..110).step_by(AT_ONCE as usize) {
            board.pull("reset");
            board.pull(&format!("noise 1 {skip}"));
            let identity = board.backend().identify(row(F103)).unwrap();
            assert_eq!(identity.uid.unwrap().as_bytes(), UID, "noise 1 {skip}");
            assert!(identity.part.ends_with("128 KiB"), "noise 1 {skip}: {}", identity.part);
        }
    });
}

#[test]
fn an_answer_disturbed_inside_a_write_or_an_erase_leaves_no_rubbish_in_flash() {
    let image = noise(0x500, 14);
    let neighbour = noise(16, 15);
    let check = |(step, lever): &(Step, &str)| {
        let board = Board::new(F103);
        let (mut backend, _) = board.identified(F103);
        program(&mut backend, F103, &[(BASE + 0x1_FF00, &neighbour)]).0.unwrap();
        let (pieces, mut pulled) = ([(BASE, &image[..])], false);
        let done = backend.program(&plan(F103, &pieces), &mut |progress| {
            if progress.step == *step && !pulled {
                board.pull(lever);
                pulled = true;
            }
        });
        assert!(pulled && done.is_ok(), "{step} {lever}: {done:?}");
        assert!(board.cells(BASE, image.len()) == image, "{step} {lever}");
        let rest = board.cells(BASE + 0x500, 0x1_FA00);
        assert!(rest.iter().all(|byte| *byte == 0xFF), "{step} {lever}");
        assert!(board.cells(BASE + 0x1_FF00, 16) == neighbour, "{step} {lever}");
    };
    let cases = [
        (Step::Program, "noise 1 0"),
        (Step::Program, "noise 1 1"),
        (Step::Program, "noise 1 2"),
        (Step::Program, "drop 1 1"),
        (Step::Program, "noise-in 1 5"),
        (Step::Program, "noise-in 1 90"),
        (Step::Erase, "noise 1 0"),
        (Step::Erase, "noise 1 1"),
        (Step::Erase, "noise-in 1 4"),
    ];
    all_at_once(&cases, check);
}

#[test]
fn silence_nack_noise_and_a_wrong_baud_are_told_apart() {
    type Expected = fn(&FlashError) -> bool;
    let check = |(lever, expected): &(&str, Expected)| {
        let board = Board::new(F103);
        let error = if lever.starts_with("baud") {
            board.pull(lever);
            board.backend().identify(row(F103)).unwrap_err()
        } else {
            let (mut backend, _) = board.identified(F103);
            board.pull(lever);
            program(&mut backend, F103, &[(BASE, &noise(0x400, 8))]).0.unwrap_err()
        };
        assert!(expected(&error), "{lever}: {error:?}");
    };
    let cases: [(&str, Expected); 5] = [
        ("silence", |error| matches!(error, FlashError::Silent { during: Step::Survey, .. })),
        ("nack 1000", |error| matches!(error, FlashError::Refused { during: Step::Survey, .. })),
        ("noise 100000", |error| {
            matches!(error, FlashError::LineNoise { during: Step::Survey, .. })
        }),
        // A pseudo-terminal marks what is damaged; only an adapter's driver says which bit it was.
        ("damage 100000", |error| {
            matches!(error, FlashError::LineDamaged { during: Step::Survey, damage, .. }
                if *damage == Damage::Marked)
        }),
        ("baud 230400", |error| {
            matches!(error, FlashError::WrongBaud { during: Step::Identify, tried }
                if *tried == BAUDS)
        }),
    ];
    all_at_once(&cases, check);
}

#[test]
fn a_loader_left_at_another_rate_is_found_there() {
    let board = Board::new(F103);
    board.pull("baud 19200");
    let mut backend = board.backend();
    assert_eq!(backend.contact(), Ok(Contact::Board));
    assert_eq!(backend.identify(row(F103)).unwrap().uid.unwrap().as_bytes(), UID);
}

#[test]
fn refused_writes_and_erases_name_their_addresses() {
    let board = Board::new(F103);
    let (mut backend, _) = board.identified(F103);
    let image = noise(0x400, 9);
    // The glance at the page is one command; the erase is refused three times after it.
    let refused = |skip: u32| {
        let mut count = 0;
        backend.program(&plan(F103, &[(BASE, &image)]), &mut |progress| {
            let first = progress.done_bytes == 0;
            let hit = match skip {
                0 => progress.step == Step::Erase && first,
                _ => progress.step == Step::Program && first,
            };
            if hit && count == 0 {
                board.pull("nack 1000");
                count += 1;
            }
        })
    };
    let mut refused = refused;
    let erase = FlashError::EraseFailed { address: BASE, code: 0x1F };
    assert_eq!(refused(0), Err(erase));
    board.pull("heal");
    let write = FlashError::WriteFailed { address: BASE, bytes: 256, code: 0x1F };
    assert_eq!(refused(1), Err(write));
}

#[test]
fn a_locked_chip_tells_nothing_and_is_opened_only_by_unlock() {
    let board = Board::new(F103);
    let image = noise(0x400, 10);
    let (mut backend, _) = board.identified(F103);
    program(&mut backend, F103, &[(BASE, &image)]).0.unwrap();
    backend.protect().unwrap();
    assert!(board.pull("state").contains("\"locked\":true"));
    assert!(matches!(
        backend.verify(&plan(F103, &[(BASE, &image)]), &mut |_| ()),
        Err(FlashError::Locked)
    ));

    drop(backend);
    let (mut backend, identity) = board.identified(F103);
    assert_eq!((identity.locked, identity.uid), (true, None));
    assert_eq!(program(&mut backend, F103, &[(BASE, &image)]).0, Err(FlashError::Locked));
    assert!(board.cells(BASE, image.len()) == image, "nobody erased it");

    let approval = UnlockApproval { record: "r1".to_owned() };
    let other = backend.unlock(row(F303), &approval);
    assert!(matches!(other, Err(FlashError::WrongChip { .. })), "{other:?}");
    assert!(board.cells(BASE, image.len()) == image, "nobody erased it");
    backend.unlock(row(F103), &approval).unwrap();
    assert!(board.cells(BASE, image.len()).iter().all(|byte| *byte == 0xFF));
    assert!(!backend.identify(row(F103)).unwrap().locked);
    program(&mut backend, F103, &[(BASE, &image)]).0.unwrap();
}

#[test]
fn another_chip_or_an_empty_id_is_refused_before_anything_is_written() {
    let board = Board::new(F303);
    let mut backend = board.backend();
    let error = backend.identify(row(F103)).unwrap_err();
    let FlashError::WrongChip { wanted, found } = &error else { panic!("{error:?}") };
    assert!(wanted.contains("0x410") && found.contains("0x422"), "{error:?}");
    let image = [1; 4];
    let done = program(&mut backend, F103, &[(BASE, &image)]).0;
    assert_eq!(done, Err(FlashError::NotIdentified { wanted: Step::Program }));

    let board = Board::new(SMALL);
    let error = board.backend().identify(row(F103)).unwrap_err();
    let FlashError::WrongChip { wanted, found } = &error else { panic!("{error:?}") };
    assert!(wanted.contains("128 KiB") && found.contains("64 KiB"), "{error:?}");
    assert!(board.identified(SMALL).1.part.ends_with("64 KiB"));

    for uid in [[0xFF; 12], [0; 12]] {
        let board = Board::with(F103, uid, 0.0);
        let error = board.backend().identify(row(F103)).unwrap_err();
        assert!(matches!(error, FlashError::UidImplausible { .. }), "{error:?}");
        assert_eq!(board.counter("programmed_bytes"), 0);
    }
}

#[test]
fn a_port_that_is_not_there_taken_or_unplugged_is_a_missing_busy_or_lost_probe() {
    let mut backend = UartBackend::new("/dev/no-such-port", BAUD);
    assert!(matches!(backend.contact(), Err(FlashError::ProbeMissing { .. })));

    let board = Board::new(F103);
    let (mut backend, _) = board.identified(F103);
    assert!(matches!(board.backend().contact(), Err(FlashError::ProbeBusy { .. })), "taken");
    board.pull("unplug");
    let image = noise(0x400, 11);
    let error = loop {
        match program(&mut backend, F103, &[(BASE, &image)]).0 {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, FlashError::ProbeLost { .. }), "{error:?}");
}

#[test]
fn the_program_is_started_and_its_line_is_heard_on_the_same_port() {
    let board = Board::new(F103);
    let image = startable(0x400, 12);
    let test = |expect: &str, within_ms: u64| SelfTest {
        via: Via::Uart { endpoint: board.served.tty.clone(), baud: BAUD },
        expect: expect.to_owned(),
        within_ms,
    };
    let (mut backend, _) = board.identified(F103);
    program(&mut backend, F103, &[(BASE, &image)]).0.unwrap();
    board.pull("says LAMP 1.0.0 ok");
    assert_eq!(backend.self_test(&test("LAMP", 20_000), &mut |_| ()).unwrap(), "LAMP 1.0.0 ok");
    assert!(matches!(backend.presence(), Err(FlashError::Unsupported { .. })));

    board.pull("reset");
    backend.identify(row(F103)).unwrap();
    let error = backend.self_test(&test("other", 300), &mut |_| ()).unwrap_err();
    assert!(
        matches!(&error, FlashError::SelfTestDiffered { heard, .. } if heard == "LAMP 1.0.0 ok"),
        "{error:?}"
    );
    board.pull("says");
    board.pull("reset");
    backend.identify(row(F103)).unwrap();
    let error = backend.self_test(&test("LAMP", 100), &mut |_| ()).unwrap_err();
    assert!(matches!(error, FlashError::SelfTestSilent { .. }), "{error:?}");
    board.pull("reset");
    backend.identify(row(F103)).unwrap();
    backend.reset_and_run().unwrap();
    assert!(board.pull("state").contains("\"running\":true"));
}

#[test]
fn the_protocol_alone_answers_versions_and_erases_everything() {
    let board = Board::new(F303);
    let mut loader = Loader::open(&board.served.tty, 57_600).unwrap();
    assert_eq!(loader.sync(), Ok(Restart::Yes));
    assert_eq!(loader.sync(), Ok(Restart::No));
    assert_eq!(loader.version(), Ok(0x31));
    assert_eq!(loader.get().unwrap().version, 0x31);
    assert_eq!(loader.product_id(), Ok(0x422));
    loader.write(0x0800_0000, &[1, 2, 3, 4]).unwrap();
    loader.erase_all().unwrap();
    let mut back = [0; 4];
    loader.read(0x0800_0000, &mut back).unwrap();
    assert_eq!(back, [0xFF; 4]);
    loader.write_unprotect().unwrap();
    assert_eq!(loader.sync(), Ok(Restart::Yes));
}

#[test]
fn at_the_chips_own_pace_a_visit_stays_near_the_time_on_the_wire() {
    let board = Board::with(F103, UID, 1.0);
    let image = noise(0x1000, 13);
    let (mut backend, _) = board.identified(F103);
    let begun = Instant::now();
    let report = program(&mut backend, F103, &[(BASE, &image)]).0.unwrap();
    // Two transfers of 4 KiB at 11 bits a byte; the upper bound is for a busy machine.
    let floor = Duration::from_micros(2 * 4096 * 11 * 1_000_000 / u64::from(BAUD));
    assert!(begun.elapsed() >= floor, "faster than the wire: {:?}", begun.elapsed());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    println!("{:?} for 4 KiB, wire alone {floor:?}: {:?}", begun.elapsed(), report.times);
}
