//! `rom-loader`: one STM32 or ESP32 in its ROM loader, as one process.

#![allow(clippy::print_stdout, reason = "the first line of stdout tells the caller the ports")]

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use simulators::rom_loader::Served;
use simulators::{esp_loader, rom_loader};
use tracing_subscriber::EnvFilter;

/// A chip that was started into its ROM loader, on a pseudo-terminal.
#[derive(Debug, Parser)]
#[command(name = "rom-loader", version)]
struct Arguments {
    /// The chip to model: stm32f072, stm32f103, stm32f103x8 (half its flash), stm32f303,
    /// stm32f405, stm32g071, stm32l053, stm32l476, esp32, esp32c3.
    #[arg(long, value_parser = model)]
    chip: Model,
    /// Unique id: 24 hex digits, the bytes as they lie in memory; of an ESP32 its MAC, 12 hex
    /// digits as it is printed.
    #[arg(long, value_parser = uid)]
    uid: Uid,
    /// File that keeps flash and option bytes; created blank. Without it the chip forgets.
    #[arg(long)]
    flash: Option<PathBuf>,
    /// MiB of an ESP32's flash, a power of two.
    #[arg(long, default_value_t = 4, value_parser = flash_mib)]
    flash_mib: u32,
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

/// A chip of either kind.
#[derive(Debug, Clone, Copy)]
enum Model {
    Stm32(&'static rom_loader::Model),
    Esp32(&'static esp_loader::Model),
}

/// Twelve bytes or six.
#[derive(Debug, Clone)]
struct Uid(Vec<u8>);

fn model(name: &str) -> Result<Model, String> {
    let stm32 = rom_loader::models::model(name).map(Model::Stm32);
    let model = stm32.or_else(|| esp_loader::chip::model(name).map(Model::Esp32));
    model.ok_or_else(|| {
        let stm32 = rom_loader::models::MODELS.iter().map(|model| model.name);
        let esp32 = esp_loader::chip::MODELS.iter().map(|model| model.name);
        format!("one of {}", stm32.chain(esp32).collect::<Vec<_>>().join(", "))
    })
}

fn uid(text: &str) -> Result<Uid, String> {
    let uid = hex::decode(text).ok().filter(|bytes| matches!(bytes.len(), 6 | 12));
    uid.map(Uid).ok_or_else(|| "24 hex digits, or 12 for an ESP32".to_owned())
}

fn flash_mib(text: &str) -> Result<u32, String> {
    let mib = text.parse().ok().filter(|mib: &u32| mib.is_power_of_two() && *mib <= 16);
    mib.ok_or_else(|| "1, 2, 4, 8 or 16".to_owned())
}

fn scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "a number".to_owned())?;
    if (0.0..=100.0).contains(&scale) { Ok(scale) } else { Err("0 to 100".to_owned()) }
}

fn serve(arguments: &Arguments) -> anyhow::Result<Served> {
    let (control, time_scale) = (arguments.control, arguments.time_scale);
    let (Uid(uid), flash) = (&arguments.uid, arguments.flash.as_deref());
    let flash_file = "opening the flash file";
    let served = match arguments.chip {
        Model::Stm32(model) => {
            let uid = uid[..].try_into().context("an STM32 has 24 hex digits")?;
            let chip = rom_loader::Chip::new(model, uid, flash).context(flash_file)?;
            rom_loader::serve(rom_loader::Settings { chip, control, time_scale })
        }
        Model::Esp32(model) => {
            let mac = uid[..].try_into().context("an ESP32 has 12 hex digits")?;
            let bytes = arguments.flash_mib << 20;
            let chip = esp_loader::Chip::new(model, mac, bytes, flash).context(flash_file)?;
            esp_loader::serve(esp_loader::Settings { chip, control, time_scale })
        }
    };
    served.context("opening the serial port and the control port")
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let served = serve(&arguments)?;
    let ports = serde_json::json!({ "tty": served.tty, "control": served.control.to_string() });
    println!("{ports}");
    if arguments.until_stdin_ends {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    } else {
        served.wait();
    }
    Ok(())
}
