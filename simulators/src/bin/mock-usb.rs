//! `mock-usb -- COMMAND`: runs a program on a machine whose USB sockets hold simulated boards.
//!
//! Real libusb in that program finds them: `mock-usb -- dfu-util -l`. When the program ends, a line
//! of JSON tells how long it took and what became of the boards. No root, no kernel module.

#![allow(clippy::print_stdout, reason = "the report is what this program is for")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use serde_json::json;
use simulators::dfu::{Device, Lever, Memory, Silicon};
use simulators::usbfs::{Usb, WireTime, preload, under_preload};

/// Runs a program on a machine whose USB sockets hold boards in their DFU loader.
#[derive(Debug, Parser)]
#[command(name = "mock-usb", version)]
struct Arguments {
    /// Sockets with a board in them.
    #[arg(long = "socket", value_name = "usb:BUS-PORT[.PORT…]", default_value = "usb:1-2.3")]
    sockets: Vec<String>,
    /// The chip on every board.
    #[arg(long, value_enum, default_value = "stm32f405")]
    chip: Chip,
    /// The serial number of every board: ROM loaders repeat theirs too.
    #[arg(long, default_value = "STM32FxSTM32")]
    serial: String,
    /// What lies in every board's flash, from its start; blank without it.
    #[arg(long)]
    holding: Option<PathBuf>,
    /// A fault of the first board, such as dnload:12=stall.
    #[arg(long = "lever")]
    levers: Vec<Lever>,
    /// How fast the wire is; the chip always takes its own time.
    #[arg(long, value_enum, default_value = "full-speed")]
    wire: Wire,
    /// Where to put the first board's whole flash when the program has ended.
    #[arg(long)]
    dump: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Chip {
    Stm32f405,
    Stm32l476,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wire {
    /// As a device at 12 Mbit/s.
    FullSpeed,
    /// Transfers take no time.
    None,
}

impl Chip {
    fn silicon(self) -> Silicon {
        match self {
            Self::Stm32f405 => Silicon::stm32f405(),
            Self::Stm32l476 => Silicon::stm32l476(),
        }
    }
}

/// The n-th board's unique id: lot and wafer of a chip that exists, a place that counts.
fn uid(number: usize) -> [u8; 12] {
    let place = u8::try_from(number % 256).unwrap_or(0);
    [0x2A, 0, place, 0, 0x0B, 0x51, 0x33, 0x34, 0x39, 0x38, 0x31, 0x37]
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let wire = match arguments.wire {
        Wire::FullSpeed => WireTime::FULL_SPEED,
        Wire::None => WireTime::NONE,
    };
    let held = match &arguments.holding {
        Some(path) => fs::read(path).with_context(|| format!("reading {}", path.display()))?,
        None => Vec::new(),
    };
    let usb = Usb::new(wire)?;
    for (number, socket) in arguments.sockets.iter().enumerate() {
        let silicon = arguments.chip.silicon();
        let start = silicon.start;
        let mut memory = Memory::new(silicon, uid(number));
        memory.put(start, &held);
        usb.insert(socket, Device::new(memory, &arguments.serial))?;
    }
    let Some(first) = arguments.sockets.first() else { bail!("no socket") };
    for lever in &arguments.levers {
        usb.with(first, |device| device.pull(*lever));
    }

    let [program, rest @ ..] = &arguments.command[..] else { bail!("no program") };
    let begun = Instant::now();
    // What it says goes to standard error: standard output is the report's.
    let output = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("starting {program}"))?;
    let took_ms = begun.elapsed().as_secs_f64() * 1000.0;

    let boards: BTreeMap<&str, serde_json::Value> = arguments
        .sockets
        .iter()
        .filter_map(|socket| {
            let tell = |device: &mut Device| {
                json!({
                    "erases": device.erases(),
                    "programmed_bytes": device.programmed_bytes(),
                    "transfers": device.transfers(),
                    "runs_its_program": device.runs_its_program(),
                })
            };
            Some((socket.as_str(), usb.with(socket, tell)?))
        })
        .collect();
    if let Some(path) = &arguments.dump {
        let flash = usb.with(first, |device| device.memory().bytes().to_vec()).unwrap_or_default();
        let shown = path.display();
        File::create(path)
            .and_then(|mut file| file.write_all(&flash))
            .with_context(|| format!("writing {shown}"))?;
    }
    println!("{}", json!({ "success": output.success(), "took_ms": took_ms, "boards": boards }));
    Ok(if output.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if under_preload() {
        return run(&arguments);
    }
    // The preload library has to be there when a process starts.
    let mut again = Command::new(std::env::current_exe().context("finding this program")?);
    again.args(std::env::args_os().skip(1));
    let status = preload(&mut again).status().context("starting this program again")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
