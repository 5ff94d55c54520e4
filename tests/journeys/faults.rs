//! Faults of boards: each becomes one named trouble in one slot, and the line goes on.

use std::{path::Path, time::Duration};

use anyhow::Result;
use journeys::world::{Plan, Programs, World};

const FIRMWARE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/demo-lamp-1.0.0.hex");
/// A visit takes some 10 s on a quiet machine.
const VISIT: Duration = Duration::from_secs(150);

fn world(folder: &Path, boards: u32) -> Result<World> {
    let plan = Plan::new(boards, Path::new(FIRMWARE));
    World::set_up(&Programs::beside_this_test()?, folder, plan, &mut |_| ())
}

#[test]
fn a_fault_in_one_slot_has_its_own_trouble_and_stops_no_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut world = world(folder.path(), 4)?;

    // Slot 1: locked by somebody else. Slot 2: stops answering. Slot 3: pulled. Slot 4: good.
    world.boards[0].pull("lock")?;
    for board in &world.boards {
        board.insert()?;
    }
    world.slot_becomes(2, &["flashing"], VISIT)?;
    world.boards[1].pull("hang")?;
    world.slot_becomes(3, &["flashing", "verifying"], VISIT)?;
    world.boards[2].remove()?;

    let locked = world.slot_becomes(1, &["fail"], VISIT)?;
    assert_eq!(locked["trouble"]["code"], "F-14", "{locked}");
    let pulled = world.slot_becomes(3, &["fail"], VISIT)?;
    assert_eq!(pulled["trouble"]["code"], "F-12", "{pulled}");
    let good = world.slot_becomes(4, &["pass"], VISIT)?;
    assert_eq!(good["trouble"], serde_json::Value::Null, "{good}");
    let hung = world.slot_becomes(2, &["fail"], VISIT)?;
    assert_eq!(hung["trouble"]["code"], "F-21", "{hung}");

    // What was pulled and what hung is put in again and passes with the code it had reserved.
    world.boards[1].pull("heal")?;
    world.boards[1].remove()?;
    world.slot_becomes(2, &["empty"], VISIT)?;
    for slot in [2, 3] {
        world.boards[slot - 1].insert()?;
        world.slot_becomes(slot, &["pass"], VISIT)?;
    }

    world.all_records_arrive()?;
    let reserved = reserved_codes(&world)?;
    assert!(!reserved.is_empty(), "no reservation has arrived");
    let mut chips: Vec<&str> = reserved.iter().map(|(uid, _)| uid.as_str()).collect();
    chips.sort_unstable();
    chips.dedup();
    let mut codes: Vec<&str> = reserved.iter().map(|(_, code)| code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), chips.len(), "one code per chip: {reserved:?}");
    world.verify_journal()?;
    Ok(())
}

#[test]
fn an_unpowered_board_a_worker_points_at_is_no_contact_and_passes_once_it_has_power() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let mut world = world(folder.path(), 1)?;
    world.boards[0].pull("power off")?;
    world.boards[0].insert()?;
    world.slot_becomes(1, &["empty"], VISIT)?;
    assert!(!world.station.look(1)?, "nothing answers without power");
    let tile = world.slot_becomes(1, &["fail"], VISIT)?;
    assert_eq!(tile["trouble"]["code"], "F-10", "{tile}");
    assert_eq!(tile["visit"], serde_json::Value::Null, "{tile}");
    world.boards[0].pull("power on")?;
    world.slot_becomes(1, &["pass"], VISIT)?;
    world.verify_journal()?;
    Ok(())
}

#[test]
fn a_pulled_board_put_back_without_power_is_no_contact_and_passes_once_it_has_power() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let mut world = world(folder.path(), 1)?;
    world.boards[0].insert()?;
    world.slot_becomes(1, &["flashing"], VISIT)?;
    world.boards[0].remove()?;
    let tile = world.slot_becomes(1, &["fail"], VISIT)?;
    assert_eq!(tile["trouble"]["code"], "F-12", "{tile}");
    world.boards[0].pull("power off")?;
    world.boards[0].insert()?;
    // Nobody touches anything: the tile stops saying that the board is out.
    let tile = world.slot_with_trouble(1, "F-10", VISIT)?;
    assert_eq!(tile["state"], "fail", "{tile}");
    world.boards[0].pull("power on")?;
    world.slot_becomes(1, &["pass"], VISIT)?;
    world.verify_journal()?;
    Ok(())
}

/// `(UID, code)` of every reservation the hub has heard of.
fn reserved_codes(world: &World) -> Result<Vec<(String, String)>> {
    let journal = world.hub.journal(world.station.name())?;
    Ok(journal["records"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|record| serde_json::from_str::<serde_json::Value>(record.as_str()?).ok())
        .filter(|record| record["event"] == "reserved")
        .filter_map(|record| {
            Some((record["uid"].as_str()?.to_owned(), record["code"].as_str()?.to_owned()))
        })
        .collect())
}

#[test]
fn a_station_that_was_stopped_mid_write_goes_on_with_the_code_it_had_reserved() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut world = world(folder.path(), 1)?;
    world.boards[0].insert()?;
    let flashing = world.slot_becomes(1, &["flashing"], VISIT)?;
    world.restart_station()?;
    let passed = world.slot_becomes(1, &["pass"], VISIT)?;
    if let Some(code) = flashing["code"].as_str() {
        assert_eq!(passed["code"], code);
    }
    world.all_records_arrive()?;
    let reserved = reserved_codes(&world)?;
    assert!(!reserved.is_empty(), "no reservation has arrived");
    assert!(
        reserved.iter().all(|(_, code)| passed["code"] == code.as_str()),
        "another code was reserved: {reserved:?}, passed with {}",
        passed["code"]
    );
    world.verify_journal()?;
    Ok(())
}
