//! Faults of STM32 boards and of the probe, and what the unmodified probe-rs says about them.

#![allow(clippy::unwrap_used, reason = "only tests call the functions between them")]

mod bench;

use std::io::{Read, Write};

use bench::{Bench, noise};
use probe_rs::flashing::FlashError;
use probe_rs::{Core, MemoryInterface, Permissions};
use simulators::stm32::PARTS;

const FLASH: u32 = 0x0800_0000;
const AT: u64 = FLASH as u64;
const G0: &str = "STM32G071RB";
const F0: &str = "STM32F072RB";
const F1: &str = "STM32F103CB";
const F3: &str = "STM32F303CB";
const F4: &str = "STM32F405RG";
const CONTROLLER: u64 = 0x4002_2000;
const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];

/// G0, G4 and L4: read-out protection back to level 0, as RM0444 and RM0351 describe it.
fn regress_double_word(core: &mut Core) {
    let options = core.read_word_32(CONTROLLER + 0x20).unwrap() & !0xFF | 0xAA;
    for (register, value) in [
        (0x08, KEYS[0]),
        (0x08, KEYS[1]),
        (0x0C, 0x0819_2A3B),
        (0x0C, 0x4C5D_6E7F),
        (0x20, options),
        (0x14, 1 << 17),
        (0x14, 1 << 27),
    ] {
        core.write_word_32(CONTROLLER + register, value).unwrap();
    }
}

/// F0, F1 and F3: option bytes erased, RDP programmed to its key, as PM0075 and RM0091 describe it.
fn regress_half_word(core: &mut Core, key: u16) {
    for (register, value) in [
        (0x04, KEYS[0]),
        (0x04, KEYS[1]),
        (0x08, KEYS[0]),
        (0x08, KEYS[1]),
        (0x10, 1 << 9 | 1 << 5),
        (0x10, 1 << 9 | 1 << 5 | 1 << 6),
        (0x10, 1 << 9 | 1 << 4),
    ] {
        core.write_word_32(CONTROLLER + register, value).unwrap();
    }
    core.write_word_16(0x1FFF_F800, key).unwrap();
}

/// F4: FLASH_OPTCR with level 0 in it, as RM0090 describes it.
fn regress_f4(core: &mut Core) {
    for (register, value) in [
        (0x4002_3C08, 0x0819_2A3B),
        (0x4002_3C08, 0x4C5D_6E7F),
        (0x4002_3C14, 0x0FFF_AAEC),
        (0x4002_3C14, 0x0FFF_AAEE),
    ] {
        core.write_word_32(register, value).unwrap();
    }
}

#[test]
fn a_protected_chip_shows_its_id_but_no_flash_and_opens_only_by_losing_everything() {
    for part in PARTS {
        let bench = Bench::stm32(part.name);
        let mut session = bench.attach(Permissions::new()).unwrap();
        let image = noise(4096, 3);
        bench.flash(&mut session, AT, &image).unwrap();
        drop(session);
        bench.pull("lock");
        assert_eq!(bench.state("locked"), true);
        let mut session = bench.attach(Permissions::new()).unwrap();
        session.core(0).unwrap().read_word_32(AT).unwrap_err();
        session.core(0).unwrap().read_word_32(u64::from(part.uid_at)).unwrap();
        bench.flash(&mut session, AT, &noise(4096, 4)).unwrap_err();
        assert_eq!(bench.cells(FLASH, 4096), image, "{}", part.name);
        drop(session);

        let mut session = bench.attach(Permissions::new()).unwrap();
        let mut core = session.core(0).unwrap();
        match part.name {
            F1 => regress_half_word(&mut core, 0x00A5),
            F0 | F3 => regress_half_word(&mut core, 0x00AA),
            F4 => regress_f4(&mut core),
            _ => regress_double_word(&mut core),
        }
        drop(core);
        drop(session);
        assert_eq!(bench.counter("mass_erases"), 1, "{}", part.name);
        bench.pull("reset");
        assert_eq!(bench.state("locked"), false, "{}", part.name);
        let mut session = bench.attach(Permissions::new()).unwrap();
        assert_eq!(session.core(0).unwrap().read_word_32(AT).unwrap(), 0xFFFF_FFFF);
        bench.flash(&mut session, AT, &image).unwrap();
    }
}

#[test]
fn a_chip_on_level_2_answers_no_debugger_any_more() {
    for name in [G0, F0, F4] {
        let bench = Bench::stm32(name);
        bench.pull("lock 2");
        bench.attach(Permissions::new()).map(drop).unwrap_err();
        assert!(bench.ask("lock").starts_with("error "), "{name}: level 2 is for ever");
    }
    let bench = Bench::stm32(F1);
    assert!(bench.ask("lock 2").starts_with("error "), "the F1 has one level");
}

#[test]
fn a_stuck_bit_is_refused_when_it_is_programmed_unless_error_correction_hides_it() {
    let check = |name, bits: &[u8], shows: bool| {
        let bench = Bench::stm32(name);
        for bit in bits {
            bench.pull(&format!("stuck 0x08000801 {bit}"));
        }
        let mut session = bench.attach(Permissions::new()).unwrap();
        let image = vec![0xAA; 4096];
        let done = bench.flash(&mut session, AT, &image);
        // The cell is not blank after an erase, and the controller says so.
        let refused = matches!(done, Err(FlashError::PageWrite { .. }));
        assert_eq!(refused, shows, "{name} {bits:?}: {done:?}");
        bench.pull("heal");
        bench.flash(&mut session, AT, &image).unwrap();
    };
    check(G0, &[3], false);
    check(G0, &[3, 5], true);
    check(F1, &[3], true);
    check(F1, &[], false);
}

#[test]
fn a_page_that_does_not_erase_makes_programming_fail_until_it_is_healed() {
    for part in PARTS {
        let bench = Bench::stm32(part.name);
        let mut session = bench.attach(Permissions::new()).unwrap();
        let old = noise(4096, 5);
        bench.flash(&mut session, AT, &old).unwrap();
        bench.pull("no-erase 0x08000900");
        let error = bench.flash(&mut session, AT, &noise(4096, 6)).unwrap_err();
        if part.name == F4 {
            // Nothing in an F4 looks at what it writes over.
            assert!(matches!(error, FlashError::Verify), "{}: {error:?}", part.name);
        } else {
            assert!(matches!(error, FlashError::PageWrite { .. }), "{}: {error:?}", part.name);
            assert_eq!(bench.cells(FLASH + 0x900, 64), old[0x900..0x940]);
        }
        bench.pull("heal");
        bench.flash(&mut session, AT, &noise(4096, 6)).unwrap();
    }
}

#[test]
fn bits_that_flip_on_the_wire_are_found_by_the_verification_or_by_parity() {
    let image = noise(4096, 8);
    for (lever, cells_are_right) in [("flip read", true), ("flip write 3", false)] {
        let bench = Bench::stm32(G0);
        let mut session = bench.attach(Permissions::new()).unwrap();
        // The first two blocks that are written are the driver's routine.
        bench.pull(lever);
        let error = bench.flash(&mut session, AT, &image).expect_err(lever);
        assert!(matches!(error, FlashError::Verify), "{lever}: {error:?}");
        assert_eq!(bench.cells(FLASH, 4096) == image, cells_are_right, "{lever}");
        bench.flash(&mut session, AT, &image).unwrap();
    }
    let bench = Bench::stm32(F1);
    let mut session = bench.attach(Permissions::new()).unwrap();
    bench.pull("flip parity 1 every");
    let mut block = [0; 256];
    session.core(0).unwrap().read_8(AT, &mut block).unwrap_err();
    bench.pull("heal");
    session.core(0).unwrap().read_8(AT, &mut block).unwrap();
}

#[test]
fn a_probe_takes_one_client_and_none_while_another_program_holds_it() {
    let bench = Bench::stm32(G0);
    let first = bench.attach(Permissions::new()).unwrap();
    let mut said = String::new();
    bench.probe_port().read_to_string(&mut said).unwrap();
    assert_eq!(said, "Port already in use\r\n", "told why, and closed at once");
    bench.attach(Permissions::new()).map(drop).unwrap_err();
    drop(first);
    drop(bench.attach(Permissions::new()).unwrap());
    bench.pull("busy on");
    bench.attach(Permissions::new()).map(drop).unwrap_err();
    bench.pull("busy off");
    bench.attach(Permissions::new()).map(drop).unwrap();
}

#[test]
fn a_client_that_died_while_the_probe_hung_does_not_hold_it() {
    let bench = Bench::stm32(G0);
    bench.pull("hang");
    bench.probe_port().write_all(b"!HC#").unwrap();
    let mut next = bench.probe_port();
    next.write_all(b"!HC#").unwrap();
    bench.pull("heal");
    let mut answer = [0; 4];
    next.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"&K3#");
}

#[test]
fn an_unplugged_probe_drops_its_client_and_comes_back_with_the_board_as_it_was() {
    let bench = Bench::stm32(F1);
    let mut session = bench.attach(Permissions::new()).unwrap();
    bench.flash(&mut session, AT, &noise(2048, 9)).unwrap();
    bench.pull("unplug");
    session.core(0).map(drop).unwrap_err();
    drop(session);
    bench.attach(Permissions::new()).map(drop).unwrap_err();
    assert_eq!(bench.state("powered"), true, "the fixture supplies the board");
    bench.pull("plug");
    let mut session = bench.attach(Permissions::new()).unwrap();
    let mut back = vec![0; 2048];
    session.core(0).unwrap().read_8(AT, &mut back).unwrap();
    assert_eq!(back, noise(2048, 9));
    assert_eq!(bench.counter("power_ons"), 1);
}

#[test]
fn a_chip_can_look_like_another_one() {
    for part in PARTS {
        let bench = Bench::stm32(part.name);
        for uid in ["00".repeat(12), "ff".repeat(12), "0102030405060708090a0b0c".to_owned()] {
            bench.pull(&format!("uid {uid}"));
            let mut session = bench.attach(Permissions::new()).unwrap();
            let mut read = [0; 12];
            session.core(0).unwrap().read_8(u64::from(part.uid_at), &mut read).unwrap();
            assert_eq!(hex::encode(read), uid);
        }
        assert!(bench.ask("uid 00").starts_with("error "), "another length");
        bench.pull("uid unreadable");
        bench.pull("part 0x444");
        bench.pull("flash-kib 32");
        let mut session = bench.attach(Permissions::new()).unwrap();
        let mut core = session.core(0).unwrap();
        core.read_word_32(u64::from(part.uid_at)).unwrap_err();
        assert_eq!(core.read_word_32(u64::from(part.dbgmcu_at)).unwrap() & 0xFFF, 0x444);
        assert_eq!(core.read_word_16(u64::from(part.flash_size_at)).unwrap(), 32);
        core.read_word_32(AT + 0x7FFC).unwrap();
        core.read_word_32(AT + 0x8000).unwrap_err();
        drop(core);
        bench.flash(&mut session, AT + 0x7000, &noise(0x1000, 1)).unwrap();
        bench.flash(&mut session, AT + 0x8000, &noise(0x1000, 1)).unwrap_err();
    }
}
