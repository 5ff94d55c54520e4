//! Documents, bundles, codes and disks that were tampered with, or meant for somebody else.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use journeys::world::{Hub, Plan, Programs, Recipe, Release, Research, Station, World};
use protocol::EnrolmentCode;

const FIRMWARE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/demo-lamp-1.0.0.hex");
const VISIT: Duration = Duration::from_secs(150);

fn plan(recipe: Option<Recipe>) -> Plan {
    Plan { recipe, ..Plan::new(1, Path::new(FIRMWARE)) }
}

/// A hub that runs, and R&D beside it with one packed release.
fn hub_and_release(folder: &Path) -> Result<(Programs, Hub, Research, Release)> {
    let programs = Programs::beside_this_test()?;
    let mut hub = Hub::make(&programs, folder)?;
    let research = Research::begin(&programs, &folder.join("research"), &hub.keys()?)?;
    hub.start()?;
    let recipe = Recipe::demo_lamp(&Research::activation_key(&programs)?);
    let release = research.pack("1.0.0", &recipe, Path::new(FIRMWARE))?;
    Ok((programs, hub, research, release))
}

/// What an attempt said when it was refused.
fn refusal<T>(attempt: Result<T>) -> Result<String> {
    match attempt {
        Ok(_) => anyhow::bail!("it was not refused"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// The trouble's code and its one act, as the refused command printed them.
fn trouble(said: &str) -> Result<(&str, &str)> {
    let (_, after) = said.split_once(": F-").with_context(|| format!("no code in {said:?}"))?;
    let number = after.split(':').next().context("a code")?;
    let act = said.trim_end().lines().last().context("an act")?;
    anyhow::ensure!(act.ends_with('.') && !act.contains("F-"), "no act at the end of {said:?}");
    Ok((number, act))
}

fn flip(path: &Path, place: usize) -> Result<()> {
    let mut bytes = fs::read(path)?;
    let byte = bytes.get_mut(place).context("the file is shorter")?;
    *byte ^= 0x01;
    Ok(fs::write(path, bytes)?)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

#[test]
fn a_bundle_with_one_flipped_byte_in_any_file_is_not_published() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_, hub, _, release) = hub_and_release(folder.path())?;
    let files = files(&release.bundle)?;
    assert!(files.len() >= 6, "a bundle has metadata, manifest, key wrap and chunks: {files:?}");
    for file in &files {
        let middle = usize::try_from(fs::metadata(file)?.len())? / 2;
        flip(file, middle)?;
        let said = refusal(hub.publish(&release)).with_context(|| format!("{file:?} flipped"))?;
        let (code, act) = trouble(&said).with_context(|| format!("{file:?} flipped"))?;
        assert!(matches!(code, "31" | "32"), "{file:?} flipped: {said}");
        assert!(act.starts_with("Have the product's people") || act.starts_with("Copy"), "{said}");
        flip(file, middle)?;
    }
    hub.publish(&release).context("the bundle as R&D packed it")
}

#[test]
fn a_truncated_chunk_is_not_published() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_, hub, _, release) = hub_and_release(folder.path())?;
    let chunk = files(&release.bundle.join("chunks"))?.pop().context("a bundle without chunks")?;
    let bytes = fs::read(&chunk)?;
    fs::write(&chunk, &bytes[..bytes.len() - 1])?;
    let said = refusal(hub.publish(&release))?;
    assert_eq!(trouble(&said)?.0, "32", "{said}");
    Ok(())
}

#[test]
fn an_image_beyond_the_chips_flash_is_not_packed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (programs, _hub, research, _) = hub_and_release(folder.path())?;
    let beyond = folder.path().join("beyond.hex");
    // 16 bytes at 0x00080000, one past the last byte of an nRF52832.
    fs::write(
        &beyond,
        ":020000040008F2\n:1000000000000000000000000000000000000000F0\n:00000001FF\n",
    )?;
    let recipe = Recipe::demo_lamp(&Research::activation_key(&programs)?);
    let said = refusal(research.pack("2.0.0", &recipe, &beyond))?;
    assert!(said.to_lowercase().contains("80000"), "the refusal names the address: {said}");
    let (code, act) = trouble(&said)?;
    assert_eq!(code, "33", "{said}");
    assert!(act.starts_with("Link the image"), "{said}");
    Ok(())
}

#[test]
fn an_enrolment_code_works_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (programs, hub, _, release) = hub_and_release(folder.path())?;
    hub.publish(&release)?;
    let code = hub.enrolment_code("first", "line-1")?;
    Station::enrol(&programs, folder.path(), "first", &code)?;
    let said = refusal(Station::enrol(&programs, folder.path(), "second", &code))?;
    assert!(said.contains("F-53"), "{said}");
    Ok(())
}

#[test]
fn a_station_does_not_enrol_at_a_hub_with_another_certificate() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (programs, hub, _, release) = hub_and_release(folder.path())?;
    hub.publish(&release)?;
    let stranger_folder = folder.path().join("stranger");
    fs::create_dir(&stranger_folder)?;
    let (_, stranger, _, _) = hub_and_release(&stranger_folder)?;
    let mut code: EnrolmentCode = hub.enrolment_code("first", "line-1")?.parse()?;
    code.hub = stranger.station_address().to_owned();
    let said = refusal(Station::enrol(&programs, folder.path(), "first", &code.to_string()))?;
    assert!(said.contains("F-51"), "{said}");
    Ok(())
}

#[test]
fn a_release_for_another_chip_is_refused_in_the_slot_and_writes_nothing() -> Result<()> {
    refused_in_the_slot("nrf51", "nRF51822_xxAA", "F-15")
}

#[test]
fn a_release_for_a_chip_the_station_cannot_flash_is_refused_in_the_slot_and_writes_nothing()
-> Result<()> {
    refused_in_the_slot("nrf52", "nRF52840_xxAA", "F-39")
}

/// A board meets a release for `chip`: the slot says `code`, and nothing is written.
fn refused_in_the_slot(family: &str, chip: &str, code: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let recipe = Recipe::plain(family, chip, &[]);
    let programs = Programs::beside_this_test()?;
    let mut world = World::set_up(&programs, folder.path(), plan(Some(recipe)), &mut |_| ())?;
    world.boards[0].insert()?;
    let tile = world.slot_becomes(1, &["fail", "pass"], VISIT)?;
    assert_eq!(tile["trouble"]["code"], code, "{tile}");
    let flash = world.boards[0].flash(0, 1024)?;
    assert!(flash.chars().all(|digit| digit.eq_ignore_ascii_case(&'f')), "the chip was written");
    Ok(())
}

#[test]
fn a_chunk_damaged_on_the_stations_disk_is_never_flashed_and_is_fetched_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let programs = Programs::beside_this_test()?;
    let mut world = World::set_up(&programs, folder.path(), plan(None), &mut |_| ())?;
    world.hub.stop()?;
    world.station.stop()?;
    damage_a_chunk(&world.station.folder().join("station.db"))?;
    world.restart_after_stop()?;
    world.boards[0].insert()?;
    let tile = world.slot_becomes(1, &["fail", "pass"], VISIT)?;
    assert_eq!(tile["trouble"]["code"], "F-32", "{tile}");
    let flash = world.boards[0].flash(0, 1024)?;
    assert!(flash.chars().all(|digit| digit.eq_ignore_ascii_case(&'f')), "the chip was written");

    world.hub.start()?;
    world.slot_becomes(1, &["pass"], VISIT)?;
    world.all_records_arrive()?;
    world.verify_journal()?;
    Ok(())
}

/// Flips one bit of one sealed chunk, as a dying disk would.
fn damage_a_chunk(database: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(database)?;
    let (digest, mut bytes): (Vec<u8>, Vec<u8>) =
        connection.query_row("SELECT digest, body FROM chunk LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    connection.execute("UPDATE chunk SET body = ?2 WHERE digest = ?1", (digest, bytes))?;
    Ok(())
}
