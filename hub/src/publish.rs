//! A publication bundle becomes a release that stations can be told about.
//!
//! Owns the order: check every signature and digest, keep the chunks, say which documents are the
//! newest, judge the whole as a station will, and only then keep the release.
//!
//! Promise: what a station would refuse is refused here, at the desk where it can be mended. The
//! hub makes nothing flashable: it signs only which documents are the newest.

use std::collections::BTreeMap;

use protocol::Sha256;
use release::tuf::RootPlan;
use release::{
    Bundle, Digest, FreshenWith, PinnedRoot, ReleaseTrouble, TrustedRepository, freshen,
};

use crate::hub::{Hub, TenantKeys};
use crate::refusal::{Refusal, chain};
use crate::store::{NewRelease, TenantScope};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const SNAPSHOT_LIFE_MS: i64 = 30 * DAY_MS;
const TIMESTAMP_LIFE_MS: i64 = 7 * DAY_MS;
/// How often snapshot and timestamp are written anew although nothing changed.
const REFRESH_MS: i64 = DAY_MS;

const METADATA: &str = "metadata/";
const CHUNKS: &str = "chunks/";
const ROOT_SUFFIX: &str = ".root.json";

/// What was published.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Published {
    /// The product.
    pub product: String,
    /// The release's version.
    pub version: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: Sha256,
    /// The tenant's pinned root.
    pub root_sha256: Sha256,
    /// The root's short words, to be compared with R&D's and the station's.
    pub root_words: String,
    /// What is in it, readable.
    pub summary: String,
}

/// Publishes the bundle of `files`; `chunks` were put into the blobs before.
pub(crate) async fn publish(
    hub: &Hub,
    scope: &TenantScope,
    mut files: BTreeMap<String, Vec<u8>>,
    chunks: &[Sha256],
    who: &str,
) -> Result<Published, Refusal> {
    let now_ms = hub.now_ms();
    for digest in chunks {
        let bytes = hub.blobs.read(digest)?.ok_or_else(|| {
            Refusal::release(ReleaseTrouble::Damaged, format!("chunk {digest} was not uploaded"))
        })?;
        files.insert(format!("{CHUNKS}{digest}"), bytes);
    }
    let _freshening = hub.freshening.lock().await;
    let held_root = hub.store.root(scope).await?;
    let first_root = match &held_root {
        Some(_) => None,
        None => Some(first_root(&files)?),
    };
    let root = match (&held_root, &first_root) {
        (Some((root, _)), _) => root.clone(),
        (None, Some(root)) => root.clone(),
        (None, None) => return Err(no_root()),
    };
    let held = hub.store.metadata(scope).await?;
    let keys = hub.keys(scope).await?;

    let tenant = scope.name().clone();
    let (checked, pin, documents) = tokio::task::spawn_blocking(move || {
        let pin = pinned(&root, tenant.as_str())?;
        let checked = Bundle::from_files(files)
            .and_then(|bundle| bundle.check(&pin, now_ms))
            .map_err(|error| refused_because(&error))?;
        let documents = renewed(&pin, checked.documents(), held, &keys, now_ms)?;
        Ok::<_, Refusal>((checked, pin, documents))
    })
    .await
    .map_err(|error| Refusal::internal(&error))??;

    for (digest, bytes) in checked.chunks() {
        hub.blobs.keep(&Sha256(*digest.as_bytes()), bytes)?;
    }
    let manifest = checked.manifest();
    let published = Published {
        product: manifest.product.as_str().to_owned(),
        version: manifest.version.as_str().to_owned(),
        manifest_sha256: Sha256(*checked.manifest_sha256().as_bytes()),
        root_sha256: Sha256(*pin.digest().as_bytes()),
        root_words: pin.words(),
        summary: checked.summary(),
    };
    let hub_wrap = checked.hub_wrap().to_bytes().map_err(|error| Refusal::internal(&error))?;
    let new = NewRelease {
        product: published.product.clone(),
        version: published.version.clone(),
        manifest_sha256: published.manifest_sha256,
        hub_wrap,
        summary: published.summary.clone(),
        chunks: checked.chunks().keys().map(|digest| Sha256(*digest.as_bytes())).collect(),
        root_json: first_root,
        documents,
    };
    hub.store.publish(scope, new, who, now_ms).await?;
    hub.documents_changed(scope);
    hub.announce_change();
    Ok(published)
}

/// What documents without a release changed.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct DocumentsTaken {
    /// Version of the newest root.
    pub root_version: u64,
    /// SHA-256 of the pinned root.
    pub root_sha256: Sha256,
    /// Releases that are withdrawn, as `product version`.
    pub withdrawn: Vec<String>,
}

/// Takes documents that come without a release: a newer root, other people, a withdrawal.
pub(crate) async fn take_documents(
    hub: &Hub,
    scope: &TenantScope,
    files: BTreeMap<String, Vec<u8>>,
    who: &str,
) -> Result<DocumentsTaken, Refusal> {
    let now_ms = hub.now_ms();
    let _freshening = hub.freshening.lock().await;
    let (root, _) = hub
        .store
        .root(scope)
        .await?
        .ok_or_else(|| Refusal::of(protocol::ProblemType::NothingPublished))?;
    let held = hub.store.metadata(scope).await?;
    let keys = hub.keys(scope).await?;
    let tenant = scope.name().clone();
    let (checked, pin, documents) = tokio::task::spawn_blocking(move || {
        let pin = pinned(&root, tenant.as_str())?;
        let checked = Bundle::from_files(files)
            .and_then(|bundle| bundle.check_documents(&pin, now_ms))
            .map_err(|error| refused_because(&error))?;
        let documents = renewed(&pin, checked.documents(), held, &keys, now_ms)?;
        Ok::<_, Refusal>((checked, pin, documents))
    })
    .await
    .map_err(|error| Refusal::internal(&error))??;
    let withdrawn: Vec<String> = checked
        .releases()
        .iter()
        .filter(|listed| listed.withdrawn)
        .map(|listed| format!("{} {}", listed.product, listed.version))
        .collect();
    let root_version = checked.root_version();
    let what = match withdrawn.as_slice() {
        [] => format!("documents under root {root_version} taken"),
        _ => format!("documents under root {root_version} taken; withdrawn: {withdrawn:?}"),
    };
    hub.store.take_documents(scope, &documents, who, what, now_ms).await?;
    hub.documents_changed(scope);
    hub.announce_change();
    Ok(DocumentsTaken { root_version, root_sha256: Sha256(*pin.digest().as_bytes()), withdrawn })
}

/// Writes snapshot and timestamp anew when they are older than [`REFRESH_MS`].
pub(crate) async fn refresh(hub: &Hub, scope: &TenantScope) -> Result<(), Refusal> {
    let now_ms = hub.now_ms();
    let due = || async {
        let freshened_ms = hub.store.freshened_ms(scope).await?;
        Ok::<bool, Refusal>(now_ms >= freshened_ms.saturating_add(REFRESH_MS))
    };
    if !due().await? {
        return Ok(());
    }
    let _freshening = hub.freshening.lock().await;
    let Some((root, _)) = hub.store.root(scope).await? else { return Ok(()) };
    if !due().await? {
        return Ok(());
    }
    let held = hub.store.metadata(scope).await?;
    let keys = hub.keys(scope).await?;
    let pin = pinned(&root, scope.name().as_str())?;
    let documents = fresh(&pin, held, &keys, now_ms)?;
    hub.store.keep_documents(scope, &documents, now_ms).await?;
    hub.announce_change();
    Ok(())
}

/// Writes snapshot and timestamp anew with versions beyond those that a station has seen, when
/// they are not more than `jump_max` ahead.
pub(crate) async fn pass(
    hub: &Hub,
    scope: &TenantScope,
    (snapshot, timestamp): (u64, u64),
    jump_max: u64,
) -> Result<(), Refusal> {
    let _freshening = hub.freshening.lock().await;
    let Some((root, _)) = hub.store.root(scope).await? else { return Ok(()) };
    let mut held = hub.store.metadata(scope).await?;
    let mut jumps = false;
    for (name, seen) in [("snapshot.json", snapshot), ("timestamp.json", timestamp)] {
        let Some(document) = held.get_mut(name) else { return Ok(()) };
        let mut value: serde_json::Value =
            serde_json::from_slice(document).map_err(|error| Refusal::internal(&error))?;
        let own = value["signed"]["version"].as_u64().unwrap_or(0);
        if seen <= own {
            continue;
        }
        if seen - own > jump_max {
            tracing::error!(tenant = %scope.name(), name, seen, own, "no version is so far ahead");
            return Ok(());
        }
        // What the next one follows; it is written here and published nowhere.
        value["signed"]["version"] = seen.into();
        *document = serde_json::to_vec(&value).map_err(|error| Refusal::internal(&error))?;
        jumps = true;
    }
    if !jumps {
        return Ok(());
    }
    let now_ms = hub.now_ms();
    let keys = hub.keys(scope).await?;
    let pin = pinned(&root, scope.name().as_str())?;
    let documents = fresh(&pin, held, &keys, now_ms)?;
    Ok(hub.store.keep_documents(scope, &documents, now_ms).await?)
}

fn refused_because(error: &(dyn std::error::Error + 'static)) -> Refusal {
    let trouble = ReleaseTrouble::behind(error).unwrap_or(ReleaseTrouble::NotTrusted);
    Refusal::release(trouble, chain(error))
}

/// The oldest root in the bundle: what stations pin from now on.
fn first_root(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, Refusal> {
    files
        .iter()
        .filter_map(|(path, bytes)| {
            let number = path.strip_prefix(METADATA)?.strip_suffix(ROOT_SUFFIX)?;
            Some((number.parse::<u64>().ok()?, bytes))
        })
        .min_by_key(|(number, _)| *number)
        .map(|(_, bytes)| bytes.clone())
        .ok_or_else(no_root)
}

fn no_root() -> Refusal {
    Refusal::release(ReleaseTrouble::Damaged, "it holds no root".to_owned())
}

fn pinned(root: &[u8], tenant: &str) -> Result<PinnedRoot, Refusal> {
    let pin =
        PinnedRoot::from_pin(root, &Digest::of(root)).map_err(|error| refused_because(&error))?;
    if pin.tenant().as_str() != tenant {
        return Err(Refusal::release(
            ReleaseTrouble::NotTrusted,
            format!("its root is of the tenant {}", pin.tenant().as_str()),
        ));
    }
    Ok(pin)
}

/// Every document that changes with those that arrived.
fn renewed(
    pin: &PinnedRoot,
    arrived: BTreeMap<String, Vec<u8>>,
    held: BTreeMap<String, Vec<u8>>,
    keys: &TenantKeys,
    now_ms: i64,
) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    // A station may have followed the root of this version: it never becomes another one.
    let other = arrived.iter().find(|(name, bytes)| {
        name.ends_with(ROOT_SUFFIX) && held.get(*name).is_some_and(|root| root != *bytes)
    });
    if let Some((name, _)) = other {
        return Err(Refusal::release(
            ReleaseTrouble::NotTrusted,
            format!("{name} is not the one that was published before"),
        ));
    }
    let mut all = held;
    for (name, bytes) in &arrived {
        all.insert(name.clone(), bytes.clone());
    }
    // A bundle that was packed before a rotation brings older roots only.
    let newest = newest_root(&all).cloned();
    let mut documents = fresh(pin, all, keys, now_ms)?;
    documents.extend(arrived);
    if let Some(newest) = newest {
        documents.insert("root.json".to_owned(), newest);
    }
    Ok(documents)
}

/// The root of the highest version among documents by name.
fn newest_root(documents: &BTreeMap<String, Vec<u8>>) -> Option<&Vec<u8>> {
    let version = |name: &str| name.strip_suffix(ROOT_SUFFIX)?.parse::<u64>().ok();
    let roots = documents.iter().filter_map(|(name, bytes)| Some((version(name)?, bytes)));
    roots.max_by_key(|(version, _)| *version).map(|(_, bytes)| bytes)
}

/// A new snapshot and timestamp over `all`, judged as a station will judge them.
fn fresh(
    pin: &PinnedRoot,
    mut all: BTreeMap<String, Vec<u8>>,
    keys: &TenantKeys,
    now_ms: i64,
) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    let roles: BTreeMap<String, Vec<u8>> = all
        .iter()
        .filter_map(|(name, bytes)| Some((role_of(name)?.to_owned(), bytes.clone())))
        .collect();
    let previous = match (all.get("snapshot.json"), all.get("timestamp.json")) {
        (Some(snapshot), Some(timestamp)) => Some((snapshot.as_slice(), timestamp.as_slice())),
        _ => None,
    };
    let root = newest_root(&all).or_else(|| all.get("root.json")).ok_or_else(no_root)?;
    let root = RootPlan::read(root).map_err(|error| refused_because(&error))?;
    let (snapshot_key, timestamp_key) = keys.named_by(&root);
    let freshness = freshen(&FreshenWith {
        snapshot_key,
        timestamp_key,
        roles: &roles,
        previous,
        now_ms,
        snapshot_life_ms: SNAPSHOT_LIFE_MS,
        timestamp_life_ms: TIMESTAMP_LIFE_MS,
    })
    .map_err(|error| refused_because(&error))?;
    let written = BTreeMap::from([
        ("snapshot.json".to_owned(), freshness.snapshot),
        ("timestamp.json".to_owned(), freshness.timestamp),
    ]);
    all.extend(written.clone());
    let trusted =
        TrustedRepository::verify(pin, &|name: &str| all.get(name).cloned(), None, now_ms)
            .map_err(|error| refused_because(&error))?;
    if let Some((product, error)) = trusted.refused().first() {
        return Err(Refusal::release(
            ReleaseTrouble::from(error),
            format!("{}: {}", product.as_str(), chain(error)),
        ));
    }
    let named = trusted.lease_keys().keys();
    if !keys.leases().iter().any(|own| named.contains(own)) {
        return Err(Refusal::release(
            ReleaseTrouble::NotTrusted,
            "its root does not name this hub's lease key".to_owned(),
        ));
    }
    Ok(written)
}

/// The role whose document has this name, when it is one that a snapshot lists.
fn role_of(name: &str) -> Option<&str> {
    let role = name.strip_suffix(".json")?;
    let other = ["root", "snapshot", "timestamp", "lease-keys"];
    (!role.contains('.') && !other.contains(&role)).then_some(role)
}

#[cfg(test)]
mod tests {
    use super::role_of;

    #[test]
    fn a_snapshot_lists_targets_and_products_only() {
        for (name, role) in [
            ("targets.json", Some("targets")),
            ("demo-lamp.json", Some("demo-lamp")),
            ("root.json", None),
            ("2.root.json", None),
            ("snapshot.json", None),
            ("timestamp.json", None),
            ("lease-keys.json", None),
            ("manifest/00", None),
        ] {
            assert_eq!(role_of(name), role, "{name}");
        }
    }
}
