//! How long a visit through a serial ROM loader takes, against `stm32flash` on the same simulated
//! chip.
//!
//! Both run unmodified as processes of their own, started and ended within the measured time, over
//! a pseudo-terminal whose bytes take the time they need at 115200 with parity; the chip erases and
//! writes as slowly as an STM32F103. Both write one image and compare every byte of it by reading it
//! back; ours also reads who the chip is and starts the program.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Case, median};
use crate::{
    checkout::{cargo, target},
    machine,
    stage::must,
};

const SAMPLES: u32 = 3;
const BAUD: &str = "115200";
/// Half a minute of wire for all samples together.
const IMAGE_BYTES: u32 = 32 * 1024;

/// Builds, measures and prints the case.
pub(super) fn run() -> Result<()> {
    machine::debian(machine::TO_EMULATE)?;
    must(cargo().args([
        "build",
        "--locked",
        "--quiet",
        "--release",
        "--package",
        "flash",
        "--package",
        "simulators",
        "--bin",
        "board-visit",
        "--bin",
        "rom-loader",
    ]))?;
    let folder = tempfile::tempdir().context("making a fresh folder for the bench")?;
    let image = image(&folder.path().join("image.bin"))?;
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let loader = Loader::start()?;
        let mut visit = Command::new(target().join("release/board-visit"));
        visit.arg(format!("tty:{}@{BAUD}", loader.tty)).arg("STM32F103CB").arg(&image);
        ours.push(loader.time(visit, &image)?);

        let loader = Loader::start()?;
        let mut visit = Command::new("stm32flash");
        // A pseudo-terminal has no parity, and stm32flash insists on what it asked for.
        visit.args(["-b", BAUD, "-m", "8n1", "-v", "-w"]).arg(&image).arg(&loader.tty);
        peer.push(loader.time(visit, &image)?);
    }
    let (ours, peer) = (median(ours), median(peer));
    let case = "uart_vs_stm32flash";
    Case { bench: "flash", case, ours, peer, ratio: 0.0, target: 1.0, unit: "ms" }
        .with_ratio()
        .print()
}

/// Reproducible bytes that start like a program: a stack in RAM, an entry in flash.
fn image(path: &Path) -> Result<PathBuf> {
    let mut bytes: Vec<u8> =
        (0..IMAGE_BYTES).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    bytes.splice(..8, [0x00, 0x10, 0x00, 0x20, 0x41, 0x01, 0x00, 0x08]);
    File::create(path)
        .and_then(|mut file| file.write_all(&bytes))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(path.to_owned())
}

/// A blank STM32F103 in its ROM loader.
struct Loader {
    process: Child,
    tty: String,
    control: String,
}

impl Loader {
    fn start() -> Result<Self> {
        let mut process = Command::new(target().join("release/rom-loader"))
            .args(["--chip", "stm32f103", "--uid", "0123456789ABCDEF01234567"])
            .arg("--until-stdin-ends")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting rom-loader")?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("rom-loader has no output")?;
        BufReader::new(stdout).read_line(&mut line).context("reading rom-loader's ports")?;
        let ports: Value = serde_json::from_str(&line).context("reading rom-loader's ports")?;
        let text = |name: &str| ports[name].as_str().map(str::to_owned);
        let (Some(tty), Some(control)) = (text("tty"), text("control")) else {
            bail!("rom-loader printed {line:?}");
        };
        Ok(Self { process, tty, control })
    }

    /// Milliseconds that the program took; the chip must hold the image afterwards.
    fn time(&self, mut visit: Command, image: &Path) -> Result<f64> {
        let started = Instant::now();
        let output = visit.stdin(Stdio::null()).output().context("starting a visit")?;
        let took = started.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "a visit failed: {said}");
        let bytes = std::fs::read(image).context("reading the image")?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut control = TcpStream::connect(&self.control).context("asking rom-loader")?;
        control.write_all(format!("dump-hex 0x08000000 {}\n", bytes.len()).as_bytes())?;
        let mut answer = String::new();
        BufReader::new(control).read_line(&mut answer).context("asking rom-loader")?;
        ensure!(answer.trim_end() == format!("ok {hex}"), "the chip does not hold the image");
        Ok(took.as_secs_f64() * 1000.0)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Both fail only if it ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
