//! `delta bench`: sizes beside those of the peers, per pair, per instruction set and on the mean.

use anyhow::{Context, Result};
use delta::make::{KINDS, Wish, make};
use delta::{Body, Isa};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Peers shown, by their names in `peers.csv`.
const PEERS: [&str; 4] =
    ["bsdiff43", "hdiffz-SD-lzma2", "hdiffi-tuz-4k", "detools-seq-heatshrink-w8l7"];

struct Row {
    pair: String,
    group: String,
    full: usize,
    ours: usize,
    isa: &'static str,
    spent_bits: [u64; 8],
    make_ms: u128,
    apply_ms: u128,
    peers: [Option<f64>; PEERS.len()],
}

/// Sizes of the peers by (pair, peer), and the group of each pair.
type Peers = (BTreeMap<(String, String), f64>, BTreeMap<String, String>);

fn peers(folder: &Path) -> Result<Peers> {
    let mut sizes = BTreeMap::new();
    let mut groups = BTreeMap::new();
    let path = folder.join("peers.csv");
    if !path.exists() {
        return Ok((sizes, groups));
    }
    let text = std::fs::read_to_string(&path).context("reading peers.csv")?;
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        if let [pair, isa, _, peer, bytes, ..] = fields[..] {
            let bytes = bytes.parse().with_context(|| format!("reading the size in {line:?}"))?;
            sizes.insert((pair.to_owned(), peer.to_owned()), bytes);
            groups.insert(pair.to_owned(), isa.to_owned());
        }
    }
    Ok((sizes, groups))
}

pub(crate) fn bench(folder: &Path, only: &str, csv: bool, max_bytes: usize) -> Result<()> {
    let (sizes, groups) = peers(folder)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).context("listing the pairs")? {
        let entry = entry.context("listing the pairs")?;
        if entry.path().join("old.bin").exists() && entry.path().join("new.bin").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut out = std::io::stdout().lock();
    let mut rows = Vec::new();
    if csv {
        writeln!(
            out,
            "pair,group,full,ours,isa,make_ms,apply_ms,{},{}",
            KINDS.join(","),
            PEERS.join(",")
        )?;
    }
    for pair in names.into_iter().filter(|name| name.contains(only)) {
        let old = std::fs::read(folder.join(&pair).join("old.bin")).context("reading old.bin")?;
        let new = std::fs::read(folder.join(&pair).join("new.bin")).context("reading new.bin")?;
        if new.len() > max_bytes {
            continue;
        }
        let begun = Instant::now();
        let made = make(&old, &new, &Wish::default(), &mut |_, _| {})?;
        let make_ms = begun.elapsed().as_millis();
        let begun = Instant::now();
        let again = delta::apply::apply(&old, &made.patch).context("applying the patch")?;
        let apply_ms = begun.elapsed().as_millis();
        anyhow::ensure!(again == new, "{pair}: the patch gives another image");
        let isa = match made.header.body {
            Body::Stored => "stored",
            Body::Coded { isa, .. } => isa.name(),
        };
        let row = Row {
            group: groups.get(&pair).cloned().unwrap_or_default(),
            full: new.len(),
            ours: made.patch.len(),
            isa,
            spent_bits: made.spent_bits,
            make_ms,
            apply_ms,
            peers: PEERS.map(|peer| sizes.get(&(pair.clone(), peer.to_owned())).copied()),
            pair,
        };
        show(&mut out, &row, csv)?;
        rows.push(row);
    }
    if !csv {
        summary(&mut out, &rows)?;
    }
    Ok(())
}

fn show(out: &mut impl std::io::Write, row: &Row, csv: bool) -> Result<()> {
    let kinds = row.spent_bits.map(|bits| bits.div_ceil(8).to_string());
    if csv {
        let peers = row.peers.map(|size| size.map(|s| s.to_string()).unwrap_or_default());
        writeln!(
            out,
            "{},{},{},{},{},{},{},{},{}",
            row.pair,
            row.group,
            row.full,
            row.ours,
            row.isa,
            row.make_ms,
            row.apply_ms,
            kinds.join(","),
            peers.join(",")
        )?;
        return Ok(());
    }
    let shares = row.peers.map(|size| match size {
        Some(size) => format!("{:6.1}%", row.ours as f64 * 100.0 / size),
        None => "      -".to_owned(),
    });
    writeln!(
        out,
        "{:34} {:6} {:>8} {:>7} {}  {:>5}/{} ms  [{}]",
        row.pair,
        row.isa,
        row.full,
        row.ours,
        shares.join(" "),
        row.make_ms,
        row.apply_ms,
        kinds.join(" ")
    )?;
    Ok(())
}

/// Geometric mean of our size over a peer's, in per cent, and over how many pairs.
fn mean<'a>(rows: impl Iterator<Item = &'a Row>, peer: usize) -> Option<(f64, usize)> {
    let logs: Vec<f64> =
        rows.filter_map(|row| row.peers[peer].map(|size| (row.ours as f64 / size).ln())).collect();
    let count = logs.len();
    (count > 0).then(|| ((logs.iter().sum::<f64>() / count as f64).exp() * 100.0, count))
}

fn is_mcu(row: &Row) -> bool {
    !row.group.starts_with("aarch64")
}

fn is_patch_like(row: &Row) -> bool {
    is_mcu(row) && row.peers[0].is_some_and(|size| size < row.full as f64 / 10.0)
}

fn summary(out: &mut impl std::io::Write, rows: &[Row]) -> Result<()> {
    for (peer, name) in PEERS.iter().enumerate() {
        if let Some((share, count)) = mean(rows.iter().filter(|r| is_mcu(r)), peer) {
            writeln!(out, "all microcontroller pairs, of {name}: {share:.2} % ({count})")?;
        }
    }
    if let Some((share, count)) = mean(rows.iter().filter(|r| is_patch_like(r)), 0) {
        writeln!(out, "patch-like pairs, of bsdiff43: {share:.2} % ({count})")?;
    }
    for isa in Isa::ALL {
        if let Some((share, count)) = mean(rows.iter().filter(|r| r.isa == isa.name()), 0) {
            writeln!(out, "modelled as {}, of bsdiff43: {share:.2} % ({count})", isa.name())?;
        }
    }
    let worst = rows.iter().filter_map(|r| r.peers[1].map(|s| (r.ours as f64 / s, &r.pair)));
    if let Some((share, pair)) = worst.max_by(|a, b| a.0.total_cmp(&b.0)) {
        writeln!(out, "worst pair, of hdiffz-SD-lzma2: {:.1} % ({pair})", share * 100.0)?;
    }
    Ok(())
}
