//! A whole house on one desk: R&D's folder, a hub, a station and simulated boards.
//!
//! Owns the order in which the real programs are started and told about each other, as a customer
//! would do it by hand. Knows nothing of their insides: command lines, sockets and files only.
//! Everything it writes lies in one fresh folder, and nothing it starts outlives it.

mod board;
mod hub;
mod process;
mod research;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

pub use board::Board;
pub use hub::Hub;
pub use process::{Program, until};
pub use research::{Recipe, Release, Research};

/// The demo's tenant.
pub const TENANT: &str = "acme";
/// The demo's product; the demo firmware says the same name.
pub const PRODUCT: &str = "demo-lamp";

/// The folder our programs lie in.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Programs in a folder that cargo built them into.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Programs beside the test that runs: the whole workspace was built into one folder.
    ///
    /// # Errors
    /// When the station daemon does not lie there: `cargo build --workspace` makes it.
    pub fn beside_this_test() -> Result<Self> {
        let test = env::current_exe().context("finding this test's own program")?;
        let folder = test
            .parent()
            .and_then(Path::parent)
            .context("a test lies in the `deps` folder of the build")?;
        ensure!(
            folder.join("station-daemon").is_file(),
            "the programs are not built; run `cargo build --workspace` first"
        );
        Ok(Self::in_folder(folder))
    }

    /// A command that runs one program.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        Command::new(self.folder.join(program))
    }

    /// Runs one program to its end and gives what it wrote.
    ///
    /// # Errors
    /// When it does not start or ends badly; the error holds what it said.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, program: &str, arguments: &[S]) -> Result<String> {
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .with_context(|| format!("starting {program}"))?;
        let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        ensure!(
            output.status.success(),
            "`{program} {}` ended with {}: {}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        String::from_utf8(output.stdout).with_context(|| format!("reading what {program} wrote"))
    }
}
