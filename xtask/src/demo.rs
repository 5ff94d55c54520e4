//! `cargo xtask demo`: the whole house on one machine, as a new user meets it.

mod headless;
mod watched;

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use journeys::world::{LEAD, Plan, Programs, WORKER, World, until};

use crate::{
    checkout::{self, Profile, cargo, top},
    machine,
    stage::must,
    suite,
};

/// What the demo may be asked for.
#[derive(Args)]
pub(crate) struct Options {
    /// Open the touch kiosk in a window of its own (installs WebKitGTK the first time)
    #[arg(long, conflicts_with = "headless")]
    window: bool,
    /// Play the whole story by itself and end
    #[arg(long)]
    headless: bool,
    /// Have Chromium, or the kiosk window, watch a board go from empty to PASS
    #[arg(long, value_enum, conflicts_with_all = ["headless", "window"])]
    watched_in: Option<Watcher>,
}

/// Who can watch.
#[derive(Clone, Copy, ValueEnum)]
enum Watcher {
    Chromium,
    Window,
}

/// Who watches the demo.
#[derive(Clone, Copy)]
pub(crate) enum Story {
    /// Somebody at this machine, until Ctrl-C.
    Shown,
    /// Somebody at this machine, in the kiosk window, until it closes.
    ShownInWindow,
    /// Nobody: it tells its steps and one JSON object.
    Headless,
    /// Chromium, from an empty slot to PASS.
    WatchedInChromium,
    /// The kiosk window, from an empty slot to PASS.
    WatchedInWindow,
}

/// Runs the demo that was asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    machine::debian(machine::TO_BUILD)?;
    let story = match (options.watched_in, options.window, options.headless) {
        (Some(Watcher::Chromium), _, _) => Story::WatchedInChromium,
        (Some(Watcher::Window), _, _) => Story::WatchedInWindow,
        (None, true, _) => Story::ShownInWindow,
        (None, false, true) => Story::Headless,
        (None, false, false) => Story::Shown,
    };
    let started = Instant::now();
    say("building the programs");
    let programs = checkout::build_programs(cargo(), Profile::Dev)?;
    tell(&programs, story, started)
}

/// Tells a story with programs that are built.
pub(crate) fn tell(programs: &Programs, story: Story, started: Instant) -> Result<()> {
    if !matches!(story, Story::Headless) {
        say("building the kiosk page");
        machine::npm()?;
        must(machine::npm_command(&top().join("ui")).args(["run", "--silent", "build"]))?;
    }
    let folder = tempfile::Builder::new()
        .prefix("flashline-demo-")
        .tempdir()
        .context("making a fresh folder for the demo")?;
    let told = match story {
        Story::Headless => headless::tell(programs, folder.path(), started),
        Story::Shown => shown(programs, folder.path()),
        Story::ShownInWindow => shown_in_window(programs, folder.path()),
        Story::WatchedInChromium => watched::in_chromium(programs, folder.path()),
        Story::WatchedInWindow => watched::in_window(programs, folder.path()),
    };
    if told.is_err() {
        let kept = folder.keep();
        say(&format!("what the programs wrote is kept in {}", kept.display()));
    }
    told
}

/// One readable line per step.
pub(crate) fn say(step: &str) {
    println!("· {step}");
}

fn shown(programs: &Programs, folder: &std::path::Path) -> Result<()> {
    let mut world = set_up(programs, folder)?;
    for board in &world.boards {
        board.insert()?;
    }
    println!("\nThe kiosk page: {}", world.station.kiosk_address()?);
    println!("It asks for a badge. Type what a scanner would, with Enter at the end:");
    println!("  OP:{} the worker, or OP:{} the lead", WORKER.badge, LEAD.badge);
    println!("  (PIN {}).", LEAD.pin.unwrap_or_default());
    println!("Four boards are in the fixture. To take one out or put it in again, say `remove` or");
    println!("`insert` to its control port:");
    for (board, slot) in world.boards.iter().zip(1..) {
        println!("  slot {slot}: chip {}, control port {}", board.uid, board.control);
    }
    println!("Ctrl-C ends the demo.");
    until_asked_to_end(&mut world)
}

fn shown_in_window(programs: &Programs, folder: &std::path::Path) -> Result<()> {
    let shell = suite::window::shell()?;
    let mut world = set_up(programs, folder)?;
    for board in &world.boards {
        board.insert()?;
    }
    // A kiosk has a scanner and no keyboard.
    world.station.badge_in(&WORKER)?;
    say(&format!("worker {} has badged in", WORKER.number));
    let asked = asked_to_end()?;
    let mut window = Command::new(shell)
        .arg(world.station.kiosk_address()?)
        .spawn()
        .context("opening the kiosk window")?;
    say("the kiosk window is open; close it or press Ctrl-C to end");
    let closed = until(Duration::MAX, || {
        world.all_alive()?;
        let closed = window.try_wait().context("looking after the kiosk window")?;
        Ok(closed.map(Some).or_else(|| asked.load(Ordering::SeqCst).then_some(None)))
    })?;
    let Some(status) = closed else {
        window.kill().context("closing the kiosk window")?;
        window.wait().context("waiting for the kiosk window to close")?;
        return Ok(());
    };
    ensure!(status.success(), "the kiosk window ended with {status}");
    Ok(())
}

/// Everything up to four empty slots and a station that may flash.
fn set_up(programs: &Programs, folder: &std::path::Path) -> Result<World> {
    let firmware = top().join("device-sdk/demo/demo-lamp-1.0.0.hex");
    ensure!(
        fs::exists(&firmware).unwrap_or(false),
        "the demo firmware is missing: {}",
        firmware.display()
    );
    let page = top().join("ui/kiosk/dist");
    let page = page.is_dir().then_some(page);
    let plan = Plan { page, people: true, ..Plan::new(4, &firmware) };
    World::set_up(programs, folder, plan, &mut |step| say(step))
}

fn until_asked_to_end(world: &mut World) -> Result<()> {
    let asked = asked_to_end()?;
    until(Duration::MAX, || {
        world.all_alive()?;
        Ok(asked.load(Ordering::SeqCst).then_some(()))
    })?;
    say("ending");
    Ok(())
}

/// Becomes true with Ctrl-C or SIGTERM.
fn asked_to_end() -> Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&asked);
    ctrlc::set_handler(move || heard.store(true, Ordering::SeqCst))
        .context("listening for Ctrl-C")?;
    Ok(asked)
}
