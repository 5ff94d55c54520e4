//! `flashline-hub`: makes a hub, serves it, and asks a running one.
//!
//! What it prints on standard output is JSON, for programs; troubles go to standard error.

mod people;
mod stations;

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use audit::SignedCheckpoint;
use base64::Engine as _;
use clap::{Args, Parser, Subcommand};
use hub::admin_client::{
    AdminClient, AdminError, DispositionCreate, MacSecretCreate, OrderCreate, PoolImport, Relend,
};
use hub::hub::Terms;
use hub::stick_carrier::{self, CarrierError};
use hub::vault::Secret;
use hub::{Hub, InitWith, ServeWith};
use people::PersonVerb;
use protocol::{OrderNumber, PortionGrant, ProductName, Sha256, StationName, TenantName};
use release::ReleaseTrouble;
use serde::Serialize;
use stations::StationVerb;
use sync::stick::StickError;
use zeroize::Zeroizing;

/// The firmware hub of Flashline.
#[derive(Debug, Parser)]
#[command(name = "flashline-hub", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes a hub in a folder, or another tenant in one.
    Init {
        #[command(flatten)]
        at: At,
        /// The tenant's name.
        #[arg(long)]
        tenant: TenantName,
        /// A host name or address of this hub beside localhost; may be given several times.
        #[arg(long = "name")]
        names: Vec<String>,
    },
    /// Serves a hub until SIGTERM; prints the real addresses as one line of JSON.
    Serve {
        #[command(flatten)]
        at: At,
        /// Where stations connect; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:7443")]
        station_listen: SocketAddr,
        /// Where people connect; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:7444")]
        admin_listen: SocketAddr,
        /// host:port that enrolment codes name, where it is not the listening address.
        #[arg(long)]
        station_address: Option<String>,
        /// Days a lease is good.
        #[arg(long, default_value_t = Terms::default().lease_days)]
        lease_days: u16,
        /// Leases let stations flash boards that answer over a network: for demonstrations.
        #[arg(long)]
        allow_simulated_boards: bool,
        /// Days that the text of stations' records is kept; for ever when absent. Hashes and
        /// reservations stay.
        #[arg(long)]
        keep_records_days: Option<u32>,
    },
    /// Publishes a bundle that `flashline-release pack` made, or the documents without a release
    /// that `flashline-release documents` collected.
    Publish {
        #[command(flatten)]
        to: To,
        /// The bundle's folder.
        bundle: PathBuf,
    },
    /// Stations: invite, list, turn away.
    #[command(subcommand)]
    Station(StationVerb),
    /// Work orders: make, list.
    #[command(subcommand)]
    Order(OrderVerb),
    /// People of the lines: add, change, list, erase a name.
    #[command(subcommand)]
    Person(PersonVerb),
    /// Portions of orders for stations.
    #[command(subcommand)]
    Portion(PortionVerb),
    /// Pools of credentials: import, list, lend anew.
    #[command(subcommand)]
    Pool(PoolVerb),
    /// Hands over a product's secret of mode hmac-sha256: a copy deterrent, no proof.
    MacSecret {
        #[command(flatten)]
        to: To,
        /// The product.
        #[arg(long)]
        product: ProductName,
        /// The file that `flashline-activation mac-secret` made.
        file: PathBuf,
    },
    /// What becomes of a unit: scrap, chip replaced.
    #[command(subcommand)]
    Unit(UnitVerb),
    /// Lists what about units must be shown to people: two credentials, boards to pull.
    Conflicts {
        #[command(flatten)]
        to: To,
    },
    /// USB sticks of stations without a network: read, write.
    #[command(subcommand)]
    Stick(StickVerb),
    /// Lists the units the hub knows.
    Units {
        #[command(flatten)]
        to: To,
    },
    /// Lists the stations.
    Stations {
        #[command(flatten)]
        to: To,
    },
    /// Lists the releases.
    Releases {
        #[command(flatten)]
        to: To,
    },
    /// Shows a station's journal as the hub holds it.
    Journal {
        #[command(flatten)]
        to: To,
        /// The station.
        station: StationName,
        /// Which journal; the newest when absent.
        #[arg(long)]
        epoch: Option<u32>,
        /// Write it as an export (JSON Lines) that `station-daemon audit verify` checks offline.
        #[arg(long)]
        export: bool,
        /// Write the export as a table (CSV), which that program checks too.
        #[arg(long, requires = "export")]
        csv: bool,
    },
    /// Shows a station's forks: both histories, side by side from where they differ.
    Forks {
        #[command(flatten)]
        to: To,
        /// The station.
        station: StationName,
    },
    /// Writes the hub-keys.json of the keys that follow the hub's own, made when none wait: R&D
    /// rotates its root with it, and the hub signs with them once the new root is published.
    NextKeys {
        #[command(flatten)]
        to: To,
    },
    /// A hub that was set back to an older backup: show what it waits for, or end that.
    #[command(subcommand)]
    Recovery(RecoveryVerb),
    /// Epochs of a station's journal.
    #[command(subcommand)]
    Epoch(EpochVerb),
    /// Shows who changed what at the hub for this tenant.
    Log {
        #[command(flatten)]
        to: To,
        /// Write it as an export (JSON Lines) that `station-daemon audit verify` checks offline
        /// with the hub's key in the place of the station's.
        #[arg(long)]
        export: bool,
    },
}

#[derive(Debug, Subcommand)]
enum PoolVerb {
    /// Imports a CSV file of credentials, whole or not at all.
    Import {
        #[command(flatten)]
        to: To,
        /// The product whose pool it is for.
        #[arg(long)]
        product: ProductName,
        /// The columns, JSON.
        #[arg(long)]
        schema: PathBuf,
        /// At how many left the alarm is raised.
        #[arg(long)]
        low_count: Option<u64>,
        /// Within how many days the pace may empty the pool before the alarm is raised.
        #[arg(long)]
        low_days: Option<u32>,
        /// The credentials.
        file: PathBuf,
    },
    /// Lists the pools with the low-water alarm.
    List {
        #[command(flatten)]
        to: To,
    },
    /// Lends the credential that a chip got at one station to another station, for that chip alone.
    Relend {
        #[command(flatten)]
        to: To,
        /// The product.
        #[arg(long)]
        product: ProductName,
        /// The chip's family.
        #[arg(long)]
        family: String,
        /// The chip's UID, hexadecimal.
        #[arg(long)]
        uid: String,
        /// Who shall write it.
        #[arg(long)]
        station: StationName,
        /// R&D's certificate over that station's key, hexadecimal.
        #[arg(long)]
        allotment_certificate: String,
    },
}

#[derive(Debug, Subcommand)]
enum UnitVerb {
    /// Voids a unit's UID and code for ever.
    Scrap {
        #[command(flatten)]
        to: To,
        /// The product.
        #[arg(long)]
        product: ProductName,
        /// The chip's family.
        #[arg(long)]
        family: String,
        /// The chip's UID, hexadecimal.
        #[arg(long)]
        uid: String,
    },
    /// Voids the chip that came off and links the one that came on by the serial number.
    ChipReplaced {
        #[command(flatten)]
        to: To,
        /// The product.
        #[arg(long)]
        product: ProductName,
        /// The unit's serial number.
        #[arg(long)]
        serial: String,
        /// Family of both chips.
        #[arg(long)]
        family: String,
        /// UID of the chip that came off, hexadecimal.
        #[arg(long)]
        old_uid: String,
        /// UID of the chip that came on, hexadecimal.
        #[arg(long)]
        new_uid: String,
    },
}

#[derive(Debug, Subcommand)]
enum EpochVerb {
    /// Opens a new epoch for a station in quarantine; both histories of the old one stay.
    Open {
        #[command(flatten)]
        to: To,
        /// The station.
        station: StationName,
    },
}

#[derive(Debug, Subcommand)]
enum RecoveryVerb {
    /// Shows since when the hub is recovering, and the stations it waits for.
    Show {
        #[command(flatten)]
        to: To,
    },
    /// Grants again although stations are missing.
    End {
        #[command(flatten)]
        to: To,
    },
}

#[derive(Debug, Subcommand)]
enum OrderVerb {
    /// Makes a work order.
    Create {
        #[command(flatten)]
        to: To,
        /// As printed on the traveller.
        #[arg(long)]
        number: OrderNumber,
        /// What is made.
        #[arg(long)]
        product: ProductName,
        /// SHA-256 of the release's manifest.
        #[arg(long)]
        manifest: Sha256,
        /// Units to make.
        #[arg(long)]
        quantity: u32,
    },
    /// Lists the orders.
    List {
        #[command(flatten)]
        to: To,
    },
}

#[derive(Debug, Subcommand)]
enum PortionVerb {
    /// Grants a station a portion of an order.
    Grant {
        #[command(flatten)]
        to: To,
        /// Who flashes.
        #[arg(long)]
        station: StationName,
        /// From which order.
        #[arg(long)]
        order: OrderNumber,
        /// How many units.
        #[arg(long)]
        quantity: u32,
        /// R&D's certificate over the station's allotment key, hexadecimal.
        #[arg(long)]
        allotment_certificate: Option<String>,
        /// First index of the allotment; the first free one when absent.
        #[arg(long)]
        index_from: Option<u32>,
        /// One past the last index; the allotment's end when absent.
        #[arg(long)]
        index_to: Option<u32>,
        /// production, rework or after-sales.
        #[arg(long)]
        channel: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum StickVerb {
    /// Brings what stations wrote on a stick to the hub.
    Read(StickArgs),
    /// Writes what the hub has for stations on a stick.
    Write(StickArgs),
}

#[derive(Debug, Args)]
struct StickArgs {
    #[command(flatten)]
    to: To,
    /// Where the stick is mounted.
    #[arg(long, value_name = "FOLDER")]
    stick: PathBuf,
    /// Whose firmware it is.
    #[arg(long)]
    tenant: TenantName,
    /// The station; every station of the tenant when absent.
    #[arg(long)]
    station: Option<StationName>,
}

/// Which hub on this machine.
#[derive(Debug, Args)]
struct At {
    /// Folder of the hub.
    #[arg(long)]
    data: PathBuf,
    /// File with the secret that seals the hub's keys; made by `init` when missing. Without it,
    /// systemd's credential `flashline-hub-secret` is read.
    #[arg(long)]
    secret_file: Option<PathBuf>,
    /// Folder of systemd's credentials.
    #[arg(long, env = "CREDENTIALS_DIRECTORY", hide = true)]
    credentials: Option<PathBuf>,
}

/// Which running hub.
#[derive(Debug, Args)]
pub(crate) struct To {
    /// host:port of the hub's admin listener.
    #[arg(long, env = "FLASHLINE_HUB")]
    hub: String,
    /// The hub CA's certificate, as `init` wrote it.
    #[arg(long, env = "FLASHLINE_HUB_CA")]
    ca: PathBuf,
    /// File with the admin token, as `init` wrote it.
    #[arg(long, env = "FLASHLINE_HUB_TOKEN_FILE")]
    token_file: PathBuf,
}

impl To {
    pub(crate) fn client(&self) -> anyhow::Result<AdminClient> {
        Ok(AdminClient::new(&self.hub, &self.ca, &self.token_file)?)
    }
}

#[derive(Debug, Serialize)]
struct Listening {
    station: SocketAddr,
    admin: SocketAddr,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("FLASHLINE_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
        .and_then(|runtime| runtime.block_on(run(Cli::parse())));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (code, act) = trouble(&error);
            let said = format!("flashline-hub: {code}: {error:#}\n{act}");
            // Standard error may be closed; the exit code still says it.
            let _ = writeln!(std::io::stderr(), "{said}");
            ExitCode::FAILURE
        }
    }
}

/// The code of what went wrong, and the one thing to do about it.
fn trouble(error: &anyhow::Error) -> (String, String) {
    if error.chain().any(|cause| cause.downcast_ref::<StickError>().is_some()) {
        let act = "Write the stick again where it comes from.";
        return ("F-55".to_owned(), act.to_owned());
    }
    let asked = error.chain().find_map(|cause| cause.downcast_ref::<AdminError>());
    match asked {
        Some(AdminError::Refused(problem)) => {
            let code = problem.code.clone().unwrap_or_else(|| problem.kind.as_str().to_owned());
            (code, problem.act.clone())
        }
        Some(AdminError::Bundle(bundle)) => {
            let trouble = ReleaseTrouble::from(bundle);
            (trouble.code().to_owned(), trouble.act().to_owned())
        }
        Some(AdminError::Http(_) | AdminError::Strange(_) | AdminError::Json(_)) => {
            ("hub-not-answering".to_owned(), "Check that the hub runs at this address.".to_owned())
        }
        Some(AdminError::File { .. } | AdminError::Tls(_)) | None => {
            let act = "Correct the command or the file where it says so.";
            ("command-refused".to_owned(), act.to_owned())
        }
    }
}

pub(crate) fn print(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.verb {
        Verb::Init { at, tenant, names } => {
            let secret = Secret::find(at.secret_file, at.credentials)?;
            let with = InitWith { data: at.data, tenant, secret, names, now_ms: now_ms() };
            let made = hub::init(&with).await?;
            print(&serde_json::json!({
                "ca": made.ca_file,
                "ca_sha256": made.ca_sha256,
                "token_file": made.token_file,
                "hub_keys": made.hub_keys_file,
            }))
        }
        Verb::Serve {
            at,
            station_listen,
            admin_listen,
            station_address,
            lease_days,
            allow_simulated_boards,
            keep_records_days,
        } => {
            let secret = Secret::find(at.secret_file, at.credentials)?;
            let terms =
                Terms { lease_days, allow_simulated: allow_simulated_boards, keep_records_days };
            let hub = Hub::open(&at.data, &secret, terms, Arc::new(now_ms)).await?;
            serve(hub, ServeWith { station_listen, admin_listen, station_address }).await
        }
        Verb::Publish { to, bundle } => {
            let client = to.client()?;
            if bundle.join(release::bundle::MANIFEST_FILE).exists() {
                print(&client.publish(&bundle).await?)
            } else {
                print(&client.take_documents(&bundle).await?)
            }
        }
        Verb::Station(verb) => stations::station(verb).await,
        Verb::Order(verb) => order(verb).await,
        Verb::Person(verb) => people::person(verb).await,
        Verb::Stick(verb) => stick(verb).await,
        Verb::Portion(PortionVerb::Grant {
            to,
            station,
            order,
            quantity,
            allotment_certificate,
            index_from,
            index_to,
            channel,
        }) => {
            let grant = PortionGrant {
                station,
                order,
                quantity,
                allotment_certificate,
                index_from,
                index_to,
                channel,
            };
            to.client()?.grant(&grant).await?;
            print(&grant)
        }
        Verb::Pool(verb) => pool(verb).await,
        Verb::MacSecret { to, product, file } => {
            let text = Zeroizing::new(read_small(&file)?);
            let text = std::str::from_utf8(&text).context("reading the secret: not text")?;
            let create = MacSecretCreate { product, secret: text.trim().to_owned() };
            print(&to.client()?.mac_secret(&create).await?)
        }
        Verb::Unit(verb) => unit(verb).await,
        Verb::Conflicts { to } => print(&to.client()?.conflicts().await?),
        Verb::Units { to } => print(&to.client()?.units().await?),
        Verb::Stations { to } => print(&to.client()?.stations().await?),
        Verb::Releases { to } => print(&to.client()?.releases().await?),
        Verb::Journal { to, station, epoch, export, csv } => {
            let client = to.client()?;
            if !export {
                return print(&client.journal(station.as_str(), epoch).await?);
            }
            let file = client.export(station.as_str(), epoch, csv).await?;
            let mut out = std::io::stdout().lock();
            out.write_all(&file)?;
            Ok(out.flush()?)
        }
        Verb::NextKeys { to } => {
            let keys = to.client()?.next_keys().await?;
            let mut out = std::io::stdout().lock();
            out.write_all(&keys)?;
            Ok(out.flush()?)
        }
        Verb::Recovery(RecoveryVerb::Show { to }) => print(&to.client()?.recovery().await?),
        Verb::Recovery(RecoveryVerb::End { to }) => {
            let client = to.client()?;
            client.end_recovery().await?;
            print(&client.recovery().await?)
        }
        Verb::Forks { to, station } => print(&to.client()?.forks(station.as_str()).await?),
        Verb::Epoch(EpochVerb::Open { to, station }) => {
            print(&to.client()?.open_epoch(station.as_str()).await?)
        }
        Verb::Log { to, export } => {
            let log = to.client()?.log().await?;
            if !export {
                return print(&log);
            }
            let head = log.checkpoint.as_deref();
            write_export(head.context("nothing was changed yet")?, &log.records)
        }
    }
}

/// Writes records and their signed head so that they can be checked far from this hub.
fn write_export(head: &str, records: &[String]) -> anyhow::Result<()> {
    let signed: SignedCheckpoint = head.parse().context("reading the signed head")?;
    let mut out = std::io::stdout().lock();
    audit::write_export(&mut out, &signed, records.iter().map(String::as_bytes))?;
    Ok(out.flush()?)
}

async fn serve(hub: Hub, with: ServeWith) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let serving = hub::serve(hub, &with).await?;
    print(&Listening { station: serving.station, admin: serving.admin })?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    serving.stop().await;
    Ok(())
}

/// A schema, a secret: small files.
fn read_small(path: &Path) -> anyhow::Result<Vec<u8>> {
    const BYTES_MAX: u64 = 64 * 1024;
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("reading {}", path.display()))?;
    let fits = bytes.len() as u64 <= BYTES_MAX;
    anyhow::ensure!(fits, "{} is larger than {BYTES_MAX} bytes", path.display());
    Ok(bytes)
}

async fn pool(verb: PoolVerb) -> anyhow::Result<()> {
    match verb {
        PoolVerb::Import { to, product, schema, low_count, low_days, file } => {
            let schema = serde_json::from_slice(&read_small(&schema)?)
                .with_context(|| format!("reading {}", schema.display()))?;
            let bytes = std::fs::read(&file).map(Zeroizing::new);
            let bytes = bytes.with_context(|| format!("reading {}", file.display()))?;
            let name = file.file_name().unwrap_or(file.as_os_str());
            let import = PoolImport {
                product,
                schema,
                name: name.to_string_lossy().into_owned(),
                base64: base64::engine::general_purpose::STANDARD.encode(bytes.as_slice()),
                low_count,
                low_days,
            };
            print(&to.client()?.import_pool(&import).await?)
        }
        PoolVerb::List { to } => print(&to.client()?.pools().await?),
        PoolVerb::Relend { to, product, family, uid, station, allotment_certificate } => {
            let relend = Relend { product, family, uid, station, allotment_certificate };
            to.client()?.relend(&relend).await?;
            print(&relend)
        }
    }
}

async fn unit(verb: UnitVerb) -> anyhow::Result<()> {
    let (to, create) = match verb {
        UnitVerb::Scrap { to, product, family, uid } => {
            (to, DispositionCreate::Scrap { product, family, uid })
        }
        UnitVerb::ChipReplaced { to, product, serial, family, old_uid, new_uid } => {
            let (old_family, new_family) = (family.clone(), family);
            let create = DispositionCreate::ChipReplaced {
                product,
                serial,
                old_family,
                old_uid,
                new_family,
                new_uid,
            };
            (to, create)
        }
    };
    to.client()?.dispose(&create).await?;
    print(&create)
}

async fn stick(verb: StickVerb) -> anyhow::Result<()> {
    let (reads, StickArgs { to, stick, tenant, station }) = match verb {
        StickVerb::Read(args) => (true, args),
        StickVerb::Write(args) => (false, args),
    };
    let client = to.client()?;
    let all = station.is_none();
    let names = match station {
        Some(station) => vec![station],
        None => {
            let stations = client.stations().await?.into_iter();
            stations.filter(|station| !station.revoked).map(|station| station.name).collect()
        }
    };
    let (mut carried, mut refused) = (Vec::new(), Vec::new());
    for name in names {
        let done = if reads {
            stick_carrier::read(&client, &stick, tenant.as_str(), name.as_str()).await
        } else {
            stick_carrier::write(&client, &stick, tenant.as_str(), name.as_str()).await
        };
        match done {
            Ok(done) => carried.push(done),
            // Not every station writes on every stick.
            Err(CarrierError::Stick(StickError::NoParcel { .. })) if all => {}
            Err(error) => refused.push((name, error)),
        }
    }
    print(&carried)?;
    let mut refused = refused.into_iter();
    let Some((name, error)) = refused.next() else { return Ok(()) };
    let others = refused.len();
    let error = anyhow::Error::from(error);
    Err(error.context(format!("station {name}, and {others} more, were not carried")))
}

async fn order(verb: OrderVerb) -> anyhow::Result<()> {
    match verb {
        OrderVerb::Create { to, number, product, manifest, quantity } => {
            let create = OrderCreate { number, product, manifest_sha256: manifest, quantity };
            to.client()?.create_order(&create).await?;
            print(&create)
        }
        OrderVerb::List { to } => print(&to.client()?.orders().await?),
    }
}
