//! The unmodified probe-rs library against boards with STM32s: what it may do, and what they refuse.

#![allow(clippy::unwrap_used, reason = "only tests call the functions between them")]

mod bench;

use std::time::{Duration, Instant};

use bench::firmware::{ENTRY, says, usart_of};
use bench::{Bench, STM32_UID, noise};
use probe_rs::flashing::{DownloadOptions, FlashError};
use probe_rs::{MemoryInterface, Permissions, Session};
use simulators::stm32::{PARTS, Part};
use simulators::timing::Timing;

const FLASH: u32 = 0x0800_0000;
const PATIENCE: Duration = Duration::from_secs(5);

fn attached(part: &Part) -> (Bench, Session) {
    let bench = Bench::stm32(part.name);
    let session = bench.attach(Permissions::new()).unwrap();
    (bench, session)
}

fn flash(bench: &Bench, session: &mut Session, at: u32, image: &[u8]) -> Result<(), FlashError> {
    bench.flash(session, u64::from(at), image)
}

#[test]
fn every_part_is_flashed_by_the_drivers_own_routine_and_read_back() {
    for part in PARTS {
        let (bench, mut session) = attached(part);
        let image = noise(20_000, 1);
        flash(&bench, &mut session, FLASH + 0x1000, &image).unwrap();
        let mut back = vec![0; image.len()];
        session.core(0).unwrap().read_8(u64::from(FLASH) + 0x1000, &mut back).unwrap();
        assert_eq!(back, image, "{}", part.name);
        assert_eq!(bench.cells(FLASH + 0x1000, image.len()), image, "{}", part.name);
        assert_eq!(bench.counter("refused"), 0, "{}", part.name);
        assert_eq!(bench.counter("programmed_words"), 20_000_u64.div_ceil(1024) * 256);
    }
}

#[test]
fn the_last_byte_of_flash_is_flash_and_the_next_one_is_not() {
    for part in PARTS {
        let (bench, mut session) = attached(part);
        let end = FLASH + part.flash_bytes();
        flash(&bench, &mut session, end - 2048, &noise(2048, 2)).unwrap();
        assert_eq!(bench.cells(end - 2048, 2048), noise(2048, 2));
        session.core(0).unwrap().read_word_8(u64::from(end)).unwrap_err();
        let ram_end = u64::from(0x2000_0000 + part.ram_bytes);
        session.core(0).unwrap().read_word_8(ram_end - 1).unwrap();
        session.core(0).unwrap().read_word_8(ram_end).unwrap_err();
    }
}

#[test]
fn every_part_says_who_it_is() {
    let check = |name, uid_at: u64, size_at: u64, id_at: u64, id: u32| {
        let part = PARTS.iter().find(|part| part.name == name).unwrap();
        let (_bench, mut session) = attached(part);
        let mut core = session.core(0).unwrap();
        let mut uid = [0; 12];
        core.read_8(uid_at, &mut uid).unwrap();
        assert_eq!(uid, STM32_UID, "{name}");
        assert_eq!(u32::from(core.read_word_16(size_at).unwrap()), part.flash_kib, "{name}");
        assert_eq!(core.read_word_32(id_at).unwrap() & 0xFFF, id, "{name}");
    };
    check("STM32G071RB", 0x1FFF_7590, 0x1FFF_75E0, 0x4001_5800, 0x460);
    check("STM32F103CB", 0x1FFF_F7E8, 0x1FFF_F7E0, 0xE004_2000, 0x410);
    check("STM32L476RG", 0x1FFF_7590, 0x1FFF_75E0, 0xE004_2000, 0x415);
    check("STM32F072RB", 0x1FFF_F7AC, 0x1FFF_F7CC, 0x4001_5800, 0x448);
    check("STM32F303CB", 0x1FFF_F7AC, 0x1FFF_F7CC, 0xE004_2000, 0x422);
    check("STM32F405RG", 0x1FFF_7A10, 0x1FFF_7A22, 0xE004_2000, 0x413);
    check("STM32G431RB", 0x1FFF_7590, 0x1FFF_75E0, 0xE004_2000, 0x468);
}

#[test]
fn reprogramming_erases_what_it_needs_and_keeps_the_neighbours() {
    for part in PARTS {
        let (bench, mut session) = attached(part);
        let page = part.page_bytes as usize;
        let (first, second) = (noise(4 * page, 2), noise(2 * page, 3));
        flash(&bench, &mut session, FLASH, &first).unwrap();
        flash(&bench, &mut session, FLASH + part.page_bytes, &second).unwrap();
        assert_eq!(bench.cells(FLASH, page), first[..page]);
        assert_eq!(bench.cells(FLASH + part.page_bytes, 2 * page), second);
        assert_eq!(bench.cells(FLASH + 3 * part.page_bytes, page), first[3 * page..]);
        assert_eq!(bench.counter("page_erases"), 6, "{}", part.name);
        assert_eq!(bench.counter("refused"), 0, "{}", part.name);
    }
}

#[test]
fn a_word_that_was_written_is_not_written_again_without_an_erase() {
    for part in PARTS {
        let (bench, mut session) = attached(part);
        let old = noise(1024, 4);
        flash(&bench, &mut session, FLASH, &old).unwrap();
        let mut loader = session.target().flash_loader();
        loader.add_data(u64::from(FLASH), &noise(1024, 5)).unwrap();
        let mut options = DownloadOptions::default();
        options.skip_erase = true;
        let done = loader.commit(&mut session, options);
        if part.name == "STM32F405RG" {
            // It is written all the same: the bits of both that are 1 stay.
            done.unwrap();
            let both = old.iter().zip(noise(1024, 5)).map(|(old, new)| old & new);
            assert_eq!(bench.cells(FLASH, 1024), both.collect::<Vec<u8>>(), "{}", part.name);
            assert!(bench.counter("words_with_lost_bits") > 0);
            continue;
        }
        let error = done.unwrap_err();
        assert!(matches!(error, FlashError::PageWrite { .. }), "{}: {error:?}", part.name);
        assert_eq!(bench.cells(FLASH, 1024), old, "{}", part.name);
        assert!(bench.counter("refused") > 0);
        assert!(bench.counter("words_with_lost_bits") > 0);
    }
}

#[test]
fn a_power_cut_leaves_a_board_that_can_be_flashed_again() {
    let image = noise(8 * 1024, 7);
    for part in PARTS {
        for words in [0, 2, 255, 256, 1500] {
            let (bench, mut session) = attached(part);
            bench.pull(&format!("cut {words}"));
            flash(&bench, &mut session, FLASH, &image).unwrap_err();
            drop(session);
            assert_eq!(bench.state("powered"), false);
            // Double words are whole or not there at all.
            let by_words = part.name.starts_with("STM32F");
            let written = if by_words { words } else { words / 2 * 2 };
            let cells = bench.cells(FLASH, image.len());
            assert_eq!(cells[..4 * written], image[..4 * written], "{} {words}", part.name);
            assert!(cells[4 * written..].iter().all(|byte| *byte == 0xFF), "{words}");

            bench.pull("power on");
            let mut session = bench.attach(Permissions::new()).unwrap();
            flash(&bench, &mut session, FLASH, &image).unwrap();
            assert_eq!(bench.cells(FLASH, image.len()), image);
        }
    }
}

#[test]
fn after_a_reset_the_board_runs_what_was_flashed_and_says_its_line() {
    for part in PARTS {
        let (bench, mut session) = attached(part);
        let image = says("FLASHLINE self-test ok", &usart_of(part.name));
        flash(&bench, &mut session, FLASH, &image).unwrap();
        let uart = bench.uart();
        session.core(0).unwrap().reset().unwrap();
        assert_eq!(uart.next(), "FLASHLINE self-test ok", "{}", part.name);
        drop(session);
        // And again without any debugger.
        bench.pull("power off");
        let uart = bench.uart();
        bench.pull("power on");
        assert_eq!(uart.next(), "FLASHLINE self-test ok", "{}", part.name);
        assert_eq!(bench.state("core"), "sleeping");
    }
}

#[test]
fn a_debugger_halts_steps_and_breaks_in_firmware() {
    for part in PARTS {
        let (bench, mut session) = attached(part);
        let image = says("stepped", &usart_of(part.name));
        flash(&bench, &mut session, FLASH, &image).unwrap();
        let uart = bench.uart();
        let mut core = session.core(0).unwrap();
        let entry = u64::from(ENTRY);
        assert_eq!(core.reset_and_halt(PATIENCE).unwrap().pc, entry, "{}", part.name);
        assert_eq!(core.step().unwrap().pc, entry + 2);
        core.set_hw_breakpoint(entry + 26).unwrap();
        core.run().unwrap();
        core.wait_for_core_halted(PATIENCE).unwrap();
        let pc: u32 = core.read_core_reg(core.program_counter()).unwrap();
        assert_eq!(u64::from(pc), entry + 26, "{}", part.name);
        assert_eq!(uart.next(), "stepped");
    }
}

#[test]
fn a_blank_chip_locks_up_or_waits_in_its_loader() {
    for part in PARTS {
        let bench = Bench::stm32(part.name);
        let mut session = bench.attach(Permissions::new()).unwrap();
        let mut core = session.core(0).unwrap();
        core.reset().unwrap();
        while bench.state("core") == "running" {
            std::thread::yield_now();
        }
        let expected = if part.name == "STM32G071RB" { "sleeping" } else { "locked_up" };
        assert_eq!(bench.state("core"), expected, "{}", part.name);
    }
}

#[test]
fn the_chip_takes_its_own_time_when_timing_is_real() {
    let check = |name, units: u32, unit_ns: u64, page_ns: u64| {
        // Two pages at a twentieth of the real times.
        let timing = Timing { chip_scale: 0.05, latency: Duration::ZERO };
        let bench = Bench::stm32_with(name, timing);
        let mut session = bench.attach(Permissions::new()).unwrap();
        let start = Instant::now();
        let bytes = 2 * PARTS.iter().find(|part| part.name == name).unwrap().page_bytes as usize;
        flash(&bench, &mut session, FLASH, &noise(bytes, 13)).unwrap();
        let nominal = 2 * page_ns + u64::from(units) * unit_ns;
        assert_eq!(bench.counter("busy_ns"), nominal, "{name}");
        let took = start.elapsed();
        assert!(took >= Duration::from_nanos(nominal).mul_f64(0.05), "{name}: {took:?}");
    };
    check("STM32G071RB", 512, 85_000, 22_000_000);
    check("STM32F103CB", 1024, 52_500, 20_000_000);
    check("STM32L476RG", 512, 81_690, 22_020_000);
    check("STM32G431RB", 512, 81_690, 22_020_000);
    check("STM32F072RB", 2048, 53_500, 30_000_000);
    check("STM32F303CB", 2048, 53_500, 30_000_000);
    check("STM32F405RG", 8192, 16_000, 250_000_000);
}
