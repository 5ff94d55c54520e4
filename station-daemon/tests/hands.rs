//! Worker processes against simulated boards: what a slot can count on when its driver cannot be.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on says where, and what came instead"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use simulators::flash_file::FlashFile;
use simulators::nrf52::Revision;
use simulators::timing::Timing;
use simulators::{Addresses, BoardConfig, Served, serve};
use station_daemon::hands::{
    Answer, Death, FlashError, Hand, HandConfig, HandError, Job, PlacedBlock, Progress,
    READ_BYTES_MAX, SealedImage, SelfTest, Step, Via, stopwatch,
};

const CHIP: &str = "nRF52832_xxAA";
const UID: [u8; 8] = [8, 7, 6, 5, 4, 3, 2, 1];
const BLOCK_AT: u64 = 0x7_F000;
/// Longest silence of a healthy worker on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest silence a test waits for on purpose.
const SHORT: Duration = Duration::from_millis(400);

struct Board {
    served: Served,
    control: TcpStream,
}

impl Board {
    fn new() -> Self {
        let config = BoardConfig {
            uid: UID,
            revision: Revision::Old,
            timing: Timing::OFF,
            cells: FlashFile::in_memory(),
            seated: true,
        };
        let served = serve(Addresses::any(), config).unwrap();
        let control = TcpStream::connect(served.addresses.control).unwrap();
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { served, control }
    }

    fn pull(&self, lever: &str) -> String {
        (&self.control).write_all(format!("{lever}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::with_capacity(1, &self.control).read_line(&mut answer).unwrap();
        match answer.trim_end().strip_prefix("ok") {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("{lever}: {answer}"),
        }
    }

    fn cells(&self, at: u64, length: usize) -> Vec<u8> {
        hex::decode(self.pull(&format!("dump-hex {at} {length}"))).unwrap()
    }

    fn hand(&self, slot: u32) -> Hand {
        hand(slot, &format!("1d50:6018:{}", self.served.addresses.probe))
    }
}

fn hand(slot: u32, port: &str) -> Hand {
    Hand::spawn(HandConfig {
        slot,
        port: port.to_owned(),
        chip: None,
        program: env!("CARGO_BIN_EXE_station-daemon").into(),
    })
    .unwrap()
}

fn run(hand: &mut Hand, job: &Job) -> Result<Answer, HandError> {
    hand.run(job, PATIENCE, &mut |_| ())
}

fn identify(hand: &mut Hand) {
    assert_eq!(run(hand, &Job::Contact).unwrap(), Answer::Contact { board: true });
    let job = Job::Identify { chip: CHIP.to_owned() };
    match run(hand, &job).unwrap() {
        Answer::Identity(identity) => assert_eq!(identity.uid.unwrap().as_bytes(), UID),
        other => panic!("{other:?}"),
    }
}

fn image(bytes: &[u8]) -> Arc<SealedImage> {
    Arc::new(SealedImage::new([("application", 0, bytes)]).unwrap())
}

fn program(bytes: &[u8]) -> Job {
    Job::Program { image: image(bytes), block: None }
}

/// Reproducible bytes.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn status(pid: u32, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().to_owned())
}

/// Waits until the process is gone or a zombie.
fn wait_for_end(pid: u32) {
    let begun = Instant::now();
    while status(pid, "State:").is_some_and(|state| !state.starts_with('Z')) {
        assert!(begun.elapsed() < PATIENCE, "process {pid} lives on");
        thread::yield_now();
    }
}

#[test]
fn a_visit_runs_through_one_worker_from_contact_to_absence() {
    let board = Board::new();
    let mut hand = board.hand(1);
    identify(&mut hand);
    let bytes = noise(0x6123);
    let block = PlacedBlock { address: BLOCK_AT, bytes: noise(300) };
    let image = image(&bytes);
    let mut steps = Vec::new();
    let job = Job::Program { image: Arc::clone(&image), block: Some(block.clone()) };
    let done = hand.run(&job, PATIENCE, &mut |Progress { step, .. }| {
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    });
    match done.unwrap() {
        Answer::Programmed(report) => assert_eq!(report.verified_bytes, 0x6123 + 300),
        other => panic!("{other:?}"),
    }
    assert_eq!(steps, [Step::Survey, Step::Program, Step::Verify]);
    assert!(board.cells(0, bytes.len()) == bytes);
    assert!(board.cells(BLOCK_AT, 300) == block.bytes);

    let job = Job::Verify { image, block: Some(block.clone()) };
    match run(&mut hand, &job) {
        Ok(Answer::Verified(report)) => assert_eq!(report.verified_bytes, 0x6123 + 300),
        other => panic!("{other:?}"),
    }
    let job = Job::Read { address: 0x1_0000, bytes: READ_BYTES_MAX };
    assert_eq!(run(&mut hand, &job).unwrap(), Answer::Bytes(vec![0xFF; 64 * 1024]));
    let job = Job::Read { address: BLOCK_AT, bytes: 300 };
    assert_eq!(run(&mut hand, &job).unwrap(), Answer::Bytes(block.bytes.clone()));
    assert_eq!(run(&mut hand, &Job::Protect).unwrap(), Answer::Protected);
    assert_eq!(run(&mut hand, &Job::Absent).unwrap(), Answer::Absent { gone: false });
    board.pull("remove");
    assert_eq!(run(&mut hand, &Job::Absent).unwrap(), Answer::Absent { gone: true });
    assert_eq!(run(&mut hand, &Job::Contact).unwrap(), Answer::Contact { board: false });
    assert_eq!(hand.starts(), 1);
}

#[test]
fn a_probe_that_hangs_is_killed_by_the_deadline_and_the_neighbour_goes_on() {
    let (stuck, well) = (Board::new(), Board::new());
    let (mut first, mut second) = (stuck.hand(1), well.hand(2));
    identify(&mut first);
    identify(&mut second);
    stuck.pull("hang");
    let neighbour = thread::spawn(move || {
        run(&mut second, &program(&noise(0x2_0000))).unwrap();
        second.starts()
    });
    let pid = first.pid().unwrap();
    let begun = Instant::now();
    let error = first.run(&program(&noise(0x1000)), SHORT, &mut |_| ()).unwrap_err();
    assert!(matches!(error, HandError::Hung { during: Step::Survey }), "{error:?}");
    assert!(begun.elapsed() < SHORT * 10, "{:?}", begun.elapsed());
    wait_for_end(pid);
    assert_eq!(neighbour.join().unwrap(), 1);
    assert!(well.cells(0, 0x2_0000) == noise(0x2_0000));

    stuck.pull("heal");
    identify(&mut first);
    run(&mut first, &program(&noise(0x1000))).unwrap();
    assert_eq!(first.starts(), 2);
}

#[test]
fn four_workers_program_four_boards_at_once_from_one_image() {
    let bytes = noise(0x1_8000);
    let image = image(&bytes);
    let slots: Vec<_> = (1..=4)
        .map(|slot| {
            let image = Arc::clone(&image);
            thread::spawn(move || {
                let board = Board::new();
                let mut hand = board.hand(slot);
                let block = PlacedBlock { address: BLOCK_AT, bytes: vec![slot as u8; 64] };
                let times = stopwatch::time_visit(&mut hand, CHIP, &image, &block).unwrap();
                assert_eq!(times.report.verified_bytes, 0x1_8000 + 64);
                assert!(times.whole >= times.program);
                assert!(board.cells(BLOCK_AT, 64) == block.bytes, "slot {slot}");
                board.cells(0, 0x1_8000)
            })
        })
        .collect();
    for slot in slots {
        assert!(slot.join().unwrap() == bytes);
    }
}

#[test]
fn a_slow_probe_outlives_the_deadline_as_long_as_it_makes_progress() {
    let board = Board::new();
    let mut hand = board.hand(1);
    identify(&mut hand);
    board.pull("slow 10");
    let begun = Instant::now();
    // Several times the longest silence, half of the whole: room for a busy machine on both sides.
    let deadline = Duration::from_millis(2500);
    hand.run(&program(&noise(0x2_0000)), deadline, &mut |_| ()).unwrap();
    assert!(begun.elapsed() > deadline, "the board was not slow: {:?}", begun.elapsed());
    assert_eq!(hand.starts(), 1);
}

#[test]
fn a_worker_that_dies_is_reported_with_its_signal_and_replaced() {
    let board = Board::new();
    let mut hand = board.hand(3);
    identify(&mut hand);
    board.pull("hang");
    let pid = i32::try_from(hand.pid().unwrap()).unwrap();
    let killer = thread::spawn(move || {
        // The job is on its way once the worker waits for the probe; either order is a crash.
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGABRT)
    });
    let error = run(&mut hand, &program(&noise(0x1000)));
    killer.join().unwrap().unwrap();
    match error {
        Err(HandError::Crashed { death, .. }) => assert_eq!(death, Death::Signal(6)),
        // Killed before the job was sent: the fresh worker knows no chip.
        Err(HandError::Flash(FlashError::NotIdentified { .. })) => {}
        other => panic!("{other:?}"),
    }
    board.pull("heal");
    identify(&mut hand);
    assert_eq!(hand.starts(), 2);
}

#[test]
fn a_running_job_can_be_cancelled_from_another_thread() {
    let board = Board::new();
    let mut hand = board.hand(4);
    identify(&mut hand);
    board.pull("hang");
    let canceller = hand.canceller();
    let (done, finished) = channel();
    let helper = thread::spawn(move || {
        // `run` forgets cancellations from before it began, so this one is repeated.
        while finished.try_recv().is_err() {
            canceller.cancel();
            thread::yield_now();
        }
    });
    let error = run(&mut hand, &program(&noise(0x1000))).unwrap_err();
    done.send(()).unwrap();
    helper.join().unwrap();
    assert!(matches!(error, HandError::Cancelled { .. }), "{error:?}");
}

#[test]
fn a_worker_has_no_environment_no_core_dump_and_no_foreign_descriptor() {
    let board = Board::new();
    let mut hand = board.hand(5);
    identify(&mut hand);
    let pid = hand.pid().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let numbers: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["0", "0"], "{core}");
    let begun: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| {
            let path = std::fs::read_link(entry.unwrap().path()).unwrap();
            path.to_string_lossy().split(':').next().unwrap().to_owned()
        })
        .collect();
    // The daemon's socket (as standard input, and twice for reading and writing) and the probe's
    // connection with its copy; standard output and error are whatever the test has.
    let sockets = begun.iter().filter(|target| *target == "socket").count();
    assert_eq!(sockets, 5, "{begun:?}");
    assert_eq!(begun.len(), sockets + 2, "{begun:?}");
    assert_eq!(status(pid, "Name:").as_deref(), Some("hand-5"));
    assert_eq!(status(pid, "NoNewPrivs:").as_deref(), Some("1"));
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(environment.is_empty());
}

#[test]
fn a_worker_ends_with_its_hand_even_while_its_driver_hangs() {
    let board = Board::new();
    let mut hand = board.hand(6);
    identify(&mut hand);
    let pid = hand.pid().unwrap();
    drop(hand);
    wait_for_end(pid);
}

#[test]
fn what_the_board_says_or_is_reaches_the_daemon_as_facts() {
    let board = Board::new();
    let mut hand = board.hand(7);
    let fact = |result: Result<Answer, HandError>| match result {
        Err(HandError::Flash(error)) => serde_json::to_value(error).unwrap()["error"].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(fact(run(&mut hand, &program(&[1]))), "not_identified");
    let job = Job::Identify { chip: "Z80".to_owned() };
    assert_eq!(fact(run(&mut hand, &job)), "unknown_chip");
    let job = Job::Identify { chip: "nRF51822_xxAA".to_owned() };
    assert_eq!(fact(run(&mut hand, &job)), "wrong_chip");
    identify(&mut hand);
    assert_eq!(fact(run(&mut hand, &program(&noise(0x8_0001)))), "out_of_range");
    let test = SelfTest {
        via: Via::Uart { endpoint: format!("tcp:{}", board.served.addresses.uart), baud: 115_200 },
        expect: "FLASHLINE".to_owned(),
        within_ms: 200,
    };
    run(&mut hand, &program(&[0, 0, 1, 0x20, 9, 0, 0, 0, 0xFE, 0xE7])).unwrap();
    assert_eq!(fact(run(&mut hand, &Job::SelfTest(test))), "self_test_silent");
    board.pull("lock");
    let job = Job::Identify { chip: CHIP.to_owned() };
    match run(&mut hand, &job).unwrap() {
        Answer::Identity(identity) => assert!(identity.locked && identity.uid.is_none()),
        other => panic!("{other:?}"),
    }
    let too_long = Job::Read { address: 0, bytes: 1 << 20 };
    assert!(matches!(run(&mut hand, &too_long), Err(HandError::Garbled { .. })));
    assert_eq!(hand.starts(), 2);

    let mut nowhere = hand_at("nonsense");
    assert_eq!(fact(run(&mut nowhere, &Job::Contact)), "selector_invalid");
    let mut nobody = hand_at("1d50:6018:127.0.0.1:1");
    assert_eq!(fact(run(&mut nobody, &Job::Contact)), "probe_missing");
}

fn hand_at(port: &str) -> Hand {
    hand(9, port)
}

#[test]
fn a_confined_worker_reaches_probes_usb_and_serial_ports_one_at_a_time_and_its_successor_the_last()
{
    let board = Board::new();
    let mut hand = board.hand(3);
    identify(&mut hand);

    let model = simulators::esp_loader::chip::model("esp32c3").unwrap();
    let chip = simulators::esp_loader::Chip::new(model, [0x60, 0x55, 0xF9, 1, 2, 3], 1 << 20, None);
    let control = "127.0.0.1:0".parse().unwrap();
    let settings =
        simulators::esp_loader::Settings { chip: chip.unwrap(), control, time_scale: 0.0 };
    let loader = simulators::esp_loader::serve(settings).unwrap();
    let tty: flash::Port = format!("tty:{}", loader.tty).parse().unwrap();
    assert_eq!(run(&mut hand, &Job::Take { port: tty.clone() }).unwrap(), Answer::Taken);
    // The visit of before ended with its port.
    assert!(run(&mut hand, &program(&[1])).is_err());
    let expect = |chip: &str| Job::Expect { chip: chip.to_owned() };
    assert!(run(&mut hand, &expect("Z80")).is_err());
    assert_eq!(run(&mut hand, &expect("esp32c3")).unwrap(), Answer::Expecting);
    let contact = Answer::Contact { board: true };
    assert_eq!(run(&mut hand, &Job::Contact).unwrap(), contact);

    hand.kill();
    assert_eq!(run(&mut hand, &Job::Contact).unwrap(), contact, "a fresh worker, the same port");
    assert_eq!((hand.starts(), hand.port()), (2, tty.to_string().as_str()));
    assert_eq!(hand.expected(), Some("esp32c3"));

    let socket = "usb:255-7.7.7.7.7".parse().unwrap();
    assert_eq!(run(&mut hand, &Job::Take { port: socket }).unwrap(), Answer::Taken);
    match run(&mut hand, &Job::Contact) {
        Ok(answer) => assert_eq!(answer, Answer::Contact { board: false }),
        // A machine without USB says so.
        Err(error) => {
            assert!(matches!(&error, HandError::Flash(FlashError::Driver { .. })), "{error:?}")
        }
    }
}
