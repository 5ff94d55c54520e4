//! A chip and firmware that other people wrote: QEMU's nRF51 and MicroPython, through the whole
//! house.

use std::{path::Path, time::Duration};

use anyhow::Result;
use journeys::world::{BoardKind, Plan, Programs, Recipe, World};

/// From Debian's package `firmware-microbit-micropython`.
const MICROPYTHON: &str = "/usr/share/firmware-microbit-micropython/firmware.hex";
/// The driver's nRF51 has no UICR: the firmware's records for it are left out by name.
const UICR: (u32, u32) = (0x1000_1000, 0x1000_1400);

#[test]
fn micropython_runs_on_a_chip_we_did_not_write_and_what_was_left_out_is_shown() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let recipe =
        Recipe::plain("nrf51", "nRF51822_xxAA", &[UICR]).listening_for("MicroPython v1.9", 60_000);
    let plan = Plan {
        recipe: Some(recipe),
        kind: BoardKind::Emulated,
        ..Plan::new(1, Path::new(MICROPYTHON))
    };
    let mut world =
        World::set_up(&Programs::beside_this_test()?, folder.path(), plan, &mut |_| ())?;
    let shown = world.research.inspect(&world.release.bundle)?;
    assert!(shown.contains("NOT flashed"), "the summary hides what is left out: {shown}");

    world.boards[0].insert()?;
    world.slot_becomes(1, &["pass"], Duration::from_secs(150))?;
    world.all_records_arrive()?;
    let journal = world.hub.journal(world.station.name())?;
    assert!(journal.to_string().contains("MicroPython v1.9"), "no banner in the evidence");
    world.verify_journal()?;
    Ok(())
}
