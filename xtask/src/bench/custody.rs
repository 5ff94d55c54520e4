//! What custody costs: the journal against bare SQLite, opening a release against raw AES, the hub
//! against plain inserts, codes per second, and the check on an emulated Cortex-M0.
//!
//! A room measures itself: an example of it runs in the release profile, is given an empty folder
//! on this machine's disk and prints one JSON object for each case. What is wanted stands here.

use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Case, Value};
use crate::{
    checkout::{cargo, target},
    stage::{must, output},
};

/// The rooms that measure: package and example.
const PROGRAMS: &[(&str, &str)] =
    &[("station-daemon", "journal-append"), ("release", "open-release"), ("hub", "journal-drain")];

/// What is wanted, by the name of the case; a case that is not here has no target.
const TARGETS: &[(&str, f64)] = &[
    ("journal_append_vs_sqlite_insert", 1.3),
    ("open_release_vs_raw_aes_gcm", 0.8),
    ("drain_100k_vs_plain_insert", 0.5),
];

/// A line that a room prints.
#[derive(Deserialize)]
#[serde(untagged)]
enum Measured {
    /// Against a peer, measured in the same run.
    Pair { case: String, ours: f64, peer: f64, unit: String },
    /// Without a peer.
    Single { case: String, value: f64, unit: String },
}

/// Builds, measures and prints every case.
pub(super) fn run() -> Result<()> {
    for (package, example) in PROGRAMS {
        must(cargo().args(["build", "--locked", "--quiet", "--release"]).args([
            "--package",
            package,
            "--example",
            example,
        ]))?;
        // Beside the build, which lies on a disk; the system's own temporary folder may not.
        let folder = tempfile::tempdir_in(target()).context("making a folder for the bench")?;
        let program = target().join("release/examples").join(example);
        let said = output(Command::new(&program).arg(folder.path()))?;
        for line in said.lines() {
            let measured = serde_json::from_str(line)
                .with_context(|| format!("reading what {example} measured: {line:?}"))?;
            print(&measured)?;
        }
    }
    Ok(())
}

fn print(measured: &Measured) -> Result<()> {
    let target = |case: &str| TARGETS.iter().find(|(name, _)| *name == case).map(|(_, it)| *it);
    match measured {
        Measured::Pair { case, ours, peer, unit } => {
            let target = target(case).with_context(|| format!("{case} has no target"))?;
            Case { bench: "custody", case, ours: *ours, peer: *peer, ratio: 0.0, target, unit }
                .with_ratio()
                .print()
        }
        Measured::Single { case, value, unit } => {
            Value { bench: "custody", case, value: *value, target: target(case), unit }.print()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_prints_a_pair_or_a_single_value() {
        let pair = r#"{"case":"a","ours":1.5,"peer":3,"unit":"us"}"#;
        let pair: Measured = serde_json::from_str(pair).unwrap();
        assert!(matches!(pair, Measured::Pair { ours, peer, .. } if ours < peer));
        let single = r#"{"case":"b","value":7,"unit":"per second"}"#;
        let single: Measured = serde_json::from_str(single).unwrap();
        assert!(matches!(single, Measured::Single { value, .. } if value > 6.0));
        assert!(serde_json::from_str::<Measured>(r#"{"case":"c","unit":"us"}"#).is_err());
    }
}
