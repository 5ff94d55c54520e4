//! A program of the world: started, heard, stopped.
//!
//! What a program writes to standard error goes to a log file in the world's folder. A program dies
//! with the world: it is asked first (SIGTERM), then killed.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// How long a program may take to answer or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Program {
    /// Starts a program; its standard error goes to `NAME.log` in `folder`.
    ///
    /// # Errors
    /// When the program or its log cannot be opened.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("opening {}", log.display()))?;
        let mut child = command
            // Held open: a board ends when its starter's end of this pipe is gone.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let stdout = child.stdout.take().map(BufReader::new);
        Ok(Self { name: name.to_owned(), child, stdout, log })
    }

    /// The first line of standard output, which our programs write as one JSON object once they
    /// answer. What follows on standard output is let go.
    ///
    /// # Errors
    /// When it ends first or writes something else.
    pub fn announcement(&mut self) -> Result<Value> {
        let mut stdout =
            self.stdout.take().with_context(|| format!("{} has announced itself", self.name))?;
        let mut line = String::new();
        stdout.read_line(&mut line).with_context(|| format!("listening to {}", self.name))?;
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        serde_json::from_str(&line).map_err(|error| {
            let last = std::fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = last.lines().rev().take(5).collect();
            anyhow!("{} announced {line:?}, not JSON: {error}; its log ends: {last:#?}", self.name)
        })
    }

    /// Fails when the program has ended by itself.
    ///
    /// # Errors
    /// Says how it ended and where its log is.
    pub fn alive(&mut self) -> Result<()> {
        if let Some(status) =
            self.child.try_wait().with_context(|| format!("looking after {}", self.name))?
        {
            bail!("{} ended with {status}; its log is {}", self.name, self.log.display());
        }
        Ok(())
    }

    /// The number the system gave its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the program to end and waits until it has.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(mut self) -> Result<()> {
        self.ask_to_end()
    }

    fn ask_to_end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        if asked.success() && until(PATIENCE / 6, || Ok(self.child.try_wait()?)).is_ok() {
            return Ok(());
        }
        self.child.kill().with_context(|| format!("killing {}", self.name))?;
        self.child.wait().with_context(|| format!("waiting for {}", self.name))?;
        bail!("{} did not end when asked and was killed", self.name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(error) = self.ask_to_end() {
            // Nobody can be told any more; the program's own log is where one looks.
            let log = File::options().append(true).open(&self.log);
            drop(log.and_then(|mut log| writeln!(log, "{error:#}")));
        }
    }
}

/// Looks at a condition until it gives something, or `limit` has passed.
///
/// # Errors
/// When the limit has passed, or looking fails.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if started.elapsed() > limit {
            bail!("waited {} s for it", limit.as_secs());
        }
        std::thread::park_timeout(LOOK);
    }
}
