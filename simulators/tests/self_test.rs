//! After a reset the board runs what was flashed: the committed demo firmware speaks on the UART.

#![allow(clippy::unwrap_used, reason = "only tests call the functions between them")]

mod bench;

use std::io::Cursor;

use bench::{Bench, Lines};
use probe_rs::flashing::{DownloadOptions, HexLoader};
use probe_rs::{Permissions, Session};

/// The demo firmware is for another target and another compiler; its images are committed.
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/");
/// Where the demo firmware looks for its activation block.
const BLOCK_ADDRESS: u64 = 0x0007_F000;
/// An activation block for the bench's UID, issued with the demo product key (see README.md).
const BLOCK: &str = include_str!("bench/activation-block.hex");

fn flash_demo(bench: &Bench, version: &str, extra: Option<&[u8]>) -> Session {
    let hex = std::fs::read(format!("{DEMO}demo-lamp-{version}.hex")).unwrap();
    let mut session = bench.attach(Permissions::new()).unwrap();
    let mut loader = session.target().flash_loader();
    loader.load_image(&mut session, &mut Cursor::new(hex), HexLoader, None).unwrap();
    if let Some(extra) = extra {
        loader.add_data(BLOCK_ADDRESS, extra).unwrap();
    }
    let mut options = DownloadOptions::default();
    options.verify = true;
    loader.commit(&mut session, options).unwrap();
    session
}

fn self_test_line(bench: &Bench, session: &mut Session) -> String {
    let uart: Lines = bench.uart();
    session.core(0).unwrap().reset().unwrap();
    uart.next()
}

#[test]
fn the_demo_firmware_says_its_version_and_that_it_is_not_activated() {
    let bench = Bench::new();
    for version in ["1.0.0", "1.1.0"] {
        let mut session = flash_demo(&bench, version, None);
        let line = self_test_line(&bench, &mut session);
        assert_eq!(line, format!("FLASHLINE demo-lamp {version} activation=absent"));
    }
}

#[test]
fn the_firmware_accepts_its_own_block_and_refuses_a_damaged_or_foreign_one() {
    let own = hex::decode(BLOCK.split_whitespace().collect::<String>()).unwrap();
    let mut damaged = own.clone();
    damaged[40] ^= 1;
    let foreign = [0x42; 288];
    for (block, state) in [(&own[..], "valid"), (&damaged, "invalid"), (&foreign, "invalid")] {
        let bench = Bench::new();
        let mut session = flash_demo(&bench, "1.0.0", Some(block));
        let line = self_test_line(&bench, &mut session);
        assert_eq!(line, format!("FLASHLINE demo-lamp 1.0.0 activation={state}"));
    }
}

#[test]
fn the_firmware_runs_after_power_up_without_any_debugger() {
    let bench = Bench::new();
    drop(flash_demo(&bench, "1.0.0", None));
    bench.pull("power off");
    let uart = bench.uart();
    bench.pull("power on");
    assert_eq!(uart.next(), "FLASHLINE demo-lamp 1.0.0 activation=absent");
    assert_eq!(bench.state("core"), "sleeping");
}
