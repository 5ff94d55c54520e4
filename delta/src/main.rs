//! The `delta` program: make, apply, look into and measure patches.
//!
//! Reads and writes files; decides nothing about the format.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use delta::inplace::{slots_pages, wear};
use delta::make::{KINDS, Pages, Wish, make, memory_bytes, spent_bits};
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
        /// For devices that write the new image over the old one.
        #[arg(long)]
        in_place: bool,
        /// Bytes of the device's pages, with --in-place.
        #[arg(long, default_value = "4096", value_parser = size, requires = "in_place")]
        page: u64,
        /// Pages that the device keeps of what it overwrote, with --in-place.
        #[arg(long, default_value_t = 4, requires = "in_place")]
        ring: u32,
        /// Pages the device has beyond the longer image, with --in-place.
        #[arg(long, default_value_t = 0, requires = "in_place")]
        spare: u32,
        /// Memory that the device has for applying, beside one page: 8k, 8192, …
        #[arg(long, value_parser = size)]
        limit_ram: Option<u64>,
        /// Trials at once, each on a core of its own.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// Memory that making may take: 512m, 2g, …
        #[arg(long, value_parser = size)]
        memory: Option<u64>,
        /// Say where the bytes went, and what making took.
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
        /// Its old image: then also says where the bytes went.
        #[arg(long)]
        old: Option<PathBuf>,
    },
    /// Makes a patch for every folder with `old.bin` and `new.bin` and compares with other programs:
    /// those installed run beside it, the others' sizes are taken from `peers.csv`.
    Bench(bench::What),
    /// Tries every price of the alignment smaller and larger, leaving out each product in turn.
    #[cfg(feature = "train")]
    Tune {
        /// Folder of folders with `old.bin` and `new.bin`.
        folder: PathBuf,
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

/// A number of bytes: 8192, 8k, 512m, 2g.
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.to_ascii_lowercase().strip_suffix(['k', 'm', 'g']) {
        Some(digits) => {
            let shift = match text.as_bytes().last() {
                Some(b'k' | b'K') => 10,
                Some(b'm' | b'M') => 20,
                _ => 30,
            };
            (digits.to_owned(), shift)
        }
        None => (text.to_owned(), 0),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text} is no number of bytes"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too much"))
}

fn make_patch(old: &Path, new: &Path, output: &Path, wish: &Wish, verbose: bool) -> Result<()> {
    let (old, new) = (read(old)?, read(new)?);
    let made = make(&old, &new, wish, &mut |done, steps| {
        if verbose {
            let _ = writeln!(std::io::stderr(), "trial {done} of {steps}");
        }
    })?;
    replace(output, &made.patch)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} bytes", made.patch.len())?;
    if verbose {
        kinds(&mut out, made.spent_bits)?;
        let bound = memory_bytes(old.len(), new.len(), made.threads);
        writeln!(out, "making took at most {bound} bytes of memory, {} at once", made.threads)?;
    }
    Ok(())
}

/// Bytes by kind of decision.
fn kinds(out: &mut impl std::io::Write, bits: [u64; 8]) -> Result<()> {
    for (kind, bits) in KINDS.iter().zip(bits) {
        writeln!(out, "{kind:12} {:>8} bytes", bits.div_ceil(8))?;
    }
    Ok(())
}

fn main() -> Result<()> {
    match Arguments::parse().verb {
        Verb::Make {
            old,
            new,
            output,
            isa,
            in_place,
            page,
            ring,
            spare,
            limit_ram,
            jobs,
            memory,
            verbose,
        } => {
            if let Some(limit) = limit_ram
                && limit < delta::apply::RAM_BYTES as u64
            {
                bail!("applying takes {} bytes of memory beside a page", delta::apply::RAM_BYTES);
            }
            let page_bytes = u32::try_from(page).context("reading --page")?;
            let wish = Wish {
                isa: isa.0,
                in_place: in_place.then_some(Pages {
                    page_bytes,
                    ring_pages: ring,
                    spare_pages: spare,
                }),
                threads: jobs,
                memory_bytes_max: memory,
            };
            make_patch(&old, &new, &output, &wish, verbose)
        }
        Verb::Apply { old, patch, output } => {
            let (old, patch) = (read(&old)?, read(&patch)?);
            let new = delta::apply::apply(&old, &patch).context("applying the patch")?;
            replace(&output, &new)
        }
        Verb::Info { patch, old } => {
            let patch = read(&patch)?;
            let (header, bytes) = Header::parse(&patch).context("reading the patch header")?;
            info(&header, bytes, patch.len())?;
            let Some(old) = old else { return Ok(()) };
            let spent = spent_bits(&read(&old)?, &patch).context("applying the patch")?;
            kinds(&mut std::io::stdout().lock(), spent)
        }
        Verb::Bench(what) => bench::bench(&what),
        #[cfg(feature = "train")]
        Verb::Tune { folder } => training::tune(&folder),
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
    if let Some(in_place) = header.in_place {
        let (page, ring) = (in_place.page_bytes(), u32::from(in_place.reach) + 1);
        if in_place.lift > 0 {
            writeln!(out, "moved up     the old image, by {} pages first", in_place.lift)?;
        }
        let most = wear(header, in_place, ring);
        let slots = slots_pages(page, ring);
        writeln!(
            out,
            "in place     pages of {page} bytes, {} of them",
            header.new_len.div_ceil(page)
        )?;
        writeln!(
            out,
            "ring         {ring} pages at least, each erased {} times at most",
            most.ring
        )?;
        writeln!(out, "checkpoints  {slots} pages, each erased {} times at most", most.slots)?;
    }
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
