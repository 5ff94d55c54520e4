//! Every mode of activation through the whole house, and one board between two stations.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use journeys::world::{
    BLOCK_ADDRESS, Board, BoardKind, Mode, PRODUCT, Plan, Programs, Station, World, pool_code,
    pool_key, until,
};

const FIRMWARE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/demo-lamp-1.0.0.hex");
const VISIT: Duration = Duration::from_secs(150);
const SECOND_ORDER: &str = "WO-4712";
const SECOND: &str = "station-2";

fn world(folder: &Path, mode: Mode) -> Result<World> {
    let plan = Plan { mode, ..Plan::new(1, Path::new(FIRMWARE)) };
    World::set_up(&Programs::beside_this_test()?, folder, plan, &mut |_| ())
}

/// Whether a file in a folder or below holds these bytes.
fn lies_in(folder: &Path, marker: &[u8]) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if lies_in(&path, marker)? {
                return Ok(true);
            }
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            if bytes.windows(marker.len()).any(|window| window == marker) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn passes(station: &Station, slot: usize, state: &str) -> Result<String> {
    let tile = until(VISIT, || {
        let tile = station.view()?["slots"][slot - 1].take();
        Ok((tile["state"] == state).then_some(tile))
    });
    let tile = tile.with_context(|| format!("waiting for slot {slot} to be {state}"))?;
    Ok(tile["code"].as_str().context("no code")?.to_owned())
}

fn a_blank_board_passes_and_is_seen_before_with_its_code(mode: Mode) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut world = world(folder.path(), mode)?;
    world.boards[0].insert()?;
    let passed = world.slot_becomes(1, &["pass"], VISIT)?;
    let block = world.boards[0].flash(BLOCK_ADDRESS, 512)?;
    assert!(block.starts_with("464c"), "{mode:?}: no block on the chip: {block}");
    world.all_records_arrive()?;
    world.boards[0].remove()?;
    world.slot_becomes(1, &["empty"], VISIT)?;
    world.boards[0].insert()?;
    let again = world.slot_becomes(1, &["seen_before"], VISIT)?;
    assert_eq!(again["code"], passed["code"], "{mode:?}");
    assert_eq!(world.boards[0].flash(BLOCK_ADDRESS, 512)?, block, "{mode:?}");
    world.all_records_arrive()?;
    let units = world.hub.units()?;
    assert_eq!(units.len(), 1, "{units:?}");
    assert_eq!(units[0]["code"], passed["code"], "{mode:?}");
    assert!(world.hub.conflicts()?.is_empty(), "{mode:?}");
    if mode == Mode::Pool {
        assert_eq!(passed["code"], pool_code(0).as_str());
        let pools = world.hub.pools()?;
        assert_eq!(pools[0]["bound"], 1, "{pools:?}");
        let key = u64::from_str_radix(&pool_key(0), 16)?.to_be_bytes();
        for place in [world.station.folder(), world.hub.folder()] {
            assert!(!lies_in(place, &key)?, "a credential in the clear below {}", place.display());
        }
    }
    world.verify_journal()?;
    Ok(())
}

#[test]
fn a_board_is_activated_by_signatures_that_it_only_holds() -> Result<()> {
    a_blank_board_passes_and_is_seen_before_with_its_code(Mode::Stored)
}

#[test]
fn a_board_is_activated_by_a_copy_deterrent() -> Result<()> {
    a_blank_board_passes_and_is_seen_before_with_its_code(Mode::HmacSha256)
}

#[test]
fn a_board_is_activated_by_a_credential_of_a_pool() -> Result<()> {
    a_blank_board_passes_and_is_seen_before_with_its_code(Mode::Pool)
}

#[test]
fn a_pool_board_is_adopted_by_a_second_station_and_a_second_credential_for_it_is_shown()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut world = world(folder.path(), Mode::Pool)?;
    world.boards[0].insert()?;
    let passed = world.slot_becomes(1, &["pass"], VISIT)?;
    let block = world.boards[0].flash(BLOCK_ADDRESS, 512)?;
    world.all_records_arrive()?;
    world.station.stop()?;

    let programs = Programs::beside_this_test()?;
    let code = world.hub.enrolment_code(SECOND, "line-1")?;
    let mut second = Station::enrol(&programs, folder.path(), SECOND, &code)?;
    world.hub.open_order(SECOND_ORDER, PRODUCT, &world.release, 5)?;
    let certificate = world.research.certify(&world.hub.station_key(SECOND)?, 5)?;
    world.hub.grant(SECOND, SECOND_ORDER, 5, &certificate)?;
    // The same chip, wiped: what a board is that lost its flash on the way.
    let wiped = folder.path().join("wiped");
    fs::create_dir_all(&wiped)?;
    let wiped = Board::make(&programs, BoardKind::Simulated, 1, &wiped)?;
    let mut boards = std::mem::take(&mut world.boards);
    assert_eq!(boards[0].uid, wiped.uid);
    boards.push(wiped);
    second.start(&boards, None)?;

    let adopted = passes(&second, 1, "pass")?;
    assert_eq!(passed["code"], adopted.as_str());
    assert_eq!(boards[0].flash(BLOCK_ADDRESS, 512)?, block, "not a byte changed");
    boards[0].remove()?;
    let empty = until(VISIT, || Ok((second.view()?["slots"][0]["state"] == "empty").then_some(())));
    empty.context("waiting for the board to be out")?;
    // This station knows that the chip has passed: it compares, and gives no second credential.
    boards[1].insert()?;
    let refused = until(VISIT, || {
        let tile = second.view()?["slots"][1].take();
        Ok((tile["state"] == "fail").then_some(tile))
    })?;
    assert_eq!(refused["trouble"]["code"], "F-13", "it holds nothing: {refused}");
    boards[1].remove()?;

    // A third one knows nothing, and the hub shows what it did.
    second.stop()?;
    let code = world.hub.enrolment_code("station-3", "line-1")?;
    let mut third = Station::enrol(&programs, folder.path(), "station-3", &code)?;
    world.hub.open_order("WO-4713", PRODUCT, &world.release, 5)?;
    let certificate = world.research.certify(&world.hub.station_key("station-3")?, 5)?;
    world.hub.grant("station-3", "WO-4713", 5, &certificate)?;
    third.start(&boards[1..], None)?;
    boards[1].insert()?;
    let other = passes(&third, 1, "pass")?;
    assert_ne!(passed["code"], other.as_str());
    let conflict = until(VISIT, || {
        let conflicts = world.hub.conflicts()?;
        Ok(conflicts.into_iter().find(|found| found["kind"] == "second-credential"))
    })
    .context("waiting for the conflict at the hub")?;
    let detail = conflict["detail"].as_str().context("no words")?;
    assert!(detail.contains(&other) && detail.contains("void"), "{detail}");

    // Scrapped at the hub: no station touches it any more.
    world.hub.scrap(PRODUCT, "nrf52", &boards[1].uid)?;
    boards[1].remove()?;
    let voided = until(VISIT, || {
        boards[1].remove()?;
        until(VISIT, || Ok((third.view()?["slots"][0]["state"] == "empty").then_some(())))?;
        boards[1].insert()?;
        let tile = until(VISIT, || {
            let tile = third.view()?["slots"][0].take();
            let done = ["fail", "seen_before"].iter().any(|state| tile["state"] == *state);
            Ok(done.then_some(tile))
        })?;
        Ok((tile["trouble"]["code"] == "F-60").then_some(()))
    });
    voided.context("waiting for the void to arrive at the station")
}
