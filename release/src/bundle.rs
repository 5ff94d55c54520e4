//! The publication bundle: what R&D hands to the hub.
//!
//! A folder (or any set of named files): the signed documents, the manifest, the sealed chunks,
//! and the content keys wrapped for the hub. No plain firmware, no private key.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use sigstore_tuf::metadata::Role as _;
use sigstore_tuf::{Metadata, Root, Targets};

use crate::canonical::DocumentError;
use crate::digest::Digest;
use crate::envelope;
use crate::hub_keys::{HubKeys, HubWrap};
use crate::key::PublicKey;
use crate::limits::{
    BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, HUB_WRAP_BYTES_MAX, LEASE_KEYS_BYTES_MAX,
    MANIFEST_BYTES_MAX, ROOT_BYTES_MAX, TARGETS_BYTES_MAX,
};
use crate::manifest::Manifest;
use crate::names::{Channel, Name};
use crate::summary::Summary;
use crate::tuf::{
    LEASE_KEYS_TARGET, LeaseKeys, ListedRelease, PinnedRoot, SeenVersions, TrustError,
    delegations_of, follow_roots, lease_keys, releases_of, time,
};
use crate::wrap::{ContentKey, WrapError, WrapKey};

/// A publication bundle, as handed over: names and sizes are plausible, nothing else is.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    files: BTreeMap<String, Vec<u8>>,
}

/// A bundle that holds one whole release, signed by the product's people under a pinned root.
#[derive(Debug)]
pub struct CheckedBundle {
    files: BTreeMap<String, Vec<u8>>,
    chunks: BTreeMap<Digest, Vec<u8>>,
    manifest: Manifest,
    manifest_sha256: Digest,
    hub_wrap: HubWrap,
    root: Root,
    lease_keys: LeaseKeys,
}

/// Documents without a release, each signed by its quorum under a pinned root.
#[derive(Debug)]
pub struct CheckedDocuments {
    root_version: u64,
    releases: Vec<ListedRelease>,
    files: BTreeMap<String, Vec<u8>>,
}

/// The documents above the products', checked.
struct CheckedRoles {
    root: Root,
    targets: Metadata<Targets>,
    lease_keys: LeaseKeys,
}

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The folder cannot be read or written.
    #[error("carrying a bundle: {path}")]
    Folder {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file that no bundle has.
    #[error("carrying a bundle: {name:?} is not a file of a bundle")]
    StrangeFile {
        /// Its name.
        name: String,
    },
    /// A file that is larger than its kind may be.
    #[error("carrying a bundle: {name} is larger than {bytes_max} bytes")]
    FileTooLarge {
        /// Its name.
        name: String,
        /// The limit.
        bytes_max: u64,
    },
    /// Too many files, or too many bytes in all.
    #[error("carrying a bundle: more than {files_max} files or {bytes_max} bytes")]
    TooLarge {
        /// The limit of files.
        files_max: usize,
        /// The limit of bytes.
        bytes_max: u64,
    },
    /// A file that every bundle has is not there.
    #[error("checking a bundle: {name} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A document cannot be read.
    #[error("checking a bundle: {name}")]
    Unreadable {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// A chunk the manifest names is damaged or cut off.
    #[error("checking a bundle: the chunk {digest} is damaged")]
    ChunkDamaged {
        /// Its name.
        digest: Digest,
    },
    /// A chunk that the manifest does not name.
    #[error("checking a bundle: the manifest does not name the chunk {digest}")]
    ChunkNotNamed {
        /// Its name.
        digest: Digest,
    },
    /// The documents are not trusted, or do not name this manifest.
    #[error("checking a bundle")]
    NotTrusted(#[from] TrustError),
    /// The wrapped content keys are of another release or for other channels.
    #[error("checking a bundle: hub-key.wrap belongs to another release")]
    OtherWrap,
}

/// The manifest's file in a bundle.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The wrapped content keys' file in a bundle.
pub const HUB_WRAP_FILE: &str = "hub-key.wrap";
const METADATA: &str = "metadata/";
const CHUNKS: &str = "chunks/";

/// How large a bundle's file of this name may be; none when bundles have no such file.
pub(crate) fn file_bytes_max(name: &str) -> Option<u64> {
    let limit = if name == MANIFEST_FILE {
        MANIFEST_BYTES_MAX
    } else if name == HUB_WRAP_FILE {
        HUB_WRAP_BYTES_MAX
    } else if name == LEASE_KEYS_TARGET {
        LEASE_KEYS_BYTES_MAX
    } else if let Some(document) = name.strip_prefix(METADATA) {
        if root_version(document).is_some() {
            ROOT_BYTES_MAX
        } else {
            let role = document.strip_suffix(".json")?;
            if role != "targets" {
                Name::new_product(role).ok()?;
            }
            TARGETS_BYTES_MAX
        }
    } else {
        let digest = name.strip_prefix(CHUNKS)?;
        digest.parse::<Digest>().ok()?;
        crate::limits::CHUNK_BYTES_MAX as usize + crate::limits::TAG_BYTES
    };
    Some(limit as u64)
}

/// `7.root.json` → 7, in its one spelling.
fn root_version(document: &str) -> Option<u64> {
    let digits = document.strip_suffix(".root.json")?;
    let version: u64 = digits.parse().ok()?;
    (version.to_string() == digits).then_some(version)
}

impl Bundle {
    /// Takes a bundle's files by name, `/` between the parts of a name.
    ///
    /// # Errors
    /// [`BundleError`] for strange names and for sizes beyond the limits.
    pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Result<Self, BundleError> {
        let mut total = 0u64;
        for (name, bytes) in &files {
            let bytes_max = file_bytes_max(name)
                .ok_or_else(|| BundleError::StrangeFile { name: shown(name) })?;
            if bytes.len() as u64 > bytes_max {
                return Err(BundleError::FileTooLarge { name: name.clone(), bytes_max });
            }
            total += bytes.len() as u64;
        }
        if files.len() > BUNDLE_FILES_MAX || total > BUNDLE_BYTES_MAX {
            let (files_max, bytes_max) = (BUNDLE_FILES_MAX, BUNDLE_BYTES_MAX);
            return Err(BundleError::TooLarge { files_max, bytes_max });
        }
        Ok(Self { files })
    }

    /// The files by name.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The manifest's bytes, if there is one. Says nothing about who signed it.
    #[must_use]
    pub fn manifest_bytes(&self) -> Option<&[u8]> {
        self.files.get(MANIFEST_FILE).map(Vec::as_slice)
    }

    /// Takes the root in this bundle that has the pinned digest.
    ///
    /// # Errors
    /// [`TrustError::Missing`] when there is none, else as [`PinnedRoot::from_pin`].
    pub fn pin(&self, expected: &Digest) -> Result<PinnedRoot, TrustError> {
        let root = self
            .roots()
            .map(|(_, root)| root)
            .find(|root| Digest::of(root) == *expected)
            .ok_or_else(|| TrustError::Missing { name: format!("a root {expected}") })?;
        PinnedRoot::from_pin(root, expected)
    }

    /// The roots in this bundle by version.
    fn roots(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.files.iter().filter_map(|(name, bytes)| {
            Some((root_version(name.strip_prefix(METADATA)?)?, bytes.as_slice()))
        })
    }

    fn file(&self, name: &str) -> Result<&[u8], BundleError> {
        self.files
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| BundleError::Missing { name: name.to_owned() })
    }

    /// Finds a document by the name under which stations know it.
    fn document(&self, name: &str) -> Option<Vec<u8>> {
        if name == LEASE_KEYS_TARGET {
            return self.files.get(name).cloned();
        }
        self.files.get(&format!("{METADATA}{name}")).cloned()
    }

    /// Checks the whole bundle against the tenant's pinned root: roots followed and not expired,
    /// top-level targets and the product's document signed by their quorum and not expired, the
    /// manifest named and not withdrawn, every chunk there and whole, nothing else there.
    ///
    /// # Errors
    /// [`BundleError`] by kind of refusal.
    pub fn check(self, pin: &PinnedRoot, now_ms: i64) -> Result<CheckedBundle, BundleError> {
        let manifest_bytes = self.file(MANIFEST_FILE)?;
        let manifest_sha256 = Digest::of(manifest_bytes);
        let unreadable =
            |name: &str, source| BundleError::Unreadable { name: name.to_owned(), source };
        let manifest = Manifest::from_bytes(manifest_bytes)
            .map_err(|source| unreadable(MANIFEST_FILE, source))?;
        let CheckedRoles { root, lease_keys, .. } =
            self.check_named(pin, &manifest, manifest_sha256, now_ms)?;

        let hub_wrap = HubWrap::from_bytes(self.file(HUB_WRAP_FILE)?)
            .map_err(|source| unreadable(HUB_WRAP_FILE, source))?;
        let channels = hub_wrap.wraps.iter().map(|wrap| wrap.channel);
        if hub_wrap.manifest_sha256 != manifest_sha256
            || !channels.eq(manifest.recipe.channels.iter().copied())
        {
            return Err(BundleError::OtherWrap);
        }

        let mut files = self.files;
        let mut chunks = BTreeMap::new();
        for channel in &manifest.recipe.channels {
            for chunk in manifest.chunks(*channel) {
                let name = format!("{CHUNKS}{}", chunk.digest);
                let bytes = files.remove(&name).ok_or(BundleError::Missing { name })?;
                if bytes.len() != chunk.bytes || Digest::of(&bytes) != chunk.digest {
                    return Err(BundleError::ChunkDamaged { digest: chunk.digest });
                }
                chunks.insert(chunk.digest, bytes);
            }
        }
        let stray = files.keys().find_map(|name| name.strip_prefix(CHUNKS)?.parse().ok());
        if let Some(digest) = stray {
            return Err(BundleError::ChunkNotNamed { digest });
        }
        Ok(CheckedBundle { files, chunks, manifest, manifest_sha256, hub_wrap, root, lease_keys })
    }

    /// Checks documents that come without a release: roots followed and not expired, top-level
    /// targets and the document of every product that has one signed by their quorum and not
    /// expired, nothing else there.
    ///
    /// # Errors
    /// [`BundleError`] by kind of refusal.
    pub fn check_documents(
        self,
        pin: &PinnedRoot,
        now_ms: i64,
    ) -> Result<CheckedDocuments, BundleError> {
        let now = time(now_ms)?;
        let roles = self.check_roles(pin, now)?;
        let mut known = BTreeSet::from(["targets"]);
        let mut releases = Vec::new();
        let delegations = delegations_of(roles.targets.signed())?;
        for (product, _) in &delegations {
            if self.files.contains_key(&format!("{METADATA}{product}.json")) {
                known.insert(product.as_str());
                releases.extend(self.check_product(&roles, product, now)?);
            }
        }
        self.nothing_but(&roles.root, &known)?;
        let stray = self
            .files
            .keys()
            .find(|name| !name.starts_with(METADATA) && name.as_str() != LEASE_KEYS_TARGET);
        if let Some(name) = stray {
            return Err(BundleError::StrangeFile { name: shown(name) });
        }
        Ok(CheckedDocuments { root_version: roles.root.version, releases, files: self.files })
    }

    /// The root, the targets and the lease keys.
    fn check_roles(
        &self,
        pin: &PinnedRoot,
        now: jiff::Timestamp,
    ) -> Result<CheckedRoles, BundleError> {
        let documents = |name: &str| self.document(name);
        let own = self.file(&format!("{METADATA}{}.root.json", pin.version()))?;
        if Digest::of(own) != pin.digest() {
            let (expected, found) = (pin.digest(), Digest::of(own));
            return Err(TrustError::NotThePinnedRoot { expected, found }.into());
        }
        let (set, _) = follow_roots(pin, &documents, &SeenVersions::default())?;
        set.check_root_expired(now).map_err(|error| TrustError::of("root", error))?;
        let root = set.root().clone();
        let targets = self.signed_targets("targets")?;
        let authority = root
            .role("targets")
            .ok_or(TrustError::Rule { role: "root".to_owned(), rule: "it has no targets role" })?;
        targets
            .verify_threshold(&root.keys, authority, "targets")
            .map_err(|error| TrustError::of("targets", error))?;
        not_expired("targets", targets.signed(), now)?;
        let lease_keys = lease_keys(&documents, targets.signed(), pin.tenant())?;
        Ok(CheckedRoles { root, targets, lease_keys })
    }

    /// What a product's own document names, signed by the people the targets name.
    fn check_product(
        &self,
        roles: &CheckedRoles,
        product: &Name,
        now: jiff::Timestamp,
    ) -> Result<Vec<ListedRelease>, BundleError> {
        let targets = roles.targets.signed();
        let delegations = delegations_of(targets)?;
        let (_, authority) =
            delegations.iter().find(|(name, _)| name == product).ok_or(TrustError::Rule {
                role: "targets".to_owned(),
                rule: "the manifest's product is not delegated",
            })?;
        let own = self.signed_targets(product.as_str())?;
        let keys = targets.delegations.as_ref().map(|d| d.keys.clone());
        own.verify_threshold(&keys.unwrap_or_default(), &authority.role_keys(), product.as_str())
            .map_err(|error| TrustError::of(product.as_str(), error))?;
        not_expired(product.as_str(), own.signed(), now)?;
        Ok(releases_of(product, own.signed())?)
    }

    /// Refuses a document that none of these roles is known by, and roots after the newest.
    fn nothing_but(&self, root: &Root, roles: &BTreeSet<&str>) -> Result<(), BundleError> {
        for name in self.files.keys().filter_map(|name| name.strip_prefix(METADATA)) {
            let known = root_version(name).is_some_and(|version| version <= root.version)
                || name.strip_suffix(".json").is_some_and(|role| roles.contains(role));
            if !known {
                return Err(BundleError::StrangeFile { name: shown(name) });
            }
        }
        Ok(())
    }

    fn check_named(
        &self,
        pin: &PinnedRoot,
        manifest: &Manifest,
        manifest_sha256: Digest,
        now_ms: i64,
    ) -> Result<CheckedRoles, BundleError> {
        let product = &manifest.product;
        let now = time(now_ms)?;
        let roles = self.check_roles(pin, now)?;
        if manifest.tenant != *pin.tenant() {
            let (expected, found) = (pin.tenant().clone(), manifest.tenant.clone());
            let name = MANIFEST_FILE.to_owned();
            return Err(TrustError::OtherTenant { name, expected, found }.into());
        }
        let listed = self
            .check_product(&roles, product, now)?
            .into_iter()
            .find(|listed| listed.manifest_sha256 == manifest_sha256)
            .ok_or(TrustError::NotNamed { manifest_sha256 })?;
        let (product, version) = (listed.product, listed.version);
        if listed.withdrawn {
            return Err(TrustError::Withdrawn { product, version }.into());
        }
        if version != manifest.version {
            return Err(TrustError::NotWhatItIsNamed { product, version }.into());
        }
        self.nothing_but(&roles.root, &["targets", manifest.product.as_str()].into())?;
        Ok(roles)
    }

    fn signed_targets(&self, role: &str) -> Result<Metadata<Targets>, BundleError> {
        let name = format!("{METADATA}{role}.json");
        let bytes = self.file(&name)?;
        envelope::require("a signed document", bytes, TARGETS_BYTES_MAX)
            .map_err(|source| BundleError::Unreadable { name, source })?;
        Ok(Metadata::from_slice(bytes).map_err(|error| TrustError::of(role, error))?)
    }
}

fn not_expired(role: &str, targets: &Targets, now: jiff::Timestamp) -> Result<(), TrustError> {
    if targets.is_expired(now) {
        let (role, expires) = (role.to_owned(), targets.expires.to_string());
        return Err(TrustError::Expired { role, expires });
    }
    Ok(())
}

fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

impl CheckedBundle {
    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest.
    #[must_use]
    pub const fn manifest_sha256(&self) -> Digest {
        self.manifest_sha256
    }

    /// The product.
    #[must_use]
    pub const fn product(&self) -> &Name {
        &self.manifest.product
    }

    /// The readable summary, as R&D's CLI shows it.
    #[must_use]
    pub fn summary(&self) -> String {
        Summary::of(&self.manifest, self.manifest_sha256).to_string()
    }

    /// The documents by the names under which stations ask for them: `root.json` (the newest),
    /// `<N>.root.json`, `targets.json`, `<product>.json`, `lease-keys.json`, `manifest/<sha256>`.
    #[must_use]
    pub fn documents(&self) -> BTreeMap<String, Vec<u8>> {
        let mut out = documents_of(&self.files);
        if let Some(bytes) = self.files.get(MANIFEST_FILE) {
            out.insert(format!("manifest/{}", self.manifest_sha256), bytes.clone());
        }
        out
    }

    /// Whether the tenant's documents name this hub's keys. If not, no station would believe
    /// what this hub says about them.
    #[must_use]
    pub fn is_for(&self, hub: &HubKeys) -> bool {
        let names = |role: &str, key: &PublicKey| {
            let id = key.key_id().to_string();
            self.root.role(role).is_some_and(|keys| keys.keyids.contains(&id))
        };
        hub.tenant == self.manifest.tenant
            && names("snapshot", &hub.snapshot)
            && names("timestamp", &hub.timestamp)
            && self.lease_keys.keys().contains(&hub.lease)
            && self.hub_wrap.hub_key_sha256 == hub.release.digest()
    }

    /// The sealed chunks by digest.
    #[must_use]
    pub const fn chunks(&self) -> &BTreeMap<Digest, Vec<u8>> {
        &self.chunks
    }

    /// The content keys, wrapped for the hub: to be stored as they are.
    #[must_use]
    pub const fn hub_wrap(&self) -> &HubWrap {
        &self.hub_wrap
    }

    /// Opens one channel's content key with the hub's release key.
    ///
    /// # Errors
    /// [`WrapError`] when the bundle was made for another hub.
    pub fn content_key(&self, hub: &WrapKey, channel: Channel) -> Result<ContentKey, WrapError> {
        self.hub_wrap.content_key(hub, &self.manifest.tenant, channel)
    }
}

impl CheckedDocuments {
    /// The version of the newest root.
    #[must_use]
    pub const fn root_version(&self) -> u64 {
        self.root_version
    }

    /// Every release that a product's document names, withdrawn ones too.
    #[must_use]
    pub fn releases(&self) -> &[ListedRelease] {
        &self.releases
    }

    /// The documents by the names under which stations ask for them.
    #[must_use]
    pub fn documents(&self) -> BTreeMap<String, Vec<u8>> {
        documents_of(&self.files)
    }
}

/// A bundle's documents as stations know them.
fn documents_of(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut newest = 0;
    for (name, bytes) in files {
        if let Some(document) = name.strip_prefix(METADATA) {
            if let Some(version) = root_version(document).filter(|&version| version >= newest) {
                newest = version;
                out.insert("root.json".to_owned(), bytes.clone());
            }
            out.insert(document.to_owned(), bytes.clone());
        } else if name == LEASE_KEYS_TARGET {
            out.insert(name.clone(), bytes.clone());
        }
    }
    out
}
