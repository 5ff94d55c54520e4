//! The client under test of the TUF conformance suite, over our verifier set-up: `sigstore-tuf` with
//! `ring`, Ed25519 only.
//!
//! Speaks that suite's command line: `init`, `refresh` and `download`. Our own rules on top of TUF
//! (canonical documents, one shape of delegation) are left out: the suite's repositories are not
//! ours. Exit code 0 when the verb succeeded, 1 when it did not.

#![allow(clippy::print_stderr, reason = "a command line program says why it refused")]

use std::fs;
use std::future::Future;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context as Polling, Poll, Waker};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use release::Digest;
use release::folder::{Readers, replace_file};
use sigstore_tuf::cache::MetadataStore;
use sigstore_tuf::client::Updater;
use sigstore_tuf::transport::{FetchFuture, Repository};
use sigstore_tuf::{Error, TargetFile};

/// A server that says nothing for so long is gone.
const ANSWER_S_MAX: u64 = 30;

#[derive(Parser)]
struct Cli {
    /// Where the trusted metadata lies.
    #[arg(long)]
    metadata_dir: PathBuf,
    /// Where the repository's metadata is served.
    #[arg(long)]
    metadata_url: Option<String>,
    /// A target; may be given several times.
    #[arg(long = "target-name")]
    target_names: Vec<String>,
    /// Where the repository's targets are served.
    #[arg(long)]
    target_base_url: Option<String>,
    /// Where downloaded targets go.
    #[arg(long)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Trust this root from now on.
    Init { root: PathBuf },
    /// Bring the top-level metadata up to date.
    Refresh,
    /// Bring everything up to date and fetch the targets.
    Download,
}

fn main() -> ExitCode {
    release::tuf::use_ring();
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tuf-conformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let trusted = cli.metadata_dir.join("root.json");
    if let Verb::Init { root } = &cli.verb {
        let bytes = fs::read(root).with_context(|| format!("reading {}", root.display()))?;
        sigstore_tuf::TrustedMetadataSet::from_root(&bytes)?;
        return replace_file(&trusted, &bytes, Readers::Everybody).context("keeping the root");
    }
    let root = fs::read(&trusted).context("reading the trusted root")?;
    let server = Server {
        metadata: cli.metadata_url.clone().context("--metadata-url is missing")?,
        targets: cli.target_base_url.clone().unwrap_or_default(),
    };
    let mut updater =
        Updater::new(server, &root)?.with_store(Folder { at: cli.metadata_dir.clone() });
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = jiff::Timestamp::from_millisecond(i64::try_from(since.as_millis())?)?;
    at_once(updater.refresh(now))??;
    if matches!(cli.verb, Verb::Download) {
        let folder = cli.target_dir.as_deref().context("--target-dir is missing")?;
        for name in &cli.target_names {
            let target = at_once(updater.get_target_info(name, now))??
                .with_context(|| format!("no target is called {name}"))?;
            download(&updater, &target, name, folder).with_context(|| name.clone())?;
        }
    }
    Ok(())
}

fn download(updater: &Updater, target: &TargetFile, name: &str, folder: &Path) -> Result<()> {
    let path = folder.join(encoded(name, ""));
    let known = target.hashes.get("sha256");
    let there = fs::read(&path).is_ok_and(|bytes| {
        bytes.len() as u64 == target.length && known == Some(&Digest::of(&bytes).to_string())
    });
    if there {
        return Ok(());
    }
    let bytes = at_once(updater.download_target(target, name))??;
    replace_file(&path, &bytes, Readers::Everybody).context("keeping the target")
}

/// The suite's folder: top-level and delegated metadata by their plain names, nothing else.
struct Folder {
    at: PathBuf,
}

impl Folder {
    /// The file of one metadata document; none for the verifier's copies by version, which the
    /// suite does not want to see.
    fn file(&self, name: &str) -> Option<PathBuf> {
        let inner = name.starts_with("root_history/") || name.starts_with("targets/");
        let by_version = name.split_once('.').is_some_and(|(first, rest)| {
            !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit()) && rest != "json"
        });
        (!inner && !by_version).then(|| self.at.join(encoded(name, "%")))
    }
}

impl MetadataStore for Folder {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.file(name).and_then(|path| fs::read(path).ok()))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let Some(path) = self.file(name) else { return Ok(()) };
        replace_file(&path, bytes, Readers::Everybody)
            .map_err(|error| Error::io(path.display().to_string(), error))
    }
}

/// A repository over HTTP. Its futures do their work when they are first asked.
struct Server {
    metadata: String,
    targets: String,
}

impl Repository for Server {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        // The verifier writes `%XX` in role names by itself.
        Box::pin(async move { get(&self.metadata, &encoded(name, "%"), max_length) })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move { get(&self.targets, &encoded(path, "/"), max_length) })
    }
}

/// A file of at most `bytes_max` bytes; none when the server has none.
fn get(base: &str, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
    let url = format!("{}/{path}", base.trim_end_matches('/'));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(ANSWER_S_MAX)))
        .build()
        .into();
    let failed = |error: ureq::Error| Error::transport(format!("asking for {url}: {error}"));
    let mut answer = agent.get(&url).call().map_err(failed)?;
    match answer.status().as_u16() {
        200 => {}
        403 | 404 => return Ok(None),
        other => return Err(Error::transport(format!("asking for {url}: HTTP {other}"))),
    }
    let mut bytes = Vec::new();
    let reader = answer.body_mut().as_reader();
    let read = reader.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| Error::transport(format!("reading {url}: {error}")))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::transport(format!("{url} is longer than {bytes_max} bytes")));
    }
    Ok(Some(bytes))
}

/// A name as one part of a URL or as a file's name: everything but letters, digits, `-._~` and what
/// is `kept` becomes `%XX`.
fn encoded(name: &str, kept: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        let letter = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(letter) || kept.contains(letter) {
            out.push(letter);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The result of a future that never waits: everything behind it is blocking.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T> {
    match pin!(future).poll(&mut Polling::from_waker(Waker::noop())) {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => bail!("the verifier waits for something that is not there"),
    }
}
