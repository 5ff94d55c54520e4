//! A simulated board and its control port.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{Programs, process::Program};

/// Who wrote the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoardKind {
    /// Our nRF52832, with the real chip's times and every lever.
    Simulated,
    /// Our STM32 of this name, likewise.
    Stm32(&'static str),
    /// QEMU's nRF51822 behind our probe.
    Emulated,
}

/// A board with a chip of its own, in a process of its own.
#[derive(Debug)]
pub struct Board {
    /// The chip's UID as the station shows it.
    pub uid: String,
    /// Where the probe listens.
    pub probe: String,
    /// Where the levers are.
    pub control: String,
    /// Where the board's serial line comes out.
    pub uart: String,
    program: Program,
}

impl Board {
    /// Makes board number `number` with its own UID; it lies beside the fixture until
    /// [`Board::insert`].
    ///
    /// # Errors
    /// When the board's process does not start.
    pub fn make(programs: &Programs, kind: BoardKind, number: u32, folder: &Path) -> Result<Self> {
        let mut uid = format!("F1A5{:08X}{:04X}", 0x11AE_0000_u32 + number, 0x0B0A + number);
        let name = format!("board-{number}");
        let simulated = |chip| {
            let mut command = programs.command("simulated-board");
            command.args(["--chip", chip, "--timing", "real", "--flash"]);
            command.arg(folder.join(format!("{name}.flash")));
            command
        };
        let mut command = match kind {
            BoardKind::Simulated => simulated("nrf52832"),
            BoardKind::Stm32(chip) => {
                // 96 bits instead of 64.
                uid.push_str("20365752");
                simulated(chip)
            }
            BoardKind::Emulated => programs.command("emulated-board"),
        };
        command.args(["--uid", &uid, "--removed", "--until-stdin-ends"]).args([
            "--probe",
            "127.0.0.1:0",
            "--control",
            "127.0.0.1:0",
            "--uart",
            "127.0.0.1:0",
        ]);
        let mut program = Program::start(&name, &mut command, folder)?;
        let announced = program.announcement()?;
        let address = |what: &str| {
            announced[what]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("{name} does not say where its {what} is"))
        };
        Ok(Self {
            uid,
            probe: address("probe")?,
            control: address("control")?,
            uart: address("uart")?,
            program,
        })
    }

    /// Sets the board into the fixture.
    ///
    /// # Errors
    /// When the board's process is gone.
    pub fn insert(&self) -> Result<()> {
        self.pull("insert").map(drop)
    }

    /// Takes the board out of the fixture.
    ///
    /// # Errors
    /// When the board's process is gone.
    pub fn remove(&self) -> Result<()> {
        self.pull("remove").map(drop)
    }

    /// Bytes of the board's memory as they are, in hex, read behind the station's back.
    ///
    /// # Errors
    /// When the board's process is gone or the range lies outside its memories.
    pub fn flash(&self, address: u32, len: u32) -> Result<String> {
        self.pull(&format!("dump-hex {address:#x} {len}"))
    }

    /// Fails when the board's process has ended.
    ///
    /// # Errors
    /// Says how it ended.
    pub fn alive(&mut self) -> Result<()> {
        self.program.alive()
    }

    /// The selector by which probe-rs finds this board's probe.
    #[must_use]
    pub fn selector(&self) -> String {
        format!("1d50:6018:{}", self.probe)
    }

    /// Pulls one lever; gives the answer behind `ok`.
    ///
    /// # Errors
    /// When the board's process is gone or refuses the lever.
    pub fn pull(&self, lever: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.control)
            .with_context(|| format!("reaching the levers of board {}", self.uid))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        writeln!(stream, "{lever}")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        let answer = answer.trim();
        ensure!(answer.starts_with("ok"), "`{lever}` on board {}: {answer}", self.uid);
        Ok(answer.trim_start_matches("ok").trim().to_owned())
    }
}
