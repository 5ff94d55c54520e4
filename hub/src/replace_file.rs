//! The one way this room writes a file: whole or not at all, whatever happens meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Everybody whom the folder lets in.
    All,
    /// The owner only: secrets and tokens.
    Owner,
}

/// Puts `bytes` at `path`: temporary file beside it, synced, renamed, folder synced.
pub(crate) fn replace_file(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut random = [0_u8; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
        .map_err(|_| io::Error::other("no randomness for a temporary name"))?;
    let temporary = folder.join(format!(".{}.tmp", hex::encode(random)));
    let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // Best effort: the temporary name is never read.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
