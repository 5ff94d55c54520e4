//! The power of everything goes at once: what was not synced is lost, in part or whole, and the
//! chip holds what it held at that moment.
//!
//! One visit is followed; before each of its writes, commits and renames the station's files and
//! the chip are copied. Each copy is then made into what a disk may hold after the cut: of every
//! sector that changed since the last commit either the old or the new bytes, of a file that grew
//! any length in between.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use station_daemon::api::view::SlotState;

use super::super::{World, stocked};
use super::processes::{CUT, Pair, each, ended, follow};
use super::small::Visit;
use super::tracer::{Call, Verdict, Who};
use super::{copy_station, keep};

const SECTOR_BYTES: usize = 512;
/// The files SQLite keeps; its index of the log (`-shm`) does not outlast a cut.
const FILES: [&str; 2] = ["station.db", "station.db-wal"];

/// The database as it lies there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Disk([Vec<u8>; 2]);

impl Disk {
    pub(crate) fn read(folder: &Path) -> Self {
        Self(FILES.map(|name| std::fs::read(folder.join(name)).unwrap_or_default()))
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (name, bytes) in FILES.iter().zip(&self.0) {
            keep(&folder.join(name), bytes);
        }
    }

    /// What may be left where `synced` was safe and `self` was under way.
    pub(crate) fn after_cut(&self, synced: &Self, draw: &mut Draw) -> Self {
        let file = |now: &Vec<u8>, safe: &Vec<u8>, draw: &mut Draw| {
            let mut left = now.clone();
            let (short, long) = (now.len().min(safe.len()), now.len().max(safe.len()));
            if short < long {
                let sectors = (long - short).div_ceil(SECTOR_BYTES);
                let kept = usize::try_from(draw.below(sectors as u64 + 1)).unwrap_or(0);
                left.resize((short + kept * SECTOR_BYTES).min(long), 0);
            }
            let mut at = 0;
            while at < left.len() {
                let end = (at + SECTOR_BYTES).min(left.len());
                if draw.below(2) == 0 {
                    for (place, byte) in left[at..end].iter_mut().enumerate() {
                        *byte = safe.get(at + place).copied().unwrap_or(0);
                    }
                }
                at = end;
            }
            left
        };
        let [store, log] = &self.0;
        let [safe_store, safe_log] = &synced.0;
        Self([file(store, safe_store, draw), file(log, safe_log, draw)])
    }
}

/// Numbers from a printed seed (SplitMix64, Steele, Lea and Flood, 2014).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// The world before one call.
struct Moment {
    call: Call,
    now: Disk,
    synced: Disk,
    cells: PathBuf,
    /// PASS had been shown.
    shown: bool,
}

/// Follows one visit and copies everything before each call.
fn moments(world: &World, pair: &Pair, fresh: &Path, copies: &Path) -> Vec<Moment> {
    let folder = tempfile::tempdir().expect("folder");
    copy_station(world.path(), folder.path());
    pair.renew(fresh);
    pair.cut.pull("insert");
    let shown = AtomicBool::new(false);
    let mut moments: Vec<Moment> = Vec::new();
    let mut synced = Disk::read(folder.path());
    let look = |call: Call| {
        let now = Disk::read(folder.path());
        let cells = copies.join(moments.len().to_string());
        pair.cut.pull(&format!("dump {}", cells.display()));
        let shown = shown.load(Ordering::SeqCst);
        moments.push(Moment { call, now: now.clone(), synced: synced.clone(), cells, shown });
        if call == Call::Commit {
            synced = now;
        }
        Verdict::Go
    };
    follow(folder.path(), &pair.slots(), Who::Daemon, look, |view| {
        let passed = ended(view, CUT) == Some(SlotState::Pass);
        shown.store(passed, Ordering::SeqCst);
        ended(view, CUT).is_some()
    });
    moments
}

/// Cuts everything at every moment, with one drawn loss for each seed, and goes on.
fn everything_cut(visit: &Visit, seeds: &[u64]) -> usize {
    let world = visit.world(2);
    stocked(&world);
    let copies = tempfile::tempdir().expect("folder");
    let fresh = world.path().join("before.cells");
    keep(&fresh, &visit.before);
    let moments = moments(&world, &Pair::new(), &fresh, copies.path());
    let points: Vec<usize> = (0..moments.len() * seeds.len()).collect();
    each(&points, |pair, number| {
        let (point, seed) = (number / seeds.len(), seeds[number % seeds.len()]);
        let moment = &moments[point];
        let mut draw = Draw(seed ^ (point as u64) << 32);
        println!("everything cut before call {point}, {:?}, seed {seed}", moment.call);
        let folder = tempfile::tempdir().expect("folder");
        copy_station(world.path(), folder.path());
        moment.now.after_cut(&moment.synced, &mut draw).write(folder.path());
        pair.renew(&fresh);
        pair.cut.pull(&format!("load {}", moment.cells.display()));
        pair.cut.pull("insert");
        pair.is_recorded(folder.path(), &world, visit, moment.shown);
        pair.goes_on(folder.path(), &world, visit);
    });
    println!(
        "everything cut before each of {} calls, with {} losses each; {}",
        moments.len(),
        seeds.len(),
        visit.name
    );
    points.len()
}

#[test]
fn with_everything_cut_at_any_moment_what_was_promised_is_there_and_the_visit_goes_on() {
    let points = everything_cut(&Visit::small(112, true, true), &[1]);
    // Start, decision, reservation, intent, PASS, stop: six commits of some frames each.
    assert!(points > 6 * 6, "{points}");
}

#[cfg(feature = "deep")]
mod deep {
    use super::*;

    #[test]
    fn with_everything_cut_in_many_ways_what_was_promised_is_there_and_the_visit_goes_on() {
        let seeds: Vec<u64> = (2..10).collect();
        for (used, locks) in [(true, true), (false, false)] {
            let points = everything_cut(&Visit::small(112, used, locks), &seeds);
            assert!(points > 5 * 6 * seeds.len(), "{points}");
        }
    }
}

#[test]
fn what_a_cut_disk_holds_lies_between_what_was_synced_and_what_was_written() {
    let safe = Disk([vec![1; 2048], vec![2; 512]]);
    let now = Disk([vec![3; 2048], vec![4; 2048]]);
    let mut lengths = std::collections::BTreeSet::new();
    let mut mixed = false;
    for seed in 0..200 {
        let left = now.after_cut(&safe, &mut Draw(seed));
        let [store, log] = &left.0;
        assert_eq!(store.len(), 2048);
        assert!(store.chunks(SECTOR_BYTES).all(|sector| sector == [1; 512] || sector == [3; 512]));
        mixed |= store.contains(&1) && store.contains(&3);
        lengths.insert(log.len());
    }
    assert!(mixed);
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [512, 1024, 1536, 2048]);
}
