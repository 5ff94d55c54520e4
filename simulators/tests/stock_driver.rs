//! The unmodified probe-rs library against a board over TCP.

mod bench;

use std::time::Duration;

use bench::{Bench, noise};
use probe_rs::config::TargetSelector;
use probe_rs::{MemoryInterface, Permissions};

#[test]
fn attach_download_verify_and_read_the_uid() {
    let bench = Bench::new();
    let mut session = bench.attach(Permissions::new()).unwrap();
    let image = noise(20_000, 1);
    bench.flash(&mut session, 0x1000, &image).unwrap();
    let mut core = session.core(0).unwrap();
    let mut uid = [0; 8];
    core.read_8(0x1000_0060, &mut uid).unwrap();
    assert_eq!(uid, bench::UID);
    let mut back = vec![0; image.len()];
    core.read_8(0x1000, &mut back).unwrap();
    assert_eq!(back, image);
    assert_eq!(bench.cells(0x1000, image.len()), image);
}

#[test]
fn the_chip_is_recognised_without_being_named() {
    let bench = Bench::new();
    let session = bench.attach_as(TargetSelector::Auto, Permissions::new()).unwrap();
    assert_eq!(session.target().name, "nRF52832_xxAA");
}

#[test]
fn reprogramming_erases_what_it_needs_and_keeps_the_neighbours() {
    let bench = Bench::new();
    let mut session = bench.attach(Permissions::new()).unwrap();
    let (first, second) = (noise(12_288, 2), noise(5_000, 3));
    bench.flash(&mut session, 0, &first).unwrap();
    bench.flash(&mut session, 0x1000, &second).unwrap();
    assert_eq!(bench.cells(0, 0x1000), first[..0x1000]);
    assert_eq!(bench.cells(0x1000, second.len()), second);
    assert_eq!(bench.counter("page_erases"), 5);
    assert_eq!(bench.counter("words_with_lost_bits"), 0);
    assert_eq!(bench.counter("refused"), 0);
}

#[test]
fn uicr_words_are_programmed_like_flash() {
    let bench = Bench::new();
    let mut session = bench.attach(Permissions::new()).unwrap();
    let customer = [0xDE, 0xAD, 0xBE, 0xEF];
    bench.flash(&mut session, 0x1000_1080, &customer).unwrap();
    let mut word = [0];
    session.core(0).unwrap().read_32(0x1000_1080, &mut word).unwrap();
    assert_eq!(word[0].to_le_bytes(), customer);
}

#[test]
fn four_boards_are_flashed_at_once() {
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || {
                let bench = Bench::new();
                let image = noise(16_384, seed);
                let mut session = bench.attach(Permissions::new()).unwrap();
                bench.flash(&mut session, 0, &image).unwrap();
                assert_eq!(bench.cells(0, image.len()), image);
            });
        }
    });
}

#[test]
fn a_debugger_halts_steps_and_resumes_running_firmware() {
    let bench = Bench::new();
    let mut session = bench.attach(Permissions::new()).unwrap();
    // Stack, entry; then: movs r0,#0; loop: adds r0,#1; b loop.
    let mut image = [0x2001_0000_u32, 0x101].map(u32::to_le_bytes).concat();
    image.resize(0x100, 0xFF);
    image.extend([0x2000_u16, 0x3001, 0xE7FD].map(u16::to_le_bytes).concat());
    bench.flash(&mut session, 0, &image).unwrap();
    let mut core = session.core(0).unwrap();
    let patience = Duration::from_secs(5);
    assert_eq!(core.reset_and_halt(patience).unwrap().pc, 0x100);
    assert_eq!(core.step().unwrap().pc, 0x102);
    core.run().unwrap();
    core.halt(patience).unwrap();
    let counted: u32 = core.read_core_reg(core.registers().core_register(0)).unwrap();
    assert!(counted > 0);
}
