//! The unmodified probe-rs library against a chip, and with a firmware, that other people wrote.
//!
//! Needs the Debian packages `qemu-system-arm` and `firmware-microbit-micropython`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests")]

mod bench;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use bench::{Lines, noise};
use ihex::Record;
use probe_rs::config::Registry;
use probe_rs::flashing::{
    DownloadOptions, FlashError, FlashProgress, ProgressEvent, ProgressOperation,
};
use probe_rs::probe::list::Lister;
use probe_rs::probe::{DebugProbeSelector, WireProtocol};
use probe_rs::{CoreStatus, MemoryInterface, Permissions, Session};

const CHIP: &str = "nRF51822_xxAA";
const UID: &str = "01020304050607F8";
const FIRMWARE: &str = "/usr/share/firmware-microbit-micropython/firmware.hex";
const BANNER: &str = "MicroPython v1.9";
const PATIENCE: Duration = Duration::from_secs(30);

/// First byte of UICR.
const UICR: u32 = 0x1000_1000;

/// A board as a station meets it: a process and three ports.
struct Emulated {
    process: Child,
    probe: SocketAddr,
    uart: SocketAddr,
    control: Lines,
}

impl Emulated {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_emulated-board"))
            .args(["--uid", UID])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: serde_json::Value = serde_json::from_str(&line).unwrap();
        let port = |name: &str| ports[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
        Self {
            process,
            probe: port("probe"),
            uart: port("uart"),
            control: Lines::connect(port("control")),
        }
    }

    fn attach(&self) -> Result<Session, probe_rs::Error> {
        static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::from_builtin_families);
        let selector: DebugProbeSelector = format!("1d50:6018:{}", self.probe).parse().unwrap();
        let mut probe = Lister::new().open(selector)?;
        probe.select_protocol(WireProtocol::Swd)?;
        probe.attach_with_registry(CHIP, Permissions::new(), &REGISTRY)
    }

    /// Pulls a lever; the answer without its `ok`.
    fn pull(&self, lever: &str) -> String {
        let answer = self.control.ask(lever);
        match answer.strip_prefix("ok") {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("{lever}: {answer}"),
        }
    }

    fn cells(&self, at: u32, length: usize) -> Vec<u8> {
        hex::decode(self.pull(&format!("dump-hex {at} {length}"))).unwrap()
    }

    fn core(&self) -> String {
        let state: serde_json::Value = serde_json::from_str(&self.pull("state")).unwrap();
        state["core"].as_str().unwrap().to_owned()
    }

    /// Asks again and again until the core does what is awaited.
    fn await_core(&self, wanted: &str) {
        let begun = Instant::now();
        while self.core() != wanted {
            assert!(begun.elapsed() < PATIENCE, "the core is {}, not {wanted}", self.core());
            thread::yield_now();
        }
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The pieces of the micro:bit's firmware, UICR records last.
fn firmware() -> Vec<(u32, Vec<u8>)> {
    let text = std::fs::read_to_string(FIRMWARE).unwrap();
    let mut pieces: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut base = 0;
    for record in ihex::Reader::new(&text) {
        match record.unwrap() {
            Record::Data { offset, value } => {
                let address = base + u32::from(offset);
                match pieces.last_mut() {
                    Some((start, bytes)) if *start + bytes.len() as u32 == address => {
                        bytes.extend(value);
                    }
                    Some(_) | None => pieces.push((address, value)),
                }
            }
            Record::ExtendedLinearAddress(upper) => base = u32::from(upper) << 16,
            Record::ExtendedSegmentAddress(segment) => base = u32::from(segment) << 4,
            Record::EndOfFile
            | Record::StartLinearAddress(_)
            | Record::StartSegmentAddress { .. } => {}
        }
    }
    pieces
}

fn firmware_without_uicr() -> Vec<(u32, Vec<u8>)> {
    firmware().into_iter().filter(|(address, _)| *address < UICR).collect()
}

fn flash(session: &mut Session, pieces: &[(u32, Vec<u8>)]) -> Result<(), FlashError> {
    flash_watched(session, pieces, FlashProgress::empty())
}

fn flash_watched(
    session: &mut Session,
    pieces: &[(u32, Vec<u8>)],
    progress: FlashProgress<'_>,
) -> Result<(), FlashError> {
    let mut loader = session.target().flash_loader();
    for (address, bytes) in pieces {
        loader.add_data(u64::from(*address), bytes)?;
    }
    let mut options = DownloadOptions::default();
    options.verify = true;
    options.progress = progress;
    loader.commit(session, options)
}

/// An image with this code at 0x100 and this HardFault handler.
fn image(hard_fault: u32, code: &[u16]) -> Vec<(u32, Vec<u8>)> {
    let mut bytes = [0x2000_4000, 0x101, 0, hard_fault].map(u32::to_le_bytes).concat();
    bytes.resize(0x100, 0xFF);
    bytes.extend(code.iter().flat_map(|word| word.to_le_bytes()));
    bytes.resize(bytes.len().next_multiple_of(4), 0xFF);
    vec![(0, bytes)]
}

#[test]
fn the_real_firmware_is_flashed_verified_and_says_its_name() {
    let board = Emulated::start();
    let uart = Lines::connect(board.uart);
    let pieces = firmware_without_uicr();
    let bytes: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
    let begun = Instant::now();
    let mut session = board.attach().unwrap();
    flash(&mut session, &pieces).unwrap();
    println!("{bytes} bytes flashed and verified in {} ms", begun.elapsed().as_millis());
    for (address, bytes) in &pieces {
        assert!(board.cells(*address, bytes.len()) == *bytes, "differs behind {address:#x}");
    }
    assert_eq!(board.core(), "halted", "nothing has run yet");
    let reset = Instant::now();
    session.core(0).unwrap().reset().unwrap();
    while !uart.next().contains(BANNER) {
        assert!(reset.elapsed() < PATIENCE, "no banner");
    }
    println!("banner {} ms after the reset", reset.elapsed().as_millis());
}

#[test]
fn the_firmware_starts_by_itself_when_the_board_is_set_in_again() {
    let board = Emulated::start();
    flash(&mut board.attach().unwrap(), &firmware_without_uicr()).unwrap();
    board.pull("remove");
    assert_eq!(board.core(), "off");
    let uart = Lines::connect(board.uart);
    board.pull("insert");
    let begun = Instant::now();
    while !uart.next().contains(BANNER) {
        assert!(begun.elapsed() < PATIENCE, "no banner");
    }
}

#[test]
fn a_board_pulled_in_the_middle_of_programming_is_repaired_by_the_next_visit() {
    let board = Emulated::start();
    let uart = Lines::connect(board.uart);
    let pieces = firmware_without_uicr();
    let mut pages = 0;
    let progress = FlashProgress::new(|event| {
        if let ProgressEvent::Progress { operation: ProgressOperation::Program, .. } = event {
            pages += 1;
            if pages == 20 {
                board.pull("remove");
            }
        }
    });
    assert!(flash_watched(&mut board.attach().unwrap(), &pieces, progress).is_err());
    let (address, bytes) = &pieces[0];
    let held = board.cells(*address, bytes.len());
    // The driver reports a page when it is about to start it: nineteen were done.
    let done = 19 * 1024;
    assert!(held[..done] == bytes[..done], "what was programmed stays");
    assert!(held[done..].iter().all(|byte| *byte == 0xFF), "and no more was");

    board.pull("insert");
    let mut session = board.attach().unwrap();
    flash(&mut session, &pieces).unwrap();
    session.core(0).unwrap().reset().unwrap();
    let begun = Instant::now();
    while !uart.next().contains(BANNER) {
        assert!(begun.elapsed() < PATIENCE, "no banner");
    }
}

#[test]
fn uicr_records_have_no_place_in_the_built_in_target_and_are_refused_not_dropped() {
    let board = Emulated::start();
    let pieces = firmware();
    assert!(pieces.iter().any(|(address, _)| *address == 0x1000_10C0));
    let refused = flash(&mut board.attach().unwrap(), &pieces).unwrap_err();
    let FlashError::NoSuitableNvm { range, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(range, 0x1000_10C0..0x1000_10DC);
}

#[test]
fn every_board_shows_its_own_unique_id_and_the_page_count_of_the_chip() {
    let board = Emulated::start();
    let mut session = board.attach().unwrap();
    let mut core = session.core(0).unwrap();
    let mut bytes = [0; 8];
    core.read_8(0x1000_0060, &mut bytes).unwrap();
    assert_eq!(hex::encode_upper(bytes), UID);
    let mut words = [0; 2];
    core.read_32(0x1000_0060, &mut words).unwrap();
    assert_eq!(words, [0x0403_0201, 0xF807_0605]);
    assert_eq!(core.read_word_32(0x1000_0064).unwrap(), 0xF807_0605);
    core.read_32(0x1000_0010, &mut words).unwrap();
    assert_eq!(words, [1024, 256]);
}

#[test]
fn a_blank_chip_locks_up_answers_and_can_be_flashed() {
    let board = Emulated::start();
    assert_eq!(board.core(), "locked_up");
    assert!(board.cells(0, 0x4_0000).iter().all(|byte| *byte == 0xFF));
    let mut session = board.attach().unwrap();
    {
        let mut core = session.core(0).unwrap();
        core.reset().unwrap();
        assert_eq!(core.status().unwrap(), CoreStatus::LockedUp);
        core.halt(PATIENCE).unwrap();
        core.reset_and_halt(PATIENCE).unwrap();
        assert!(core.status().unwrap().is_halted());
    }
    let image = [(0, noise(5_000, 1))];
    flash(&mut session, &image).unwrap();
    assert_eq!(board.cells(0, 5_000), image[0].1);
}

#[test]
fn firmware_that_locks_up_ends_neither_the_board_nor_what_it_holds() {
    const UNDEFINED: u16 = 0xDE00;
    let check = |what: &str, pieces: &[(u32, Vec<u8>)]| {
        let board = Emulated::start();
        flash(&mut board.attach().unwrap(), pieces).unwrap();
        let mut session = board.attach().unwrap();
        session.core(0).unwrap().reset().unwrap();
        board.await_core("locked_up");
        assert_eq!(session.core(0).unwrap().status().unwrap(), CoreStatus::LockedUp, "{what}");
        let [(address, bytes)] = pieces else { panic!("{what}: one piece") };
        assert_eq!(board.cells(*address, bytes.len()), *bytes, "{what}");
        // The board goes on: counting firmware is flashed over it and runs.
        flash(&mut session, &image(0x101, &[0x2000, 0x3001, 0xE7FD])).unwrap();
        session.core(0).unwrap().reset().unwrap();
        board.await_core("running");
    };
    check("no HardFault handler", &image(0xFFFF_FFFF, &[UNDEFINED]));
    check("a HardFault handler that is blank", &image(0x2_0001, &[UNDEFINED]));
    check("a HardFault handler that faults", &image(0x101, &[UNDEFINED]));
    check("a first instruction that is blank", &[(0, image(0x101, &[])[0].1[..0x100].to_vec())]);
}

#[test]
fn a_debugger_steps_breaks_halts_and_resumes() {
    let board = Emulated::start();
    let mut session = board.attach().unwrap();
    // movs r0,#0; loop: adds r0,#1; b loop.
    flash(&mut session, &image(0x101, &[0x2000, 0x3001, 0xE7FD])).unwrap();
    let mut core = session.core(0).unwrap();
    assert_eq!(core.reset_and_halt(PATIENCE).unwrap().pc, 0x100);
    assert_eq!(core.step().unwrap().pc, 0x102);
    core.set_hw_breakpoint(0x104).unwrap();
    core.run().unwrap();
    core.wait_for_core_halted(PATIENCE).unwrap();
    assert_eq!(core.read_core_reg::<u32>(core.program_counter()).unwrap(), 0x104);
    assert_eq!(core.read_core_reg::<u32>(core.registers().core_register(0)).unwrap(), 1);
    core.clear_hw_breakpoint(0x104).unwrap();
    core.run().unwrap();
    assert_eq!(board.core(), "running");
    core.halt(PATIENCE).unwrap();
    assert!(core.read_core_reg::<u32>(core.registers().core_register(0)).unwrap() > 1);
}

#[test]
fn a_board_that_is_not_in_the_fixture_gives_no_contact() {
    let board = Emulated::start_with(&["--removed"]);
    assert!(board.attach().is_err());
    board.pull("insert");
    assert!(board.attach().is_ok());
}

#[test]
fn the_emulator_ends_with_the_board_even_if_the_board_is_killed() {
    let mut board = Emulated::start();
    // QEMU has the same standard error: its end is the end of both.
    let mut stderr = board.process.stderr.take().unwrap();
    let (ended, end) = channel();
    thread::spawn(move || {
        let mut said = String::new();
        let _ = stderr.read_to_string(&mut said);
        let _ = ended.send(said);
    });
    board.process.kill().unwrap();
    end.recv_timeout(PATIENCE).unwrap();
}
