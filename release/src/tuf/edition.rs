//! R&D's next edition of a document: read the last one, change it, write it one version higher.
//! Roots as [`RootPlan`]s, the tenant's products and their people, a product's releases.
//!
//! Reads what lies in R&D's own repository folder and does not judge its signatures: the next
//! edition is signed anew, and every reader judges that.

use std::collections::BTreeMap;

use serde_json::Value;
use sigstore_tuf::metadata::Role;
use sigstore_tuf::{Key, Metadata, Root, Targets};

use super::error::TrustError;
use super::lease_keys::LeaseKeys;
use super::rules::{delegations_of, facts_of_root, releases_of};
use super::write::{
    ProductRole, ReleaseTarget, RoleKeys, RootPlan, WriteError, product_document, targets_document,
};
use crate::canonical::{self, DocumentError};
use crate::digest::{Digest, hex_array};
use crate::envelope::{self, Envelope};
use crate::key::{PublicKey, SigningKey};
use crate::limits::{ROOT_BYTES_MAX, TARGETS_BYTES_MAX};
use crate::names::{Label, Name};
use crate::provider;

/// The releases a product's people stand for.
#[derive(Debug, Clone)]
pub struct ProductEdition {
    product: Name,
    version: u64,
    releases: Vec<ReleaseTarget>,
}

/// The products of a tenant and their people.
#[derive(Debug, Clone)]
pub struct TargetsEdition {
    version: u64,
    products: Vec<ProductRole>,
}

/// Why an edition cannot be changed like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditionError {
    /// A release is immutable: the version is taken by another manifest.
    #[error("naming {product} {version}: this version is already another release")]
    VersionTaken {
        /// The product.
        product: Name,
        /// The version.
        version: Label,
    },
    /// There is no such release.
    #[error("withdrawing {product} {version}: there is no such release")]
    NoSuchRelease {
        /// The product.
        product: Name,
        /// The version.
        version: Label,
    },
    /// The product is there already.
    #[error("adding the product {product}: it is there already")]
    ProductTaken {
        /// The product.
        product: Name,
    },
    /// There is no such product.
    #[error("changing the people of {product}: there is no such product")]
    NoSuchProduct {
        /// The product.
        product: Name,
    },
}

impl RootPlan {
    /// Reads what a root says: the plan of its next edition, once the version is raised.
    ///
    /// # Errors
    /// [`TrustError`] when it is not a root in our shape. Who signed it is not judged.
    pub fn read(document: &[u8]) -> Result<Self, TrustError> {
        let root: Root = read("root", document, ROOT_BYTES_MAX)?;
        let facts = facts_of_root(&root)?;
        let role = |name: &str| {
            let role = root.role(name);
            RoleKeys {
                keys: role.map(|role| publics(&role.keyids, &root.keys)).unwrap_or_default(),
                threshold: role.map(|role| role.threshold).unwrap_or_default(),
            }
        };
        Ok(Self {
            tenant: facts.tenant,
            version: root.version,
            expires_ms: root.expires.as_millisecond(),
            root: role("root"),
            targets: role("targets"),
            snapshot: role("snapshot"),
            timestamp: role("timestamp"),
        })
    }
}

/// The public keys behind a role's ids. Keys that are not Ed25519 were refused before.
fn publics(ids: &[String], keys: &BTreeMap<String, Key>) -> Vec<PublicKey> {
    ids.iter()
        .filter_map(|id| hex_array(&keys.get(id)?.keyval.public).map(PublicKey::from_bytes))
        .collect()
}

impl ProductEdition {
    /// A product that has released nothing.
    #[must_use]
    pub const fn first(product: Name) -> Self {
        Self { product, version: 0, releases: Vec::new() }
    }

    /// Reads the last edition.
    ///
    /// # Errors
    /// [`TrustError`] when it is not a product's document.
    pub fn read(product: &Name, document: &[u8]) -> Result<Self, TrustError> {
        let targets: Targets = read(product.as_str(), document, TARGETS_BYTES_MAX)?;
        let releases = releases_of(product, &targets)?
            .into_iter()
            .map(|listed| ReleaseTarget {
                version: listed.version,
                manifest_sha256: listed.manifest_sha256,
                manifest_bytes: listed.manifest_bytes,
                withdrawn: listed.withdrawn,
            })
            .collect();
        Ok(Self { product: product.clone(), version: targets.version, releases })
    }

    /// Names one more release.
    ///
    /// # Errors
    /// [`EditionError::VersionTaken`].
    pub fn name(&mut self, release: ReleaseTarget) -> Result<(), EditionError> {
        if self.releases.iter().any(|there| there.version == release.version) {
            let (product, version) = (self.product.clone(), release.version);
            return Err(EditionError::VersionTaken { product, version });
        }
        self.releases.push(release);
        Ok(())
    }

    /// Takes a release back.
    ///
    /// # Errors
    /// [`EditionError::NoSuchRelease`].
    pub fn withdraw(&mut self, version: &Label) -> Result<(), EditionError> {
        let (product, missing) = (self.product.clone(), version.clone());
        let release = self
            .releases
            .iter_mut()
            .find(|there| there.version == *version)
            .ok_or(EditionError::NoSuchRelease { product, version: missing })?;
        release.withdrawn = true;
        Ok(())
    }

    /// Writes the next edition.
    ///
    /// # Errors
    /// [`WriteError::BadTime`].
    pub fn write(&self, expires_ms: i64, keys: &[&SigningKey]) -> Result<Vec<u8>, WriteError> {
        product_document(&self.product, self.version + 1, expires_ms, &self.releases, keys)
    }
}

impl TargetsEdition {
    /// A tenant without products.
    #[must_use]
    pub const fn first() -> Self {
        Self { version: 0, products: Vec::new() }
    }

    /// Reads the last edition.
    ///
    /// # Errors
    /// [`TrustError`] when it is not a top-level targets document.
    pub fn read(document: &[u8]) -> Result<Self, TrustError> {
        let targets: Targets = read("targets", document, TARGETS_BYTES_MAX)?;
        let keys = targets.delegations.as_ref().map(|d| d.keys.clone()).unwrap_or_default();
        let products = delegations_of(&targets)?
            .into_iter()
            .map(|(product, role)| ProductRole {
                product,
                keys: RoleKeys { keys: publics(&role.keyids, &keys), threshold: role.threshold },
            })
            .collect();
        Ok(Self { version: targets.version, products })
    }

    /// Adds a product and its people.
    ///
    /// # Errors
    /// [`EditionError::ProductTaken`].
    pub fn add(&mut self, product: ProductRole) -> Result<(), EditionError> {
        if self.products.iter().any(|there| there.product == product.product) {
            return Err(EditionError::ProductTaken { product: product.product });
        }
        self.products.push(product);
        self.products.sort_by(|a, b| a.product.cmp(&b.product));
        Ok(())
    }

    /// Puts other people in the place of a product's.
    ///
    /// # Errors
    /// [`EditionError::NoSuchProduct`].
    pub fn rotate(&mut self, product: ProductRole) -> Result<(), EditionError> {
        let there = self.products.iter_mut().find(|there| there.product == product.product);
        match there {
            Some(there) => *there = product,
            None => return Err(EditionError::NoSuchProduct { product: product.product }),
        }
        Ok(())
    }

    /// The products and their people.
    #[must_use]
    pub fn products(&self) -> &[ProductRole] {
        &self.products
    }

    /// Writes the next edition.
    ///
    /// # Errors
    /// [`WriteError`] for an impossible threshold or time.
    pub fn write(
        &self,
        expires_ms: i64,
        lease_keys: &LeaseKeys,
        keys: &[&SigningKey],
    ) -> Result<Vec<u8>, WriteError> {
        targets_document(self.version + 1, expires_ms, lease_keys, &self.products, keys)
    }
}

fn read<T: Role>(role: &str, document: &[u8], bytes_max: usize) -> Result<T, TrustError> {
    provider::install();
    envelope::require("a signed document", document, bytes_max)
        .map_err(|source| TrustError::Unreadable { name: format!("{role}.json"), source })?;
    Metadata::from_slice(document)
        .map(Metadata::into_signed)
        .map_err(|error| TrustError::of(role, error))
}

/// What a signed document says of itself: for showing, never for deciding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentFacts {
    /// Its TUF type.
    pub kind: String,
    /// Its version.
    pub version: u64,
    /// When it ends.
    pub expires: String,
    /// The ids of the keys that (say they) signed.
    pub signed_by: Vec<Digest>,
}

/// Reads a signed document without judging it.
///
/// # Errors
/// [`DocumentError`] when it is not a signed document in canonical form.
pub fn show_document(document: &[u8]) -> Result<DocumentFacts, DocumentError> {
    let envelope: Envelope<Value> =
        canonical::from_bytes("a signed document", document, TARGETS_BYTES_MAX)?;
    let text = |field: &str| envelope.signed[field].as_str().unwrap_or("?").to_owned();
    Ok(DocumentFacts {
        kind: text("_type"),
        version: envelope.signed["version"].as_u64().unwrap_or_default(),
        expires: text("expires"),
        signed_by: envelope.signatures.iter().map(|signature| signature.keyid).collect(),
    })
}
