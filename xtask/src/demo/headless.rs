//! The story that tells itself: boards flashed while the hub is away, records that arrive later,
//! and the same boards recognised.
//!
//! Every figure of the last line is read back from the hub or from a board's own memory.

use std::{collections::BTreeMap, path::Path, time::Duration, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use journeys::world::{BLOCK_ADDRESS, LEAD, Programs, WORKER, World, until};
use serde::Serialize;
use serde_json::Value;

use super::{say, set_up};

/// Bytes of an activation block (`activation/FORMAT.md`).
const BLOCK_BYTES: u32 = 288;
/// How long four boards may take to pass.
const FLASHING_S_MAX: u64 = 240;
/// How long records may take to reach a hub that is back.
const ARRIVING_S_MAX: u64 = 60;

/// The last line. A chain that does not verify ends the story before this.
#[derive(Serialize)]
struct Told {
    units: usize,
    passed: usize,
    seen_before: usize,
    flashed_while_hub_down: usize,
    audit_records_at_hub: u64,
    chain: &'static str,
    wall_ms: u128,
}

/// Tells the story and prints one JSON object at its end.
pub(super) fn tell(programs: &Programs, folder: &Path, started: Instant) -> Result<()> {
    let mut world = set_up(programs, folder)?;
    let units = world.boards.len();

    say("stopping the hub");
    world.hub.stop()?;
    ensure!(!world.hub.answers(), "the hub answers although it was stopped");

    say("four boards are put into the fixture");
    for board in &world.boards {
        board.insert()?;
    }
    badges(&mut world)?;
    let passed = all_slots(&mut world, "pass", FLASHING_S_MAX)?;
    ensure!(!world.hub.answers(), "the hub answered while the boards were flashed");
    let mut flashed_while_hub_down = 0;
    for (board, code) in world.boards.iter().zip(&passed) {
        let image = board.flash(0, 256)?;
        let block = board.flash(BLOCK_ADDRESS, BLOCK_BYTES)?;
        ensure!(!blank(&image), "the chip of board {} is blank", board.uid);
        ensure!(!blank(&block), "board {} has no activation block", board.uid);
        say(&format!("board {} passed with code {code}, the hub still away", board.uid));
        flashed_while_hub_down += 1;
    }

    say("starting the hub again");
    world.hub.start()?;
    let at_hub = until(Duration::from_secs(ARRIVING_S_MAX), || {
        let at_hub = world.hub.units()?;
        Ok((at_hub.iter().filter(|unit| unit["state"] == "passed").count() == units)
            .then_some(at_hub))
    })
    .context("waiting for the records to arrive at the hub")?;
    let codes_at_hub = codes(&at_hub)?;
    for (board, code) in world.boards.iter().zip(&passed) {
        ensure!(
            codes_at_hub.get(&board.uid) == Some(code),
            "the hub has another code for board {} than the station",
            board.uid
        );
    }
    say(&format!("{} units have arrived at the hub", at_hub.len()));

    say("taking the boards out and putting them in again");
    let blocks: Vec<String> = world
        .boards
        .iter()
        .map(|board| board.flash(BLOCK_ADDRESS, BLOCK_BYTES))
        .collect::<Result<_>>()?;
    for board in &world.boards {
        board.remove()?;
    }
    all_slots(&mut world, "empty", ARRIVING_S_MAX)?;
    for board in &world.boards {
        board.insert()?;
    }
    let seen = all_slots(&mut world, "seen_before", FLASHING_S_MAX)?;
    ensure!(seen == passed, "the codes changed: {passed:?} before, {seen:?} now");
    for (board, block) in world.boards.iter().zip(&blocks) {
        ensure!(
            board.flash(BLOCK_ADDRESS, BLOCK_BYTES)? == *block,
            "the activation block of board {} changed",
            board.uid
        );
        say(&format!("board {} was recognised", board.uid));
    }
    let at_hub = until(Duration::from_secs(ARRIVING_S_MAX), || {
        let at_hub = world.hub.units()?;
        let seen =
            at_hub.iter().filter(|unit| unit["seen_before_count"].as_u64() >= Some(1)).count();
        Ok((seen == units).then_some(at_hub))
    })
    .context("waiting for the second visits to arrive at the hub")?;

    let chain = world.verify_journal().context("verifying the station's journal at the hub")?;
    say(&format!("the hub holds {} records; their chain holds", chain.records));
    let passed_at_hub = at_hub.iter().filter(|unit| unit["state"] == "passed").count();
    let seen_at_hub =
        at_hub.iter().filter(|unit| unit["seen_before_count"].as_u64() >= Some(1)).count();
    let told = Told {
        units: at_hub.len(),
        passed: passed_at_hub,
        seen_before: seen_at_hub,
        flashed_while_hub_down,
        audit_records_at_hub: chain.records,
        chain: "verified",
        wall_ms: started.elapsed().as_millis(),
    };
    println!("{}", serde_json::to_string(&told)?);
    Ok(())
}

/// The boards wait for a badge. The lead's is proven by PIN, the worker's takes its place; the hub is
/// away.
fn badges(world: &mut World) -> Result<()> {
    world.slot_with_trouble(1, "F-64", Duration::from_secs(FLASHING_S_MAX))?;
    say("the boards wait: nobody has badged in");
    let unknown = world.station.scan("OP:somebody-elses")?;
    ensure!(unknown["word"] == "badge_unknown", "a stranger's badge: {unknown}");
    let lead = world.station.scan(&format!("OP:{}", LEAD.badge))?;
    ensure!(lead["word"] == "badged_in", "the lead's badge: {lead}");
    let wrong = world.station.enter_pin("161803")?;
    ensure!(wrong["word"] == "pin_wrong", "a wrong PIN: {wrong}");
    world.station.prove(&LEAD)?;
    say(&format!("lead {} has badged in and is proven by PIN", LEAD.number));
    world.station.badge_in(&WORKER)?;
    say(&format!("worker {} has taken their place", WORKER.number));
    // What the slots showed meanwhile is no failure of a board.
    until(Duration::from_secs(FLASHING_S_MAX), || {
        let view = world.station.view()?;
        let waits = view["slots"].as_array().context("a view without slots")?;
        Ok((!waits.iter().any(|slot| slot["trouble"]["code"] == "F-64")).then_some(()))
    })
}

/// Waits until every slot is in `state`; gives the codes on the tiles, in the order of the slots.
fn all_slots(world: &mut World, state: &str, seconds_max: u64) -> Result<Vec<String>> {
    let mut last = Value::Null;
    let waited = until(Duration::from_secs(seconds_max), || {
        world.all_alive()?;
        last = world.station.view()?;
        let slots = last["slots"].as_array().context("a view without slots")?;
        if let Some(failed) = slots.iter().find(|slot| slot["state"] == "fail") {
            bail!("slot {} failed: {}", failed["number"], failed["trouble"]);
        }
        if !slots.iter().all(|slot| slot["state"] == state) {
            return Ok(None);
        }
        Ok(Some(
            slots.iter().map(|slot| slot["code"].as_str().unwrap_or_default().to_owned()).collect(),
        ))
    });
    waited.with_context(|| format!("waiting for all slots to be `{state}`; last view: {last}"))
}

fn codes(units: &[Value]) -> Result<BTreeMap<String, String>> {
    units
        .iter()
        .map(|unit| {
            let text = |what: &str| {
                unit[what]
                    .as_str()
                    .map(str::to_owned)
                    .with_context(|| format!("a unit at the hub without {what}: {unit}"))
            };
            Ok((text("uid")?, text("code")?))
        })
        .collect()
}

fn blank(hex: &str) -> bool {
    hex.chars().all(|digit| digit.eq_ignore_ascii_case(&'f'))
}
