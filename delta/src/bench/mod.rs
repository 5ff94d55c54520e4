//! `delta bench`: sizes beside those of the peers, per pair, per instruction set and on the mean.

mod peers;

use anyhow::{Context, Result};
use delta::make::{KINDS, Pages, Wish, make};
use delta::{Body, Isa};
use peers::Table;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Peers shown, by their names in `peers.csv`.
const PEERS: [&str; 6] = [
    "bsdiff43",
    "hdiffz-SD-lzma2",
    "hdiffi-tuz-4k",
    "detools-seq-heatshrink-w8l7",
    "xdelta3-9-lzma",
    "zstd-patch-from",
];

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct What {
    /// Folder of folders with `old.bin` and `new.bin`.
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
    /// Also make each patch for updating in place: a ring of 4 pages of 4,096 bytes.
    #[arg(long)]
    in_place: bool,
    /// Pages beyond the longer image that such a device has.
    #[arg(long, default_value_t = 0)]
    spare: u32,
    /// Take the peers from `peers.csv`, even where they are installed.
    #[arg(long)]
    table_only: bool,
    /// Trials at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

struct Row {
    pair: String,
    group: String,
    full: usize,
    ours: usize,
    in_place: Option<usize>,
    isa: &'static str,
    spent_bits: [u64; 8],
    make: Duration,
    apply: Duration,
    peers: [Option<f64>; PEERS.len()],
    /// What bsdiff took, if it ran here.
    bsdiff: Option<Duration>,
}

/// Runs the bench and prints it.
pub(crate) fn bench(what: &What) -> Result<()> {
    let table = Table::read(&what.folder)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&what.folder).context("listing the pairs")? {
        let entry = entry.context("listing the pairs")?;
        if entry.path().join("old.bin").exists() && entry.path().join("new.bin").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut out = std::io::stdout().lock();
    let mut rows = Vec::new();
    if what.csv {
        let (kinds, peers) = (KINDS.join(","), PEERS.join(","));
        writeln!(
            out,
            "pair,group,full,ours,in_place,isa,make_ms,apply_ms,bsdiff_ms,{kinds},{peers}"
        )?;
    } else {
        let run = if what.table_only { Vec::new() } else { table.installed() };
        writeln!(out, "run here: {}; others from peers.csv", run.join(", "))?;
    }
    for pair in names.into_iter().filter(|name| name.contains(&what.only)) {
        if let Some(row) = measured(what, &table, pair)? {
            show(&mut out, &row, what.csv)?;
            rows.push(row);
        }
    }
    if !what.csv {
        summary(&mut out, &rows)?;
    }
    Ok(())
}

fn measured(what: &What, table: &Table, pair: String) -> Result<Option<Row>> {
    let read = |name: &str| std::fs::read(what.folder.join(&pair).join(name));
    let (old, new) = (read("old.bin"), read("new.bin"));
    let (old, new) = (old.context("reading old.bin")?, new.context("reading new.bin")?);
    if new.len() > what.max_bytes {
        return Ok(None);
    }
    let wish = Wish { threads: what.jobs, ..Wish::default() };
    let begun = Instant::now();
    let made = make(&old, &new, &wish, &mut |_, _| {})?;
    let took = begun.elapsed();
    let begun = Instant::now();
    let again = delta::apply::apply(&old, &made.patch).context("applying the patch")?;
    let apply = begun.elapsed();
    anyhow::ensure!(again == new, "{pair}: the patch gives another image");
    let in_place = if what.in_place {
        let pages = Some(Pages { page_bytes: 4096, ring_pages: 4, spare_pages: what.spare });
        Some(make(&old, &new, &Wish { in_place: pages, ..wish }, &mut |_, _| {})?.patch.len())
    } else {
        None
    };
    let mut bsdiff = None;
    let mut peers = [None; PEERS.len()];
    for (size, peer) in peers.iter_mut().zip(PEERS) {
        if let Some(run) = table.of(&what.folder, &pair, peer, !what.table_only)? {
            *size = Some(run.bytes);
            bsdiff = if peer == PEERS[0] { run.took } else { bsdiff };
        }
    }
    Ok(Some(Row {
        group: table.group(&pair),
        full: new.len(),
        ours: made.patch.len(),
        in_place,
        isa: match made.header.body {
            Body::Stored => "stored",
            Body::Coded { isa, .. } => isa.name(),
        },
        spent_bits: made.spent_bits,
        make: took,
        apply,
        peers,
        bsdiff,
        pair,
    }))
}

fn show(out: &mut impl Write, row: &Row, csv: bool) -> Result<()> {
    let kinds = row.spent_bits.map(|bits| bits.div_ceil(8).to_string());
    let (make_ms, apply_ms) = (row.make.as_millis(), row.apply.as_millis());
    if csv {
        let peers = row.peers.map(|size| size.map(|s| s.to_string()).unwrap_or_default());
        let in_place = row.in_place.map(|bytes| bytes.to_string()).unwrap_or_default();
        let bsdiff_ms = row.bsdiff.map(|took| took.as_millis().to_string()).unwrap_or_default();
        let Row { pair, group, full, ours, isa, .. } = row;
        let (kinds, peers) = (kinds.join(","), peers.join(","));
        writeln!(
            out,
            "{pair},{group},{full},{ours},{in_place},{isa},{make_ms},{apply_ms},{bsdiff_ms},{kinds},{peers}"
        )?;
        return Ok(());
    }
    let shares = row.peers.map(|size| match size {
        Some(size) => format!("{:6.1}%", row.ours as f64 * 100.0 / size),
        None => "      -".to_owned(),
    });
    let in_place = row.in_place.map(|bytes| format!(" in place {bytes}")).unwrap_or_default();
    let bsdiff = row.bsdiff.map(|took| format!(" bsdiff {} ms", took.as_millis()));
    writeln!(
        out,
        "{:34} {:6} {:>8} {:>7}{in_place} {}  {make_ms}/{apply_ms} ms{}  [{}]",
        row.pair,
        row.isa,
        row.full,
        row.ours,
        shares.join(" "),
        bsdiff.unwrap_or_default(),
        kinds.join(" ")
    )?;
    Ok(())
}

/// Geometric mean of some ratios, and of how many.
fn mean(ratios: impl Iterator<Item = f64>) -> Option<(f64, usize)> {
    let logs: Vec<f64> = ratios.map(f64::ln).collect();
    let count = logs.len();
    (count > 0).then(|| ((logs.iter().sum::<f64>() / count as f64).exp(), count))
}

fn of_peer(row: &Row, peer: usize) -> Option<f64> {
    row.peers[peer].map(|size| row.ours as f64 / size)
}

fn is_mcu(row: &Row) -> bool {
    !row.group.starts_with("aarch64")
}

fn is_patch_like(row: &Row) -> bool {
    is_mcu(row) && row.peers[0].is_some_and(|size| size < row.full as f64 / 10.0)
}

fn summary(out: &mut impl Write, rows: &[Row]) -> Result<()> {
    let mcu = || rows.iter().filter(|row| is_mcu(row));
    for (peer, name) in PEERS.iter().enumerate() {
        if let Some((share, count)) = mean(mcu().filter_map(|row| of_peer(row, peer))) {
            let share = share * 100.0;
            writeln!(out, "all microcontroller pairs, of {name}: {share:.2} % ({count})")?;
        }
    }
    let patch_like = rows.iter().filter(|row| is_patch_like(row));
    if let Some((share, count)) = mean(patch_like.filter_map(|row| of_peer(row, 0))) {
        writeln!(out, "patch-like pairs, of bsdiff43: {:.2} % ({count})", share * 100.0)?;
    }
    for isa in Isa::ALL {
        let of_isa = rows.iter().filter(|row| row.isa == isa.name());
        if let Some((share, count)) = mean(of_isa.filter_map(|row| of_peer(row, 0))) {
            let (name, share) = (isa.name(), share * 100.0);
            writeln!(out, "modelled as {name}, of bsdiff43: {share:.2} % ({count})")?;
        }
    }
    let worst = rows.iter().filter_map(|row| of_peer(row, 1).map(|share| (share, &row.pair)));
    if let Some((share, pair)) = worst.max_by(|a, b| a.0.total_cmp(&b.0)) {
        writeln!(out, "worst pair, of hdiffz-SD-lzma2: {:.1} % ({pair})", share * 100.0)?;
    }
    let penalties =
        mcu().filter_map(|row| row.in_place.map(|bytes| bytes as f64 / row.ours as f64));
    if let Some((share, count)) = mean(penalties) {
        writeln!(out, "in place, of our own: {:.2} % ({count})", share * 100.0)?;
    }
    let times = rows
        .iter()
        .filter_map(|row| row.bsdiff.map(|took| row.make.as_secs_f64() / took.as_secs_f64()));
    if let Some((times, count)) = mean(times) {
        writeln!(out, "making, of bsdiff's time: {times:.1} times ({count})")?;
    }
    let (bytes, seconds) = rows.iter().fold((0, 0.0), |(bytes, seconds), row| {
        (bytes + row.full, seconds + row.apply.as_secs_f64())
    });
    if seconds > 0.0 {
        writeln!(out, "applying: {:.2} MB of new image a second", bytes as f64 / 1e6 / seconds)?;
    }
    Ok(())
}
