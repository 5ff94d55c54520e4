//! `simulated-board`: one board as one process.

#![allow(clippy::print_stdout, reason = "the first line of stdout tells the caller the ports")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use simulators::flash_file::FlashFile;
use simulators::nrf52::Revision;
use simulators::timing::Timing;
use simulators::{Addresses, BoardConfig, serve};
use tracing_subscriber::EnvFilter;

/// A board with a Black Magic Probe and an nRF52832 that runs what is flashed into it.
#[derive(Debug, Parser)]
#[command(name = "simulated-board", version)]
struct Arguments {
    /// The chip to model.
    #[arg(long, value_enum, default_value_t = ChipName::Nrf52832)]
    chip: ChipName,
    /// Silicon revision: `old` is open unless UICR locks it, `3` is locked unless UICR and
    /// firmware open it.
    #[arg(long, value_enum, default_value_t = RevisionName::Old)]
    revision: RevisionName,
    /// DEVICEID: 16 hex digits, the bytes as they lie in memory.
    #[arg(long, value_parser = uid)]
    uid: [u8; 8],
    /// File that keeps flash and UICR; created blank. Without it the chip forgets.
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
enum ChipName {
    Nrf52832,
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

fn uid(text: &str) -> Result<[u8; 8], String> {
    let mut uid = [0; 8];
    hex::decode_to_slice(text, &mut uid).map_err(|_| "16 hex digits".to_owned())?;
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
    let ChipName::Nrf52832 = arguments.chip;
    let mut timing = match arguments.timing {
        TimingName::Real => Timing { chip_scale: arguments.time_scale, ..Timing::REAL },
        TimingName::Off => Timing::OFF,
    };
    if let Some(ms) = arguments.latency_ms {
        timing.latency = Duration::from_millis(ms);
    }
    let cells = match &arguments.flash {
        Some(path) => FlashFile::open(path)?,
        None => FlashFile::in_memory(),
    };
    let config = BoardConfig {
        uid: arguments.uid,
        revision: match arguments.revision {
            RevisionName::Old => Revision::Old,
            RevisionName::Three => Revision::Three,
        },
        timing,
        cells,
        seated: !arguments.removed,
    };
    let addresses =
        Addresses { probe: arguments.probe, control: arguments.control, uart: arguments.uart };
    let served = serve(addresses, config).context("listening on the board's ports")?;
    let ports = serde_json::json!({
        "probe": served.addresses.probe.to_string(),
        "control": served.addresses.control.to_string(),
        "uart": served.addresses.uart.to_string(),
    });
    println!("{ports}");
    if arguments.until_stdin_ends {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    } else {
        served.wait();
    }
    Ok(())
}
