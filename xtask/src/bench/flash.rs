//! How long a visit takes, against the stock probe-rs command line on the same simulated board.
//!
//! Boards have the chip's real erase and write times and 1 ms of latency per probe transaction, for
//! us and for the peer. A visit is read from the station's own journal, from the record of contact
//! to the record of PASS; it holds identification, the reservation on disk, programming, read-back,
//! the activation block and the evidence on disk. The image has no self-test.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use journeys::world::{Board, BoardKind, Plan, Programs, Recipe, Research, World, until};
use serde_json::Value;

use super::{Case, median};
use crate::{
    checkout::{self, Profile, cargo},
    machine,
};

/// 250 KB that somebody else wrote; from Debian's package `firmware-microbit-micropython`.
const IMAGE: &str = "/usr/share/firmware-microbit-micropython/firmware.hex";
const SAMPLES: u32 = 3;
const SLOTS: u32 = 16;
const VISITS: Duration = Duration::from_secs(600);

/// Builds, measures and prints every case.
pub(super) fn run() -> Result<()> {
    machine::debian(machine::TO_BUILD)?;
    machine::debian(machine::TO_FLASH)?;
    let probe_rs = machine::probe_rs_cli()?;
    let programs = checkout::build_programs(cargo(), Profile::Release)?;
    let folder = tempfile::tempdir().context("making a fresh folder for the bench")?;

    let held = folder.path().join("held");
    fs::create_dir_all(&held).with_context(|| format!("making {}", held.display()))?;
    let (cli, cli_again): (Vec<f64>, Vec<f64>) = (1..=SAMPLES)
        .map(|number| time_cli(&programs, &probe_rs, number, &held))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let (alone, chips) = one_after_the_other(&programs, &folder.path().join("alone"))?;
    print("visit_blank_vs_probe_rs_cli", alone.clone(), cli, 0.75)?;
    print("overhead_over_chip_time", alone.clone(), chips, 1.10)?;
    // The boards the command line wrote; the station finds the image in them.
    let (again, _) = one_after_the_other(&programs, &held)?;
    print("visit_same_image_vs_probe_rs_cli", again, cli_again, 0.25)?;

    let (together, cpu) = all_at_once(&programs, &folder.path().join("together"))?;
    print("slots_16_vs_1", together, alone, 1.30)?;
    println!(
        "{}",
        serde_json::json!({
            "bench": "flash",
            "case": "slots_16_machine",
            "cpu_s_per_visit": cpu.busy_s / f64::from(SLOTS),
            "idle_percent": cpu.idle_percent,
            "machine_bound": cpu.idle_percent < 10.0,
        })
    );
    Ok(())
}

fn print(case: &str, ours: Vec<f64>, peer: Vec<f64>, target: f64) -> Result<()> {
    let (ours, peer) = (median(ours), median(peer));
    Case { bench: "flash", case, ours, peer, ratio: 0.0, target, unit: "ms" }.with_ratio().print()
}

/// The stock command line on a blank board, and again on the board that holds the image then:
/// download and verify, in milliseconds. What the board holds stays in `folder`.
fn time_cli(
    programs: &Programs,
    probe_rs: &Path,
    number: u32,
    folder: &Path,
) -> Result<(f64, f64)> {
    let board = Board::make(programs, BoardKind::Simulated, number, folder)?;
    board.insert()?;
    Ok((download(&board, probe_rs)?, download(&board, probe_rs)?))
}

fn download(board: &Board, probe_rs: &Path) -> Result<f64> {
    let started = Instant::now();
    let output = Command::new(probe_rs)
        .args(["download", "--chip", "nRF52832_xxAA", "--protocol", "swd", "--probe"])
        .arg(board.selector())
        .args(["--binary-format", "hex", "--verify", IMAGE])
        .stdin(Stdio::null())
        .output()
        .context("starting the stock probe-rs command line")?;
    let took = started.elapsed();
    ensure!(
        output.status.success(),
        "the stock command line failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(took.as_secs_f64() * 1000.0)
}

/// The boards of a folder, blank unless something was written to them before, one at a time: each
/// visit, and the chip's own time to erase and write in it, in milliseconds.
fn one_after_the_other(programs: &Programs, folder: &Path) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut world = world(programs, folder, SAMPLES)?;
    let mut chips = Vec::new();
    for slot in 0..world.boards.len() {
        world.boards[slot].insert()?;
        world.slot_becomes(slot + 1, &["pass"], VISITS)?;
        let counters: Value = serde_json::from_str(&world.boards[slot].pull("counters")?)?;
        let busy_ns = counters["busy_ns"].as_f64().context("the board counts no chip time")?;
        chips.push(busy_ns / 1e6);
    }
    Ok((visits(&world)?, chips))
}

/// Sixteen blank boards set in together: each visit in milliseconds, and what the machine did.
fn all_at_once(programs: &Programs, folder: &Path) -> Result<(Vec<f64>, Cpu)> {
    let mut world = world(programs, folder, SLOTS)?;
    let before = Cpu::ticks()?;
    for board in &world.boards {
        board.insert()?;
    }
    for slot in 1..=world.boards.len() {
        world.slot_becomes(slot, &["pass"], VISITS)?;
    }
    let cpu = Cpu::between(before, Cpu::ticks()?);
    Ok((visits(&world)?, cpu))
}

fn world(programs: &Programs, folder: &Path, boards: u32) -> Result<World> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let key = Research::activation_key(programs)?;
    let recipe = Recipe::plain("nrf52", "nRF52832_xxAA", &[]).activated(&key);
    let plan = Plan { recipe: Some(recipe), ..Plan::new(boards, Path::new(IMAGE)) };
    World::set_up(programs, folder, plan, &mut |_| ())
}

/// Contact to PASS of every visit the hub has heard of, in milliseconds.
fn visits(world: &World) -> Result<Vec<f64>> {
    until(VISITS, || {
        let journal = world.hub.journal(world.station.name())?;
        let records: Vec<Value> = journal["records"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|record| serde_json::from_str(record.as_str()?).ok())
            .collect();
        let at = |visit: &Value, event: &str| {
            records
                .iter()
                .find(|record| record["event"] == event && record["visit"] == *visit)
                .and_then(|record| record["at_ms"].as_i64())
        };
        let took: Vec<f64> = records
            .iter()
            .filter(|record| record["event"] == "passed")
            .filter_map(|record| {
                let ms = record["at_ms"].as_i64()? - at(&record["visit"], "contact")?;
                i32::try_from(ms).ok().map(f64::from)
            })
            .collect();
        Ok((took.len() == world.boards.len()).then_some(took))
    })
    .context("waiting for the visits to arrive at the hub")
}

/// What the machine's processors did meanwhile.
struct Cpu {
    busy_s: f64,
    idle_percent: f64,
}

impl Cpu {
    /// `(busy, idle)` in clock ticks since boot, of all processors (`proc(5)`, `/proc/stat`).
    fn ticks() -> Result<(f64, f64)> {
        let stat = fs::read_to_string("/proc/stat").context("reading the processors' times")?;
        let ticks: Vec<f64> = stat
            .lines()
            .next()
            .context("/proc/stat is empty")?
            .split_whitespace()
            .skip(1)
            .filter_map(|field| field.parse().ok())
            .collect();
        let idle = ticks.get(3).copied().unwrap_or(0.0) + ticks.get(4).copied().unwrap_or(0.0);
        Ok((ticks.iter().take(8).sum::<f64>() - idle, idle))
    }

    fn between(before: (f64, f64), after: (f64, f64)) -> Self {
        /// `USER_HZ`, the same on every Linux we run on.
        const TICKS_PER_S: f64 = 100.0;
        let (busy, idle) = (after.0 - before.0, after.1 - before.1);
        Self { busy_s: busy / TICKS_PER_S, idle_percent: 100.0 * idle / (busy + idle) }
    }
}
