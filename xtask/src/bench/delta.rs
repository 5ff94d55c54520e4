//! How small patches are, against other programs, over the public pairs; and what applying takes on
//! an emulated Cortex-M0.
//!
//! `delta bench` measures in the release profile. bsdiff, xdelta3 and zstd run beside it; the sizes
//! of what Debian does not have are those of the table beside the pairs. Ratios are geometric means.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use super::{Case, Value};
use crate::{
    checkout::{cargo, target, top},
    machine,
    stage::must,
};

/// Where the pairs are; absent outside the workplace and its CI.
const PAIRS: &str = "../shared/corpus/delta";
/// Peers that Debian has.
const PEERS: &[&str] = &["bsdiff", "xdelta3", "zstd"];
/// The pair for time: 512 KB.
const TIMED: &str = "mbv2-2.1.0-2.1.1";
/// The pair for the emulated chip: small, and for Cortex-M0.
const EMULATED: &str = "thb2-v18-v19";

/// A line of `delta bench --csv`, by column.
type Row = BTreeMap<String, String>;

/// Builds, measures and prints every case.
pub(super) fn run() -> Result<()> {
    let pairs = top().join(PAIRS);
    if !pairs.exists() {
        ensure!(std::env::var_os("CI").is_none(), "{} must be there in CI", pairs.display());
        println!("skipped: no {}", pairs.display());
        return Ok(());
    }
    machine::debian(PEERS)?;
    must(cargo().args(["build", "--locked", "--quiet", "--release", "--package", "delta"]))?;
    let program = target().join("release").join("delta");
    let strict = rows(&program, &pairs, 0)?;
    let mcu: Vec<&Row> = strict.iter().filter(|row| !row["group"].starts_with("aarch64")).collect();
    let patch_like: Vec<&Row> = mcu
        .iter()
        .copied()
        .filter(|row| {
            number(row, "bsdiff43").zip(number(row, "full")).is_some_and(|(b, f)| b < f / 10.0)
        })
        .collect();
    for (case, rows, peer, wanted) in [
        ("public_vs_bsdiff", &mcu, "bsdiff43", 0.36),
        ("patch_like_vs_bsdiff", &patch_like, "bsdiff43", 0.26),
        ("public_vs_hdiffz_sd_lzma2", &mcu, "hdiffz-SD-lzma2", 0.41),
        ("public_vs_hpatchlite_tuz_4k", &mcu, "hdiffi-tuz-4k", 0.35),
        ("public_vs_detools_heatshrink_w8l7", &mcu, "detools-seq-heatshrink-w8l7", 0.25),
        ("public_vs_xdelta3_lzma", &mcu, "xdelta3-9-lzma", 1.0),
        ("public_vs_zstd_patch_from", &mcu, "zstd-patch-from", 1.0),
    ] {
        ratio(case, means(rows, "ours", peer)?, wanted, "bytes")?;
    }
    let worst = strict
        .iter()
        .filter_map(|row| number(row, "ours").zip(number(row, "hdiffz-SD-lzma2")))
        .max_by(|(a, b), (c, d)| (a / b).total_cmp(&(c / d)))
        .context("comparing with hdiffz: the table has no sizes")?;
    ratio("worst_vs_hdiffz_sd_lzma2", worst, 1.0, "bytes")?;
    ratio("in_place_ring_4_no_spare", means(&mcu, "in_place", "ours")?, 1.06, "bytes")?;
    let spare = rows(&program, &pairs, 32)?;
    let spare: Vec<&Row> =
        spare.iter().filter(|row| !row["group"].starts_with("aarch64")).collect();
    ratio("in_place_ring_4_spare_32", means(&spare, "in_place", "ours")?, 1.06, "bytes")?;
    let timed: Vec<&Row> = mcu.iter().copied().filter(|row| row["pair"] == TIMED).collect();
    ratio("make_512k_vs_bsdiff", means(&timed, "make_ms", "bsdiff_ms")?, 10.0, "ms")?;
    let (bytes, ms) = strict.iter().fold((0.0, 0.0), |(bytes, ms), row| {
        (bytes + number(row, "full").unwrap_or(0.0), ms + number(row, "apply_ms").unwrap_or(0.0))
    });
    value("apply_x86_64", bytes / 1e3 / ms, None, "MB/s of new image")?;
    on_a_chip(&program, &pairs.join(EMULATED))
}

fn rows(program: &Path, pairs: &Path, spare: u32) -> Result<Vec<Row>> {
    let mut command = Command::new(program);
    command.arg("bench").arg(pairs).args(["--csv", "--in-place", "--spare", &spare.to_string()]);
    if spare > 0 {
        command.arg("--table-only");
    }
    let text = output(&mut command)?;
    let mut lines = text.lines();
    let names: Vec<&str> =
        lines.next().context("reading the bench's columns")?.split(',').collect();
    let row = |line: &str| -> Row {
        let fields = names.iter().zip(line.split(','));
        fields.map(|(name, field)| ((*name).to_owned(), field.to_owned())).collect()
    };
    Ok(lines.map(row).collect())
}

fn output(command: &mut Command) -> Result<String> {
    let ran = command.output().with_context(|| format!("starting {command:?}"))?;
    if !ran.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&ran.stderr).trim());
    }
    String::from_utf8(ran.stdout).with_context(|| format!("reading what {command:?} printed"))
}

fn number(row: &Row, column: &str) -> Option<f64> {
    row.get(column)?.parse().ok()
}

/// Geometric means of two columns, over the rows that have both.
fn means(rows: &[&Row], ours: &str, peer: &str) -> Result<(f64, f64)> {
    let both: Vec<(f64, f64)> =
        rows.iter().filter_map(|row| number(row, ours).zip(number(row, peer))).collect();
    ensure!(!both.is_empty(), "comparing {ours} with {peer}: no pair has both");
    let count = both.len() as f64;
    let mean = |sum: f64| (sum / count).exp();
    Ok((
        mean(both.iter().map(|(ours, _)| ours.ln()).sum()),
        mean(both.iter().map(|(_, peer)| peer.ln()).sum()),
    ))
}

fn ratio(case: &str, (ours, peer): (f64, f64), target: f64, unit: &str) -> Result<()> {
    Case { bench: "delta", case, ours, peer, ratio: 0.0, target, unit }.with_ratio().print()
}

fn value(case: &str, value: f64, target: Option<f64>, unit: &str) -> Result<()> {
    Value { bench: "delta", case, value, target, unit }.print()
}

/// Code, memory and instructions on Armv6-M, as `delta/chip/run.sh` prints them; nothing where its
/// compiler is not installed.
fn on_a_chip(program: &Path, pair: &Path) -> Result<()> {
    if !Path::new("/usr/bin/cargo").exists() || !Path::new("/usr/bin/qemu-system-arm").exists() {
        println!("skipped: no rustc-web and qemu-system-arm for the emulated chip");
        return Ok(());
    }
    let folder = tempfile::tempdir().context("making a fresh folder for the patch")?;
    let (old, patch) = (pair.join("old.bin"), folder.path().join("patch"));
    let mut make = Command::new(program);
    make.arg("make").arg(&old).arg(pair.join("new.bin")).arg("-o").arg(&patch);
    output(&mut make)?;
    for (feature, code) in [("thumb", "apply_code_m0_thumb"), ("all", "apply_code_m0_all")] {
        let text = output(
            Command::new(top().join("delta/chip/run.sh")).arg(&old).arg(&patch).arg(feature),
        )?;
        // The first target is Armv6-M.
        let after = |words: &str| -> Result<f64> {
            let (_, rest) = text.split_once(words).with_context(|| format!("finding {words:?}"))?;
            let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next();
            digits.unwrap_or("").parse().with_context(|| format!("reading what follows {words:?}"))
        };
        value(code, after(&format!("thumbv6m-none-eabi, {feature}:"))?, Some(8192.0), "bytes")?;
        if feature == "all" {
            value("apply_instructions_m0", after("instructions per byte:")?, None, "per byte")?;
            let memory = after("stack:")? + after("workspace:")?;
            value("apply_memory_m0", memory, Some(8192.0), "bytes beside a page")?;
        }
    }
    Ok(())
}
