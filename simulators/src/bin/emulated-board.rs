//! `emulated-board`: one board as one process, its chip emulated by QEMU.

#![allow(clippy::print_stdout, reason = "the first line of stdout tells the caller the ports")]

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use simulators::qemu::EmulatedBoard;
use simulators::{Addresses, serve_board};
use tracing_subscriber::EnvFilter;

/// A board with a Black Magic Probe and an nRF51822 whose core, flash controller and UART are
/// QEMU's. QEMU ends with this process, however it ends.
#[derive(Debug, Parser)]
#[command(name = "emulated-board", version)]
struct Arguments {
    /// DEVICEID: 16 hex digits, the bytes as they lie in memory.
    #[arg(long, value_parser = uid)]
    uid: [u8; 8],
    /// Black Magic Probe remote protocol (port 0 = any).
    #[arg(long, default_value = "127.0.0.1:0")]
    probe: SocketAddr,
    /// Levers (port 0 = any).
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// What the firmware prints (port 0 = any).
    #[arg(long, default_value = "127.0.0.1:0")]
    uart: SocketAddr,
    /// Start outside the fixture.
    #[arg(long)]
    removed: bool,
    /// End when standard input ends, so that the board never outlives who started it.
    #[arg(long)]
    until_stdin_ends: bool,
}

fn uid(text: &str) -> Result<[u8; 8], String> {
    let mut uid = [0; 8];
    hex::decode_to_slice(text, &mut uid).map_err(|_| "16 hex digits".to_owned())?;
    Ok(uid)
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let board = EmulatedBoard::start(arguments.uid, !arguments.removed)
        .context("starting qemu-system-arm (Debian package qemu-system-arm)")?;
    let addresses =
        Addresses { probe: arguments.probe, control: arguments.control, uart: arguments.uart };
    let served = serve_board(addresses, move || board).context("listening on the board's ports")?;
    println!("{}", served.addresses.announcement());
    Ok(served.last(arguments.until_stdin_ends)?)
}
