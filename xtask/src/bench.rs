//! `cargo xtask bench`: measures, judges nothing.

use anyhow::{Result, bail};

/// Runs one bench by name.
pub(crate) fn run(name: &str) -> Result<()> {
    match name {
        "flash" => bail!("the flash bench is not wired"),
        other => bail!("there is no bench called `{other}`; there is `flash`"),
    }
}
