//! What a person at the line waits for: the answer to a scan, the page, the lead's charts.
//!
//! Sixteen simulated boards with the chip's own times are flashed while scans are answered and the
//! page is open in Chromium. The charts are read from a store with a million ended visits.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use journeys::world::{Plan, Programs, Recipe, Research, World};
use serde_json::{Value, json};

use super::median;
use crate::{
    checkout::{self, Profile, cargo, top},
    machine,
    stage::{must, output},
};

/// 250 KB that somebody else wrote; from Debian's package `firmware-microbit-micropython`.
const IMAGE: &str = "/usr/share/firmware-microbit-micropython/firmware.hex";
const SLOTS: u32 = 16;
const SCANS: usize = 200;
const VISITS: Duration = Duration::from_secs(600);
/// Seconds of watching the page while the slots work.
const WATCH_S: u32 = 10;

/// Builds, measures and prints every case.
pub(super) fn run() -> Result<()> {
    machine::debian(machine::TO_BUILD)?;
    machine::debian(machine::TO_FLASH)?;
    machine::debian(machine::TO_BROWSE)?;
    machine::npm()?;
    must(machine::npm_command(&top().join("ui")).args(["run", "--silent", "build"]))?;
    print("kiosk_js_gzip_kb", page_kb()?, 60.0, "KB")?;
    let programs = checkout::build_programs(cargo(), Profile::Release)?;
    let folder = tempfile::tempdir().context("making a fresh folder for the bench")?;
    charts(folder.path())?;
    line(&programs, &folder.path().join("line"))
}

fn print(case: &str, value: f64, target: f64, unit: &str) -> Result<()> {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let line = json!({
        "bench": "kiosk", "case": case, "value": value, "target": target, "unit": unit,
        "cores": cores, "load_1m": load.split(' ').next().and_then(|load| load.parse::<f64>().ok()),
        "calibration_ms": calibration_ms(),
    });
    println!("{line}");
    Ok(())
}

/// A fixed piece of work, so that figures of two machines can be held side by side: milliseconds
/// for ten million steps of a linear congruence.
fn calibration_ms() -> f64 {
    let begun = Instant::now();
    let mut state = 1_u64;
    for _ in 0..10_000_000 {
        state = std::hint::black_box(
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407),
        );
    }
    std::hint::black_box(state);
    begun.elapsed().as_secs_f64() * 1000.0
}

/// All scripts of the built page, each packed by itself as a server would send it, in 1024 bytes.
fn page_kb() -> Result<f64> {
    let folder = top().join("ui/kiosk/dist/assets");
    let mut bytes = 0.0;
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry.context("reading the built page")?.path();
        if path.extension().is_some_and(|ending| ending == "js") {
            let packed = Command::new("gzip").arg("-9c").arg(&path).output();
            bytes += packed.context("starting gzip")?.stdout.len() as f64;
        }
    }
    ensure!(bytes > 0.0, "the built page has no scripts");
    Ok(bytes / 1024.0)
}

/// The lead's figures over a million visits of one order, as the API reads them.
fn charts(folder: &Path) -> Result<()> {
    let said = output(
        cargo()
            .args(["run", "--release", "--quiet", "--locked", "--package", "station-daemon"])
            .args(["--example", "lead-charts", "--"])
            .arg(folder),
    )?;
    let times: Vec<f64> =
        serde_json::from_str(&said).with_context(|| format!("the charts said {said:?}"))?;
    print("lead_charts_1m_ms", median(times), 300.0, "ms")
}

/// Sixteen slots at work: scans, page, processors.
fn line(programs: &Programs, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let key = Research::activation_key(programs)?;
    let recipe = Recipe::plain("nrf52", "nRF52832_xxAA", &[]).activated(&key);
    let plan = Plan {
        recipe: Some(recipe),
        page: Some(top().join("ui/kiosk/dist")),
        ..Plan::new(SLOTS, Path::new(IMAGE))
    };
    let mut world = World::set_up(programs, folder, plan, &mut |_| ())?;
    let mut chromium = Command::new("node")
        .arg("e2e/bench.mjs")
        .arg(world.station.kiosk_address()?)
        .arg(WATCH_S.to_string())
        .current_dir(top().join("ui/kiosk"))
        .stdout(Stdio::piped())
        .spawn()
        .context("starting Chromium")?;
    let mut said = BufReader::new(chromium.stdout.take().context("Chromium says nothing")?).lines();
    let mut next = || -> Result<Value> {
        let line = said.next().context("Chromium ended early")?.context("hearing Chromium")?;
        serde_json::from_str(&line).with_context(|| format!("Chromium said {line:?}"))
    };
    let ready = next()?;
    for board in &world.boards {
        board.insert()?;
    }
    world.slot_becomes(1, &["flashing", "verifying", "pass"], VISITS)?;
    let before = daemon_cpu_s(&world)?;
    let mut answers = Vec::new();
    for number in 0..SCANS {
        let begun = Instant::now();
        world.station.scan(&format!("WO:{number}"))?;
        answers.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let page = next()?;
    let daemon_s = daemon_cpu_s(&world)? - before;
    for slot in 1..=world.boards.len() {
        world.slot_becomes(slot, &["pass"], VISITS)?;
    }
    answers.sort_by(f64::total_cmp);
    print("scan_to_answer_p95_ms", answers[answers.len() * 95 / 100], 100.0, "ms")?;
    print("ready_ms", ready["ready_ms"].as_f64().context("no time")?, 1500.0, "ms")?;
    let page_s = page["page_cpu_s"].as_f64().context("no processor time")?;
    let wall_s = page["wall_s"].as_f64().context("no time")?;
    print("cpu_share_16_slots", (page_s + daemon_s) / wall_s, 0.25, "cores")?;
    chromium.wait().context("waiting for Chromium")?;
    Ok(())
}

/// Processor time of the station's own process, without its workers, in seconds (`proc(5)`).
fn daemon_cpu_s(world: &World) -> Result<f64> {
    /// `USER_HZ`, the same on every Linux we run on.
    const TICKS_PER_S: f64 = 100.0;
    let process = world.station.process().context("the station does not run")?;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("reading its times")?;
    let after_name = stat.rsplit(')').next().context("no times")?;
    let fields: Vec<f64> =
        after_name.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // utime and stime are fields 14 and 15; state, the third, is no number.
    Ok((fields.get(10).context("no times")? + fields.get(11).context("no times")?) / TICKS_PER_S)
}
