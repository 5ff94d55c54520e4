//! Where things lie in this checkout, and how its programs are built.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use journeys::world::Programs;

/// The checkout's top folder.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The folder cargo writes to.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), |dir| top().join(dir))
}

/// Tools that are built once per machine and shared by all checkouts.
pub(crate) fn tools() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("finding a folder for tools: neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("flashline").join("tools"))
}

/// `cargo` with workspace crates compiled by clippy, warnings as errors: lints and artefacts come
/// out of one pass, and dependencies are shared with every other cargo call.
pub(crate) fn linting_cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(top())
        .env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver")
        .env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
    cargo
}

/// Plain `cargo` in the checkout.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(top());
    cargo
}

/// How the programs are compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build: demos and tests.
    Dev,
    /// As customers get them: benches.
    Release,
}

/// The programs as the suite's build left them: building them by themselves would give their
/// dependencies other features, and compile most of them once more.
pub(crate) fn programs_of_the_suite() -> Programs {
    Programs::in_folder(&target().join("debug"))
}

/// Builds what a customer runs, and the simulated board.
pub(crate) fn build_programs(mut cargo: Command, profile: Profile) -> Result<Programs> {
    cargo.args(["build", "--locked", "--quiet", "--bins"]);
    for room in ["activation", "hub", "release", "simulators", "station-daemon"] {
        cargo.args(["--package", room]);
    }
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            cargo.arg("--release");
            "release"
        }
    };
    let status = cargo.status().context("starting cargo build")?;
    ensure!(status.success(), "the programs do not build");
    Ok(Programs::in_folder(&target().join(folder)))
}
