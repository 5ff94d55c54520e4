//! The `delta` program: make, apply, look into and measure patches.
//!
//! Reads and writes files; decides nothing about the format.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use delta::make::{KINDS, Wish, make};
use delta::{Body, Header, Isa};
use std::io::Write as _;
use std::path::{Path, PathBuf};

mod bench;
#[cfg(feature = "train")]
mod training;

/// Firmware patches: a fraction of bsdiff's size, applied in 8 KB of RAM.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Makes a patch from raw images.
    Make {
        /// Old image.
        old: PathBuf,
        /// New image.
        new: PathBuf,
        /// Where the patch goes.
        #[arg(short, long)]
        output: PathBuf,
        /// Instruction set: auto, none, thumb, avr, riscv, tc32, xtensa.
        #[arg(long, default_value = "auto", value_parser = isa)]
        isa: Choice,
        /// Say where the bytes went.
        #[arg(short, long)]
        verbose: bool,
    },
    /// Makes the new image from the old one and a patch.
    Apply {
        /// Old image.
        old: PathBuf,
        /// Patch.
        patch: PathBuf,
        /// Where the new image goes.
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Says what a patch is for and what it needs.
    Info {
        /// Patch.
        patch: PathBuf,
    },
    /// Makes a patch for every folder with `old.bin` and `new.bin` and compares with `peers.csv`.
    Bench {
        /// Folder of folders.
        folder: PathBuf,
        /// Only pairs whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
        /// Comma-separated values instead of a table.
        #[arg(long)]
        csv: bool,
        /// Only pairs whose new image has at most this many bytes.
        #[arg(long, default_value_t = usize::MAX)]
        max_bytes: usize,
    },
    /// Learns the model's beginning from a folder of folders.
    #[cfg(feature = "train")]
    Train {
        /// Folder of folders with `old.bin` and `new.bin`.
        folder: PathBuf,
        /// Also learn without each product in turn, and show its sizes then.
        #[arg(long)]
        leave_out: bool,
        /// Where the source text goes.
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
}

#[derive(Clone, Copy)]
struct Choice(Option<Isa>);

fn isa(name: &str) -> Result<Choice, String> {
    if name == "auto" {
        return Ok(Choice(None));
    }
    Isa::ALL
        .into_iter()
        .find(|isa| isa.name() == name)
        .map(|isa| Choice(Some(isa)))
        .ok_or_else(|| format!("no instruction set is called {name}"))
}

fn main() -> Result<()> {
    match Arguments::parse().verb {
        Verb::Make { old, new, output, isa, verbose } => {
            let (old, new) = (read(&old)?, read(&new)?);
            let made = make(&old, &new, &Wish { isa: isa.0, ..Wish::default() }, &mut |_, _| {})?;
            replace(&output, &made.patch)?;
            let mut out = std::io::stdout().lock();
            writeln!(out, "{} bytes", made.patch.len())?;
            if verbose {
                for (kind, bits) in KINDS.iter().zip(made.spent_bits) {
                    writeln!(out, "{kind:12} {:>8} bytes", bits.div_ceil(8))?;
                }
            }
            Ok(())
        }
        Verb::Apply { old, patch, output } => {
            let (old, patch) = (read(&old)?, read(&patch)?);
            let new = delta::apply::apply(&old, &patch).context("applying the patch")?;
            replace(&output, &new)
        }
        Verb::Info { patch } => {
            let patch = read(&patch)?;
            let (header, bytes) = Header::parse(&patch).context("reading the patch header")?;
            info(&header, bytes, patch.len())
        }
        Verb::Bench { folder, only, csv, max_bytes } => {
            bench::bench(&folder, &only, csv, max_bytes)
        }
        #[cfg(feature = "train")]
        Verb::Train { folder, leave_out, output } => {
            training::train(&folder, leave_out, output.as_deref())
        }
    }
}

fn info(header: &Header, header_bytes: usize, patch_bytes: usize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let hex =
        |digest: delta::Digest| digest.0.iter().map(|b| format!("{b:02x}")).collect::<String>();
    writeln!(out, "version      {}", delta::VERSION)?;
    writeln!(out, "old image    {} bytes, {}", header.old_len, hex(header.old_digest))?;
    writeln!(out, "new image    {} bytes, {}", header.new_len, hex(header.new_digest))?;
    writeln!(out, "header       {header_bytes} bytes")?;
    writeln!(out, "body         {} bytes", patch_bytes - header_bytes)?;
    match header.body {
        Body::Stored => writeln!(out, "stored")?,
        Body::Coded { isa, base, map_entries } => {
            writeln!(out, "instructions {}", isa.name())?;
            match base {
                Some(base) => writeln!(out, "load address 0x{base:08X}")?,
                None => writeln!(out, "load address not used")?,
            }
            writeln!(out, "map          {map_entries} entries")?;
        }
    }
    writeln!(out, "memory       {} bytes and one page", delta::apply::RAM_BYTES)?;
    if header.new_len > 0 {
        writeln!(
            out,
            "ratio        {:.2} %",
            patch_bytes as f64 * 100.0 / f64::from(header.new_len)
        )?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// Writes a file whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let Some(name) = path.file_name() else { bail!("{} is not a file name", path.display()) };
    let mut beside = name.to_os_string();
    beside.push(".part");
    let part = path.with_file_name(beside);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}
