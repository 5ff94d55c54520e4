//! The daemon or a worker is killed at any call by which it changes something that lasts.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

use activation::Mode;
use station_daemon::api::view::{SlotState, StationView, TroubleCode};
use station_daemon::config::SlotConfig;

use super::super::process::{Daemon, Screen, command, signal};
use super::super::station::{Board, PATIENCE};
use super::super::{World, stocked};
use super::judge::{Log, block_page, is_begun, keeps_secrets};
use super::small::{Visit, renew};
use super::tracer::{Call, Tracer, Verdict, Who};
use super::{copy_station, keep, uid_of};

/// Who is in the slots: the unit whose visit is cut, and one that comes after it.
pub(crate) struct Pair {
    pub(crate) cut: Board,
    next: Board,
}

pub(crate) const CUT: u32 = 1;
const NEXT: u32 = 2;
/// What boards hold before, in the world's folder.
const BEFORE: &str = "before.cells";

impl Pair {
    pub(crate) fn new() -> Self {
        Self { cut: Board::new(uid_of(CUT)), next: Board::new(uid_of(NEXT)) }
    }

    /// Both as they were before anything happened, outside the fixture.
    pub(crate) fn renew(&self, cells: &Path) {
        renew(&self.cut, uid_of(CUT), cells);
        renew(&self.next, uid_of(NEXT), cells);
    }

    pub(crate) fn slots(&self) -> [SlotConfig; 2] {
        [self.cut.slot(CUT), self.next.slot(NEXT)]
    }

    fn locked(&self) -> bool {
        self.cut.pull("state").contains("\"locked\":true")
    }

    /// What must be on the disk for what is on the chip and was shown.
    pub(crate) fn is_recorded(&self, folder: &Path, world: &World, visit: &Visit, shown: bool) {
        let copy = tempfile::tempdir().expect("folder");
        copy_station(folder, copy.path());
        let log = Log::read(copy.path(), world);
        assert!(!visit.has_touched(&self.cut) || log.announces_writing(), "an unannounced write");
        log.knows_block_on(&self.cut, uid_of(CUT));
        assert!(!self.locked() || log.locking().0, "an unannounced lock");
        assert!(!shown || log.passes(&uid_of(CUT)) == 1, "PASS before its evidence");
        keeps_secrets(folder, world);
    }

    /// Starts the station again with both units in it, and judges what comes of them.
    pub(crate) fn goes_on(&self, folder: &Path, world: &World, visit: &Visit) {
        let passed_before = {
            let copy = tempfile::tempdir().expect("folder");
            copy_station(folder, copy.path());
            Log::read(copy.path(), world).passes(&uid_of(CUT)) == 1
        };
        // Set in again: what the chip samples when it powers up decides whether it is locked.
        for board in [&self.cut, &self.next] {
            board.pull("remove");
            board.pull("insert");
        }
        let (locked, left) = (self.locked(), block_page(&self.cut));
        let mut daemon = Daemon::start(folder, &self.slots());
        let mut screen = daemon.screen();
        let wanted = match (locked, passed_before) {
            (true, _) => SlotState::Fail,
            (false, true) => SlotState::SeenBefore,
            (false, false) => SlotState::Pass,
        };
        let view = screen.wait("both units to end", |view| {
            ended(view, CUT).is_some() && ended(view, NEXT).is_some()
        });
        assert_eq!(ended(&view, CUT), Some(wanted), "{view:#?}");
        assert_eq!(ended(&view, NEXT), Some(SlotState::Pass), "{view:#?}");
        if locked {
            let trouble = slot(&view, CUT).trouble.as_ref().map(|trouble| trouble.code);
            assert_eq!(trouble, Some(TroubleCode::ChipLocked));
        }
        daemon.terminate();

        let log = Log::read(folder, world);
        assert_eq!((log.places, log.codes().len()), (0, 2));
        log.passed_whole(&self.next, uid_of(NEXT));
        log.knows_block_on(&self.cut, uid_of(CUT));
        assert!(visit.is_whole_on(&self.next));
        assert!(is_begun(&left, &block_page(&self.cut)), "another block than was begun");
        keeps_secrets(folder, world);
        if !locked || passed_before {
            log.passed_whole(&self.cut, uid_of(CUT));
            assert!(visit.is_whole_on(&self.cut));
        } else {
            // Locked, and nothing says that it passed: a person decides about it.
            assert_eq!(log.passes(&uid_of(CUT)), 0);
            let state = log.units.get(&hex::encode_upper(uid_of(CUT)));
            assert_eq!(state.map(String::as_str), Some("failed"));
        }
    }
}

fn slot(view: &StationView, number: u32) -> &station_daemon::api::view::SlotView {
    view.slots.iter().find(|slot| slot.number == number).expect("a slot")
}

/// How a slot's visit ended, once it has.
pub(crate) fn ended(view: &StationView, number: u32) -> Option<SlotState> {
    let state = slot(view, number).state;
    let end = matches!(state, SlotState::Pass | SlotState::Fail | SlotState::SeenBefore);
    end.then_some(state)
}

/// Runs the station of `folder` followed, asks `judge` before every counted call and tells `watch`
/// every view until it says that the station is to stop.
pub(crate) fn follow(
    folder: &Path,
    slots: &[SlotConfig],
    who: Who,
    judge: impl FnMut(Call) -> Verdict + Send,
    mut watch: impl FnMut(&StationView) -> bool,
) {
    let command = command(folder, slots);
    let gone = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (told, pid) = channel();
        let gone = &gone;
        let follower = scope.spawn(move || {
            let tracer = Tracer::start(&command, who);
            told.send(tracer.pid()).expect("somebody waits");
            tracer.follow(judge);
            gone.store(true, Ordering::SeqCst);
        });
        let pid = pid.recv().expect("a process");
        let begun = Instant::now();
        let door = loop {
            match std::fs::read_to_string(folder.join("run/enter")) {
                Ok(line) => break Some(line),
                Err(_) if gone.load(Ordering::SeqCst) => break None,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "no entry address: {error}"),
            }
            std::thread::yield_now();
        };
        let mut screen = door.and_then(|line| Screen::enter(&line));
        let mut told = false;
        while let Some(view) = screen.as_mut().and_then(Screen::next_view) {
            if !told && watch(&view) {
                told = true;
                signal(pid, "TERM");
            }
        }
        follower.join().expect("the follower");
    });
}

/// The calls of one visit that nothing disturbs, from the start of the station to its stop.
pub(crate) fn calls_of(
    world: &World,
    visit: &Visit,
    pair: &Pair,
    cells: &Path,
    who: Who,
) -> Vec<Call> {
    let folder = tempfile::tempdir().expect("folder");
    copy_station(world.path(), folder.path());
    pair.renew(cells);
    pair.cut.pull("insert");
    let mut calls = Vec::new();
    let judge = |call| {
        calls.push(call);
        Verdict::Go
    };
    follow(folder.path(), &pair.slots(), who, judge, |view| ended(view, CUT).is_some());
    assert!(visit.is_whole_on(&pair.cut));
    calls
}

/// Watches a slot to the end of its visit; a board whose visit failed is taken out, set in again,
/// with its power on, and watched to the end of the next one.
pub(crate) fn set_in_again(board: &Board) -> impl FnMut(&StationView) -> bool + '_ {
    let (mut taken_out, mut again) = (false, false);
    move |view| {
        let end = ended(view, CUT);
        if end == Some(SlotState::Fail) && !taken_out {
            board.pull("remove");
            board.pull("power on");
            taken_out = true;
        } else if taken_out && !again && slot(view, CUT).can_look {
            // Empty, or silent since the board lost its power under the probe (F-12, then F-10).
            board.pull("insert");
            again = true;
        }
        end.is_some() && taken_out == again
    }
}

/// Tries `points` side by side.
pub(crate) fn each(points: &[usize], try_one: impl Fn(&Pair, usize) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let pair = Pair::new();
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    try_one(&pair, *point);
                }
            });
        }
    });
}

/// What a visit begins with: a station's folder and what the chip holds.
struct Start<'a> {
    station: &'a Path,
    cells: &'a Path,
}

/// Kills the daemon before each call of a visit that begins so, starts it again, and judges. The
/// number of points.
fn daemon_killed(world: &World, visit: &Visit, from: &Start<'_>) -> usize {
    let begin = |pair: &Pair, folder: &Path| {
        copy_station(from.station, folder);
        pair.renew(&world.path().join(BEFORE));
        pair.cut.pull(&format!("load {}", from.cells.display()));
        pair.cut.pull("insert");
    };
    let calls = {
        let (pair, folder) = (Pair::new(), tempfile::tempdir().expect("folder"));
        begin(&pair, folder.path());
        let mut calls = Vec::new();
        let judge = |call| {
            calls.push(call);
            Verdict::Go
        };
        follow(folder.path(), &pair.slots(), Who::Daemon, judge, |view| ended(view, CUT).is_some());
        assert!(visit.is_whole_on(&pair.cut));
        calls
    };
    let points: Vec<usize> = (0..calls.len()).collect();
    let reached = AtomicUsize::new(0);
    each(&points, |pair, point| {
        let folder = tempfile::tempdir().expect("folder");
        begin(pair, folder.path());
        let (killed, shown) = kill_daemon(pair, folder.path(), point);
        // How much the database tidies up when it is closed depends on the time: the last points
        // may be beyond the end.
        reached.fetch_add(usize::from(killed), Ordering::Relaxed);
        pair.is_recorded(folder.path(), world, visit, shown);
        pair.goes_on(folder.path(), world, visit);
    });
    let reached = reached.into_inner();
    assert!(reached * 10 >= points.len() * 9, "{reached} of {}", points.len());
    let of = |kind: Call| calls.iter().filter(|call| **call == kind).count();
    println!(
        "the daemon killed before {reached} of {} calls ({} writes, {} commits, {} other syncs, {} \
         renames); {}",
        calls.len(),
        of(Call::Write),
        of(Call::Commit),
        of(Call::Sync),
        of(Call::Rename),
        visit.name
    );
    // Start, decision, reservation, PASS, stop; the entry address of the screen.
    assert!(of(Call::Commit) >= 5 && of(Call::Rename) >= 1, "{calls:?}");
    reached
}

/// Runs a station until the daemon is about to make call `point`, and kills it there. Whether it
/// came to that, and whether PASS had been shown.
fn kill_daemon(pair: &Pair, folder: &Path, point: usize) -> (bool, bool) {
    let (mut made, mut killed, mut shown) = (0, false, false);
    let judge = |_| {
        let verdict = if made == point { Verdict::Kill } else { Verdict::Go };
        made += 1;
        killed |= verdict == Verdict::Kill;
        verdict
    };
    follow(folder, &pair.slots(), Who::Daemon, judge, |view| {
        shown |= ended(view, CUT) == Some(SlotState::Pass);
        ended(view, CUT).is_some()
    });
    (killed, shown)
}

/// The world of a sweep, stocked, with what boards hold before.
fn prepared(visit: &Visit) -> World {
    let world = visit.world(2);
    stocked(&world);
    keep(&world.path().join(BEFORE), &visit.before);
    world
}

/// Every call of a visit to a fresh station.
fn from_the_start(visit: &Visit) -> usize {
    let world = prepared(visit);
    let cells = world.path().join(BEFORE);
    daemon_killed(&world, visit, &Start { station: world.path(), cells: &cells })
}

/// Kills the worker before every `stride`th thing it says to the probe or to the daemon; sets
/// the board in again where the visit failed, and judges.
fn worker_killed(visit: &Visit, stride: usize) {
    let world = prepared(visit);
    let cells = world.path().join(BEFORE);
    let calls = calls_of(&world, visit, &Pair::new(), &cells, Who::Worker);
    let points: Vec<usize> = (0..calls.len()).step_by(stride).collect();
    let reached = AtomicUsize::new(0);
    each(&points, |pair, point| {
        let folder = tempfile::tempdir().expect("folder");
        copy_station(world.path(), folder.path());
        pair.renew(&cells);
        pair.cut.pull("insert");
        let (mut made, mut killed) = (0, false);
        let judge = |_| {
            let verdict = if made == point { Verdict::Kill } else { Verdict::Go };
            made += 1;
            killed |= verdict == Verdict::Kill;
            verdict
        };
        let (mut last, mut again) = (None, set_in_again(&pair.cut));
        follow(folder.path(), &pair.slots(), Who::Worker, judge, |view| {
            last = ended(view, CUT);
            again(view)
        });
        // How often a worker looks for a board depends on the time: the last points may be beyond.
        reached.fetch_add(usize::from(killed), Ordering::Relaxed);
        let log = Log::read(folder.path(), &world);
        log.knows_block_on(&pair.cut, uid_of(CUT));
        assert_eq!((log.places, log.codes().len()), (0, 1));
        if last == Some(SlotState::Fail) {
            assert!(pair.locked() && log.locking() == (true, false), "call {point}: {last:?}");
            assert_eq!(log.passes(&uid_of(CUT)), 0);
        } else {
            assert_eq!(last, Some(SlotState::Pass), "call {point}");
            log.passed_whole(&pair.cut, uid_of(CUT));
            assert!(visit.is_whole_on(&pair.cut));
        }
    });
    let reached = reached.into_inner();
    println!(
        "the worker killed before {reached} of {} things it says; {}",
        calls.len(),
        visit.name
    );
    assert!(reached * 10 >= points.len() * 9, "{reached} of {}", points.len());
}

#[test]
fn a_daemon_killed_before_any_write_commit_or_rename_of_a_visit_goes_on_with_the_same_code() {
    from_the_start(&Visit::small(112, true, false));
}

#[test]
fn a_worker_killed_before_anything_it_says_costs_one_visit_and_no_code() {
    worker_killed(&Visit::small(112, true, true), 20);
}

#[test]
fn a_daemon_killed_anywhere_opens_the_same_credential_of_the_pool_again() {
    from_the_start(&Visit::small_in(Mode::Pool, 112, true, false));
}

#[cfg(feature = "deep")]
mod deep {
    use super::*;

    #[test]
    fn a_daemon_killed_anywhere_in_a_visit_that_locks_says_of_the_board_what_it_is() {
        from_the_start(&Visit::small(112, true, true));
        from_the_start(&Visit::small(640, false, true));
    }

    #[test]
    fn a_daemon_killed_anywhere_goes_on_with_the_code_of_every_mode() {
        for mode in [Mode::Stored, Mode::HmacSha256] {
            from_the_start(&Visit::small_in(mode, 112, true, false));
        }
        from_the_start(&Visit::small_in(Mode::Pool, 112, true, true));
    }

    /// The power comes back, and goes again while the station ends what was left open.
    #[test]
    fn a_daemon_killed_again_at_any_call_of_its_next_start_goes_on_with_the_same_code() {
        let visit = Visit::small(112, true, false);
        let world = prepared(&visit);
        let pair = Pair::new();
        let cells = world.path().join("left.cells");
        // After which of its commits a visit stands open is the daemon's affair.
        let left_open = (0..).find_map(|commits| {
            let folder = tempfile::tempdir().expect("folder");
            copy_station(world.path(), folder.path());
            pair.renew(&world.path().join(BEFORE));
            pair.cut.pull("insert");
            let (mut made, mut killed) = (0, false);
            let judge = |call| {
                let verdict = if made > commits { Verdict::Kill } else { Verdict::Go };
                made += usize::from(call == Call::Commit);
                killed |= verdict == Verdict::Kill;
                verdict
            };
            follow(folder.path(), &pair.slots(), Who::Daemon, judge, |view| {
                ended(view, CUT).is_some()
            });
            assert!(killed, "no commit left a visit open");
            pair.cut.pull(&format!("dump {}", cells.display()));
            let copy = tempfile::tempdir().expect("folder");
            copy_station(folder.path(), copy.path());
            (Log::read(copy.path(), &world).places == 1).then_some(folder)
        });
        let folder = left_open.expect("a visit left open");
        daemon_killed(&world, &visit, &Start { station: folder.path(), cells: &cells });
    }

    #[test]
    fn a_worker_killed_before_each_thing_it_says_costs_one_visit_and_no_code() {
        worker_killed(&Visit::small(112, true, true), 1);
        worker_killed(&Visit::small(112, false, false), 1);
    }
}
