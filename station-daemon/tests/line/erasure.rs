//! What a station was lent and may not use any more is erased: looked for in every file it has.

use std::time::Instant;

use protocol::{RevocationStatement, SignedStatement};
use release::tuf::{RootPlan, root_document};
use release::{Digest, SigningKey, SystemRandom};
use serde_json::Value;
use station_daemon::api::view::{SlotState, TroubleCode};
use station_daemon::desk::{HubDesk, os_ms};
use sync::DocumentSink;

use super::paper::{Office, PRODUCT, Parcel, STATION, TENANT, one};
use super::process::on_disk;
use super::station::{Board, PATIENCE, Station};
use super::{UIDS, World};

/// The wrapped content key of the parcel's lease, as it stands in the document.
fn wrap_in(parcel: &Parcel) -> String {
    let lease: Value = serde_json::from_slice(&parcel.documents["lease"]).expect("JSON");
    lease["wraps"][0].as_str().expect("a wrap").to_owned()
}

fn erased(station: &Station) -> Vec<String> {
    let why = |record: audit::Record| match record.event {
        audit::Event::ReleaseErased { why, .. } => Some(why),
        _ => None,
    };
    station.records().into_iter().filter_map(why).collect()
}

/// Waits until the wrapped key is in no file of the station, and its erasure in the journal.
fn gone(world: &World, station: &Station, wrap: &str, why: &str) {
    let begun = Instant::now();
    while on_disk(world.path(), wrap.as_bytes()) || erased(station) != [why] {
        assert!(
            begun.elapsed() < PATIENCE,
            "still there, or not journalled: {:?}",
            erased(station)
        );
        std::thread::yield_now();
    }
}

fn lent(world: &World, board: &Board) -> (Station, Parcel, String) {
    let station = Station::start(world.path(), &[board.slot(1)]);
    let parcel = world.parcel();
    station.deliver(&parcel);
    let wrap = wrap_in(&parcel);
    assert!(on_disk(world.path(), wrap.as_bytes()), "the wrapped key was never here");
    (station, parcel, wrap)
}

fn fails_with(station: &Station, board: &Board, code: TroubleCode) {
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|trouble| trouble.code), Some(code));
    assert!(board.cells(0, 4096).iter().all(|byte| *byte == 0xFF));
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
}

#[test]
fn a_withdrawn_release_loses_its_key_although_the_lease_names_it() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let (station, mut parcel, wrap) = lent(&world, &board);
    let target = release::tuf::ReleaseTarget { withdrawn: true, ..Office::target(&parcel) };
    world.office.put_product(&mut parcel, 2, &[target], &[&world.office.product_key]);
    world.office.freshen(&mut parcel);
    station.deliver_documents(&parcel);
    gone(&world, &station, &wrap, "withdrawn");
    fails_with(&station, &board, TroubleCode::ReleaseWithdrawn);
    // Sent again, it is erased again and not journalled twice; so it is after a restart.
    station.deliver_documents(&parcel);
    station.stop();
    let station = Station::start(world.path(), &[board.slot(1)]);
    assert!(!on_disk(world.path(), wrap.as_bytes()));
    fails_with(&station, &board, TroubleCode::ReleaseWithdrawn);
    station.stop();
}

#[test]
fn a_lease_that_ends_takes_its_keys_along_whether_the_station_runs_or_not() {
    for runs in [true, false] {
        let end_ms = os_ms() + 4_000;
        let world = World::new(|plan| {
            plan.self_test = false;
            plan.lease_ends_ms = end_ms;
        });
        let board = Board::new(UIDS[0]);
        let (mut station, _, wrap) = lent(&world, &board);
        if !runs {
            station.stop();
            while os_ms() <= end_ms {
                std::thread::yield_now();
            }
            station = Station::start(world.path(), &[board.slot(1)]);
        }
        gone(&world, &station, &wrap, "lease_over");
        fails_with(&station, &board, TroubleCode::LeaseOver);
        station.stop();
    }
}

#[test]
fn a_revoked_station_erases_what_it_was_lent_at_its_own_hubs_signed_word_only() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let (station, _, wrap) = lent(&world, &board);
    let sink = HubDesk(station.desk.clone());
    let statement = |station: &str, key: Digest| {
        let statement = RevocationStatement {
            v: 1,
            tenant: TENANT.parse().expect("a tenant"),
            station: station.parse().expect("a station"),
            hpke_key_sha256: protocol::Sha256(*key.as_bytes()),
            revoked_ms: os_ms(),
        };
        serde_json::to_string(&statement).expect("JSON")
    };
    let signed = |office: &Office, kind: &str, payload: &str| {
        hex::encode(office.hub_key.sign(&SignedStatement::signed_bytes(kind, payload)).as_ref())
    };
    let own = world.keys.hpke.digest();
    let (kind, ours) = (RevocationStatement::KIND, statement(STATION, own));
    let stranger = Office::stranger(os_ms());
    let others = [
        (ours.clone(), signed(&stranger, kind, &ours)),
        (ours.clone(), signed(&world.office, "flashline hub time v1", &ours)),
        {
            let other = statement("another", own);
            (other.clone(), signed(&world.office, kind, &other))
        },
        {
            let earlier = statement(STATION, Digest::of(b"a station of this name before"));
            (earlier.clone(), signed(&world.office, kind, &earlier))
        },
    ];
    for (payload, signature) in others {
        assert!(sink.revoked(&payload, &signature).is_err(), "{payload}");
    }
    assert!(on_disk(world.path(), wrap.as_bytes()), "erased at a stranger's word");
    sink.revoked(&ours, &signed(&world.office, kind, &ours)).expect("its own hub's word");
    gone(&world, &station, &wrap, "revoked");
    fails_with(&station, &board, TroubleCode::LeaseOver);
    station.stop();
}

#[test]
fn a_lease_by_a_retired_key_ends_and_one_by_its_successor_counts() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let (station, mut parcel, wrap) = lent(&world, &board);
    let office = &world.office;
    // R&D rotates the root twice and names another lease key; the hub goes on with the old one.
    let key = || SigningKey::generate(&mut SystemRandom).expect("key");
    let (root_2, targets_2, lease_2) = (key(), key(), key());
    let mut plan = RootPlan::read(&office.root).expect("root");
    (plan.version, plan.root) = (2, one(&root_2));
    let document = root_document(&plan, &[&office.root_key, &root_2]).expect("root");
    parcel.documents.insert("2.root.json".to_owned(), document);
    (plan.version, plan.targets) = (3, one(&targets_2));
    let document = root_document(&plan, &[&root_2]).expect("root");
    parcel.documents.insert("3.root.json".to_owned(), document);
    office.put_targets(&mut parcel, 2, &lease_2, &targets_2);
    office.freshen(&mut parcel);
    station.deliver_documents(&parcel);
    gone(&world, &station, &wrap, "retired");
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert!(failed.trouble.is_some());
    assert!(board.cells(0, 4096).iter().all(|byte| *byte == 0xFF));

    // The hub signs with its new key: the board that waits is flashed.
    Office::lend(&mut parcel, &lease_2, |_| ());
    station.deliver_documents(&parcel);
    station.wait_slot(1, SlotState::Pass);
    assert!(parcel.documents.contains_key(&format!("{PRODUCT}.json")));
    station.stop();
}
