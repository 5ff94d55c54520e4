//! Other people's programs, where they are installed, on the same pair.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a peer did.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) bytes: f64,
    /// Absent if the size is from the table.
    pub(super) took: Option<Duration>,
}

/// A peer: its name in `peers.csv`, its program, and its arguments with OLD, NEW and PATCH in them.
const COMMANDS: [(&str, &str, &[&str]); 5] = [
    ("bsdiff43", "bsdiff", &["OLD", "NEW", "PATCH"]),
    ("xdelta3-9-lzma", "xdelta3", &["-9", "-S", "lzma", "-e", "-f", "-s", "OLD", "NEW", "PATCH"]),
    (
        "zstd-patch-from",
        "zstd",
        &["--ultra", "-22", "--long=27", "-q", "-f", "--patch-from", "OLD", "NEW", "-o", "PATCH"],
    ),
    ("hdiffz-SD-lzma2", "hdiffz", &["-f", "-SD", "-c-lzma2-9-4m", "OLD", "NEW", "PATCH"]),
    (
        "detools-seq-heatshrink-w8l7",
        "detools",
        &[
            "create_patch",
            "-c",
            "heatshrink",
            "--heatshrink-window-sz2",
            "8",
            "--heatshrink-lookahead-sz2",
            "7",
            "OLD",
            "NEW",
            "PATCH",
        ],
    ),
];

/// The sizes of `peers.csv`, by pair and peer.
#[derive(Default)]
pub(super) struct Table {
    sizes: BTreeMap<(String, String), f64>,
    groups: BTreeMap<String, String>,
    installed: Vec<usize>,
}

impl Table {
    /// Reads the table beside the pairs, and looks which peers are installed.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut table = Self::default();
        let path = folder.join("peers.csv");
        if path.exists() {
            let text = std::fs::read_to_string(&path).context("reading peers.csv")?;
            for line in text.lines().skip(1) {
                let fields: Vec<&str> = line.split(',').collect();
                if let [pair, isa, _, peer, bytes, ..] = fields[..] {
                    let bytes =
                        bytes.parse().with_context(|| format!("reading the size in {line:?}"))?;
                    table.sizes.insert((pair.to_owned(), peer.to_owned()), bytes);
                    table.groups.insert(pair.to_owned(), isa.to_owned());
                }
            }
        }
        table.installed = (0..COMMANDS.len())
            .filter(|peer| {
                let mut command = Command::new(COMMANDS[*peer].1);
                command.arg("--version").stdin(Stdio::null());
                command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
            })
            .collect();
        Ok(table)
    }

    /// Names of the peers that run here.
    pub(super) fn installed(&self) -> Vec<&'static str> {
        self.installed.iter().map(|peer| COMMANDS[*peer].0).collect()
    }

    /// The group of a pair: its processor.
    pub(super) fn group(&self, pair: &str) -> String {
        self.groups.get(pair).cloned().unwrap_or_default()
    }

    /// What a peer makes of a pair: by running it if `run` and it is installed, else from the table.
    pub(super) fn of(
        &self,
        folder: &Path,
        pair: &str,
        peer: &str,
        run: bool,
    ) -> Result<Option<Run>> {
        let known = COMMANDS.iter().position(|(name, ..)| *name == peer);
        if let Some(known) = known.filter(|known| run && self.installed.contains(known)) {
            return made(known, &folder.join(pair)).map(Some);
        }
        let size = self.sizes.get(&(pair.to_owned(), peer.to_owned()));
        Ok(size.map(|bytes| Run { bytes: *bytes, took: None }))
    }
}

fn made(peer: usize, pair: &Path) -> Result<Run> {
    let (name, program, arguments) = COMMANDS[peer];
    let patch = std::env::temp_dir().join(format!("delta-bench-{}-{name}", std::process::id()));
    let path = |argument: &str| match argument {
        "OLD" => pair.join("old.bin").into_os_string(),
        "NEW" => pair.join("new.bin").into_os_string(),
        "PATCH" => patch.clone().into_os_string(),
        other => other.into(),
    };
    let begun = Instant::now();
    let ran = Command::new(program)
        .args(arguments.iter().map(|argument| path(argument)))
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {program}"))?;
    let took = begun.elapsed();
    let size = std::fs::metadata(&patch).map(|found| found.len());
    let removed = std::fs::remove_file(&patch);
    anyhow::ensure!(
        ran.status.success() && removed.is_ok(),
        "{program} made no patch: {}",
        String::from_utf8_lossy(&ran.stderr).trim()
    );
    Ok(Run { bytes: size.context("reading the size of a peer's patch")? as f64, took: Some(took) })
}
