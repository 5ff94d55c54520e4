//! A hub on loopback in a fresh folder, and stations that talk to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use audit::{Checkpoint, Event, Frontier, Origin, Record};
use hub::admin_client::{
    AdminClient, AdminError, CodeCreate, DocumentsTaken, OrderCreate, Published,
};
use hub::hub::Terms;
use hub::vault::Secret;
use hub::{Hub, InitWith, Made, ServeWith, Serving};
use protocol::{
    Ed25519Key, EnrolRequest, Enrolled, EnrolmentCode, HpkeKey, JournalPush, KeyProtection,
    PortionGrant, Problem, Sha256, StationName,
};
use rcgen::{CertificateParams, KeyPair};
use release::WrapKey;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use crate::desk::{self, Desk, PRODUCT};

/// How long a condition may take to come true before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const ANY: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A hub that serves, and its clock.
pub(crate) struct Factory {
    pub(crate) folder: TempDir,
    pub(crate) made: BTreeMap<String, Made>,
    clock: Arc<AtomicI64>,
    serving: Option<Serving>,
    pub(crate) keep_records_days: Option<u32>,
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

impl Factory {
    /// A hub with these tenants, serving.
    pub(crate) async fn of(tenants: &[&str]) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), tenants).await
    }

    /// The same in a folder that is there.
    pub(crate) async fn in_folder(folder: TempDir, tenants: &[&str]) -> Self {
        let mut made = BTreeMap::new();
        for tenant in tenants {
            let with = InitWith {
                data: folder.path().join("hub"),
                tenant: tenant.parse().unwrap(),
                secret: Secret::File(folder.path().join("secret")),
                names: Vec::new(),
                now_ms: now_ms(),
            };
            made.insert((*tenant).to_owned(), hub::init(&with).await.unwrap());
        }
        let clock = Arc::new(AtomicI64::new(now_ms()));
        let mut factory = Self { folder, made, clock, serving: None, keep_records_days: None };
        factory.start(ANY, ANY).await;
        factory
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    pub(crate) async fn start(&mut self, station_listen: SocketAddr, admin_listen: SocketAddr) {
        let clock = self.clock.clone();
        let hub = Hub::open(
            &self.data(),
            &Secret::File(self.folder.path().join("secret")),
            Terms {
                lease_days: 14,
                allow_simulated: true,
                keep_records_days: self.keep_records_days,
            },
            Arc::new(move || clock.load(Ordering::SeqCst)),
        )
        .await
        .unwrap();
        let with = ServeWith { station_listen, admin_listen, station_address: None };
        self.serving = Some(hub::serve(hub, &with).await.unwrap());
    }

    /// Stops the hub; returns where it listened.
    pub(crate) async fn stop(&mut self) -> (SocketAddr, SocketAddr) {
        let serving = self.serving.take().unwrap();
        let at = (serving.station, serving.admin);
        serving.stop().await;
        at
    }

    pub(crate) fn pass_ms(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub(crate) fn station_address(&self) -> String {
        self.serving.as_ref().unwrap().station.to_string()
    }

    pub(crate) fn admin_address(&self) -> String {
        self.serving.as_ref().unwrap().admin.to_string()
    }

    pub(crate) fn ca_pem(&self) -> String {
        std::fs::read_to_string(self.data().join("ca.pem")).unwrap()
    }

    pub(crate) fn token(&self, tenant: &str) -> String {
        std::fs::read_to_string(&self.made[tenant].token_file).unwrap()
    }

    pub(crate) fn admin(&self, tenant: &str) -> AdminClient {
        let Made { ca_file, token_file, .. } = &self.made[tenant];
        AdminClient::new(&self.admin_address(), ca_file, token_file).unwrap()
    }

    pub(crate) fn desk(&self, tenant: &str) -> Desk {
        Desk::for_hub(&self.made[tenant].hub_keys_file, self.now_ms())
    }

    pub(crate) async fn publish(
        &self,
        tenant: &str,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Published, AdminError> {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        desk::write(files, folder.path());
        self.admin(tenant).publish(folder.path()).await
    }

    pub(crate) async fn take_documents(
        &self,
        tenant: &str,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<DocumentsTaken, AdminError> {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        desk::write(files, folder.path());
        self.admin(tenant).take_documents(folder.path()).await
    }

    pub(crate) async fn code(&self, tenant: &str, station: &str) -> EnrolmentCode {
        let create = CodeCreate {
            station: station.parse().unwrap(),
            line: "line-1".parse().unwrap(),
            hub: None,
            expires_in_s: None,
        };
        self.admin(tenant).create_code(&create).await.unwrap().code.parse().unwrap()
    }

    pub(crate) async fn enrolled(&self, tenant: &str, station: &str) -> Station {
        let code = self.code(tenant, station).await;
        Station::enrol(StationKeys::draw(), &code).await.unwrap()
    }

    /// A tenant with a published release and one enrolled station.
    pub(crate) async fn running(tenant: &str) -> (Self, Desk, Published, Station) {
        let factory = Self::of(&[tenant]).await;
        let (desk, published, station) = factory.set_up(tenant).await;
        (factory, desk, published, station)
    }

    pub(crate) async fn set_up(&self, tenant: &str) -> (Desk, Published, Station) {
        let mut desk = self.desk(tenant);
        let published = self.publish(tenant, &desk.release("1.0.0", 20_000)).await.unwrap();
        let station = self.enrolled(tenant, "st-1").await;
        (desk, published, station)
    }

    /// An order, and a portion of it for the station.
    pub(crate) async fn grant(
        &self,
        desk: &Desk,
        published: &Published,
        station: &Station,
        number: &str,
        quantity: u32,
    ) {
        let admin = self.admin(station.enrolled.tenant.as_str());
        let order = OrderCreate {
            number: number.parse().unwrap(),
            product: PRODUCT.parse().unwrap(),
            manifest_sha256: published.manifest_sha256,
            quantity,
        };
        admin.create_order(&order).await.unwrap();
        let certificate = desk.certify(100, station.keys.journal_public());
        let grant = PortionGrant {
            station: station.enrolled.station.clone(),
            order: number.parse().unwrap(),
            quantity,
            allotment_certificate: Some(hex::encode(certificate.as_bytes())),
            index_from: None,
            index_to: None,
            channel: None,
        };
        admin.grant(&grant).await.unwrap();
    }
}

/// A station's private keys.
pub(crate) struct StationKeys {
    pub(crate) tls: KeyPair,
    pub(crate) hpke: WrapKey,
    pub(crate) journal: Ed25519KeyPair,
}

impl StationKeys {
    pub(crate) fn draw() -> Self {
        let random = ring::rand::SystemRandom::new();
        let journal = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            tls: KeyPair::generate().unwrap(),
            hpke: WrapKey::generate(&mut release::SystemRandom).unwrap(),
            journal: Ed25519KeyPair::from_pkcs8(journal.as_ref()).unwrap(),
        }
    }

    pub(crate) fn journal_public(&self) -> [u8; 32] {
        self.journal.public_key().as_ref().try_into().unwrap()
    }

    /// The certificate request over the TLS key.
    pub(crate) fn request_pem(&self) -> String {
        CertificateParams::default().serialize_request(&self.tls).unwrap().pem().unwrap()
    }

    pub(crate) fn request(&self, code: &EnrolmentCode) -> EnrolRequest {
        EnrolRequest {
            secret: code.secret,
            station_name: None,
            tls_csr_pem: self.request_pem(),
            hpke_key: HpkeKey(*self.hpke.public().as_bytes()),
            journal_key: Ed25519Key(self.journal_public()),
            key_protection: KeyProtection::None,
        }
    }
}

/// An enrolled station with its journal in memory.
pub(crate) struct Station {
    pub(crate) keys: StationKeys,
    pub(crate) enrolled: Enrolled,
    pub(crate) hub: String,
    pub(crate) records: Vec<String>,
}

impl Station {
    pub(crate) async fn enrol(
        keys: StationKeys,
        code: &EnrolmentCode,
    ) -> Result<Self, sync::EnrolError> {
        let request = keys.request(code);
        let enrolled: Enrolled = sync::enrol(&code.hub, code.hub_ca_sha256.0, &request).await?;
        Ok(Self { keys, enrolled, hub: code.hub.clone(), records: Vec::new() })
    }

    pub(crate) fn name(&self) -> &StationName {
        &self.enrolled.station
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::new(self.enrolled.tenant.as_str(), self.name().as_str(), 1).unwrap()
    }

    pub(crate) fn client(&self) -> RawClient {
        RawClient::new(
            &self.hub,
            &self.enrolled.ca_pem,
            Some((&self.enrolled.certificate_pem, &self.keys.tls.serialize_pem())),
        )
    }

    /// Writes a record into the journal.
    pub(crate) fn record(&mut self, event: Event) {
        self.record_at(1_000 + self.records.len() as i64, event);
    }

    /// Writes a record of a time, in milliseconds since the Unix epoch.
    pub(crate) fn record_at(&mut self, at_ms: i64, event: Event) {
        let seq = self.records.len() as u64;
        let record = Record { epoch: 1, seq, at_ms, event };
        self.records.push(String::from_utf8(record.encode().unwrap()).unwrap());
    }

    pub(crate) fn note(&mut self, count: usize) {
        for _ in 0..count {
            let build = format!("test {}", self.records.len());
            self.record(Event::StationStarted { build });
        }
    }

    pub(crate) fn checkpoint(&self, size: usize) -> String {
        signed(&self.keys.journal, self.origin(), &self.records[..size])
    }

    /// Records `from..to` with the signed head at `to`.
    pub(crate) fn push(&self, from: usize, to: usize) -> JournalPush {
        JournalPush {
            from: from as u64,
            records: self.records[from..to].to_vec(),
            checkpoint: self.checkpoint(to),
        }
    }
}

pub(crate) fn signed(key: &Ed25519KeyPair, origin: Origin, records: &[String]) -> String {
    let mut frontier = Frontier::new();
    for record in records {
        frontier.append(record.as_bytes());
    }
    Checkpoint::of(origin, &frontier).sign(key).to_string()
}

/// HTTPS without any of our own client code.
pub(crate) struct RawClient {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
}

pub(crate) fn tls(ca_pem: &str, identity: Option<(&str, &str)>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    }
}

impl RawClient {
    pub(crate) fn new(hub: &str, ca_pem: &str, identity: Option<(&str, &str)>) -> Self {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(ca_pem, identity))
            .no_proxy()
            .build()
            .unwrap();
        Self { http, base: format!("https://{hub}") }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    /// Asks for the list of documents with a header.
    pub(crate) async fn list_saying(&self, header: &str, value: &str) -> (u16, Vec<u8>) {
        let request = self.http.get(format!("{}/v1/documents", self.base));
        self.send(request.header(header, value)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        self.send(self.http.post(format!("{}{path}", self.base)).body(body)).await
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Vec<u8>) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        if status >= 400 {
            let kind = response.headers()["content-type"].to_str().unwrap();
            assert_eq!(kind, "application/problem+json");
        }
        (status, response.bytes().await.unwrap().to_vec())
    }

    pub(crate) async fn push(&self, push: &JournalPush) -> (u16, Vec<u8>) {
        self.post("/v1/journal/1", serde_json::to_vec(push).unwrap()).await
    }
}

/// The type of a refusal.
pub(crate) fn kind((status, body): &(u16, Vec<u8>)) -> &'static str {
    let problem: Problem = serde_json::from_slice(body)
        .unwrap_or_else(|_| panic!("{status}: {}", String::from_utf8_lossy(body)));
    assert_eq!(problem.status, *status);
    problem.kind.as_str()
}

pub(crate) fn json<T: serde::de::DeserializeOwned>((status, body): &(u16, Vec<u8>)) -> T {
    assert!((200..300).contains(status), "{status}: {}", String::from_utf8_lossy(body));
    serde_json::from_slice(body).unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    Sha256(digest)
}

/// Copies a folder, for a backup.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
