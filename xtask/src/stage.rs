//! Stages of a long chore: each has a name, a time and an outcome, and all are shown at the end.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

/// The stages run so far.
#[derive(Default)]
pub(crate) struct Stages {
    /// Only stages whose name holds this are run, and the first.
    only: Option<String>,
    done: Vec<Done>,
}

struct Done {
    name: String,
    took: Duration,
    failure: Option<String>,
}

impl Stages {
    /// Stages of which only those are run whose name holds `only`, and the first, which makes ready.
    pub(crate) fn only(only: Option<String>) -> Self {
        Self { only, done: Vec::new() }
    }

    /// Runs one stage; a failure is kept and shown, and the next stages still run, so that one
    /// call tells everything that is wrong.
    pub(crate) fn run(&mut self, name: &str, stage: impl FnOnce() -> Result<()>) {
        let left_out = |only: &String| !self.done.is_empty() && !name.contains(only.as_str());
        if self.only.as_ref().is_some_and(left_out) {
            return;
        }
        println!("\n=== {name}");
        let started = Instant::now();
        let failure = stage().err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            println!("--- {name} failed: {failure}");
        }
        self.done.push(Done { name: name.to_owned(), took: started.elapsed(), failure });
    }

    /// Whether nothing has failed so far.
    pub(crate) fn all_passed(&self) -> bool {
        self.done.iter().all(|stage| stage.failure.is_none())
    }

    /// Prints every stage's time and ends with an error if one failed.
    pub(crate) fn finish(self) -> Result<()> {
        if let Some(only) = &self.only {
            ensure!(self.done.len() > 1, "no stage has \"{only}\" in its name");
        }
        println!("\nstage times");
        for stage in &self.done {
            let word = if stage.failure.is_some() { "FAILED" } else { "ok" };
            println!("{:>8.1} s  {word:<6}  {}", stage.took.as_secs_f64(), stage.name);
        }
        let total: Duration = self.done.iter().map(|stage| stage.took).sum();
        println!("{:>8.1} s  total", total.as_secs_f64());
        let failed: Vec<&str> = self
            .done
            .iter()
            .filter(|stage| stage.failure.is_some())
            .map(|stage| stage.name.as_str())
            .collect();
        ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
        Ok(())
    }
}

/// Runs a command with its output shown, and turns a bad exit into an error that names it.
pub(crate) fn must(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("starting `{shown}`"))?;
    ensure!(status.success(), "`{shown}` ended with {status}");
    Ok(())
}

/// Runs a command and gives its standard output as text.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("starting `{shown}`"))?;
    if !output.status.success() {
        bail!(
            "`{shown}` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("reading the output of `{shown}`"))
}

/// A command as one would type it, without the folders of its program.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    command.get_args().fold(name, |mut line, argument| {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
        line
    })
}
