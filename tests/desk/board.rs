//! A simulated board and its control port.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{Programs, process::Program};

/// A board with a chip of its own, in a process of its own.
pub struct Board {
    /// The chip's UID as the station shows it.
    pub uid: String,
    /// Where the probe listens.
    pub probe: String,
    /// Where the levers are.
    pub control: String,
    /// Where the board's serial line comes out.
    pub uart: String,
    _program: Program,
}

impl Board {
    /// Makes board number `number` with its own UID; it lies beside the fixture until
    /// [`Board::insert`].
    pub fn make(programs: &Programs, number: u32, folder: &Path) -> Result<Self> {
        let uid = format!("F1A5{:08X}{:04X}", 0x11AE_0000_u32 + number, 0x0B0A + number);
        let name = format!("board-{number}");
        let flash: PathBuf = folder.join(format!("{name}.flash"));
        let mut program = Program::start(
            &name,
            programs
                .command("simulated-board")
                .args(["--chip", "nrf52832", "--uid", &uid, "--timing", "real", "--removed"])
                .args(["--probe", "127.0.0.1:0", "--control", "127.0.0.1:0"])
                .args(["--uart", "127.0.0.1:0", "--flash"])
                .arg(&flash),
            folder,
        )?;
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
            _program: program,
        })
    }

    /// Sets the board into the fixture.
    pub fn insert(&self) -> Result<()> {
        self.pull("insert").map(drop)
    }

    /// Takes the board out of the fixture.
    pub fn remove(&self) -> Result<()> {
        self.pull("remove").map(drop)
    }

    /// Bytes of the board's flash as they are, read behind the station's back.
    pub fn flash(&self, address: u32, len: u32) -> Result<String> {
        self.pull(&format!("dump-hex {address:#x} {len}"))
    }

    /// Pulls one lever; gives the answer behind `ok`.
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
