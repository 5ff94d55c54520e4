//! The restore sweep: a station's database, or a hub's, is set back to every state it ever was in.
//!
//! What a restored program does must be right however old its copy is: the station reserves nothing
//! and says so, the hub shows both histories and loses none, and everything goes on in a new epoch.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test picks out the events it is about")]

mod copies;
mod house;
mod line;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use audit::{Event, Record};
use copies::{Recording, put};
use house::{House, verify};
use journeys::world::ORDER;
use line::Line;
use station_daemon::trouble::TroubleCode;

const FIRST: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn uid(number: usize) -> [u8; 8] {
    let [low, high, ..] = number.to_le_bytes();
    [0xC0, low, high, 4, 5, 6, 7, 8]
}

fn copy(from: &Path, to: &Path, name: &str) {
    put(&to.join(name), &fs::read(from.join(name)).expect("file"));
}

/// Which chip each activation index was given to, over all histories; none was given twice.
fn indices(records: impl Iterator<Item = String>) -> BTreeMap<(Vec<u8>, u32), Vec<u8>> {
    let mut given = BTreeMap::new();
    for record in records {
        let Ok(Record { event: Event::Reserved { allotment, index, uid, .. }, .. }) =
            Record::decode(record.as_bytes())
        else {
            continue;
        };
        let first = given.entry((allotment.0, index)).or_insert_with(|| uid.0.clone());
        assert_eq!(*first, uid.0, "index {index} was given to two chips");
    }
    given
}

#[test]
fn a_station_set_back_to_any_state_reserves_nothing_and_its_fork_is_shown_until_a_new_epoch() {
    let house = House::build();
    let served = house.serve();

    // The visit, recorded commit by commit.
    let base = fs::read(house.station().join("station.db")).expect("database");
    let mut line = Line::open(house.station());
    line.connect(house.station());
    line.wait_carried();
    let mut sizes = vec![line.journal().1.len()];
    let block = line.visit(FIRST, None).expect("a fresh board passes");
    sizes.push(line.journal().1.len());
    line.wait_carried();
    line.visit(uid(0), None).expect("another one passes");
    line.wait_carried();
    let recording = Recording::of(base, &house.station().join("station.db"));
    sizes.push(line.journal().1.len());
    line.close();

    // Work goes on: this is what the copies know nothing of.
    let mut line = Line::open(house.station());
    line.connect(house.station());
    line.visit(uid(1), None).expect("a third one passes");
    line.wait_carried();
    line.close();
    let mut line = Line::open(house.station());
    line.connect(house.station());
    line.wait_carried();
    let (_, original) = line.journal();
    line.close();
    let held = house.journal(&served, 1);
    assert_eq!(held.records[..original.len()], original);
    let original = held.records;

    let points = recording.points();
    let mut seen_sizes = Vec::new();
    for point in 0..points {
        // Only the database is set back: the station remembers, without any hub.
        let folder = house.fresh(&format!("remembers-{point}"));
        recording.restore(point, &folder.join("station.db"));
        copy(house.station(), &folder, "station.secret");
        copy(house.station(), &folder, "station.head");
        let line = Line::open(&folder);
        assert_eq!(line.trouble(), Some(TroubleCode::JournalSetBack), "copy {point}");
        let refused = line.visit(uid(1000), None);
        assert_eq!(refused, Err(TroubleCode::JournalSetBack), "copy {point}");
        line.close();
        // That holds over a restart, even where the memory is lost.
        fs::remove_file(folder.join("station.head")).expect("removed");
        let line = Line::open(&folder);
        assert_eq!(line.trouble(), Some(TroubleCode::JournalSetBack), "copy {point}, restarted");
        line.close();

        // The whole folder is set back: only the hub can know.
        let folder = house.fresh(&format!("forgets-{point}"));
        recording.restore(point, &folder.join("station.db"));
        copy(house.station(), &folder, "station.secret");
        let mut line = Line::open(&folder);
        let own = line.journal().1;
        let shared = own.iter().zip(&original).take_while(|(own, held)| own == held).count();
        seen_sizes.push(shared);
        assert_eq!(line.trouble(), None, "copy {point} cannot know yet");
        line.connect(&folder);
        let code = TroubleCode::JournalSetBack;
        line.wait("the quarantine", |view| view.trouble.as_ref().is_some_and(|t| t.code == code));
        line.wait_carried();
        assert_eq!(line.visit(uid(1000), None), Err(code), "copy {point}");
        line.wait_carried();
        let (epoch, own) = line.journal();
        assert_eq!(epoch, 1);
        let forks = house.forks(&served);
        assert_eq!(forks.len(), point + 1, "copy {point}: a branch of its own");
        let fork = &forks[point];
        assert_eq!((fork.epoch.0, fork.at), (1, shared as u64), "copy {point}");
        assert_eq!(fork.branch, own[shared..], "copy {point}: all of it is kept");
        assert_eq!(fork.held, original[shared..], "copy {point}: and what was there first");
        let station = house.known(&served);
        assert!(station.forked, "copy {point}");

        // An administrator opens a new epoch: the line goes on.
        let opened = house.runtime.block_on(served.admin.open_epoch("station-1")).expect("opened");
        line.wait("the new epoch", |view| view.trouble.is_none());
        line.visit(uid(point + 2), None).expect("a fresh board passes in the new epoch");
        line.visit(FIRST, Some(&block)).expect("the first board keeps its code");
        line.wait_carried();
        let (epoch, own) = line.journal();
        assert_eq!(epoch, opened.epoch.0, "copy {point}");
        let page = house.journal(&served, epoch);
        assert_eq!(page.records, own, "copy {point}");
        let station = house.known(&served);
        assert!(!station.forked && !station.quarantined && station.epoch.0 == epoch);
        line.close();
    }
    for size in sizes {
        assert!(seen_sizes.contains(&size), "no copy of {size} records among {seen_sizes:?}");
    }

    // Nothing was dropped, and every history verifies offline.
    let mut everything = Vec::new();
    let newest = u32::try_from(points + 1).expect("few");
    for epoch in 1..=newest {
        let page = house.journal(&served, epoch);
        let head = page.cosigned.clone().expect("cosigned");
        assert_eq!(verify(&page, &page.records, &head, true), page.size, "epoch {epoch}");
        everything.extend(page.records);
    }
    let page = house.journal(&served, 1);
    assert_eq!(page.records, original);
    for fork in house.forks(&served) {
        let at = usize::try_from(fork.at).expect("few");
        let whole: Vec<String> = original[..at].iter().chain(&fork.branch).cloned().collect();
        assert_eq!(verify(&page, &whole, &fork.checkpoint, false), fork.branch_size);
        everything.extend(fork.branch);
    }
    let given = indices(everything.into_iter());
    println!(
        "{points} copies of the station, one per commit; {} indices given, none twice",
        given.len()
    );
    assert!(points >= 10, "two visits have more commits than {points}");
    house.stop(served);
}

#[test]
fn a_hub_set_back_to_any_state_recovers_from_what_its_station_holds_and_is_whole_again() {
    let house = House::build();
    let base = fs::read(house.hub_database()).expect("database");
    let served = house.serve();
    let mut line = Line::open(house.station());
    line.connect(house.station());
    line.wait_carried();
    line.visit(uid(0), None).expect("a fresh board passes");
    line.wait_carried();
    let lease = house.known(&served).lease_version;
    house.grant(&served, "WO-4712");
    line.visit(uid(1), None).expect("another one passes");
    line.wait_carried();
    line.wait_for("the lease of the grant", || house.known(&served).lease_version > lease);
    line.wait_leased(lease + 1);
    line.choose(ORDER);
    line.wait_carried();
    let recording = Recording::of(base, &house.hub_database());
    line.close();
    house.stop(served);

    // The hub was backed up; then work went on.
    let served = house.serve();
    let mut line = Line::open(house.station());
    line.connect(house.station());
    line.visit(uid(2), None).expect("a third one passes");
    line.wait_carried();
    let mut lease = house.known(&served).lease_version;
    line.wait_leased(lease);
    line.wait_carried();
    line.close();
    house.stop(served);

    let points = recording.points();
    for point in 0..points {
        recording.set_back(point, &house.hub_database());
        let served = house.serve();
        let before = house.journal(&served, 1).size;
        let mut line = Line::open(house.station());
        let own = line.journal().1;
        assert!(before < own.len() as u64, "backup {point}");
        line.connect(house.station());
        line.wait_for("a whole hub", || {
            house.log(&served).iter().any(|record| record.contains("recovery ended"))
        });
        let log = house.log(&served);
        let begun = log.iter().position(|record| record.contains("this hub was set back"));
        let ended = log.iter().position(|record| record.contains("recovery ended"));
        assert!(begun < ended && begun.is_some(), "backup {point}: {begun:?} {ended:?}");
        let signed = |record: &String| record.contains("lease") && record.contains("signed for");
        let between = &log[begun.expect("begun")..ended.expect("ended")];
        assert!(!between.iter().any(signed), "backup {point}: no lease while recovering");

        // Whole again: everything is held, versions have jumped, boards go on.
        line.wait_for("a fresh lease", || house.known(&served).lease_version > lease);
        line.visit(uid(point + 3), None).expect("a fresh board passes");
        lease = house.known(&served).lease_version;
        line.wait_leased(lease);
        line.wait_carried();
        let page = house.journal(&served, 1);
        assert_eq!(page.records, line.journal().1, "backup {point}");
        assert_eq!(page.records[..own.len()], own, "backup {point}");
        let head = page.cosigned.clone().expect("cosigned");
        assert_eq!(verify(&page, &page.records, &head, true), page.size, "backup {point}");
        assert_eq!(page.forks, 0);
        assert_eq!(line.trouble(), None, "backup {point}");
        line.close();
        house.stop(served);
    }
    println!("{points} copies of the hub, one per commit");
    assert!(points >= 7, "two visits and a grant have more commits than {points}");
}
