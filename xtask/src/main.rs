//! The chores: `cargo xtask demo`, `cargo xtask test` and the few words behind them.
//!
//! Owns the order of the steps and what a fresh machine needs. Owns nothing of the product: it
//! drives the same programs a customer runs, through their command lines and their sockets.
#![allow(clippy::print_stdout, reason = "its output is read by people and by CI")]
#![allow(clippy::print_stderr, reason = "its output is read by people and by CI")]

mod bench;
mod checkout;
mod demo;
mod machine;
mod stage;
mod suite;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Flashline's chores", long_about = None)]
struct Chores {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// A hub, a station and four simulated boards on this machine, until Ctrl-C
    Demo(demo::Options),
    /// Everything a change must pass before it lands
    Test {
        /// Also what is slow: the kiosk window, the stock probe-rs CLI, QEMU
        #[arg(long)]
        deep: bool,
        /// Only the stages whose name holds this text, after the prerequisites
        #[arg(long)]
        only: Option<String>,
    },
    /// The fast part of `test`: format, lints, types and the quick Rust tests
    Check,
    /// Measures: prints one JSON object per case
    Bench {
        /// Which bench: `custody`, `delta`, `flash`, `dfu`, `uart`
        name: String,
    },
    /// Writes the generated API document and TypeScript types anew
    Types,
}

fn main() -> ExitCode {
    let outcome = match Chores::parse().chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Test { deep, only } => suite::test(deep, only),
        Chore::Check => suite::check(),
        Chore::Bench { name } => bench::run(&name),
        Chore::Types => suite::types(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
