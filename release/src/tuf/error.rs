//! Why a document, or what it names, is not trusted.

use crate::canonical::DocumentError;
use crate::digest::Digest;
use crate::names::{Label, Name};

/// Why something is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The document is not there.
    #[error("verifying the repository: {name} is missing")]
    Missing {
        /// The document.
        name: String,
    },
    /// The document cannot be read.
    #[error("verifying {name}")]
    Unreadable {
        /// The document.
        name: String,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// The root is another than the one pinned at enrolment.
    #[error("verifying the root: its digest is {found}, pinned is {expected}")]
    NotThePinnedRoot {
        /// The pinned digest.
        expected: Digest,
        /// The offered root's digest.
        found: Digest,
    },
    /// Too few good signatures by the role's keys.
    #[error("verifying {role}: {found} good signatures of the {threshold} needed")]
    TooFewSignatures {
        /// The role.
        role: String,
        /// Good signatures by distinct keys.
        found: usize,
        /// How many are needed.
        threshold: usize,
    },
    /// The document's time is over.
    #[error("verifying {role}: it expired at {expires}")]
    Expired {
        /// The role.
        role: String,
        /// When.
        expires: String,
    },
    /// An older version than one already seen.
    #[error("verifying {role}: version {offered} is older than {seen}, which was already seen")]
    RolledBack {
        /// The role.
        role: String,
        /// The version seen before.
        seen: u64,
        /// The version offered; 0 when the role has disappeared.
        offered: u64,
    },
    /// A new root that does not follow the trusted one.
    #[error("verifying the root: version {offered} does not follow {trusted}")]
    RootOutOfOrder {
        /// The trusted version.
        trusted: u64,
        /// The offered version.
        offered: u64,
    },
    /// The documents do not belong together: length, hash or version is not the one pinned.
    #[error("verifying {role}: it is not the document that its parent names")]
    Mixed {
        /// The role.
        role: String,
    },
    /// The document breaks a rule of ours.
    #[error("verifying {role}: {rule}")]
    Rule {
        /// The role.
        role: String,
        /// The rule.
        rule: &'static str,
    },
    /// The verifier refused for another reason.
    #[error("verifying {role}")]
    Verifier {
        /// The role.
        role: String,
        /// Why.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// The root may be changed by fewer people than required.
    #[error("verifying the root: {role} needs {threshold} signature(s), required are {required}")]
    ThinRoot {
        /// The role.
        role: String,
        /// Its threshold.
        threshold: usize,
        /// The required threshold.
        required: usize,
    },
    /// Another tenant's document.
    #[error("verifying {name}: it belongs to the tenant {found}, not to {expected}")]
    OtherTenant {
        /// The document.
        name: String,
        /// The root's tenant.
        expected: Name,
        /// The document's tenant.
        found: Name,
    },
    /// A product's people signed for something outside their product.
    #[error("verifying {product}: it names {path}, which is not its to name")]
    ForeignTarget {
        /// The product whose role it is.
        product: Name,
        /// The path it names.
        path: String,
    },
    /// No trusted target names this manifest.
    #[error("trusting the manifest {manifest_sha256}: no trusted target names it")]
    NotNamed {
        /// Its digest.
        manifest_sha256: Digest,
    },
    /// R&D has withdrawn the release.
    #[error("trusting {product} {version}: withdrawn")]
    Withdrawn {
        /// The product.
        product: Name,
        /// The version.
        version: Label,
    },
    /// The manifest says another product, version or tenant than the target that names it.
    #[error("trusting {product} {version}: the manifest says it is something else")]
    NotWhatItIsNamed {
        /// The product of the target.
        product: Name,
        /// The version of the target.
        version: Label,
    },
}

impl TrustError {
    /// Sorts the verifier's refusals into ours.
    pub(crate) fn of(role: &str, source: sigstore_tuf::Error) -> Self {
        use sigstore_tuf::Error as Verifier;
        let role = role.to_owned();
        if let Verifier::ThresholdNotMet { found, threshold, .. } = source {
            return Self::TooFewSignatures { role, found, threshold };
        }
        if let Verifier::Expired { expires, .. } = source {
            return Self::Expired { role, expires: expires.to_string() };
        }
        if let Verifier::Rollback { trusted, new, .. } = source {
            return Self::RolledBack { role, seen: trusted, offered: new };
        }
        if let Verifier::BadRootVersion { trusted, new } = source {
            return Self::RootOutOfOrder { trusted, offered: new };
        }
        if let Verifier::IntegrityMismatch(_) = source {
            return Self::Mixed { role };
        }
        Self::Verifier { role, source }
    }
}
