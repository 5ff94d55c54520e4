//! Every lever of the control port, pulled, and what the unmodified probe-rs says about it.

mod bench;

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use bench::{Bench, UID, noise};
use probe_rs::flashing::FlashError;
use probe_rs::{MemoryInterface, Permissions};
use simulators::nrf52::Revision;
use simulators::timing::Timing;

const IMAGE_BYTES: usize = 24 * 1024;

#[test]
fn a_power_cut_leaves_exactly_the_words_before_it_and_a_board_that_can_be_flashed_again() {
    let image = noise(IMAGE_BYTES, 7);
    for words in [0, 1, 1023, 1024, 2500] {
        let bench = Bench::new();
        let mut session = bench.attach(Permissions::new()).unwrap();
        bench.pull(&format!("cut {words}"));
        bench.flash(&mut session, 0, &image).unwrap_err();
        drop(session);
        assert_eq!(bench.counter("programmed_words"), words as u64);
        assert_eq!(bench.state("powered"), false);
        let cells = bench.cells(0, IMAGE_BYTES);
        let (written, blank) = cells.split_at(4 * words);
        assert_eq!(written, &image[..4 * words], "cut after {words}");
        assert!(blank.iter().all(|byte| *byte == 0xFF), "cut after {words}");

        bench.pull("power on");
        let mut session = bench.attach(Permissions::new()).unwrap();
        bench.flash(&mut session, 0, &image).unwrap();
        assert_eq!(bench.cells(0, IMAGE_BYTES), image);
    }
}

#[test]
fn a_stuck_cell_fails_the_verification_until_it_heals() {
    let bench = Bench::new();
    let image = vec![0xAA; 4096];
    bench.pull("stuck 0x0801 3");
    let mut session = bench.attach(Permissions::new()).unwrap();
    let error = bench.flash(&mut session, 0, &image).unwrap_err();
    assert!(matches!(error, FlashError::Verify), "{error}");
    assert_eq!(bench.cells(0x800, 4), [0xAA, 0xA2, 0xAA, 0xAA]);
    bench.pull("heal");
    bench.flash(&mut session, 0, &image).unwrap();
}

#[test]
fn a_locked_chip_shows_nothing_and_opens_only_by_losing_everything() {
    let bench = Bench::new();
    let mut session = bench.attach(Permissions::new()).unwrap();
    bench.flash(&mut session, 0, &noise(4096, 3)).unwrap();
    bench.pull("lock");
    let mut word = [0];
    session.core(0).unwrap().read_32(0, &mut word).unwrap_err();
    drop(session);
    let error = bench.attach(Permissions::new()).map(drop).unwrap_err();
    assert!(format!("{error:?}").contains("MissingPermissions"), "{error:?}");
    assert_eq!(bench.counter("mass_erases"), 0);

    let mut session = bench.attach(Permissions::new().allow_erase_all()).unwrap();
    assert_eq!(bench.counter("mass_erases"), 1);
    assert_eq!(bench.cells(0, 4096), vec![0xFF; 4096]);
    bench.flash(&mut session, 0, &noise(4096, 4)).unwrap();
    drop(session);
    bench.pull("power off");
    bench.pull("power on");
    bench.attach(Permissions::new()).unwrap();
}

#[test]
fn a_fresh_revision_3_chip_arrives_locked_and_locks_again_without_its_firmwares_consent() {
    let bench = Bench::with(Revision::Three, Timing::OFF);
    bench.attach(Permissions::new()).map(drop).unwrap_err();
    let mut session = bench.attach(Permissions::new().allow_erase_all()).unwrap();
    bench.flash(&mut session, 0, &noise(4096, 5)).unwrap();
    drop(session);
    bench.attach(Permissions::new()).unwrap();
    bench.pull("reset");
    bench.attach(Permissions::new()).map(drop).unwrap_err();
}

#[test]
fn a_removed_board_does_not_answer_and_an_inserted_one_is_the_same_board() {
    let bench = Bench::new();
    let image = noise(4096, 9);
    let mut session = bench.attach(Permissions::new()).unwrap();
    bench.flash(&mut session, 0x2000, &image).unwrap();
    bench.pull("remove");
    let mut uid = [0; 8];
    session.core(0).map(drop).unwrap_err();
    drop(session);
    bench.pull("insert");
    let mut session = bench.attach(Permissions::new()).unwrap();
    session.core(0).unwrap().read_8(0x1000_0060, &mut uid).unwrap();
    assert_eq!(uid, UID);
    assert_eq!(bench.cells(0x2000, 4096), image);
    assert_eq!(bench.counter("power_ons"), 2);
}

#[test]
fn a_hanging_probe_answers_nothing_until_it_is_healed_or_the_time_is_over() {
    let bench = Bench::new();
    let mut port = bench.probe_port();
    let mut answer = [0; 3];
    bench.pull("hang");
    port.write_all(b"!HC#").unwrap();
    port.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let error = port.read(&mut answer).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    bench.pull("heal");
    port.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    port.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"&K3");
    port.read_exact(&mut answer[..1]).unwrap();

    bench.pull("hang 40");
    let start = Instant::now();
    port.write_all(b"!HC#").unwrap();
    port.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"&K3");
    assert!(start.elapsed() >= Duration::from_millis(30), "{:?}", start.elapsed());
}

#[test]
fn a_slow_board_takes_its_time_for_every_transaction() {
    let bench = Bench::new();
    let mut port = bench.probe_port();
    bench.pull("slow 30");
    let start = Instant::now();
    let mut answer = [0; 4];
    for _ in 0..3 {
        port.write_all(b"!HC#").unwrap();
        port.read_exact(&mut answer).unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(90), "{:?}", start.elapsed());
}

#[test]
fn the_dump_holds_flash_and_uicr_and_the_same_bytes_as_the_flash_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("board.flash");
    let dump = folder.path().join("board dump.bin");
    let image = noise(8192, 11);
    let customer = [0x11, 0x22, 0x33, 0x44];
    {
        let bench = Bench::on_file(&file);
        let mut session = bench.attach(Permissions::new()).unwrap();
        bench.flash(&mut session, 0x3000, &image).unwrap();
        bench.flash(&mut session, 0x1000_1080, &customer).unwrap();
        assert_eq!(bench.pull(&format!("dump {}", dump.display())), "528384");
        assert!(bench.counter("uicr_words") > 0);
    }
    let dumped = std::fs::read(&dump).unwrap();
    assert_eq!(dumped, std::fs::read(&file).unwrap());
    assert_eq!(dumped[0x3000..0x3000 + 8192], image[..]);
    assert_eq!(dumped[0x8_0080..0x8_0084], customer);
    let bench = Bench::on_file(&file);
    assert_eq!(bench.cells(0x3000, 8192), image);
}

#[test]
fn the_chip_takes_its_own_time_when_timing_is_real() {
    // Two pages at a twentieth of the real times: 2 erases of 89.7 ms, 2048 words of 67.5 us.
    let nominal = Duration::from_nanos(2 * 89_700_000 + 2048 * 67_500);
    let timing = Timing { chip_scale: 0.05, latency: Duration::ZERO };
    let bench = Bench::with(Revision::Old, timing);
    let mut session = bench.attach(Permissions::new()).unwrap();
    let start = Instant::now();
    bench.flash(&mut session, 0, &noise(8192, 13)).unwrap();
    let took = start.elapsed();
    assert!(took >= nominal.mul_f64(0.05), "{took:?} is faster than the chip");
    assert_eq!(u128::from(bench.counter("busy_ns")), nominal.as_nanos());
}

#[test]
fn the_control_port_answers_nonsense_with_an_error_and_goes_on() {
    let bench = Bench::new();
    for line in
        ["", "explode", "cut many", "stuck 0x20000000 1", "dump-hex 0x7fff0 32", "dump-hex 0 0"]
    {
        let answer = bench.ask(line);
        assert!(answer.starts_with("error "), "{line:?}: {answer}");
    }
    assert_eq!(bench.pull("dump-hex 0 4"), "ffffffff");
}

#[test]
fn a_page_that_does_not_erase_fails_the_verification_until_it_is_healed() {
    let bench = Bench::new();
    let mut session = bench.attach(Permissions::new()).unwrap();
    bench.flash(&mut session, 0, &noise(8192, 3)).unwrap();
    bench.pull("no-erase 0x1234");
    let error = bench.flash(&mut session, 0, &noise(8192, 4)).unwrap_err();
    assert!(matches!(error, FlashError::Verify), "{error}");
    assert_eq!(bench.cells(0, 4096), noise(8192, 4)[..4096]);
    bench.pull("heal");
    bench.flash(&mut session, 0, &noise(8192, 4)).unwrap();
}

#[test]
fn the_chip_can_look_like_another_one() {
    let bench = Bench::new();
    let read = |address: u64| -> Result<u32, probe_rs::Error> {
        let mut session = bench.attach(Permissions::new())?;
        let mut word = [0];
        session.core(0)?.read_32(address, &mut word)?;
        Ok(word[0])
    };
    bench.pull("uid ffffffffffffffff");
    assert_eq!(read(0x1000_0060).unwrap(), 0xFFFF_FFFF);
    bench.pull("uid 0102030405060708");
    assert_eq!(read(0x1000_0064).unwrap(), 0x0807_0605);
    bench.pull("uid unreadable");
    read(0x1000_0064).unwrap_err();
    bench.pull("part 0x52810");
    assert_eq!(read(0x1000_0100).unwrap(), 0x52810);
    bench.pull("flash-kib 256");
    assert_eq!([read(0x1000_0110).unwrap(), read(0x1000_0014).unwrap()], [256, 64]);
    read(0x3_FFFC).unwrap();
    read(0x4_0000).unwrap_err();
    for line in ["uid 0102", "lock 2", "no-erase 0x40000", "dump-hex 0x40000 4"] {
        assert!(bench.ask(line).starts_with("error "), "{line}");
    }
}
