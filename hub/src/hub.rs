//! A hub at rest and in memory: its folder, its keys, its clock.
//!
//! Owns what `init` makes and what both listeners share. Leaves sockets to `serve`.
//!
//! Promise: private keys leave the vault only into this process's memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use protocol::{Sha256, SignedStatement, TenantName};
use release::tuf::{RoleKeys, RootPlan};
use release::{HubKeys, HubSecrets, LeaseKeys, Name, PublicKey, SigningKey, WrapKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::blobs::Blobs;
use crate::ca::{Authority, CaError};
use crate::digest::sha256;
use crate::replace_file::{Readers, replace_file};
use crate::store::{Store, StoreError, TenantScope};
use crate::vault::{Secret, Vault, VaultError};

/// The time in milliseconds since the Unix epoch, from whoever runs the hub.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

const DATABASE_FILE: &str = "hub.db";
const BLOBS_FOLDER: &str = "blobs";
const CA_FILE: &str = "ca.pem";

const CA_CERTIFICATE: &str = "ca-certificate";
const CA_KEY: &str = "ca-key";
const SERVER_NAMES: &str = "server-names";

const COSIGN: &str = "cosign";
const SNAPSHOT: &str = "snapshot";
const TIMESTAMP: &str = "timestamp";
const LEASE: &str = "lease";
const RELEASE: &str = "release";
const STICK: &str = "stick";
const NEXT_SNAPSHOT: &str = "next-snapshot";
const NEXT_TIMESTAMP: &str = "next-timestamp";
const NEXT_LEASE: &str = "next-lease";

/// A hub cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The store.
    #[error("opening the hub's store")]
    Store(#[from] StoreError),
    /// The sealed keys.
    #[error("opening the hub's keys")]
    Vault(#[from] VaultError),
    /// The certificate authority.
    #[error("using the hub's certificate authority")]
    Ca(#[from] CaError),
    /// A file or folder.
    #[error("writing {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No randomness, or a key that cannot be used.
    #[error("making or reading the hub's {what}")]
    Key {
        /// Which key.
        what: &'static str,
    },
    /// The folder holds no hub.
    #[error("there is no hub in {path}: run `flashline-hub init` first")]
    NotMade {
        /// The folder.
        path: PathBuf,
    },
}

/// What `init` is told.
#[derive(Debug, Clone)]
pub struct InitWith {
    /// Folder of the hub; made when missing. A hub that is there already gets another tenant.
    pub data: PathBuf,
    /// The tenant to make.
    pub tenant: TenantName,
    /// What seals the keys.
    pub secret: Secret,
    /// Host names and addresses of the hub beside `localhost` and `127.0.0.1`.
    pub names: Vec<String>,
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// What `init` made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The hub CA's certificate, PEM.
    pub ca_file: PathBuf,
    /// SHA-256 of its DER.
    pub ca_sha256: Sha256,
    /// The tenant's admin token; only its owner may read the file.
    pub token_file: PathBuf,
    /// The hub's public keys for this tenant: what R&D puts into the tenant's root.
    pub hub_keys_file: PathBuf,
}

/// Keys that are to follow the ones in use: R&D's next root decides when.
pub(crate) struct NextKeys {
    snapshot: SigningKey,
    timestamp: SigningKey,
    lease: SigningKey,
    /// The lease key that R&D named last is the next one.
    lease_in_use: bool,
}

/// One tenant's keys, opened.
pub(crate) struct TenantKeys {
    cosign: Ed25519KeyPair,
    secrets: HubSecrets,
    next: Option<NextKeys>,
    /// Opens what stations send on sticks.
    pub(crate) stick: WrapKey,
}

impl TenantKeys {
    /// Opens the content keys that R&D wrapped for the hub.
    pub(crate) fn release(&self) -> &WrapKey {
        &self.secrets.release
    }

    /// Signs leases and rosters.
    pub(crate) fn lease(&self) -> &SigningKey {
        match &self.next {
            Some(next) if next.lease_in_use => &next.lease,
            Some(_) | None => &self.secrets.lease,
        }
    }

    /// Every lease key that the hub has signed with or will.
    pub(crate) fn leases(&self) -> Vec<PublicKey> {
        let next = self.next.as_ref().map(|next| &next.lease);
        [Some(&self.secrets.lease), next].into_iter().flatten().map(SigningKey::public).collect()
    }

    /// The keys for snapshot and timestamp that a root names; of two the next.
    pub(crate) fn named_by(&self, root: &RootPlan) -> (&SigningKey, &SigningKey) {
        let pick = |next: Option<&'_ SigningKey>, role: &RoleKeys| {
            next.is_some_and(|key| role.keys.contains(&key.public()))
        };
        let next = self.next.as_ref();
        let snapshot = match next {
            Some(next) if pick(Some(&next.snapshot), &root.snapshot) => &next.snapshot,
            Some(_) | None => &self.secrets.snapshot,
        };
        let timestamp = match next {
            Some(next) if pick(Some(&next.timestamp), &root.timestamp) => &next.timestamp,
            Some(_) | None => &self.secrets.timestamp,
        };
        (snapshot, timestamp)
    }

    pub(crate) fn cosign_key(&self) -> &Ed25519KeyPair {
        &self.cosign
    }

    pub(crate) fn cosign_public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        public.copy_from_slice(self.cosign.public_key().as_ref());
        public
    }

    /// A statement of a kind over the hub's signature.
    pub(crate) fn state(&self, kind: &str, payload: String) -> SignedStatement {
        let message = SignedStatement::signed_bytes(kind, &payload);
        let signature = hex::encode(self.cosign.sign(&message).as_ref());
        SignedStatement { payload, signature }
    }
}

/// A hub, opened.
pub struct Hub {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) authority: Authority,
    pub(crate) names: Vec<String>,
    pub(crate) terms: Terms,
    pub(crate) vault: Vault,
    clock: Clock,
    keys: Mutex<BTreeMap<TenantName, Arc<TenantKeys>>>,
    /// Held by whoever writes snapshot and timestamp: no two of one version.
    pub(crate) freshening: tokio::sync::Mutex<()>,
    /// Counts changes that stations may want to know of.
    changes: watch::Sender<u64>,
    stopping: watch::Sender<bool>,
    station_address: OnceLock<String>,
}

/// What a hub grants by default.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Length of a lease, in days.
    pub lease_days: u16,
    /// Boards that answer over a network may be flashed.
    pub allow_simulated: bool,
    /// Days that the text of stations' records is kept; none: for ever.
    pub keep_records_days: Option<u32>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { lease_days: 14, allow_simulated: false, keep_records_days: None }
    }
}

/// Makes a hub, or another tenant in it.
///
/// # Errors
/// [`HubError`]; an existing tenant is [`StoreError::Exists`].
pub async fn init(with: &InitWith) -> Result<Made, HubError> {
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |source| HubError::File { path, source }
    };
    std::fs::create_dir_all(&with.data).map_err(file_error(&with.data))?;
    with.secret.make_if_missing()?;
    let vault = Vault::open(&with.secret)?;
    let store = Store::open(&with.data.join(DATABASE_FILE)).await?;

    let certificate = match store.hub_value(CA_CERTIFICATE).await? {
        Some(certificate) => certificate,
        None => {
            let (certificate, key) = Authority::generate(with.now_ms)?;
            let names = with.names.join("\n").into_bytes();
            store
                .keep_hub_values(&[
                    (CA_CERTIFICATE, certificate.clone()),
                    (CA_KEY, vault.seal(CA_KEY, &key)?),
                    (SERVER_NAMES, names),
                ])
                .await?;
            certificate
        }
    };
    // Whoever adds a tenant must hold the secret of the hub that is there.
    authority(&store, &vault, &with.data).await?;

    let tenant_name =
        Name::new(with.tenant.as_str()).map_err(|_| HubError::Key { what: "tenant's name" })?;
    let secrets = HubSecrets::generate(tenant_name, &mut release::SystemRandom)
        .map_err(|_| HubError::Key { what: "keys for the tenant" })?;
    let cosign = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| HubError::Key { what: "cosigning key" })?;
    let seal = |name: &str, key: &[u8]| vault.seal(&sealed_as(&with.tenant, name), key);
    let sealed = [
        (COSIGN, seal(COSIGN, cosign.as_ref())?),
        (SNAPSHOT, seal(SNAPSHOT, &secrets.snapshot.to_pkcs8())?),
        (TIMESTAMP, seal(TIMESTAMP, &secrets.timestamp.to_pkcs8())?),
        (LEASE, seal(LEASE, &secrets.lease.to_pkcs8())?),
        (RELEASE, seal(RELEASE, secrets.release.to_bytes().as_slice())?),
    ];
    let mut token = Zeroizing::new([0_u8; 32]);
    SystemRandom::new().fill(&mut *token).map_err(|_| HubError::Key { what: "admin token" })?;
    let token = Zeroizing::new(hex::encode(*token));
    let token_sha256 = sha256(token.as_bytes());
    store.add_tenant(&with.tenant, &sealed, &token_sha256, with.now_ms).await?;
    store.close().await?;

    let ca_file = with.data.join(CA_FILE);
    let token_file = with.data.join(format!("{}.token", with.tenant));
    let hub_keys_file = with.data.join(format!("{}.hub-keys.json", with.tenant));
    let hub_keys =
        secrets.public().to_bytes().map_err(|_| HubError::Key { what: "public keys" })?;
    replace_file(&ca_file, crate::ca::pem_of(&certificate).as_bytes(), Readers::All)
        .map_err(file_error(&ca_file))?;
    replace_file(&token_file, token.as_bytes(), Readers::Owner).map_err(file_error(&token_file))?;
    replace_file(&hub_keys_file, &hub_keys, Readers::All).map_err(file_error(&hub_keys_file))?;
    Ok(Made { ca_file, ca_sha256: sha256(&certificate), token_file, hub_keys_file })
}

/// The name under which a tenant's key is sealed.
fn sealed_as(tenant: &TenantName, key: &str) -> String {
    format!("tenant/{tenant}/{key}")
}

async fn authority(store: &Store, vault: &Vault, data: &Path) -> Result<Authority, HubError> {
    let not_made = || HubError::NotMade { path: data.to_owned() };
    let certificate = store.hub_value(CA_CERTIFICATE).await?.ok_or_else(not_made)?;
    let sealed = store.hub_value(CA_KEY).await?.ok_or_else(not_made)?;
    Ok(Authority::load(certificate, &vault.open_sealed(CA_KEY, &sealed)?)?)
}

impl Hub {
    /// Opens the hub that [`init`] made in `data`.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn open(
        data: &Path,
        secret: &Secret,
        terms: Terms,
        clock: Clock,
    ) -> Result<Self, HubError> {
        let database = data.join(DATABASE_FILE);
        if !database.exists() {
            return Err(HubError::NotMade { path: data.to_owned() });
        }
        let vault = Vault::open(secret)?;
        let store = Store::open(&database).await?;
        let authority = authority(&store, &vault, data).await?;
        let more = store.hub_value(SERVER_NAMES).await?.unwrap_or_default();
        let more = String::from_utf8_lossy(&more).into_owned();
        let names = ["localhost", "127.0.0.1"]
            .into_iter()
            .chain(more.lines().filter(|name| !name.is_empty()))
            .map(str::to_owned)
            .collect();
        Ok(Self {
            store,
            blobs: Blobs::in_folder(&data.join(BLOBS_FOLDER)),
            authority,
            names,
            terms,
            vault,
            clock,
            keys: Mutex::new(BTreeMap::new()),
            freshening: tokio::sync::Mutex::new(()),
            changes: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
            station_address: OnceLock::new(),
        })
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    /// The tenant's keys; opened once per run.
    pub(crate) async fn keys(&self, scope: &TenantScope) -> Result<Arc<TenantKeys>, HubError> {
        let held = self.held_keys().get(scope.name()).cloned();
        if let Some(keys) = held {
            return Ok(keys);
        }
        let keys = Arc::new(TenantKeys {
            cosign: Ed25519KeyPair::from_pkcs8(&self.opened(scope, COSIGN).await?)
                .map_err(|_| HubError::Key { what: "cosigning key" })?,
            secrets: HubSecrets {
                tenant: Name::new(scope.name().as_str())
                    .map_err(|_| HubError::Key { what: "tenant's name" })?,
                snapshot: self.signing_key(scope, SNAPSHOT).await?,
                timestamp: self.signing_key(scope, TIMESTAMP).await?,
                lease: self.signing_key(scope, LEASE).await?,
                release: {
                    let bytes = self.opened(scope, RELEASE).await?;
                    let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(
                        bytes
                            .as_slice()
                            .try_into()
                            .map_err(|_| HubError::Key { what: "release key" })?,
                    );
                    WrapKey::from_bytes(&bytes)
                },
            },
            next: self.next_keys(scope).await?,
            stick: self.stick_key(scope).await?,
        });
        self.held_keys().insert(scope.name().clone(), keys.clone());
        Ok(keys)
    }

    /// The keys that follow, if there are any, and whether R&D's documents name them already.
    async fn next_keys(&self, scope: &TenantScope) -> Result<Option<NextKeys>, HubError> {
        let snapshot = match self.signing_key(scope, NEXT_SNAPSHOT).await {
            Err(HubError::Store(StoreError::Missing { .. })) => return Ok(None),
            snapshot => snapshot?,
        };
        let timestamp = self.signing_key(scope, NEXT_TIMESTAMP).await?;
        let lease = self.signing_key(scope, NEXT_LEASE).await?;
        let named = self.store.document(scope, release::tuf::LEASE_KEYS_TARGET).await?;
        let named = named.and_then(|bytes| LeaseKeys::from_bytes(&bytes).ok());
        let lease_in_use = named.is_some_and(|named| named.keys().contains(&lease.public()));
        Ok(Some(NextKeys { snapshot, timestamp, lease, lease_in_use }))
    }

    /// R&D's documents changed: which keys they name is asked again.
    pub(crate) fn documents_changed(&self, scope: &TenantScope) {
        self.held_keys().remove(scope.name());
    }

    /// The public halves of the keys that follow the ones in use, made when there are none. Keys
    /// that R&D's root names by now are no longer the next ones: they take the place of those they
    /// followed, which are forgotten.
    ///
    /// # Errors
    /// [`HubError`].
    pub(crate) async fn renew_keys(
        &self,
        scope: &TenantScope,
        who: &str,
    ) -> Result<HubKeys, HubError> {
        let _freshening = self.freshening.lock().await;
        self.documents_changed(scope);
        let keys = self.keys(scope).await?;
        let root = self.store.document(scope, "root.json").await?;
        let root = root.and_then(|bytes| RootPlan::read(&bytes).ok());
        let in_use = keys.next.as_ref().zip(root).is_some_and(|(next, root)| {
            next.lease_in_use
                && root.snapshot.keys.contains(&next.snapshot.public())
                && root.timestamp.keys.contains(&next.timestamp.public())
        });
        let seal = |name: &str, key: &SigningKey| self.seal_for(scope, name, &key.to_pkcs8());
        let mut current = Vec::new();
        let mut public = keys.secrets.public();
        match &keys.next {
            Some(next) if !in_use => {
                public.snapshot = next.snapshot.public();
                public.timestamp = next.timestamp.public();
                public.lease = next.lease.public();
                return Ok(public);
            }
            Some(next) => {
                current.push((SNAPSHOT, seal(SNAPSHOT, &next.snapshot)?));
                current.push((TIMESTAMP, seal(TIMESTAMP, &next.timestamp)?));
                current.push((LEASE, seal(LEASE, &next.lease)?));
            }
            None => {}
        }
        let fresh = || {
            SigningKey::generate(&mut release::SystemRandom)
                .map_err(|_| HubError::Key { what: "next keys" })
        };
        let (snapshot, timestamp, lease) = (fresh()?, fresh()?, fresh()?);
        (public.snapshot, public.timestamp) = (snapshot.public(), timestamp.public());
        public.lease = lease.public();
        current.push((NEXT_SNAPSHOT, seal(NEXT_SNAPSHOT, &snapshot)?));
        current.push((NEXT_TIMESTAMP, seal(NEXT_TIMESTAMP, &timestamp)?));
        current.push((NEXT_LEASE, seal(NEXT_LEASE, &lease)?));
        self.store.put_sealed_keys(scope, &current, who, self.now_ms()).await?;
        self.documents_changed(scope);
        Ok(public)
    }

    fn held_keys(&self) -> MutexGuard<'_, BTreeMap<TenantName, Arc<TenantKeys>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals something of a tenant's under a name.
    pub(crate) fn seal_for(
        &self,
        scope: &TenantScope,
        name: &str,
        plain: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        self.vault.seal(&sealed_as(scope.name(), name), plain)
    }

    /// Opens what [`Hub::seal_for`] made under the same name.
    pub(crate) fn open_for(
        &self,
        scope: &TenantScope,
        name: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.vault.open_sealed(&sealed_as(scope.name(), name), sealed)
    }

    async fn opened(
        &self,
        scope: &TenantScope,
        name: &'static str,
    ) -> Result<Zeroizing<Vec<u8>>, HubError> {
        let sealed = self.store.sealed_key(scope, name).await?;
        Ok(self.vault.open_sealed(&sealed_as(scope.name(), name), &sealed)?)
    }

    /// The tenant's key for sticks; made when it is first asked for.
    async fn stick_key(&self, scope: &TenantScope) -> Result<WrapKey, HubError> {
        let broken = || HubError::Key { what: "stick key" };
        let name = sealed_as(scope.name(), STICK);
        let fresh = WrapKey::generate(&mut release::SystemRandom).map_err(|_| broken())?;
        let sealed = match self.store.sealed_key(scope, STICK).await {
            Err(StoreError::Missing { .. }) => {
                let sealed = self.vault.seal(&name, fresh.to_bytes().as_slice())?;
                self.store.keep_sealed_key(scope, STICK, sealed).await?
            }
            sealed => sealed?,
        };
        let bytes = self.vault.open_sealed(&name, &sealed)?;
        let bytes: Zeroizing<[u8; 32]> =
            Zeroizing::new(bytes.as_slice().try_into().map_err(|_| broken())?);
        Ok(WrapKey::from_bytes(&bytes))
    }

    async fn signing_key(
        &self,
        scope: &TenantScope,
        name: &'static str,
    ) -> Result<SigningKey, HubError> {
        SigningKey::from_pkcs8(&self.opened(scope, name).await?)
            .map_err(|_| HubError::Key { what: name })
    }

    /// Whether every tenant's keys open under the secret that was given.
    ///
    /// # Errors
    /// [`HubError`] for the first that does not.
    pub(crate) async fn open_every_key(&self) -> Result<(), HubError> {
        for scope in self.store.tenants().await? {
            self.keys(&scope).await?;
        }
        Ok(())
    }

    /// Lets go the text of records that are older than they are kept.
    ///
    /// # Errors
    /// [`HubError::Store`].
    pub(crate) async fn let_old_records_go(&self) -> Result<(), HubError> {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        let Some(days) = self.terms.keep_records_days else { return Ok(()) };
        let now_ms = self.now_ms();
        let before_ms = now_ms.saturating_sub(i64::from(days) * DAY_MS);
        for scope in self.store.tenants().await? {
            let gone = self.store.let_records_go(&scope, before_ms, days, now_ms).await?;
            if gone > 0 {
                tracing::info!(tenant = %scope.name(), gone, days, "old records let go");
            }
        }
        Ok(())
    }

    /// The name the hub cosigns a tenant's checkpoints with.
    pub(crate) fn cosign_name(scope: &TenantScope) -> String {
        format!("flashline-hub/{}", scope.name())
    }

    /// Something changed that stations may want to know of.
    pub(crate) fn announce_change(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn watch_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// No new waits from now on; the ones in progress end.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub(crate) fn watch_stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// What enrolment codes name as the hub's address.
    pub(crate) fn station_address(&self) -> Option<&str> {
        self.station_address.get().map(String::as_str)
    }

    pub(crate) fn serve_stations_at(&self, address: String) {
        // A hub is served once per process; a second address would be a second hub.
        let _ = self.station_address.set(address);
    }
}
