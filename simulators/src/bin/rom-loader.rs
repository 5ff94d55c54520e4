//! `rom-loader`: one STM32 in its ROM loader, as one process.

#![allow(clippy::print_stdout, reason = "the first line of stdout tells the caller the ports")]

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use simulators::rom_loader::chip::{MODELS, model};
use simulators::rom_loader::{Chip, Model, Settings, serve};
use tracing_subscriber::EnvFilter;

/// An STM32 that was started into its ROM loader, on a pseudo-terminal.
#[derive(Debug, Parser)]
#[command(name = "rom-loader", version)]
struct Arguments {
    /// The chip to model: stm32f103, stm32f103x8 (half its flash) or stm32f303.
    #[arg(long, value_parser = chip)]
    chip: &'static Model,
    /// Unique id: 24 hex digits, the bytes as they lie in memory.
    #[arg(long, value_parser = uid)]
    uid: [u8; 12],
    /// File that keeps flash and option bytes; created blank. Without it the chip forgets.
    #[arg(long)]
    flash: Option<PathBuf>,
    /// Levers (port 0 = any).
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Factor on the time of bytes and of the chip; 0 = everything is instant.
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    time_scale: f64,
    /// End when standard input ends, so that the chip never outlives who started it.
    #[arg(long)]
    until_stdin_ends: bool,
}

fn chip(name: &str) -> Result<&'static Model, String> {
    model(name).ok_or_else(|| {
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        format!("one of {}", names.join(", "))
    })
}

fn uid(text: &str) -> Result<[u8; 12], String> {
    let mut uid = [0; 12];
    hex::decode_to_slice(text, &mut uid).map_err(|_| "24 hex digits".to_owned())?;
    Ok(uid)
}

fn scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "a number".to_owned())?;
    if (0.0..=100.0).contains(&scale) { Ok(scale) } else { Err("0 to 100".to_owned()) }
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let chip = Chip::new(arguments.chip, arguments.uid, arguments.flash.as_deref())
        .context("opening the flash file")?;
    let settings = Settings { chip, control: arguments.control, time_scale: arguments.time_scale };
    let served = serve(settings).context("opening the serial port and the control port")?;
    let ports = serde_json::json!({ "tty": served.tty, "control": served.control.to_string() });
    println!("{ports}");
    if arguments.until_stdin_ends {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    } else {
        served.wait();
    }
    Ok(())
}
