//! The station's program: the line, its workers, enrolment, and the offline check of a journal.
#![allow(clippy::print_stdout, reason = "subcommands answer on standard output")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ring::rand::SystemRandom;
use station_daemon::config::Config;
use station_daemon::desk::{Desk, DeskHandle, DeskSetup};
use station_daemon::enrolment::join;
use station_daemon::keys::StationSecret;
use station_daemon::platform::sealing::SealWith;
use station_daemon::run::{lock_folder, run};
use station_daemon::stick::{self, CarryError};
use station_daemon::store::Store;
use station_daemon::trouble::{TroubleCode, chain};
use station_daemon::{api, hands, platform};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "station-daemon", version, about = "The Flashline station")]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the station.
    Run(RunArgs),
    /// Touch one board for a running station (started by it, never by hand).
    Worker,
    /// Join a hub with an enrolment code.
    Enrol(EnrolArgs),
    /// Have the machine seal the station secret, so that a copied disk does not open.
    Seal(SealArgs),
    /// USB sticks of a station without a network, while it does not run: write, read.
    #[command(subcommand)]
    Stick(StickVerb),
    /// Check exported journals.
    Audit {
        #[command(subcommand)]
        verb: AuditVerb,
    },
    /// Print the OpenAPI document of the screen API.
    Openapi,
}

#[derive(Args)]
struct Where {
    /// The station's configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for everything the station keeps (instead of the configuration's).
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    place: Where,
    /// Loopback address of the screen API (instead of the configuration's).
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Folder with the built kiosk page (instead of the one inside the program).
    #[arg(long, value_name = "FOLDER")]
    ui: Option<PathBuf>,
}

#[derive(Args)]
struct EnrolArgs {
    #[command(flatten)]
    place: Where,
    /// The code from the hub: FL1-…
    #[arg(long, required_unless_present = "stick", conflicts_with = "stick")]
    code: Option<String>,
    /// Where a stick is mounted that holds the code.
    #[arg(long, value_name = "FOLDER")]
    stick: Option<PathBuf>,
    /// The name the code was made for, if it should be checked.
    #[arg(long)]
    name: Option<String>,
    /// The eight words of the tenant's root, from R&D and not from the hub; another root is refused.
    #[arg(long, value_name = "WORDS")]
    root_words: Option<String>,
}

#[derive(Args)]
struct SealArgs {
    #[command(flatten)]
    place: Where,
    /// What it is sealed with.
    #[arg(long, value_enum, default_value_t = SealKey::HostTpm2)]
    with: SealKey,
}

/// The keys of `systemd-creds --with-key`.
#[derive(Clone, Copy, ValueEnum)]
enum SealKey {
    /// The TPM and the machine's own key.
    #[value(name = "host+tpm2")]
    HostTpm2,
    /// The TPM.
    Tpm2,
    /// The machine's own key, which is on the same disk.
    Host,
}

#[derive(Subcommand)]
enum StickVerb {
    /// Write what waits for the hub on a stick, and what the station asks of it.
    Write(StickArgs),
    /// Read what the hub wrote on a stick.
    Read(StickArgs),
}

#[derive(Args)]
struct StickArgs {
    #[command(flatten)]
    place: Where,
    /// Where the stick is mounted.
    #[arg(long, value_name = "FOLDER")]
    stick: PathBuf,
    /// Your number, for the journal.
    #[arg(long)]
    by: Option<u32>,
}

#[derive(Subcommand)]
enum AuditVerb {
    /// Check an exported journal: signatures, order, completeness.
    Verify {
        /// The exported journal, JSON Lines, or a table if its name ends with `.csv`.
        file: PathBuf,
        /// The station's public journal key, 64 hexadecimal digits.
        #[arg(long)]
        station_key: String,
        /// The hub's cosigner as `NAME=HEX`, if its word counts too.
        #[arg(long)]
        hub_key: Option<String>,
    },
}

fn main() -> ExitCode {
    let command = Command::parse();
    if matches!(command.verb, Verb::Worker) {
        return hands::worker::main();
    }
    log_to_stderr();
    if let Err(error) = platform::harden() {
        tracing::warn!(%error, "core dumps are not forbidden");
    }
    let done = match command.verb {
        Verb::Worker => Ok(()),
        Verb::Run(args) => run_station(args),
        Verb::Enrol(args) => enrol(&args),
        Verb::Seal(args) => seal(&args),
        Verb::Audit { verb: AuditVerb::Verify { file, station_key, hub_key } } => {
            verify_export(&file, &station_key, hub_key.as_deref())
        }
        Verb::Stick(StickVerb::Write(args)) => carry(&args, |desk| {
            let written = stick::write(desk, &args.stick, args.by)?;
            Ok(serde_json::json!({
                "number": written.number, "letters": written.letters, "bytes": written.bytes,
            }))
        }),
        Verb::Stick(StickVerb::Read(args)) => carry(&args, |desk| {
            let taken = stick::read(desk, &args.stick, args.by)?;
            Ok(serde_json::json!({
                "number": taken.number,
                "documents": taken.documents,
                "chunks": taken.chunks,
                "acknowledged": taken.acknowledged,
                "time": taken.time,
            }))
        }),
        Verb::Openapi => {
            print!("{}", api::openapi_json());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %chain(error.as_ref()), "stopped");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("FLASHLINE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,probe_rs=error"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log on a full disk is lost; complaining about it would be a panic in the thread that
        // keeps the evidence.
        .log_internal_errors(false)
        .init();
}

fn configuration(place: &Where) -> anyhow::Result<Config> {
    let mut config = match (&place.config, &place.data) {
        (Some(file), _) => Config::read(file)?,
        (None, Some(data)) => Config::in_folder(data),
        (None, None) => anyhow::bail!("give --config FILE or --data FOLDER"),
    };
    if let Some(data) = &place.data {
        config.data.clone_from(data);
    }
    Ok(config)
}

fn run_station(args: RunArgs) -> anyhow::Result<()> {
    let mut config = configuration(&args.place)?;
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if args.ui.is_some() {
        config.ui = args.ui;
    }
    config.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok(run(config, stop).await?)
    })
}

fn enrol(args: &EnrolArgs) -> anyhow::Result<()> {
    let config = configuration(&args.place)?;
    let _lock = lock_folder(&config.data)?;
    let secret = StationSecret::open(&config.secret_places(), &SystemRandom::new())?;
    let mut store = Store::open(&config.store_file())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let protection = secret.protection();
    let name = args.name.as_deref();
    let words = args.root_words.as_deref();
    let code = match (&args.code, &args.stick) {
        (Some(code), _) => code.clone(),
        (None, Some(mount)) => sync::stick::read_code(mount, name)?,
        (None, None) => anyhow::bail!("give --code CODE or --stick FOLDER"),
    };
    match runtime.block_on(join(&mut store, &secret, &code, name, words, protection)) {
        Ok(joined) => {
            println!("{}", serde_json::to_string(&joined)?);
            Ok(())
        }
        Err(error) => {
            let code = TroubleCode::from(&error);
            println!("{}", serde_json::json!({ "trouble": code, "text": chain(&error) }));
            Err(error.into())
        }
    }
}

/// Seals the secret of a station that does not run.
fn seal(args: &SealArgs) -> anyhow::Result<()> {
    let config = configuration(&args.place)?;
    let _lock = lock_folder(&config.data).context("using the folder of a station at rest")?;
    let with = match args.with {
        SealKey::HostTpm2 => SealWith::HostAndTpm,
        SealKey::Tpm2 => SealWith::Tpm,
        SealKey::Host => SealWith::Host,
    };
    let places = config.secret_places();
    let protection = StationSecret::seal_bare(&places, with)?;
    println!(
        "{}",
        serde_json::json!({ "key_protection": protection.word(), "sealed": places.sealed })
    );
    Ok(())
}

/// Opens the desk of a station that does not run, for one stick.
fn carry(
    args: &StickArgs,
    work: impl FnOnce(&DeskHandle) -> Result<serde_json::Value, CarryError>,
) -> anyhow::Result<()> {
    let config = configuration(&args.place)?;
    let lock = lock_folder(&config.data);
    let _lock = lock.context(
        "using the station's folder (a running station takes sticks at its own screen API)",
    )?;
    let secret = StationSecret::open(&config.secret_places(), &SystemRandom::new())?;
    let (desk, _view) = Desk::open(DeskSetup {
        store: Store::open(&config.store_file())?,
        secret,
        line: config.line.clone(),
        language: config.language.clone(),
        slots: config.slots.iter().map(|slot| slot.number).collect(),
        clocks: Box::new(platform::reading),
    })?;
    let (desk, thread) = desk.start().context("starting the desk")?;
    let done = work(&desk);
    desk.tell(Desk::close);
    anyhow::ensure!(thread.join(), "closing the station's records");
    match done {
        Ok(done) => {
            println!("{done}");
            Ok(())
        }
        Err(error) => {
            let (code, word) = (TroubleCode::from(&error), error.word());
            println!(
                "{}",
                serde_json::json!({ "trouble": code, "word": word, "text": chain(&error) })
            );
            Err(error.into())
        }
    }
}

fn verify_export(
    file: &std::path::Path,
    station_key: &str,
    hub_key: Option<&str>,
) -> anyhow::Result<()> {
    let cosigner = hub_key.map(cosigner).transpose()?;
    let keys = audit::ExportKeys { origin: None, station_key: raw_key(station_key)?, cosigner };
    let table = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let file = std::fs::File::open(file).context("opening the export")?;
    let file = std::io::BufReader::new(file);
    let report = if table {
        audit::verify_csv_export(file, &keys)
    } else {
        audit::verify_export(file, &keys)
    }
    .context("checking the export")?;
    println!(
        "{}",
        serde_json::json!({
            "origin": report.checkpoint.origin.to_string(),
            "size": report.checkpoint.size,
            "root": hex::encode(report.checkpoint.root),
            "records": report.records,
            "complete": report.complete,
            "seen_by_hub_s": report.seen_s,
        })
    );
    Ok(())
}

fn cosigner(text: &str) -> anyhow::Result<audit::Cosigner> {
    let (name, key) = text.rsplit_once('=').context("a hub key is NAME=HEX")?;
    Ok(audit::Cosigner { name: name.to_owned(), key: raw_key(key)? })
}

fn raw_key(text: &str) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).context("a key is 64 hexadecimal digits")?;
    Ok(key)
}
