//! Writing a tenant's documents. Each function takes what it says and signs with what it is given;
//! fewer signatures than the threshold are written too, because other people may add theirs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::lease_keys::{LEASE_KEYS_TARGET, LeaseKeys};
use super::role_name_of;
use crate::canonical::{self, DocumentError, NoCanonicalForm};
use crate::digest::Digest;
use crate::envelope::Envelope;
use crate::key::{PublicKey, SigningKey};
use crate::limits::{SNAPSHOT_BYTES_MAX, TARGETS_BYTES_MAX, TIMESTAMP_BYTES_MAX};
use crate::names::{Label, Name};

/// The TUF specification our documents follow.
const SPEC_VERSION: &str = "1.0.34";

/// Who may sign for a role, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKeys {
    /// Who may.
    pub keys: Vec<PublicKey>,
    /// How many must, at least 1.
    pub threshold: usize,
}

/// What a root says.
#[derive(Debug, Clone)]
pub struct RootPlan {
    /// Whose it is.
    pub tenant: Name,
    /// 1, then one more each time.
    pub version: u64,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_ms: i64,
    /// Who may change the root.
    pub root: RoleKeys,
    /// Who may name products, their people, and the lease keys.
    pub targets: RoleKeys,
    /// The hub's snapshot key.
    pub snapshot: RoleKeys,
    /// The hub's timestamp key.
    pub timestamp: RoleKeys,
}

/// One product's people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductRole {
    /// The product.
    pub product: Name,
    /// Who may name its releases.
    pub keys: RoleKeys,
}

/// One release, as its product's document names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseTarget {
    /// The version.
    pub version: Label,
    /// SHA-256 of the manifest.
    pub manifest_sha256: Digest,
    /// Length of the manifest.
    pub manifest_bytes: u64,
    /// Whether it was taken back.
    pub withdrawn: bool,
}

/// Why a document could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The expiry is not a time.
    #[error("writing {role}: {ms} is not a time in milliseconds since 1970")]
    BadTime {
        /// The role.
        role: String,
        /// The value.
        ms: i64,
    },
    /// A threshold that the keys cannot meet.
    #[error("writing {role}: threshold {threshold} with {keys} distinct keys")]
    BadThreshold {
        /// The role.
        role: String,
        /// The threshold.
        threshold: usize,
        /// Distinct keys.
        keys: usize,
    },
    /// A document that should be counted in cannot be read.
    #[error("writing the snapshot: reading {role}")]
    Unreadable {
        /// The role.
        role: String,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// A role would go back to an older version.
    #[error("writing the snapshot: {role} would go back from version {from} to {to}")]
    GoesBack {
        /// The role.
        role: String,
        /// The version in the previous snapshot.
        from: u64,
        /// The version now; 0 when it is gone.
        to: u64,
    },
    /// A text with control characters.
    #[error("writing a document")]
    NoCanonicalForm(#[from] NoCanonicalForm),
}

/// A time as TUF writes it: whole seconds, UTC.
///
/// # Errors
/// [`WriteError::BadTime`].
pub fn expires_text(role: &str, ms: i64) -> Result<String, WriteError> {
    jiff::Timestamp::from_millisecond(ms)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .map_err(|_| WriteError::BadTime { role: role.to_owned(), ms })
}

/// The path of a release's target.
#[must_use]
pub fn release_path(product: &Name, version: &Label) -> String {
    format!("{product}/{version}.json")
}

/// Writes a root.
///
/// # Errors
/// [`WriteError`] for an impossible threshold or time.
pub fn root_document(plan: &RootPlan, keys: &[&SigningKey]) -> Result<Vec<u8>, WriteError> {
    let mut all = Map::new();
    let mut roles = Map::new();
    for (name, role) in [
        ("root", &plan.root),
        ("targets", &plan.targets),
        ("snapshot", &plan.snapshot),
        ("timestamp", &plan.timestamp),
    ] {
        let keyids = key_ids(name, role, &mut all)?;
        roles.insert(name.to_owned(), json!({ "keyids": keyids, "threshold": role.threshold }));
    }
    let mut signed = head("root", plan.version, plan.expires_ms)?;
    signed.insert("consistent_snapshot".to_owned(), Value::Bool(true));
    signed.insert("keys".to_owned(), Value::Object(all));
    signed.insert("roles".to_owned(), Value::Object(roles));
    signed.insert(super::rules::ROOT_FIELD.to_owned(), json!({ "tenant": plan.tenant, "v": 1 }));
    sign(signed, keys)
}

/// Writes the top-level targets: the lease keys and the products' people.
///
/// # Errors
/// [`WriteError`] for an impossible threshold or time.
pub fn targets_document(
    version: u64,
    expires_ms: i64,
    lease_keys: &LeaseKeys,
    products: &[ProductRole],
    keys: &[&SigningKey],
) -> Result<Vec<u8>, WriteError> {
    let bytes = lease_keys.to_bytes()?;
    let mut all = Map::new();
    let mut roles = Vec::new();
    for product in products {
        let name = product.product.as_str();
        let keyids = key_ids(name, &product.keys, &mut all)?;
        roles.push(json!({
            "keyids": keyids, "name": name, "paths": [format!("{name}/*")],
            "terminating": true, "threshold": product.keys.threshold,
        }));
    }
    let mut signed = head("targets", version, expires_ms)?;
    signed.insert("delegations".to_owned(), json!({ "keys": all, "roles": roles }));
    signed.insert(
        "targets".to_owned(),
        json!({ LEASE_KEYS_TARGET: { "hashes": hashes(&bytes), "length": bytes.len() } }),
    );
    sign(signed, keys)
}

/// The signed part of a product's document; [`product_document`] signs it.
///
/// # Errors
/// [`WriteError::BadTime`].
pub fn product_targets(
    product: &Name,
    version: u64,
    expires_ms: i64,
    releases: &[ReleaseTarget],
) -> Result<Value, WriteError> {
    let mut targets = Map::new();
    for release in releases {
        targets.insert(
            release_path(product, &release.version),
            json!({
                "custom": { "v": 1, "withdrawn": release.withdrawn },
                "hashes": { "sha256": release.manifest_sha256 },
                "length": release.manifest_bytes,
            }),
        );
    }
    let mut signed = head("targets", version, expires_ms)?;
    signed.insert("targets".to_owned(), Value::Object(targets));
    Ok(Value::Object(signed))
}

/// Writes a product's document: the releases its people stand for.
///
/// # Errors
/// [`WriteError::BadTime`].
pub fn product_document(
    product: &Name,
    version: u64,
    expires_ms: i64,
    releases: &[ReleaseTarget],
    keys: &[&SigningKey],
) -> Result<Vec<u8>, WriteError> {
    let signed = product_targets(product, version, expires_ms, releases)?;
    Ok(Envelope::sign(signed, keys)?.to_bytes()?)
}

/// What a hub needs to say which documents are the newest.
pub struct FreshenWith<'a> {
    /// The tenant's snapshot key.
    pub snapshot_key: &'a SigningKey,
    /// The tenant's timestamp key.
    pub timestamp_key: &'a SigningKey,
    /// Every current document by role: `targets` and each product.
    pub roles: &'a BTreeMap<String, Vec<u8>>,
    /// The snapshot and timestamp written before these; none for the first.
    pub previous: Option<(&'a [u8], &'a [u8])>,
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// How long the snapshot is good, in milliseconds.
    pub snapshot_life_ms: i64,
    /// How long the timestamp is good, in milliseconds.
    pub timestamp_life_ms: i64,
}

/// A snapshot and the timestamp that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// `snapshot.json`.
    pub snapshot: Vec<u8>,
    /// `timestamp.json`.
    pub timestamp: Vec<u8>,
}

/// Writes the next snapshot and timestamp.
///
/// # Errors
/// [`WriteError`] when a role cannot be read or would go back.
pub fn freshen(with: &FreshenWith<'_>) -> Result<Freshness, WriteError> {
    let mut meta = BTreeMap::new();
    for (role, document) in with.roles {
        let version = version_of(role, document, TARGETS_BYTES_MAX)?;
        meta.insert(format!("{role}.json"), pin(version, document));
    }
    let (mut snapshot_version, mut timestamp_version) = (1, 1);
    if let Some((snapshot, timestamp)) = with.previous {
        snapshot_version = version_of("snapshot", snapshot, SNAPSHOT_BYTES_MAX)? + 1;
        timestamp_version = version_of("timestamp", timestamp, TIMESTAMP_BYTES_MAX)? + 1;
        for (name, from) in pins_of(snapshot)? {
            let to = meta.get(&name).and_then(|pin| pin["version"].as_u64()).unwrap_or_default();
            if to < from {
                let role = role_name_of(&name).unwrap_or(&name).to_owned();
                return Err(WriteError::GoesBack { role, from, to });
            }
        }
    }
    let mut signed =
        head("snapshot", snapshot_version, with.now_ms.saturating_add(with.snapshot_life_ms))?;
    signed.insert("meta".to_owned(), json!(meta));
    let snapshot = sign(signed, &[with.snapshot_key])?;
    let mut signed =
        head("timestamp", timestamp_version, with.now_ms.saturating_add(with.timestamp_life_ms))?;
    signed.insert("meta".to_owned(), json!({ "snapshot.json": pin(snapshot_version, &snapshot) }));
    let timestamp = sign(signed, &[with.timestamp_key])?;
    Ok(Freshness { snapshot, timestamp })
}

fn head(role: &str, version: u64, expires_ms: i64) -> Result<Map<String, Value>, WriteError> {
    let mut signed = Map::new();
    signed.insert("_type".to_owned(), json!(role));
    signed.insert("expires".to_owned(), json!(expires_text(role, expires_ms)?));
    signed.insert("spec_version".to_owned(), json!(SPEC_VERSION));
    signed.insert("version".to_owned(), json!(version));
    Ok(signed)
}

fn sign(signed: Map<String, Value>, keys: &[&SigningKey]) -> Result<Vec<u8>, WriteError> {
    Ok(Envelope::sign(Value::Object(signed), keys)?.to_bytes()?)
}

fn hashes(bytes: &[u8]) -> Value {
    json!({ "sha256": Digest::of(bytes) })
}

fn pin(version: u64, document: &[u8]) -> Value {
    json!({ "hashes": hashes(document), "length": document.len(), "version": version })
}

/// The sorted ids of a role's keys; the keys themselves go into `all`.
fn key_ids(
    name: &str,
    role: &RoleKeys,
    all: &mut Map<String, Value>,
) -> Result<Vec<String>, WriteError> {
    let mut keyids: Vec<String> = Vec::new();
    for key in &role.keys {
        let id = key.key_id().to_string();
        all.insert(
            id.clone(),
            json!({ "keytype": "ed25519", "keyval": { "public": key }, "scheme": "ed25519" }),
        );
        keyids.push(id);
    }
    keyids.sort_unstable();
    keyids.dedup();
    if (1..=keyids.len()).contains(&role.threshold) {
        return Ok(keyids);
    }
    let (role, threshold) = (name.to_owned(), role.threshold);
    Err(WriteError::BadThreshold { role, threshold, keys: keyids.len() })
}

fn signed_part(role: &str, document: &[u8], bytes_max: usize) -> Result<Value, WriteError> {
    canonical::from_bytes::<Envelope<Value>>("a signed document", document, bytes_max)
        .map(|envelope| envelope.signed)
        .map_err(|source| WriteError::Unreadable { role: role.to_owned(), source })
}

fn version_of(role: &str, document: &[u8], bytes_max: usize) -> Result<u64, WriteError> {
    signed_part(role, document, bytes_max)?["version"].as_u64().ok_or_else(|| {
        let source = DocumentError::Rule { what: "a signed document", rule: "it has no version" };
        WriteError::Unreadable { role: role.to_owned(), source }
    })
}

fn pins_of(snapshot: &[u8]) -> Result<Vec<(String, u64)>, WriteError> {
    let signed = signed_part("snapshot", snapshot, SNAPSHOT_BYTES_MAX)?;
    let pins = signed["meta"].as_object().into_iter().flatten();
    Ok(pins.filter_map(|(name, pin)| Some((name.clone(), pin["version"].as_u64()?))).collect())
}
