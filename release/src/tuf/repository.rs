//! The documents of a tenant, verified: what a station may believe about releases.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sigstore_tuf::{RoleKeys, Root, TrustedMetadataSet};

use super::error::TrustError;
use super::lease_keys::{LEASE_KEYS_TARGET, LeaseKeys};
use super::pin::PinnedRoot;
use super::rules::{delegations_of, facts_of_root, releases_of};
use crate::digest::Digest;
use crate::envelope;
use crate::limits::{
    ROOT_BYTES_MAX, ROOT_ROTATIONS_MAX, SNAPSHOT_BYTES_MAX, TARGETS_BYTES_MAX, TIMESTAMP_BYTES_MAX,
};
use crate::manifest::Manifest;
use crate::names::{Label, Name};
use crate::sealed::SealedRelease;

/// The newest versions a station has believed. Kept with its journal; they never go back, except
/// where a newer root replaced the keys of snapshot or timestamp.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenVersions {
    /// Of the root.
    pub root: u64,
    /// Of the timestamp.
    pub timestamp: u64,
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of the top-level targets and of each product.
    pub roles: BTreeMap<String, u64>,
}

/// A release that trusted targets name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRelease {
    /// The product.
    pub product: Name,
    /// The version.
    pub version: Label,
    /// SHA-256 of its manifest.
    pub manifest_sha256: Digest,
    /// Length of its manifest.
    pub manifest_bytes: u64,
    /// Whether R&D took it back.
    pub withdrawn: bool,
}

/// A tenant's documents, verified up to one pinned root at one time.
#[derive(Debug)]
pub struct TrustedRepository {
    tenant: Name,
    seen: SeenVersions,
    lease_keys: LeaseKeys,
    releases: Vec<ListedRelease>,
    refused: Vec<(Name, TrustError)>,
}

/// How a caller hands over documents: by name, none if it has none.
pub type Documents<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

impl TrustedRepository {
    /// Verifies a tenant's documents.
    ///
    /// Asks for `<N>.root.json` (from the pinned version on, until there is none),
    /// `timestamp.json`, `snapshot.json`, `targets.json`, `lease-keys.json` and one
    /// `<product>.json` per delegated product. A product whose own document is missing or bad is
    /// set aside in [`Self::refused`]; the others stay usable.
    ///
    /// `now_ms` judges expiry. A station passes its time when documents arrive, and keeps it: on
    /// a restart the same documents are verified as of then, because a release's expiry is judged
    /// when it enters the shelf.
    ///
    /// # Errors
    /// [`TrustError`] by kind of refusal.
    pub fn verify(
        pin: &PinnedRoot,
        documents: Documents<'_>,
        seen: Option<&SeenVersions>,
        now_ms: i64,
    ) -> Result<Self, TrustError> {
        let now = time(now_ms)?;
        let none = SeenVersions::default();
        let seen = seen.unwrap_or(&none);
        let (mut set, freshness_rekeyed) = follow_roots(pin, documents, seen)?;
        set.check_root_expired(now).map_err(|error| TrustError::of("root", error))?;
        let tenant = facts_of_root(set.root())?.tenant;
        if tenant != *pin.tenant() {
            return Err(TrustError::OtherTenant {
                name: "root.json".to_owned(),
                expected: pin.tenant().clone(),
                found: tenant,
            });
        }

        let timestamp = fetch(documents, "timestamp", TIMESTAMP_BYTES_MAX)?;
        set.update_timestamp(&timestamp, now).map_err(|e| TrustError::of("timestamp", e))?;
        let snapshot = fetch(documents, "snapshot", SNAPSHOT_BYTES_MAX)?;
        set.update_snapshot(&snapshot, now).map_err(|e| TrustError::of("snapshot", e))?;
        let offered = versions(&set);
        if !freshness_rekeyed {
            not_older(seen, &offered)?;
        }
        let targets = fetch(documents, "targets", TARGETS_BYTES_MAX)?;
        let targets = set
            .update_targets(&targets, now)
            .map_err(|error| TrustError::of("targets", error))?
            .clone();
        let lease_keys = lease_keys(documents, &targets, &tenant)?;

        let mut releases = Vec::new();
        let mut refused = Vec::new();
        for (product, _) in delegations_of(&targets)? {
            // A product without a document yet has released nothing.
            if !offered.roles.contains_key(product.as_str()) {
                continue;
            }
            let listed = fetch(documents, product.as_str(), TARGETS_BYTES_MAX).and_then(|bytes| {
                let own = set
                    .update_delegated_targets(&bytes, product.as_str(), "targets", now)
                    .map_err(|error| TrustError::of(product.as_str(), error))?;
                releases_of(&product, own)
            });
            match listed {
                Ok(listed) => releases.extend(listed),
                Err(error) => refused.push((product, error)),
            }
        }
        Ok(Self { tenant, seen: offered, lease_keys, releases, refused })
    }

    /// Whose documents they are.
    #[must_use]
    pub const fn tenant(&self) -> &Name {
        &self.tenant
    }

    /// The versions to keep and to pass in the next time.
    #[must_use]
    pub const fn seen(&self) -> &SeenVersions {
        &self.seen
    }

    /// Who may sign leases.
    #[must_use]
    pub const fn lease_keys(&self) -> &LeaseKeys {
        &self.lease_keys
    }

    /// Every release that a trusted target names, withdrawn ones too.
    #[must_use]
    pub fn releases(&self) -> &[ListedRelease] {
        &self.releases
    }

    /// Products whose own document was refused, and why.
    #[must_use]
    pub fn refused(&self) -> &[(Name, TrustError)] {
        &self.refused
    }

    /// As [`Self::refused`], for a caller that keeps the errors.
    #[must_use]
    pub fn into_refused(self) -> Vec<(Name, TrustError)> {
        self.refused
    }

    /// Trusts a manifest because a target names its digest.
    ///
    /// # Errors
    /// [`TrustError::NotNamed`], [`TrustError::Withdrawn`], [`TrustError::NotWhatItIsNamed`] or
    /// [`TrustError::Unreadable`].
    pub fn release(&self, manifest: &[u8]) -> Result<SealedRelease, TrustError> {
        let manifest_sha256 = Digest::of(manifest);
        let listed = self
            .releases
            .iter()
            .find(|listed| listed.manifest_sha256 == manifest_sha256)
            .filter(|listed| listed.manifest_bytes == manifest.len() as u64)
            .ok_or(TrustError::NotNamed { manifest_sha256 })?;
        let (product, version) = (listed.product.clone(), listed.version.clone());
        if listed.withdrawn {
            return Err(TrustError::Withdrawn { product, version });
        }
        let content = Manifest::from_bytes(manifest).map_err(|source| TrustError::Unreadable {
            name: format!("manifest/{manifest_sha256}"),
            source,
        })?;
        if content.tenant != self.tenant || content.product != product || content.version != version
        {
            return Err(TrustError::NotWhatItIsNamed { product, version });
        }
        Ok(SealedRelease::proven(content, manifest_sha256))
    }
}

/// Follows newer roots from the pinned one; says whether the hub's keys changed since `seen`.
pub(crate) fn follow_roots(
    pin: &PinnedRoot,
    documents: Documents<'_>,
    seen: &SeenVersions,
) -> Result<(TrustedMetadataSet, bool), TrustError> {
    let mut set = pin.set();
    let mut keys_when_seen = hub_keys(set.root());
    for step in 0.. {
        let next = set.root().version + 1;
        let name = format!("{next}.root.json");
        let Some(bytes) = documents(&name) else { break };
        if step == ROOT_ROTATIONS_MAX {
            let rule = "at most 64 newer roots may follow the pinned one";
            return Err(TrustError::Rule { role: "root".to_owned(), rule });
        }
        envelope::require("a root", &bytes, ROOT_BYTES_MAX)
            .map_err(|source| TrustError::Unreadable { name, source })?;
        set.update_root(&bytes).map_err(|error| TrustError::of("root", error))?;
        facts_of_root(set.root())?;
        if set.root().version <= seen.root {
            keys_when_seen = hub_keys(set.root());
        }
    }
    if set.root().version < seen.root {
        let (role, offered) = ("root".to_owned(), set.root().version);
        return Err(TrustError::RolledBack { role, seen: seen.root, offered });
    }
    let rekeyed = seen.root > 0 && keys_when_seen != hub_keys(set.root());
    Ok((set, rekeyed))
}

fn hub_keys(root: &Root) -> [Option<RoleKeys>; 2] {
    ["snapshot", "timestamp"].map(|role| root.role(role).cloned())
}

fn fetch(documents: Documents<'_>, role: &str, bytes_max: usize) -> Result<Vec<u8>, TrustError> {
    let name = format!("{role}.json");
    let bytes = documents(&name).ok_or_else(|| TrustError::Missing { name: name.clone() })?;
    envelope::require("a signed document", &bytes, bytes_max)
        .map_err(|source| TrustError::Unreadable { name, source })?;
    Ok(bytes)
}

fn versions(set: &TrustedMetadataSet) -> SeenVersions {
    let roles = set.snapshot().map(|snapshot| {
        let named = snapshot
            .meta
            .iter()
            .filter_map(|(name, pin)| Some((super::role_name_of(name)?.to_owned(), pin.version)));
        named.collect()
    });
    SeenVersions {
        root: set.root().version,
        timestamp: set.timestamp().map(|timestamp| timestamp.version).unwrap_or_default(),
        snapshot: set.snapshot().map(|snapshot| snapshot.version).unwrap_or_default(),
        roles: roles.unwrap_or_default(),
    }
}

fn not_older(seen: &SeenVersions, offered: &SeenVersions) -> Result<(), TrustError> {
    let pairs = [
        ("timestamp", seen.timestamp, offered.timestamp),
        ("snapshot", seen.snapshot, offered.snapshot),
    ];
    let roles = seen.roles.iter().map(|(role, &version)| {
        (role.as_str(), version, offered.roles.get(role).copied().unwrap_or_default())
    });
    for (role, seen, offered) in pairs.into_iter().chain(roles) {
        if offered < seen {
            return Err(TrustError::RolledBack { role: role.to_owned(), seen, offered });
        }
    }
    Ok(())
}

/// Reads the lease keys, if `targets` names exactly these bytes.
pub(crate) fn lease_keys(
    documents: Documents<'_>,
    targets: &sigstore_tuf::Targets,
    tenant: &Name,
) -> Result<LeaseKeys, TrustError> {
    let name = LEASE_KEYS_TARGET.to_owned();
    let rule = |rule: &'static str| TrustError::Rule { role: "targets".to_owned(), rule };
    let target = targets
        .target(LEASE_KEYS_TARGET)
        .filter(|_| targets.targets.len() == 1)
        .ok_or_else(|| rule("top-level targets must hold lease-keys.json and nothing else"))?;
    let bytes = documents(&name).ok_or_else(|| TrustError::Missing { name: name.clone() })?;
    let pinned = target.hashes.get("sha256").filter(|_| target.hashes.len() == 1);
    if target.length != bytes.len() as u64 || pinned != Some(&Digest::of(&bytes).to_string()) {
        return Err(TrustError::Mixed { role: name });
    }
    let keys = LeaseKeys::from_bytes(&bytes)
        .map_err(|source| TrustError::Unreadable { name: name.clone(), source })?;
    if keys.tenant() != tenant {
        let (expected, found) = (tenant.clone(), keys.tenant().clone());
        return Err(TrustError::OtherTenant { name, expected, found });
    }
    Ok(keys)
}

pub(crate) fn time(now_ms: i64) -> Result<jiff::Timestamp, TrustError> {
    jiff::Timestamp::from_millisecond(now_ms)
        .map_err(|_| TrustError::Rule { role: "now".to_owned(), rule: "not a time" })
}
