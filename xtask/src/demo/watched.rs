//! The story that a browser or the kiosk window watches: slot 1 goes from empty to PASS.

use std::{path::Path, process::Command};

use anyhow::Result;
use journeys::world::{Programs, WORKER, World};

use super::{say, set_up};
use crate::{
    checkout::{target, top},
    machine,
    stage::must,
    suite,
};

/// Real Chromium on the daemon's page.
pub(super) fn in_chromium(programs: &Programs, folder: &Path) -> Result<()> {
    let world = set_up(programs, folder)?;
    say("in Chromium a worker badges in; it watches slot 1 go from empty to PASS");
    must(watcher(&world, "ui/kiosk/e2e/live.mjs")?.env("BADGE", format!("OP:{}", WORKER.badge)))
}

/// The real kiosk window, driven through WebDriver, on a screen of its own.
pub(super) fn in_window(programs: &Programs, folder: &Path) -> Result<()> {
    let shell = suite::window::shell()?;
    let driver = machine::tauri_driver()?;
    let world = set_up(programs, folder)?;
    world.station.badge_in(&WORKER)?;
    say("a worker has badged in; the kiosk window watches slot 1 go from empty to PASS");
    let mut watcher = watcher(&world, "src-tauri/e2e/window.mjs")?;
    must(watcher.env("KIOSK_SHELL", shell).env("TAURI_DRIVER", driver))
}

/// A Node program that is told where the kiosk page is and how to insert the board of slot 1.
fn watcher(world: &World, script: &str) -> Result<Command> {
    let mut node = Command::new("node");
    node.current_dir(top())
        .arg(top().join(script))
        .env("KIOSK_URL", world.station.kiosk_address()?)
        .env("BOARD_CONTROL", &world.boards[0].control)
        .env("SCREENSHOTS", target().join("screenshots"));
    Ok(node)
}
