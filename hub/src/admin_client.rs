//! The admin API from outside: what the command line and other programs use.
//!
//! Owns the requests. Trusts one CA, the one in the file it is given.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use protocol::{
    Conflict, Fork, KeyProtection, PoolView, PortionGrant, Problem, Recovery, Sha256, Station,
    StickParcel, StickTaken, Unit, UnitPage, WorkOrder,
};
use reqwest::{Client, Method, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::admin_api::{
    BundleFile, CodeCreate, CodeCreated, ConflictPage, DispositionCreate, EpochOpened, Imported,
    JournalPage, KeyProtectionDemand, LogPage, MacSecretCreate, MacSecretTaken, OrderCreate,
    Person, PersonChange, PersonCreate, PoolImport, Publication, ReleaseView, Relend, Withheld,
};
pub use crate::publish::{DocumentsTaken, Published};

const CHUNKS: &str = "chunks/";

/// A request to the hub did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// A file that is needed.
    #[error("reading {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The CA file, or TLS itself.
    #[error("setting up TLS with the hub's CA")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The bundle's folder.
    #[error("reading the publication bundle")]
    Bundle(#[from] release::BundleError),
    /// No connection, wrong certificate, or not the answer's shape.
    #[error("asking the hub")]
    Http(#[from] reqwest::Error),
    /// The hub refuses.
    #[error("the hub refuses: {}{}", .0.title, .0.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default())]
    Refused(Box<Problem>),
    /// Writing a request or reading an answer.
    #[error("writing or reading JSON for the hub")]
    Json(#[source] serde_json::Error),
    /// The hub answers something else.
    #[error("the hub answers with HTTP {0}")]
    Strange(StatusCode),
}

/// A hub's admin API.
#[derive(Debug, Clone)]
pub struct AdminClient {
    client: Client,
    base: String,
    token: String,
}

impl AdminClient {
    /// `hub` is `host:port` of the admin listener.
    ///
    /// # Errors
    /// [`AdminError::File`], [`AdminError::Tls`].
    pub fn new(hub: &str, ca_file: &Path, token_file: &Path) -> Result<Self, AdminError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|source| AdminError::File { path: path.to_owned(), source })
        };
        let token = read(token_file)?.trim().to_owned();
        Self::with_pem(hub, &read(ca_file)?, token)
    }

    /// The same with the CA's PEM and the token themselves.
    ///
    /// # Errors
    /// [`AdminError::Tls`].
    pub fn with_pem(hub: &str, ca_pem: &str, token: String) -> Result<Self, AdminError> {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|error| AdminError::Tls(Box::new(error)))?;
        roots.add(ca).map_err(|error| AdminError::Tls(Box::new(error)))?;
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| AdminError::Tls(Box::new(error)))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, base: format!("https://{hub}"), token })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Vec<u8>, AdminError> {
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        if status.is_success() {
            return Ok(bytes.to_vec());
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(AdminError::Refused(Box::new(problem))),
            Err(_) => Err(AdminError::Strange(status)),
        }
    }

    /// Asks for anything: path with query, from `/` on.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AdminError> {
        parse(&self.send(Method::GET, path, None).await?)
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<Vec<u8>, AdminError> {
        let body = serde_json::to_vec(body).map_err(AdminError::Json)?;
        self.send(Method::POST, path, Some(("application/json", body))).await
    }

    /// Publishes the bundle in a folder.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn publish(&self, folder: &Path) -> Result<Published, AdminError> {
        let publication = self.handed_over(folder).await?;
        parse(&self.post("/v1/admin/publications", &publication).await?)
    }

    /// Hands over the documents in a folder that come without a release.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn take_documents(&self, folder: &Path) -> Result<DocumentsTaken, AdminError> {
        let publication = self.handed_over(folder).await?;
        parse(&self.post("/v1/admin/documents", &publication).await?)
    }

    /// Uploads a bundle's chunks and gives what names them.
    async fn handed_over(&self, folder: &Path) -> Result<Publication, AdminError> {
        let bundle = release::folder::read_bundle(folder)?;
        let mut publication = Publication { files: Vec::new(), chunks: Vec::new() };
        for (path, bytes) in bundle.files() {
            match path.strip_prefix(CHUNKS).and_then(|digest| digest.parse::<Sha256>().ok()) {
                Some(digest) => {
                    let body = Some(("application/octet-stream", bytes.clone()));
                    let path = format!("/v1/admin/chunks/{digest}");
                    self.send(Method::PUT, &path, body).await?;
                    publication.chunks.push(digest);
                }
                None => publication.files.push(BundleFile {
                    path: path.clone(),
                    base64: base64::engine::general_purpose::STANDARD.encode(bytes),
                }),
            }
        }
        Ok(publication)
    }

    /// Makes an enrolment code.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create_code(&self, create: &CodeCreate) -> Result<CodeCreated, AdminError> {
        parse(&self.post("/v1/admin/stations/codes", create).await?)
    }

    /// Turns a station away.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn revoke(&self, station: &str) -> Result<(), AdminError> {
        self.send(Method::POST, &format!("/v1/admin/stations/{station}/revoke"), None).await?;
        Ok(())
    }

    /// Decides the least that must guard the stations' keys.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn demand_protection(&self, least: KeyProtection) -> Result<(), AdminError> {
        self.post("/v1/admin/key-protection", &KeyProtectionDemand { least }).await?;
        Ok(())
    }

    /// Has the hub check the signed list of a station's parcel.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn check_stick(
        &self,
        station: &str,
        list: Vec<u8>,
    ) -> Result<StickTaken, AdminError> {
        self.bring(station, "list", "application/json", list).await
    }

    /// Brings one sealed letter of a station's parcel.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn bring_letter(
        &self,
        station: &str,
        letter: Vec<u8>,
    ) -> Result<StickTaken, AdminError> {
        self.bring(station, "letters", "application/octet-stream", letter).await
    }

    /// Every letter was brought.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn end_stick(&self, station: &str, list: Vec<u8>) -> Result<StickTaken, AdminError> {
        self.bring(station, "read", "application/json", list).await
    }

    async fn bring(
        &self,
        station: &str,
        what: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<StickTaken, AdminError> {
        let path = format!("/v1/admin/stations/{station}/stick/{what}");
        parse(&self.send(Method::POST, &path, Some((kind, body))).await?)
    }

    /// A parcel for a station.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn stick_for(&self, station: &str) -> Result<StickParcel, AdminError> {
        let path = format!("/v1/admin/stations/{station}/stick/write");
        parse(&self.send(Method::POST, &path, None).await?)
    }

    /// A sealed chunk.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn chunk(&self, sha256: &Sha256) -> Result<Vec<u8>, AdminError> {
        self.send(Method::GET, &format!("/v1/admin/chunks/{sha256}"), None).await
    }

    /// Opens a new epoch for a station in quarantine.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn open_epoch(&self, station: &str) -> Result<EpochOpened, AdminError> {
        let path = format!("/v1/admin/stations/{station}/epoch");
        parse(&self.send(Method::POST, &path, None).await?)
    }

    /// How far the recovery of a hub that was set back is.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn recovery(&self) -> Result<Recovery, AdminError> {
        self.get("/v1/recovery").await
    }

    /// The public keys that follow the hub's for snapshot, timestamp and leases: the `hub-keys.json`
    /// with which R&D rotates its root.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn next_keys(&self) -> Result<Vec<u8>, AdminError> {
        self.send(Method::POST, "/v1/admin/keys/next", None).await
    }

    /// Ends a recovery although stations are missing.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn end_recovery(&self) -> Result<(), AdminError> {
        self.send(Method::POST, "/v1/admin/recovery/end", None).await?;
        Ok(())
    }

    /// A station's forks, both histories side by side.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn forks(&self, station: &str) -> Result<Vec<Fork>, AdminError> {
        self.get(&format!("/v1/stations/{station}/forks")).await
    }

    /// Makes a work order.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create_order(&self, create: &OrderCreate) -> Result<(), AdminError> {
        self.post("/v1/admin/orders", create).await?;
        Ok(())
    }

    /// Grants a portion.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn grant(&self, grant: &PortionGrant) -> Result<(), AdminError> {
        self.post("/v1/admin/portions", grant).await?;
        Ok(())
    }

    /// Imports a file of credentials, whole or not at all.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn import_pool(&self, import: &PoolImport) -> Result<Imported, AdminError> {
        parse(&self.post("/v1/admin/pools", import).await?)
    }

    /// How the pools stand.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn pools(&self) -> Result<Vec<PoolView>, AdminError> {
        self.get("/v1/pools").await
    }

    /// Lends a chip's credential to another station.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn relend(&self, relend: &Relend) -> Result<(), AdminError> {
        self.post("/v1/admin/pools/relend", relend).await?;
        Ok(())
    }

    /// Hands over a product's secret of mode *hmac-sha256*.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn mac_secret(&self, create: &MacSecretCreate) -> Result<MacSecretTaken, AdminError> {
        parse(&self.post("/v1/admin/mac-secrets", create).await?)
    }

    /// Records a disposition.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn dispose(&self, create: &DispositionCreate) -> Result<(), AdminError> {
        self.post("/v1/admin/dispositions", create).await?;
        Ok(())
    }

    /// Every conflict about units.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn conflicts(&self) -> Result<Vec<Conflict>, AdminError> {
        let mut conflicts = Vec::new();
        let mut path = "/v1/conflicts?limit=1000".to_owned();
        loop {
            let page: ConflictPage = self.get(&path).await?;
            conflicts.extend(page.conflicts);
            match page.next_cursor {
                Some(cursor) => path = format!("/v1/conflicts?limit=1000&cursor={cursor}"),
                None => return Ok(conflicts),
            }
        }
    }

    /// Everybody who works on a line.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn people(&self) -> Result<Vec<Person>, AdminError> {
        self.get("/v1/people").await
    }

    /// Adds a person.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn add_person(&self, create: &PersonCreate) -> Result<(), AdminError> {
        self.post("/v1/admin/people", create).await?;
        Ok(())
    }

    /// Changes a person.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn change_person(
        &self,
        number: u32,
        change: &PersonChange,
    ) -> Result<(), AdminError> {
        self.post(&format!("/v1/admin/people/{number}"), change).await?;
        Ok(())
    }

    /// Erases a person's name.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn erase_name(&self, number: u32) -> Result<(), AdminError> {
        self.send(Method::DELETE, &format!("/v1/admin/people/{number}/name"), None).await?;
        Ok(())
    }

    /// Every unit, page by page.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn units(&self) -> Result<Vec<Unit>, AdminError> {
        let mut units = Vec::new();
        let mut path = "/v1/units?limit=1000".to_owned();
        loop {
            let page: UnitPage = self.get(&path).await?;
            units.extend(page.units);
            match page.next_cursor {
                Some(cursor) => path = format!("/v1/units?limit=1000&cursor={cursor}"),
                None => return Ok(units),
            }
        }
    }

    /// Every station.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn stations(&self) -> Result<Vec<Station>, AdminError> {
        self.get("/v1/stations").await
    }

    /// Every order.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn orders(&self) -> Result<Vec<WorkOrder>, AdminError> {
        self.get("/v1/orders").await
    }

    /// Every release.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn releases(&self) -> Result<Vec<ReleaseView>, AdminError> {
        self.get("/v1/releases").await
    }

    /// A station's newest journal, or the one of `epoch`, whole, as one page.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn journal(
        &self,
        station: &str,
        epoch: Option<u32>,
    ) -> Result<JournalPage, AdminError> {
        let epoch = epoch.map(|epoch| format!("&epoch={epoch}")).unwrap_or_default();
        let path = format!("/v1/stations/{station}/journal?limit=1000{epoch}");
        let mut whole: JournalPage = self.get(&path).await?;
        while let Some(cursor) = whole.next_cursor.take() {
            let page: JournalPage = self.get(&format!("{path}&cursor={cursor}")).await?;
            whole.records.extend(page.records);
            whole.size = page.size;
            whole.cosigned = page.cosigned;
            whole.next_cursor = page.next_cursor;
        }
        Ok(whole)
    }

    /// A station's newest journal, or the one of `epoch`, as an export that is checked offline:
    /// JSON Lines, or CSV. Partial where old records were let go.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn export(
        &self,
        station: &str,
        epoch: Option<u32>,
        csv: bool,
    ) -> Result<Vec<u8>, AdminError> {
        let epoch = epoch.map(|epoch| format!("&epoch={epoch}")).unwrap_or_default();
        let path = format!("/v1/stations/{station}/export?csv={csv}{epoch}");
        self.send(Method::GET, &path, None).await
    }

    /// The hub's own log of the tenant, whole, as one page.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn log(&self) -> Result<LogPage, AdminError> {
        let mut whole: LogPage = self.get("/v1/log?limit=1000").await?;
        while let Some(cursor) = whole.next_cursor.take() {
            let page: LogPage = self.get(&format!("/v1/log?limit=1000&cursor={cursor}")).await?;
            whole.records.extend(page.records);
            whole.size = page.size;
            whole.checkpoint = page.checkpoint;
            whole.next_cursor = page.next_cursor;
        }
        Ok(whole)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AdminError> {
    serde_json::from_slice(bytes).map_err(AdminError::Json)
}
