//! How long a visit over USB DFU takes, against `dfu-util` on the same simulated board.
//!
//! Both run unmodified over real libusb, as processes of their own, started and ended within the
//! measured time. Transfers take as long as at 12 Mbit/s, the chip the erase and write times of an
//! STM32F405. Ours also identifies the chip and compares every byte; `dfu-util` does neither.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Case, median};
use crate::{
    checkout::{cargo, target},
    machine,
    stage::must,
};

const SOCKET: &str = "usb:1-2.3";
const SAMPLES: u32 = 3;
/// A program that fills about a quarter of the chip, as micropython's does on the nRF52.
const IMAGE_BYTES: usize = 250_000;

/// Builds, measures and prints both cases.
pub(super) fn run() -> Result<()> {
    machine::debian(machine::TO_SERVE_USB)?;
    must(
        cargo()
            .args([
                "build",
                "--locked",
                "--quiet",
                "--release",
                "--features",
                "simulators/umockdev",
            ])
            .args(["--package", "flash", "--package", "simulators"])
            .args(["--bin", "board-visit", "--bin", "mock-usb"]),
    )?;
    let folder = tempfile::tempdir().context("making a fresh folder for the bench")?;
    let bench = Bench {
        programs: target().join("release"),
        image: noise(&folder.path().join("image.bin"), 1)?,
        other: noise(&folder.path().join("other.bin"), 2)?,
        dump: folder.path().join("dump.bin"),
    };
    // The board holds another program: both have to erase. It is blank: only `dfu-util` erases.
    for (case, holding) in
        [("dfu_vs_dfu_util", Some(&bench.other)), ("dfu_blank_vs_dfu_util", None)]
    {
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..SAMPLES {
            ours.push(bench.ours(holding)?);
            peer.push(bench.peer(holding)?);
        }
        let (ours, peer) = (median(ours), median(peer));
        Case { bench: "flash", case, ours, peer, ratio: 0.0, target: 1.0, unit: "ms" }
            .with_ratio()
            .print()?;
    }
    Ok(())
}

/// Reproducible bytes that start like a program: with a stack in RAM.
fn noise(path: &Path, seed: u32) -> Result<PathBuf> {
    let mut state = seed;
    let mut bytes: Vec<u8> = (0..IMAGE_BYTES)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    bytes.splice(..4, [0x00, 0x00, 0x02, 0x20]);
    File::create(path)
        .and_then(|mut file| file.write_all(&bytes))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(path.to_owned())
}

struct Bench {
    programs: PathBuf,
    image: PathBuf,
    other: PathBuf,
    dump: PathBuf,
}

impl Bench {
    fn ours(&self, holding: Option<&PathBuf>) -> Result<f64> {
        let mut visit = self.board(holding);
        visit.arg(self.programs.join("board-visit")).args([SOCKET, "STM32F405RG"]).arg(&self.image);
        self.time(visit)
    }

    fn peer(&self, holding: Option<&PathBuf>) -> Result<f64> {
        let mut visit = self.board(holding);
        let path = SOCKET.trim_start_matches("usb:");
        visit.args(["dfu-util", "-p", path, "-a", "0", "-s", "0x08000000:leave", "-D"]);
        visit.arg(&self.image);
        self.time(visit)
    }

    /// A fresh board, and a program that is about to be named.
    fn board(&self, holding: Option<&PathBuf>) -> Command {
        let mut mock = Command::new(self.programs.join("mock-usb"));
        mock.args(["--socket", SOCKET, "--chip", "stm32f405", "--wire", "full-speed", "--dump"]);
        mock.arg(&self.dump);
        if let Some(path) = holding {
            mock.arg("--holding").arg(path);
        }
        mock.arg("--");
        mock
    }

    /// Milliseconds that the program took; the board must hold the image afterwards and run it.
    fn time(&self, mut visit: Command) -> Result<f64> {
        let output = visit.stdin(Stdio::null()).output().context("starting mock-usb")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "a visit failed: {said}");
        let report: Value =
            serde_json::from_slice(&output.stdout).context("reading mock-usb's report")?;
        ensure!(
            report["boards"][SOCKET]["runs_its_program"] == true,
            "the board does not run: {said}"
        );
        let (image, flash) = (fs::read(&self.image)?, fs::read(&self.dump)?);
        ensure!(flash.starts_with(&image), "the board holds something else");
        report["took_ms"].as_f64().context("mock-usb's report has no time")
    }
}
