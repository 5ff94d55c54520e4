//! `simulated-board`: one board as one process.

#![allow(clippy::print_stdout, reason = "the first line of stdout tells the caller the ports")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use simulators::flash_file::FlashFile;
use simulators::nrf52::Revision;
use simulators::rp2040;
use simulators::stm32::{self, PARTS};
use simulators::timing::Timing;
use simulators::{Addresses, BoardConfig, Served, serve};
use tracing_subscriber::EnvFilter;

/// Names of the first model, with and without its package.
const NRF52: [&str; 2] = ["nRF52832", "nRF52832_xxAA"];

/// The chip without flash of its own.
const RP2040: &str = "RP2040";

/// A board with a Black Magic Probe and a chip that runs what is flashed into it.
#[derive(Debug, Parser)]
#[command(name = "simulated-board", version)]
struct Arguments {
    /// The chip to model, by the name probe-rs has for it: nRF52832_xxAA, RP2040, STM32F072RB,
    /// STM32F103CB, STM32F303CB, STM32F405RG, STM32G071RB, STM32G431RB, STM32L476RG.
    #[arg(long, default_value = NRF52[0])]
    chip: String,
    /// nRF52832: silicon revision: `old` is open unless UICR locks it, `3` is locked unless UICR
    /// and firmware open it.
    #[arg(long, value_enum)]
    revision: Option<RevisionName>,
    /// The unique id as its bytes lie in memory: 16 hex digits for an nRF52832 (DEVICEID) or for
    /// the flash of an RP2040, 24 for an STM32.
    #[arg(long)]
    uid: String,
    /// File that keeps everything non-volatile; created as the factory delivers the chip. Without
    /// it the chip forgets.
    #[arg(long)]
    flash: Option<PathBuf>,
    /// Black Magic Probe remote protocol (port 0 = any).
    #[arg(long, default_value = "127.0.0.1:0")]
    probe: SocketAddr,
    /// Levers (port 0 = any).
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// What the firmware prints (port 0 = any).
    #[arg(long, default_value = "127.0.0.1:0")]
    uart: SocketAddr,
    /// `real`: the chip's erase and write times and 1 ms per probe transaction.
    #[arg(long, value_enum, default_value_t = TimingName::Off)]
    timing: TimingName,
    /// Factor on the chip's times, with `--timing real`.
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    time_scale: f64,
    /// Latency of every probe transaction in ms; overrides `--timing`.
    #[arg(long)]
    latency_ms: Option<u64>,
    /// Start outside the fixture.
    #[arg(long)]
    removed: bool,
    /// End when standard input ends, so that the board never outlives who started it.
    #[arg(long)]
    until_stdin_ends: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RevisionName {
    Old,
    #[value(name = "3")]
    Three,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TimingName {
    Real,
    Off,
}

fn uid<const BYTES: usize>(text: &str) -> anyhow::Result<[u8; BYTES]> {
    let mut uid = [0; BYTES];
    hex::decode_to_slice(text, &mut uid)
        .with_context(|| format!("--uid {text:?} is not {} hex digits", 2 * BYTES))?;
    Ok(uid)
}

fn scale(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|scale: &f64| (0.0..=1000.0).contains(scale))
        .ok_or_else(|| "a number from 0 to 1000".to_owned())
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let mut timing = match arguments.timing {
        TimingName::Real => Timing { chip_scale: arguments.time_scale, ..Timing::REAL },
        TimingName::Off => Timing::OFF,
    };
    if let Some(ms) = arguments.latency_ms {
        timing.latency = Duration::from_millis(ms);
    }
    let served = start(&arguments, timing)?;
    println!("{}", served.addresses.announcement());
    Ok(served.last(arguments.until_stdin_ends)?)
}

fn start(arguments: &Arguments, timing: Timing) -> anyhow::Result<Served> {
    let addresses =
        Addresses { probe: arguments.probe, control: arguments.control, uart: arguments.uart };
    let cells = |factory: Vec<u8>| match &arguments.flash {
        Some(path) => FlashFile::open_or_make(path, factory),
        None => Ok(FlashFile::blank(factory)),
    };
    let seated = !arguments.removed;
    let listening = "listening on the board's ports";
    if NRF52.iter().any(|name| name.eq_ignore_ascii_case(&arguments.chip)) {
        let revision = match arguments.revision {
            None | Some(RevisionName::Old) => Revision::Old,
            Some(RevisionName::Three) => Revision::Three,
        };
        let cells = cells(simulators::flash_file::nrf52())?;
        let uid = uid(&arguments.uid)?;
        let config = BoardConfig { uid, revision, timing, cells, seated };
        return serve(addresses, config).context(listening);
    }
    if arguments.chip.eq_ignore_ascii_case(RP2040) {
        let cells = cells(vec![0xFF; rp2040::FLASH_BYTES])?;
        let config = rp2040::Config { uid: uid(&arguments.uid)?, timing, cells, seated };
        return serve(addresses, config).context(listening);
    }
    let Some(part) = stm32::part(&arguments.chip) else {
        let known: Vec<&str> = NRF52
            .iter()
            .skip(1)
            .copied()
            .chain([RP2040])
            .chain(PARTS.iter().map(|part| part.name))
            .collect();
        bail!("no model of {:?}; there are {}", arguments.chip, known.join(", "));
    };
    if arguments.revision.is_some() {
        bail!("--revision is for the nRF52832, not for {}", part.name);
    }
    let cells = cells(part.factory())?;
    let config = stm32::Config { part, uid: uid(&arguments.uid)?, timing, cells, seated };
    serve(addresses, config).context(listening)
}
