//! Other people's programs judge a release at our running hub: python-tuf, cryptography, pyhpke.

#![allow(clippy::disallowed_methods, reason = "a journey prepares files as a person would")]

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use journeys::world::{Hub, PRODUCT, Programs, Recipe, Research};
use serde_json::Value;

const FIRMWARE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../device-sdk/demo/demo-lamp-1.0.0.hex");
const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/judges/judge_a_hub.py");

/// Has the judge look; what it says.
fn judge(words: &[&str]) -> Result<Value> {
    let python = std::env::var_os("JUDGE_PYTHON").context(
        "JUDGE_PYTHON names the Python that has tuf and pyhpke; `cargo xtask test` sets it",
    )?;
    let output = Command::new(python).arg(JUDGE).args(words).output().context("the judge")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the judge refuses: {complaint}");
    serde_json::from_slice(&output.stdout).context("what the judge says")
}

#[test]
fn python_tuf_verifies_a_release_at_our_hub_and_python_opens_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let programs = Programs::beside_this_test()?;
    let mut hub = Hub::make(&programs, folder.path())?;
    let research = Research::begin(&programs, &folder.path().join("research"), &hub.keys()?)?;
    hub.start()?;
    let recipe = Recipe::plain("nrf52", "nRF52832_xxAA", &[]);
    let release = research.pack("1.0.0", &recipe, Path::new(FIRMWARE))?;
    hub.publish(&release)?;
    // A second root is followed from the first, which the code pins.
    hub.take_documents(&research.rotate_root()?)?;

    let keep = folder.path().join("judge").to_string_lossy().into_owned();
    let ca = hub.folder().join("ca.pem").to_string_lossy().into_owned();
    let code = hub.enrolment_code("judge", "line-1")?;
    judge(&["enrol", "--code", &code, "--ca", &ca, "--keep", &keep])?;
    hub.open_order("WO-1", PRODUCT, &release, 5)?;
    hub.grant_plain("judge", "WO-1", 5)?;
    let download = [
        "download",
        "--product",
        PRODUCT,
        "--version",
        "1.0.0",
        "--hex",
        FIRMWARE,
        "--keep",
        &keep,
    ];
    let said = judge(&download)?;
    assert_eq!(said["manifest_sha256"], release.manifest_sha256.as_str(), "{said}");
    assert_eq!(said["root"], 2, "{said}");
    assert!(said["bytes"].as_u64().is_some_and(|bytes| bytes > 1000), "{said}");
    Ok(())
}
