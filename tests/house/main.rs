//! House rules: what `ARCHITECTURE.md` promises about the shape of the code, checked from
//! `cargo metadata` and from the files git tracks.

mod crates;
mod doors;
mod text;

use std::path::PathBuf;

use cargo_metadata::{Metadata, MetadataCommand};

/// The checkout's top folder.
fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the top folder")
        .into()
}

/// Everything the lock file resolves to, for every target, so that no ban depends on the machine
/// the test runs on.
fn resolved() -> Metadata {
    MetadataCommand::new()
        .manifest_path(top().join("Cargo.toml"))
        .other_options(["--locked".into()])
        .exec()
        .expect("cargo metadata reads the workspace with the committed lock file")
}
