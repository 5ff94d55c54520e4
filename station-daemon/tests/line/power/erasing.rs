//! The hub has acknowledged that a pool's credential is on its chip, and the power goes while the
//! station erases it: the acknowledgement and the erasure are on the disk together or not at all.

use std::path::{Path, PathBuf};
use std::process::Command;

use activation::Mode;
use rusqlite::{Connection, OptionalExtension};
use station_daemon::api::view::SlotState;
use station_daemon::desk::HubDesk;
use sync::JournalSource;

use super::super::process::on_disk;
use super::super::station::{Board, Station};
use super::super::{World, lending};
use super::tracer::{Call, Tracer, Verdict, Who};
use super::{copy_station, keep, uid_of};

/// Names the folder of the station that the test of this name is to acknowledge to.
const FOLDER: &str = "FLASHLINE_TEST_FOLDER";
const COSIGNED: &str = "cosigned";

/// A station that wrote one credential of two, and what its hub cosigned after that.
struct Written {
    world: World,
    cosigned: String,
    /// The sealed credential, as it lies in the store.
    sealed: Vec<u8>,
}

impl Written {
    fn new() -> Self {
        let world = World::new(|plan| {
            plan.mode = Mode::Pool;
            plan.codes = 2;
            plan.self_test = false;
        });
        let board = Board::new(uid_of(1));
        let station = Station::start(world.path(), &[board.slot(1)]);
        station.deliver(&world.parcel());
        board.pull("insert");
        assert_eq!(station.wait_slot(1, SlotState::Pass).code, Some(lending::code_of(7000)));
        board.pull("remove");
        station.wait_slot(1, SlotState::Empty);
        let sink = HubDesk(station.desk.clone());
        let head = sink.head().expect("head");
        let note = sink.range(head.epoch, 0, 100_000, 100_000_000).expect("range").checkpoint;
        let cosigned = world.office.cosign(&note);
        station.stop();
        let sealed = Credentials::of(world.path()).sealed.expect("not erased yet");
        Self { world, cosigned, sealed }
    }
}

/// What a station's store holds of its two credentials.
struct Credentials {
    /// The one that is on a chip.
    sealed: Option<Vec<u8>>,
    /// The one that is nobody's is there.
    free: bool,
    acknowledged: bool,
}

impl Credentials {
    fn of(folder: &Path) -> Self {
        let store = Connection::open(folder.join("station.db")).expect("database");
        let credential = |number: u32| {
            store
                .query_row("SELECT sealed FROM credential WHERE number = ?1", [number], |row| {
                    row.get(0)
                })
                .optional()
                .expect("credentials")
        };
        let heads: u32 = store
            .query_row("SELECT count(*) FROM checkpoint WHERE cosigned = 1", [], |row| row.get(0))
            .expect("heads");
        Self { sealed: credential(0), free: credential(1).is_some(), acknowledged: heads > 0 }
    }
}

/// Tells the station of `folder` what its hub cosigned.
fn acknowledge(folder: &Path, cosigned: &str) {
    // The second line of a checkpoint is its size.
    let size = cosigned.lines().nth(1).and_then(|line| line.parse().ok()).expect("a size");
    let station = Station::start(folder, &[]);
    let sink = HubDesk(station.desk.clone());
    sink.acknowledged(1, size, cosigned).expect("acknowledged");
    station.stop();
}

/// Alone it acknowledges to a station of its own; the next test runs it in a process that it kills.
#[test]
fn a_credential_is_erased_with_the_hubs_acknowledgement_and_leaves_no_trace() {
    if let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) {
        let cosigned = std::fs::read_to_string(folder.join(COSIGNED)).expect("cosigned");
        return acknowledge(&folder, &cosigned);
    }
    let written = Written::new();
    let folder = written.world.path();
    acknowledge(folder, &written.cosigned);
    is_erased(folder, &written);
}

fn is_erased(folder: &Path, written: &Written) {
    let held = Credentials::of(folder);
    assert!(held.sealed.is_none() && held.free && held.acknowledged);
    assert!(!on_disk(folder, &written.sealed), "a trace of the erased credential");
}

/// The calls that a station makes while it is told, up to the one before which it is killed.
fn told_until(folder: &Path, kill_before: Option<usize>) -> Vec<Call> {
    let mut command = Command::new("env");
    let mut assignment = std::ffi::OsString::from(format!("{FOLDER}="));
    assignment.push(folder);
    let name =
        "power::erasing::a_credential_is_erased_with_the_hubs_acknowledgement_and_leaves_no_trace";
    command.arg(assignment).arg(std::env::current_exe().expect("this program"));
    command.args(["--exact", name, "--nocapture"]);
    let mut calls = Vec::new();
    Tracer::start(&command, Who::Daemon).follow(|call| {
        let kill = Some(calls.len()) == kill_before;
        calls.push(call);
        if kill { Verdict::Kill } else { Verdict::Go }
    });
    calls
}

#[test]
fn cut_at_any_call_of_the_erasure_a_credential_is_there_unacknowledged_or_gone_and_then_it_is_gone()
{
    let written = Written::new();
    let begin = || {
        let folder = tempfile::tempdir().expect("folder");
        copy_station(written.world.path(), folder.path());
        keep(&folder.path().join(COSIGNED), written.cosigned.as_bytes());
        folder
    };
    let whole = begin();
    let calls = told_until(whole.path(), None);
    is_erased(whole.path(), &written);
    let (mut before, mut after) = (0, 0);
    for (point, call) in calls.iter().enumerate() {
        let folder = begin();
        told_until(folder.path(), Some(point));
        let copy = tempfile::tempdir().expect("folder");
        copy_station(folder.path(), copy.path());
        let held = Credentials::of(copy.path());
        assert!(held.free, "call {point}");
        assert_eq!(held.sealed.is_none(), held.acknowledged, "call {point}: {call:?}");
        if held.acknowledged {
            after += 1
        } else {
            before += 1
        }
        acknowledge(folder.path(), &written.cosigned);
        is_erased(folder.path(), &written);
    }
    let commits = calls.iter().filter(|call| **call == Call::Commit).count();
    println!("told before each of {} calls ({commits} commits)", calls.len());
    // Start, acknowledgement, stop; and something on either side of the middle one.
    assert!(commits >= 3 && before > 0 && after > 0, "{before} before, {after} after: {calls:?}");
}
