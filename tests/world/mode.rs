//! How the demo product is activated in a world, and what the hub needs for it beforehand.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Hub, PRODUCT, Programs, Recipe, Research};

/// What every self-test line of the demo firmware begins with.
const SAYS: &str = "FLASHLINE {product} {version} activation=";

/// How units are activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The chip checks its block.
    Ed25519,
    /// The chip only holds it.
    Stored,
    /// A copy deterrent.
    HmacSha256,
    /// Credentials from a pool.
    Pool,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Ed25519, Self::Stored, Self::HmacSha256, Self::Pool];

    /// Hands the hub what the mode needs, a pool of `credentials` or a secret, and gives the demo
    /// lamp's recipe.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn prepare(
        self,
        programs: &Programs,
        hub: &Hub,
        folder: &Path,
        credentials: u32,
    ) -> Result<Recipe> {
        let key = Research::activation_key(programs)?;
        let lamp = Recipe::plain("nrf52", "nRF52832_xxAA", &[]).listening_for(SAYS, 60_000);
        match self {
            Self::Ed25519 => Ok(Recipe::demo_lamp(&key)),
            Self::Stored => Ok(lamp.activated_in("stored", Some(&key), None)),
            Self::Pool => {
                let (schema, file) = write_pool(folder, credentials)?;
                hub.import_pool(PRODUCT, &schema, &file)?;
                Ok(lamp.activated_in("pool", Some(&key), None))
            }
            Self::HmacSha256 => {
                let file = folder.join("lamp.mac-secret");
                let words = ["mac-secret", "--out", &file.to_string_lossy()];
                programs.run("flashline-activation", &words)?;
                let digest = hub.mac_secret(PRODUCT, &file)?;
                Ok(lamp.activated_in("hmac-sha256", None, Some(&digest)))
            }
        }
    }
}

/// The secret column of a world's credential.
#[must_use]
pub fn pool_key(number: u32) -> String {
    format!("5ec2e7{number:010x}")
}

/// The public column of a world's credential: its activation code.
#[must_use]
pub fn pool_code(number: u32) -> String {
    format!("LAMP-{number:05}")
}

fn write_pool(folder: &Path, credentials: u32) -> Result<(PathBuf, PathBuf)> {
    let (schema, file) = (folder.join("pool-schema.json"), folder.join("pool.csv"));
    let columns = serde_json::json!({
        "code": "id",
        "columns": [
            { "name": "id", "openness": "public", "form": "text", "bytes_min": 4, "bytes_max": 16 },
            { "name": "key", "openness": "secret", "form": "hex", "bytes_min": 8, "bytes_max": 8 },
        ],
    });
    let row = |number| format!("{},{}\n", pool_code(number), pool_key(number));
    let rows: String = (0..credentials).map(row).collect();
    for (path, text) in [(&schema, columns.to_string()), (&file, format!("id,key\n{rows}"))] {
        File::create(path)
            .and_then(|mut to| to.write_all(text.as_bytes()))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok((schema, file))
}
