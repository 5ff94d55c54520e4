//! Our rules on top of TUF's: few shapes, each with one meaning.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sigstore_tuf::{DelegatedRole, Key, Root, Targets};

use super::error::TrustError;
use crate::digest::Digest;
use crate::limits::{KEYS_MAX, MANIFEST_BYTES_MAX, PRODUCTS_MAX};
use crate::names::{Label, Name};

use super::repository::ListedRelease;

/// The root's field that says whose it is.
pub(crate) const ROOT_FIELD: &str = "x-flashline";

/// What our field in a root says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RootFacts {
    pub(crate) tenant: Name,
    pub(crate) v: u64,
}

/// What our field in a release's target says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseFacts {
    pub(crate) v: u64,
    pub(crate) withdrawn: bool,
}

fn rule(role: &str, holds: bool, rule: &'static str) -> Result<(), TrustError> {
    if holds { Ok(()) } else { Err(TrustError::Rule { role: role.to_owned(), rule }) }
}

/// Checks the root's own shape and reads whose it is.
pub(crate) fn facts_of_root(root: &Root) -> Result<RootFacts, TrustError> {
    let facts: RootFacts = root
        .extra
        .get(ROOT_FIELD)
        .and_then(|value| serde_json::from_value(value.clone()).ok())
        .ok_or(TrustError::Rule {
            role: "root".to_owned(),
            rule: "x-flashline must say the tenant and a version",
        })?;
    rule("root", facts.v == 1, "x-flashline has a version not known here")?;
    rule("root", root.extra.len() == 1, "there must be no unknown fields")?;
    rule("root", root.consistent_snapshot, "consistent_snapshot must be on")?;
    keys_are_plain("root", &root.keys)?;
    let expected = BTreeSet::from(["root", "snapshot", "targets", "timestamp"]);
    rule(
        "root",
        root.roles.keys().map(String::as_str).collect::<BTreeSet<_>>() == expected,
        "the roles must be root, snapshot, targets and timestamp",
    )?;
    for keys in root.roles.values() {
        quorum_is_possible("root", &keys.keyids, keys.threshold, &root.keys)?;
        rule("root", keys.extra.is_empty(), "there must be no unknown fields")?;
    }
    Ok(facts)
}

/// Every key is Ed25519, and its id is computed from it: two ids are two keys.
fn keys_are_plain(role: &str, keys: &BTreeMap<String, Key>) -> Result<(), TrustError> {
    for (id, key) in keys {
        let plain = key.keytype == "ed25519"
            && key.scheme == "ed25519"
            && key.extra.is_empty()
            && key.keyval.extra.is_empty()
            && crate::digest::hex_array::<32>(&key.keyval.public).is_some()
            && key.key_id().is_ok_and(|computed| computed == *id);
        rule(role, plain, "every key must be Ed25519 under its computed id")?;
    }
    Ok(())
}

fn quorum_is_possible(
    role: &str,
    keyids: &[String],
    threshold: usize,
    keys: &BTreeMap<String, Key>,
) -> Result<(), TrustError> {
    let distinct: BTreeSet<&String> = keyids.iter().collect();
    rule(role, distinct.len() == keyids.len(), "a key must be listed once for a role")?;
    rule(role, keyids.len() <= KEYS_MAX, "at most 32 keys for a role")?;
    rule(role, keyids.iter().all(|id| keys.contains_key(id)), "every listed key must be there")?;
    rule(
        role,
        (1..=keyids.len()).contains(&threshold),
        "a threshold must be at least 1 and at most the number of keys",
    )
}

/// The products that top-level targets delegate, each to its own people, for its own paths.
pub(crate) fn delegations_of(targets: &Targets) -> Result<Vec<(Name, &DelegatedRole)>, TrustError> {
    const ROLE: &str = "targets";
    rule(ROLE, targets.extra.is_empty(), "there must be no unknown fields")?;
    let Some(delegations) = &targets.delegations else { return Ok(Vec::new()) };
    keys_are_plain(ROLE, &delegations.keys)?;
    rule(ROLE, delegations.roles.len() <= PRODUCTS_MAX, "at most 4096 products")?;
    let mut seen = BTreeSet::new();
    let mut out = Vec::with_capacity(delegations.roles.len());
    for role in &delegations.roles {
        let product = Name::new_product(&role.name).map_err(|_| TrustError::Rule {
            role: ROLE.to_owned(),
            rule: "a delegation must have a product's name",
        })?;
        rule(ROLE, seen.insert(&role.name), "a product must be delegated once")?;
        rule(
            ROLE,
            role.terminating
                && role.path_hash_prefixes.is_none()
                && role.paths.as_deref() == Some(&[format!("{product}/*")]),
            "a delegation must be terminating and for the product's own paths",
        )?;
        quorum_is_possible(ROLE, &role.keyids, role.threshold, &delegations.keys)?;
        out.push((product, role));
    }
    Ok(out)
}

/// The releases that a product's own document names.
pub(crate) fn releases_of(
    product: &Name,
    targets: &Targets,
) -> Result<Vec<ListedRelease>, TrustError> {
    let role = product.as_str();
    rule(role, targets.extra.is_empty(), "there must be no unknown fields")?;
    rule(role, targets.delegations.is_none(), "a product must not delegate further")?;
    let mut out = Vec::with_capacity(targets.targets.len());
    for (path, target) in &targets.targets {
        let foreign = || TrustError::ForeignTarget {
            product: product.clone(),
            path: path.chars().take(200).collect(),
        };
        let version = path
            .strip_prefix(role)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.strip_suffix(".json"))
            .and_then(|version| Label::new(version).ok())
            .ok_or_else(foreign)?;
        let manifest_sha256: Digest = target
            .hashes
            .get("sha256")
            .filter(|_| target.hashes.len() == 1)
            .and_then(|hash| hash.parse().ok())
            .ok_or(TrustError::Rule {
                role: role.to_owned(),
                rule: "a target must have exactly a SHA-256 digest",
            })?;
        let facts: ReleaseFacts = target
            .custom
            .clone()
            .and_then(|custom| serde_json::from_value(custom).ok())
            .filter(|facts: &ReleaseFacts| facts.v == 1 && target.extra.is_empty())
            .ok_or(TrustError::Rule {
                role: role.to_owned(),
                rule: "a target must say version 1 and whether it is withdrawn",
            })?;
        rule(role, target.length <= MANIFEST_BYTES_MAX as u64, "a manifest is at most 4 MiB")?;
        out.push(ListedRelease {
            product: product.clone(),
            version,
            manifest_sha256,
            manifest_bytes: target.length,
            withdrawn: facts.withdrawn,
        });
    }
    Ok(out)
}

/// The role that a document's name stands for: `targets.json` → `targets`.
pub(crate) fn role_name_of(document: &str) -> Option<&str> {
    document.strip_suffix(".json").filter(|role| !role.contains(['.', '/']))
}
