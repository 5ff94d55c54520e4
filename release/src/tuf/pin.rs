//! The tenant's root as a station pinned it at enrolment.

use sigstore_tuf::TrustedMetadataSet;

use super::error::TrustError;
use super::repository::{Documents, SeenVersions, follow_roots};
use super::rules::facts_of_root;
use crate::digest::Digest;
use crate::envelope;
use crate::limits::ROOT_BYTES_MAX;
use crate::names::Name;
use crate::provider;

/// A root whose digest is the pinned one, signed by its own quorum.
#[derive(Debug, Clone)]
pub struct PinnedRoot {
    set: TrustedMetadataSet,
    digest: Digest,
    tenant: Name,
}

impl PinnedRoot {
    /// Takes the root document that has this digest. Its expiry is judged later, after newer
    /// roots have been followed.
    ///
    /// # Errors
    /// [`TrustError`] when it is another root, not signed by its quorum, or breaks a rule.
    pub fn from_pin(root: &[u8], expected: &Digest) -> Result<Self, TrustError> {
        provider::install();
        let digest = Digest::of(root);
        if digest != *expected {
            return Err(TrustError::NotThePinnedRoot { expected: *expected, found: digest });
        }
        envelope::require("a root", root, ROOT_BYTES_MAX)
            .map_err(|source| TrustError::Unreadable { name: "root.json".to_owned(), source })?;
        let set =
            TrustedMetadataSet::from_root(root).map_err(|error| TrustError::of("root", error))?;
        let tenant = facts_of_root(set.root())?.tenant;
        Ok(Self { set, digest, tenant })
    }

    /// Whose root it is.
    #[must_use]
    pub const fn tenant(&self) -> &Name {
        &self.tenant
    }

    /// SHA-256 of the document.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The short words of the digest, for two people to compare.
    #[must_use]
    pub fn words(&self) -> String {
        self.digest.words()
    }

    /// The root's version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.set.root().version
    }

    /// How many signatures the root role and the top-level targets need.
    #[must_use]
    pub fn thresholds(&self) -> [(&'static str, usize); 2] {
        ["root", "targets"].map(|role| {
            (role, self.set.root().role(role).map(|keys| keys.threshold).unwrap_or_default())
        })
    }

    /// Each role with its threshold and the ids of its keys, for showing.
    pub fn roles(&self) -> impl Iterator<Item = (&str, usize, &[String])> {
        let roles = self.set.root().roles.iter();
        roles.map(|(role, keys)| (role.as_str(), keys.threshold, keys.keyids.as_slice()))
    }

    /// When this document ends, for showing.
    #[must_use]
    pub fn expires(&self) -> String {
        self.set.root().expires.to_string()
    }

    /// Whether one person alone can change the root or the top-level targets.
    #[must_use]
    pub fn is_thin(&self) -> bool {
        self.thresholds().iter().any(|&(_, threshold)| threshold < 2)
    }

    /// Refuses a root that fewer people than this can change.
    ///
    /// # Errors
    /// [`TrustError::ThinRoot`] with the role.
    pub fn require_quorum(self, required: usize) -> Result<Self, TrustError> {
        for (role, threshold) in self.thresholds() {
            if threshold < required {
                return Err(TrustError::ThinRoot { role: role.to_owned(), threshold, required });
            }
        }
        Ok(self)
    }

    /// The newest root that follows this one, each signed by the quorum before it and by its own.
    /// Expiry is not judged.
    ///
    /// # Errors
    /// [`TrustError`] when a newer root is there and does not follow, or is another tenant's.
    pub fn follow(&self, documents: Documents<'_>) -> Result<Self, TrustError> {
        let (set, _) = follow_roots(self, documents, &SeenVersions::default())?;
        let version = set.root().version;
        if version == self.version() {
            return Ok(self.clone());
        }
        let name = format!("{version}.root.json");
        let bytes = documents(&name).ok_or_else(|| TrustError::Missing { name: name.clone() })?;
        let tenant = facts_of_root(set.root())?.tenant;
        if tenant != self.tenant {
            let (expected, found) = (self.tenant.clone(), tenant);
            return Err(TrustError::OtherTenant { name, expected, found });
        }
        Ok(Self { set, digest: Digest::of(&bytes), tenant })
    }

    pub(crate) fn set(&self) -> TrustedMetadataSet {
        self.set.clone()
    }
}
