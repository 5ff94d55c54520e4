//! Plain firmware is in memory only: whatever is killed, however much is logged, no file holds it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use station_daemon::api::view::SlotState;

use super::paper::Parcel;
use super::process::{Daemon, Screen, on_disk};
use super::station::{Board, PATIENCE};
use super::{World, stocked};

/// Every way in which a program could write a piece of the image down.
fn forms(piece: &[u8]) -> Vec<Vec<u8>> {
    let decimal = |separator: &str| {
        let numbers: Vec<String> = piece.iter().map(ToString::to_string).collect();
        numbers.join(separator).into_bytes()
    };
    vec![
        piece.to_vec(),
        hex::encode(piece).into_bytes(),
        hex::encode_upper(piece).into_bytes(),
        decimal(", "),
        decimal(","),
    ]
}

/// Pieces of the image that are nobody else's: no run of one value.
fn pieces(parcel: &Parcel) -> Vec<&[u8]> {
    let found: Vec<&[u8]> = parcel
        .image
        .iter()
        .flat_map(|(_, bytes)| bytes.chunks_exact(24))
        .filter(|piece| piece.iter().collect::<BTreeSet<_>>().len() >= 12)
        .step_by(40)
        .take(12)
        .collect();
    assert!(found.len() >= 4, "the image has too few pieces to look for");
    found
}

fn assert_nowhere(what: &str, folders: &[&Path], parcel: &Parcel) {
    for piece in pieces(parcel) {
        for form in forms(piece) {
            for folder in folders {
                assert!(!on_disk(folder, &form), "{what}: plain firmware below {folder:?}");
            }
        }
    }
}

/// The processes that the daemon started: one worker per slot.
fn children(pid: u32) -> Vec<u32> {
    let tasks = format!("/proc/{pid}/task");
    let lists = std::fs::read_dir(tasks)
        .expect("threads")
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
    // It may be gone already; what counts is what it left behind.
    let _ = status.expect("the program kill");
}

/// What the kernel would do with a crash of this process.
fn assert_dumps_no_core(pid: u32) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{pid}: {core}");
}

/// Starts the daemon with everything logged and a folder of its own for temporary files.
fn talkative(world: &World, board: &Board) -> (Daemon, PathBuf) {
    let temporary = world.path().join("tmp");
    std::fs::create_dir_all(&temporary).expect("folder");
    let environment = [("FLASHLINE_LOG", "trace".as_ref()), ("TMPDIR", temporary.as_os_str())];
    (Daemon::start_with(world.path(), &[board.slot(1)], &environment), temporary)
}

fn flashing(screen: &mut Screen, board: &Board) {
    screen.wait_slot(1, SlotState::Empty);
    board.pull("slow 4");
    board.pull("insert");
    screen.wait_slot(1, SlotState::Flashing);
}

#[test]
fn no_file_holds_plain_firmware_whatever_is_killed_and_whatever_is_logged() {
    let world = World::new(|plan| plan.self_test = false);
    let parcel = stocked(&world);
    // A fresh chip each time: one that had passed would only be verified.
    let board_of = |round: u8| Board::new([round, 2, 3, 4, 5, 6, 7, 9]);
    let secret = std::fs::read(world.path().join("station.secret")).expect("the secret");
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core pattern");
    // A folder that the pattern names is looked into as well.
    let cores = Path::new(pattern.trim()).parent().filter(|folder| folder.is_absolute());
    let look = |what: &str| {
        let mut folders = vec![world.path()];
        folders.extend(cores);
        assert_nowhere(what, &folders, &parcel);
    };

    // The worker dies in the middle of a write, by the kernel's hand and by its own.
    for (round, how) in (1..).zip(["KILL", "ABRT", "SEGV"]) {
        let board = board_of(round);
        let (mut daemon, _) = talkative(&world, &board);
        let mut screen = daemon.screen();
        flashing(&mut screen, &board);
        let begun = Instant::now();
        let workers = loop {
            let workers = children(daemon.pid());
            if !workers.is_empty() {
                break workers;
            }
            assert!(begun.elapsed() < PATIENCE, "no worker");
            std::thread::yield_now();
        };
        assert_dumps_no_core(daemon.pid());
        for worker in &workers {
            assert_dumps_no_core(*worker);
            signal(*worker, how);
        }
        screen.wait(&format!("the slot notices {how}"), |view| {
            view.slots.iter().any(|slot| slot.state != SlotState::Flashing)
        });
        look(&format!("a worker killed by {how}"));
        daemon.terminate();
    }

    // The daemon dies in the middle of a write, crashes, and dies after a PASS.
    for (round, how) in (4..).zip(["KILL", "ABRT"]) {
        let board = board_of(round);
        let (mut daemon, _) = talkative(&world, &board);
        let mut screen = daemon.screen();
        flashing(&mut screen, &board);
        signal(daemon.pid(), how);
        daemon.kill();
        look(&format!("the daemon killed by {how}"));
    }
    let board = board_of(6);
    let (mut daemon, temporary) = talkative(&world, &board);
    let mut screen = daemon.screen();
    screen.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    screen.wait_slot(1, SlotState::Pass);
    daemon.kill();
    look("after a PASS");
    assert!(std::fs::read_dir(temporary).expect("folder").next().is_none(), "temporary files");

    // The whole log was there to be looked at, and tells no secret either.
    let log = std::fs::read_to_string(world.path().join("log.jsonl")).expect("the log");
    assert!(log.contains("\"level\":\"TRACE\""), "the log is not at trace level");
    let secret_text = String::from_utf8_lossy(&secret);
    for (what, words) in [
        ("the station secret", secret_text.trim()),
        ("the station secret in hex", &hex::encode(&secret)),
        ("a private key", "PRIVATE KEY"),
    ] {
        assert!(!words.is_empty() && !log.contains(words), "{what} is in the log");
    }
}
