//! The kiosk window: built apart from everything else, because only it needs WebKitGTK.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    checkout::{cargo, linting_cargo, programs_of_the_suite, target},
    demo::{self, Story},
    machine,
    stage::must,
};

/// Builds the shell; gives its path.
pub(crate) fn shell() -> Result<PathBuf> {
    machine::debian(machine::TO_OPEN_A_WINDOW)?;
    let folder = target().join("kiosk-shell");
    must(
        cargo()
            .args(["build", "--locked", "--quiet", "--manifest-path", "src-tauri/Cargo.toml"])
            .arg("--target-dir")
            .arg(&folder),
    )?;
    Ok(folder.join("debug").join("kiosk-shell"))
}

/// Lints the shell and lets the real window watch a board from empty to PASS.
pub(super) fn watched() -> Result<()> {
    machine::debian(machine::TO_OPEN_A_WINDOW)?;
    machine::debian(machine::TO_DRIVE_A_WINDOW)?;
    must(
        linting_cargo()
            .args(["build", "--locked", "--quiet", "--manifest-path", "src-tauri/Cargo.toml"])
            .arg("--target-dir")
            .arg(target().join("kiosk-shell")),
    )?;
    demo::tell(&programs_of_the_suite(), Story::WatchedInWindow, std::time::Instant::now())
}
