//! Whole visits to boards with STM32s, through the unmodified probe-rs driver: double words with
//! error correction (G0, ARMv6-M; G4, L4), half words (F0, F3; F1, with all of its flash and with
//! half), sectors (F4).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bench;

use bench::{Board, STM32_UID, firmware_with_rtt_at, noise, plan_on, program_on};
use flash::probe::ProbeBackend;
use flash::{Backend, Chip, Contact, FlashError, Presence, SelfTest, Step, UnlockApproval, Via};

const START: u64 = 0x0800_0000;
/// In the RAM of every part here, above what the flash routine uses.
const RTT_AT: u32 = 0x2000_3000;
const PARTS: [&str; 8] = [
    "STM32G071RB",
    "STM32G431RB",
    "STM32L476RG",
    "STM32F072RB",
    "STM32F103CB",
    "STM32F103C8",
    "STM32F303CB",
    "STM32F405RG",
];

fn board(name: &str) -> Board {
    // The two are one die.
    let board = Board::stm32(name.replace("F103C8", "F103CB").as_str());
    if name == "STM32F103C8" {
        board.pull("flash-kib 64");
    }
    board
}

fn chip(name: &str) -> &'static Chip {
    flash::chip(name).unwrap()
}

fn identified(board: &Board, name: &str) -> ProbeBackend {
    let mut backend = board.backend();
    assert_eq!(backend.contact().unwrap(), Contact::Board);
    let identity = backend.identify(chip(name)).unwrap();
    assert_eq!(identity.uid.unwrap().as_bytes(), STM32_UID);
    assert_eq!(identity.family, chip(name).family);
    let kib = format!("{} KiB", chip(name).regions[0].bytes / 1024);
    assert!(identity.part.ends_with(&kib), "{}", identity.part);
    assert!(!identity.locked);
    backend
}

fn approval() -> UnlockApproval {
    UnlockApproval { record: "7/21".to_owned() }
}

#[test]
fn a_blank_board_is_written_without_an_erase_says_its_line_and_is_locked() {
    for name in PARTS {
        let board = board(name);
        let mut backend = identified(&board, name);
        let mut image = firmware_with_rtt_at(RTT_AT, "FLASHLINE on an STM32");
        image.extend(noise(0x4A31, 1));
        let block = noise(300, 2);
        let pieces: [(u64, &[u8]); 2] = [(START, &image), (START + 0xF000, &block)];
        let report = program_on(&mut backend, chip(name), &pieces).0.unwrap();
        assert_eq!((report.sectors_equal, report.sectors_erased), (0, 0), "{name}");
        assert_eq!(report.verified_bytes, (image.len() + block.len()) as u64, "{name}");
        for (at, bytes) in pieces {
            let at = at as u32;
            assert!(board.cells(u64::from(at), bytes.len()) == bytes, "{name}: {at:#x}");
        }
        for counter in ["page_erases", "mass_erases", "refused", "words_with_lost_bits"] {
            assert_eq!(board.counter(counter), 0, "{name}: {counter}");
        }
        // A G0 that was delivered empty would start its loader.
        let via = Via::Rtt { control_block: None };
        let test = SelfTest { via, expect: "FLASHLINE".to_owned(), within_ms: 5000 };
        let line = backend.self_test(&test, &mut |_| ()).unwrap();
        assert_eq!(line, "FLASHLINE on an STM32", "{name}");
        backend.protect().unwrap();
        assert_eq!(backend.presence().unwrap(), Presence::Still, "{name}");
        drop(backend);
        assert!(board.backend().identify(chip(name)).unwrap().locked, "{name}");
    }
}

#[test]
fn the_same_image_again_writes_nothing_and_another_one_erases_what_differs() {
    for name in PARTS {
        let board = board(name);
        let sector = chip(name).regions[0].sectors().next().map(|s| s.end - s.start).unwrap();
        let old = noise(usize::try_from(2 * sector).unwrap() + 0x800, 3);
        let mut backend = identified(&board, name);
        program_on(&mut backend, chip(name), &[(START, &old)]).0.unwrap();
        let words = board.counter("programmed_words");
        drop(backend);

        let mut backend = identified(&board, name);
        let report = program_on(&mut backend, chip(name), &[(START, &old)]).0.unwrap();
        assert_eq!((report.written_bytes, report.sectors_blank), (0, 0), "{name}");
        assert_eq!(board.counter("programmed_words"), words, "{name}");
        let verified = backend.verify(&plan_on(chip(name), &[(START, &old)]), &mut |_| ());
        assert_eq!(verified.unwrap().verified_bytes, old.len() as u64, "{name}");

        // One byte in the second sector and a piece that keeps what is around it in the third.
        let mut new = old.clone();
        new[usize::try_from(sector).unwrap() + 5] ^= 0x5A;
        let patch_at = usize::try_from(2 * sector).unwrap() + 9;
        let patch = noise(21, 4);
        let head = &new[..usize::try_from(2 * sector).unwrap()];
        let pieces: [(u64, &[u8]); 2] = [(START, head), (START + patch_at as u64, &patch)];
        let report = program_on(&mut backend, chip(name), &pieces).0.unwrap();
        assert_eq!((report.sectors_equal, report.sectors_erased), (1, 2), "{name}");
        new[patch_at..patch_at + 21].copy_from_slice(&patch);
        assert!(board.cells(START, new.len()) == new, "{name}");
        assert_eq!(board.counter("page_erases"), 2, "{name}");
        assert_eq!(board.counter("refused"), 0, "{name}");
    }
}

#[test]
fn a_locked_chip_shows_no_identity_and_opens_only_by_an_approved_erase() {
    for name in PARTS {
        let board = board(name);
        let image = noise(0x1400, 5);
        let mut backend = identified(&board, name);
        program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap();
        backend.protect().unwrap();
        drop(backend);

        let mut backend = board.backend();
        let identity = backend.identify(chip(name)).unwrap();
        assert!(identity.locked && identity.uid.is_none(), "{name}");
        let refused = program_on(&mut backend, chip(name), &[(START, &image)]).0;
        assert_eq!(refused, Err(FlashError::Locked), "{name}");
        assert_eq!(board.counter("mass_erases"), 0, "{name}");
        assert!(board.cells(START, image.len()) == image, "{name}");

        backend.unlock(chip(name), &approval()).unwrap();
        assert_eq!(board.counter("mass_erases"), 1, "{name}");
        drop(backend);
        let mut backend = identified(&board, name);
        assert!(backend.is_blank(START, 0x1400).unwrap(), "{name}");
        program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap();
        assert!(board.cells(START, image.len()) == image, "{name}");
    }
}

#[test]
fn another_chip_and_a_sibling_with_less_flash_are_refused_before_anything_is_written() {
    let check = |name: &str, lever: &str, says: &str| {
        let board = board(name);
        board.pull(lever);
        let error = board.backend().identify(chip(name)).unwrap_err();
        let FlashError::WrongChip { found, .. } = &error else {
            panic!("{name} {lever}: {error:?}");
        };
        assert_eq!(found, says, "{name} {lever}");
        assert_eq!(board.counter("programmed_words"), 0);
    };
    let g0 = "STM32G07xxx/08xxx (0x460) with 64 KiB of flash";
    check("STM32G071RB", "flash-kib 64", g0);
    check("STM32G071RB", "part 0x467", "STM32G0Bxxx/0Cxxx (0x467)");
    check("STM32L476RG", "part 0x435", "STM32L43xxx/44xxx (0x435)");
    let f1 = "STM32F10xxx medium-density (0x410) with 64 KiB of flash";
    check("STM32F103CB", "flash-kib 64", f1);
    check("STM32F103CB", "part 0x414", "STM32F10xxx high-density (0x414)");
    let f0 = "STM32F071xx/072xx/070xB (0x448) with 64 KiB of flash";
    check("STM32F072RB", "flash-kib 64", f0);
    check("STM32F072RB", "part 0x442", "STM32F091xx/098xx/030xC (0x442)");
    check("STM32F303CB", "part 0x438", "STM32F303x4(6,8)/334xx/328xx (0x438)");
    let f4 = "STM32F405xx/407xx/415xx/417xx (0x413) with 512 KiB of flash";
    check("STM32F405RG", "flash-kib 512", f4);
    check("STM32F405RG", "part 0x419", "STM32F42xxx/43xxx (0x419)");
    check("STM32G431RB", "part 0x469", "STM32G47xxx/48xxx (0x469)");
}

#[test]
fn a_unique_id_that_cannot_be_read_or_cannot_be_one_is_refused() {
    for name in PARTS {
        let board = board(name);
        board.pull("uid ffff8a07ffffffffffffffff");
        let error = board.backend().identify(chip(name)).unwrap_err();
        let uid = "FFFF8A07FFFFFFFFFFFFFFFF".to_owned();
        assert_eq!(error, FlashError::UidImplausible { uid }, "{name}");
        board.pull("uid unreadable");
        let error = board.backend().identify(chip(name)).unwrap_err();
        let unreadable = matches!(error, FlashError::Driver { during: Step::Identify, .. });
        assert!(unreadable, "{name}: {error:?}");
    }
}

#[test]
fn power_lost_while_writing_or_erasing_is_a_silence_and_the_next_visit_repairs_the_board() {
    for name in PARTS {
        let image = noise(0x1800, 6);
        for cut in [1, 0x77, 0x400] {
            let board = board(name);
            let mut backend = identified(&board, name);
            board.pull(&format!("cut {cut}"));
            let error = program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap_err();
            assert!(
                matches!(&error, FlashError::Silent { during: Step::Program, .. }),
                "{name} cut {cut}: {error:?}"
            );
            assert_eq!(backend.contact().unwrap(), Contact::Nothing, "{name} cut {cut}");
            board.pull("remove");
            board.pull("heal");
            board.pull("insert");
            board.pull("power on");
            drop(backend);
            let mut backend = identified(&board, name);
            program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap();
            assert!(board.cells(START, image.len()) == image, "{name} cut {cut}");
        }
    }
}

#[test]
fn stuck_cells_are_named_by_their_address() {
    for name in PARTS {
        let board = board(name);
        let mut backend = identified(&board, name);
        // One bit in eight bytes is what a G0's error correction hides.
        for bit in [3, 5] {
            board.pull(&format!("stuck {} {bit}", START + 0x805));
        }
        let image = vec![0xA8; 0x1000];
        let error = program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap_err();
        let differed = FlashError::VerifyDiffered {
            address: START + 0x805,
            bytes: 1,
            wanted: 0xA8,
            found: 0x80,
        };
        if name == "STM32F405RG" {
            // Nothing in an F4 looks at what it wrote.
            assert_eq!(error, differed, "{name}");
        } else {
            // The routine's own check is faster than ours: the cell is in what it could not write.
            let FlashError::WriteFailed { address, bytes, .. } = error else {
                panic!("{name}: {error:?}");
            };
            assert!((address..address + bytes).contains(&(START + 0x805)), "{name}: {address:#x}");
        }
        // Cells that fail after they were written are found by the comparison.
        board.pull("heal");
        program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap();
        for bit in [3, 5] {
            board.pull(&format!("stuck {} {bit}", START + 0x805));
        }
        let error = backend.verify(&plan_on(chip(name), &[(START, &image)]), &mut |_| ());
        assert_eq!(error.unwrap_err(), differed, "{name}");
    }
}
