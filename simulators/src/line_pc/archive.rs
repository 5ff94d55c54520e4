//! A boot image: a cpio archive in the form `newc` (Linux, `initramfs buffer format`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// What is in the image so far.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    names: BTreeSet<String>,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        let fields = [
            self.names.len() as u32 + 1,
            mode,
            0,
            0,
            1,
            0,
            content.len() as u32,
            0,
            0,
            0,
            0,
            name.len() as u32 + 1,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn folders(&mut self, name: &str) {
        for (at, _) in name.match_indices('/') {
            if self.names.insert(name[..at].to_owned()) {
                self.entry(&name[..at], FOLDER | 0o755, &[]);
            }
        }
    }

    /// An empty folder at an absolute path.
    pub fn folder(&mut self, path: &str) {
        self.folders(&format!("{}/", path.trim_start_matches('/')));
    }

    /// A file at an absolute path. The first of a name stays.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        let name = path.trim_start_matches('/');
        if self.names.insert(name.to_owned()) {
            self.folders(name);
            self.entry(name, FILE | mode, content);
        }
    }

    /// A file of this machine, at the same or another path.
    ///
    /// # Errors
    /// A file that cannot be read, with its name.
    pub fn copy(&mut self, from: &Path, to: &str) -> io::Result<()> {
        let read = fs::read(from).and_then(|bytes| Ok((bytes, fs::metadata(from)?)));
        let (bytes, about) = read.map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", from.display()))
        })?;
        self.file(to, about.permissions().mode() & 0o777, &bytes);
        Ok(())
    }

    /// A program or library of this machine with every library it loads.
    ///
    /// # Errors
    /// One of them cannot be read, or there is no `ldd`.
    pub fn program(&mut self, from: &Path, to: &str) -> io::Result<()> {
        self.copy(from, to)?;
        let output = Command::new("ldd").arg(from).output()?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let library = line.split_whitespace().find(|word| word.starts_with('/'));
            if let Some(library) = library {
                self.copy(Path::new(library), library)?;
            }
        }
        Ok(())
    }

    /// The whole archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}
